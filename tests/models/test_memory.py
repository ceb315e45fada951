"""The most memory that a model takes while it scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fresco.models.memory import forget_peak, peak
from fresco.models.settings import Settings
from fresco.rerank.base import describe
from fresco.rerank.registry import open_reranker
from tests import tiny_models
from tests.factories import make_pool

pytest.importorskip("torch", reason="pip install 'fresco-ccs[models]'")
MIB = 2**20


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux says it")
def test_what_was_taken_and_given_back_counts_until_it_is_forgotten():
    forget_peak(None)
    before = peak(None)
    held = np.ones(200 * MIB, dtype=np.uint8)
    del held
    risen = peak(None)
    assert before is not None and risen is not None
    assert 190 * MIB <= risen - before <= 260 * MIB
    forget_peak(None)
    assert (peak(None) or 0) < risen - 150 * MIB


def test_it_stands_in_the_record(tmp_path):
    reranker = open_reranker(f"dense:{tiny_models.masked_lm(tmp_path / 'model')}", Settings(device="cpu"))
    assert describe(reranker)["peak_memory"] is None
    pool = make_pool()
    reranker.score(pool.query, pool.passages)
    assert Path("/proc/self/status").exists() is (describe(reranker)["peak_memory"] is not None)
