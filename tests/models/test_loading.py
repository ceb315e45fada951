"""Finding a model: a revision behind its id pins the commit that is loaded."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="pip install 'fresco-ccs[models]'")

from fresco.errors import FrescoError
from fresco.models.loading import find_model
from fresco.models.settings import Settings

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_a_revision_behind_the_id_is_the_one_that_is_loaded(tmp_path, monkeypatch):
    snapshot = tmp_path / "models--org--ranker" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    found = find_model("dense", f"org/ranker@{COMMIT}", Settings())
    assert (found.model, found.revision) == ("org/ranker", COMMIT)
    assert found.identity == f"org/ranker@{COMMIT}"
    with pytest.raises(FrescoError, match="dense:org/ranker: no folder of that name"):
        find_model("dense", f"org/ranker@{COMMIT[::-1]}", Settings())
