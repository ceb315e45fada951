"""Code of a model's repository: refused by default, run where the user names it and the code is what was read."""

from __future__ import annotations

import json

import pytest

from fresco.errors import FrescoError
from fresco.models.settings import Settings
from fresco.models.trust import code_hash, code_options, code_repository
from fresco.rerank.registry import open_reranker
from tests import tiny_models
from tests.factories import make_passage, make_query

torch = pytest.importorskip("torch", reason="pip install 'fresco-ccs[models]'")

QUERY, PASSAGES = make_query(), [make_passage("a"), make_passage("b", body="Another one.")]
CODE = """
from transformers import BertConfig, BertForSequenceClassification

class OddConfig(BertConfig):
    model_type = "odd-encoder"

class OddForSequenceClassification(BertForSequenceClassification):
    config_class = OddConfig
"""


@pytest.fixture
def odd(tmp_path, monkeypatch):
    """A cross-encoder whose class lies beside its weights."""
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder = tiny_models.cross_encoder(tmp_path / "odd")
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "odd-encoder",
        "architectures": ["OddForSequenceClassification"],
        "auto_map": {
            "AutoConfig": "odd.OddConfig",
            "AutoModelForSequenceClassification": "odd.OddForSequenceClassification",
        },
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "odd.py").write_text(CODE)
    return folder


def test_it_runs_only_where_it_is_trusted(odd):
    plain = Settings(device="cpu")
    with pytest.raises(FrescoError, match="none runs by default") as caught:
        open_reranker(f"cross-encoder:{odd}", plain).score(QUERY, PASSAGES)
    trusted = str(caught.value).rpartition("--trust ")[2]  # the refusal's own words
    assert trusted == f"{odd}@{code_hash(odd)[:12]}"
    reranker = open_reranker(f"cross-encoder:{odd}", Settings(device="cpu", trust=(trusted,)))
    assert len(set(reranker.score(QUERY, PASSAGES))) == 2
    before = reranker.fingerprint
    (odd / "odd.py").write_text(CODE + "\nX = 1\n")
    changed = open_reranker(f"cross-encoder:{odd}", Settings(device="cpu", trust=(trusted,)))
    assert changed.fingerprint != before
    with pytest.raises(FrescoError, match=r"not the .* that was trusted"):
        changed.score(QUERY, PASSAGES)


def test_code_of_another_repository_must_be_named_itself():
    config = {"auto_map": {"AutoModel": "Alibaba-NLP/new-impl--modeling.NewModel"}}
    assert code_repository("Alibaba-NLP/gte", config) == "Alibaba-NLP/new-impl"
    commit = "0123456789abcdef"
    own = code_options("dense", "Alibaba-NLP/gte", None, config, [f"Alibaba-NLP/gte@{commit}"])
    other = code_options("dense", "Alibaba-NLP/gte", None, config, [f"Alibaba-NLP/new-impl@{commit}"])
    assert own == {"trust_remote_code": False}
    assert other == {"trust_remote_code": True, "code_revision": commit}
    with pytest.raises(FrescoError, match="write MODEL@COMMIT"):
        code_options("dense", "a/b", None, config, ["Alibaba-NLP/new-impl"])
