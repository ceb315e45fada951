"""A weight-renewing server that never ends its answer does not hold the training for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccs.training.settings import GenerationConfig
from ccs.training.sync import FolderSync
from fresco.errors import FrescoError
from tests.clients.test_hostile_servers import HANGS, Pieces, serving


@pytest.mark.parametrize("pieces", HANGS)
def test_each_request_has_a_deadline_over_all_of_it(
    pieces: Pieces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(pieces) as url:
        config = GenerationConfig(server=url, timeout=0.3, patience=0.0)
        with pytest.raises(FrescoError, match=r"was away for 0 s .*start it, and the same command goes on"):
            FolderSync(config, tmp_path, [1, 2])  # asks which model is served
