from __future__ import annotations

import pytest

from fresco.errors import FrescoError
from fresco.rerank.baselines import Newest, Random
from fresco.rerank.lexical import Bm25
from fresco.rerank.temporal import HalfLife
from fresco.scoring.runner import fit, score
from fresco.scoring.store import ScoreStore
from tests.factories import make_benchmark, make_pool


def candidates(pools=6):
    return [(pool.query, pool.passages) for pool in make_benchmark(pools).pools]


class Counting:
    """Length of the text; counts the calls and the pairs it is asked for, and dies on demand."""

    name = "counting"
    takes_instruction = False
    fingerprint = "counting:1"

    def __init__(self, *, pointwise=True, die_after=None, value=None):
        self.pointwise, self.die_after, self.value = pointwise, die_after, value
        self.pairs = self.calls = 0

    def score(self, query, passages, instruction=None):
        if self.die_after is not None and self.calls >= self.die_after:
            raise KeyboardInterrupt
        self.calls += 1
        self.pairs += len(passages)
        return [self.value if self.value is not None else float(len(p.text)) + len(query.text) for p in passages]


class Pooled(Counting):
    pools_per_call = 4

    def score_pools(self, pools, instruction=None):
        return [self.score(query, passages) for query, passages in pools]


class Batched(Counting):
    """Batches of seven over the whole run, as the model backends do."""

    def score_batches(self, pairs, instruction, is_done):
        for start in range(0, len(pairs), 7):
            indices = list(range(start, min(start + 7, len(pairs))))
            if not is_done(indices):
                yield indices, [self.score(pairs[index][0], [pairs[index][1]])[0] for index in indices]


@pytest.mark.parametrize("kind", [Counting, Pooled, Batched])
def test_a_second_run_scores_nothing(kind, tmp_path):
    with ScoreStore(tmp_path / "s") as store:
        first = kind()
        before = score(first, candidates(), store)
        second = kind()
        after = score(second, candidates(), store)
    assert first.pairs == before.computed == 30
    assert (after.computed, after.reused) == (0, 30)
    assert second.pairs == 3  # the canary, and nothing else
    assert [s.tolist() for s in before.scores] == [s.tolist() for s in after.scores]


@pytest.mark.parametrize("kind", [Counting, Pooled, Batched])
@pytest.mark.parametrize("die_after", range(0, 6))
def test_interrupted_anywhere_it_goes_on(kind, die_after, tmp_path):
    with ScoreStore(":memory:") as store:
        whole = score(kind(), candidates(), store)
    with ScoreStore(tmp_path / "s") as store, pytest.raises(KeyboardInterrupt):
        score(kind(die_after=die_after), candidates(), store)
    with ScoreStore(tmp_path / "s") as store:
        rest = score(kind(), candidates(), store)
    assert rest.computed + rest.reused == 30
    assert [s.tolist() for s in rest.scores] == [s.tolist() for s in whole.scores]


def test_a_batch_is_repeated_whole_or_not_at_all():
    """Batches must not shrink on resume: a smaller batch would add its floats in another order."""
    seen = []

    class Watched(Batched):
        def score_batches(self, pairs, instruction, is_done):
            for indices, scores in super().score_batches(pairs, instruction, is_done):
                seen.append(tuple(indices))
                yield indices, scores

    with ScoreStore(":memory:") as store:
        score(Watched(), candidates(), store)
        plan = list(seen)
    seen.clear()
    with ScoreStore(":memory:") as store:
        with pytest.raises(KeyboardInterrupt):
            score(Watched(die_after=16), candidates(), store)
        killed = len(seen)
        score(Watched(), candidates(), store)
    assert seen[:killed] + seen[killed:] == plan


def test_a_pointwise_reranker_scores_a_shared_pair_once():
    pool = make_pool()
    with ScoreStore(":memory:") as store:
        reranker = Counting()
        outcome = score(reranker, [(pool.query, pool.passages), (pool.query, pool.passages[:3])], store)
    assert reranker.pairs == 5
    assert outcome.scores[1].tolist() == outcome.scores[0][:3].tolist()


def test_a_listwise_reranker_scores_each_pool_by_itself():
    pool = make_pool()
    with ScoreStore(":memory:") as store:
        reranker = Counting(pointwise=False)
        score(reranker, [(pool.query, pool.passages), (pool.query, pool.passages[:3])], store)
    assert reranker.pairs == 8


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "high"])
def test_what_cannot_be_ranked_is_refused_and_not_stored(value):
    class Broken(Counting):
        def score(self, query, passages, instruction=None):
            return [value] * len(passages) if query.id == "q3" else super().score(query, passages)

    with ScoreStore(":memory:") as store:
        with pytest.raises(FrescoError, match=r"counting returned .* for query q3, passage q3-now: no finite number"):
            score(Broken(), candidates(), store)
        assert score(Counting(), candidates(), store).reused == 15


def test_too_few_scores_are_refused():
    class Short(Counting):
        def score(self, query, passages, instruction=None):
            return [1.0]

    with ScoreStore(":memory:") as store, pytest.raises(FrescoError, match="1 scores for the 5 passages of query q0"):
        score(Short(), candidates(), store)


def test_a_failing_reranker_is_named():
    class Failing(Counting):
        def score(self, query, passages, instruction=None):
            raise RuntimeError("CUDA out of memory.\nTried to allocate")

    with ScoreStore(":memory:") as store, pytest.raises(FrescoError) as caught:
        score(Failing(), candidates(), store)
    assert str(caught.value) == (
        "counting failed: RuntimeError: CUDA out of memory. Tried to allocate; try a smaller --batch-tokens"
    )


def test_an_instruction_for_one_that_takes_none_is_refused():
    with ScoreStore(":memory:") as store, pytest.raises(FrescoError, match="takes no instruction"):
        score(Newest(), candidates(), store, instruction="Prefer the newest.")


def test_a_prior_pays_for_its_base_once():
    base = Counting()
    with ScoreStore(":memory:") as store:
        score(base, candidates(), store)
        fused = score(HalfLife(base, 365), candidates(), store)
    assert base.pairs == 30
    assert fused.computed == 0
    assert all(0 <= value <= 1 for scores in fused.scores for value in scores)


def test_a_changed_server_is_refused():
    class Served(Counting):
        def __init__(self, canary):
            super().__init__()
            self._canary = canary

        def canary(self):
            return self._canary

    with ScoreStore(":memory:") as store:
        score(Served([0.1, 0.9]), candidates(3), store)
        score(Served([0.1, 0.905]), candidates(4), store)
        with pytest.raises(FrescoError, match=r"then 0\.1/0\.9, now 0\.9/0\.1.*another --store"):
            score(Served([0.9, 0.1]), candidates(6), store)


def test_progress_is_told_from_start_to_end():
    told = []
    with ScoreStore(":memory:") as store:
        score(Random(), candidates(), store, progress=lambda done, total: told.append((done, total)))
    assert told[0] == (0, 30)
    assert told[-1] == (30, 30)
    assert told == sorted(told)


def test_bm25_counts_belong_to_its_key():
    bm25, other = Bm25(), Bm25()
    fit(bm25, [p for _, passages in candidates() for p in passages])
    fit(other, [p for _, passages in candidates(2) for p in passages])
    assert bm25.fingerprint != other.fingerprint
