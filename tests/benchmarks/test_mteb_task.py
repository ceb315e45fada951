"""EK and NEK through ``mteb.evaluate``: the same figures as ``fresco.score``."""

from __future__ import annotations

import zlib

import pytest

import fresco
from fresco.benchmarks.open import open_benchmark
from fresco.records import Benchmark

mteb = pytest.importorskip("mteb", reason="pip install mteb")


def overlap(query: str, passages: list[str]) -> list[float]:
    asked = set(query.lower().split())
    return [float(len(asked & set(each.lower().split()))) for each in passages]


def untied(query: str, passages: list[str]) -> list[float]:
    shared = overlap(query, passages)
    return [score + zlib.crc32((query + each).encode()) / 2**32 for score, each in zip(shared, passages, strict=True)]


class Model:
    """A cross-encoder in mteb's protocol."""

    def __init__(self, function):
        self.function = function
        self.mteb_model_meta = mteb.get_model_meta("cross-encoder/ms-marco-MiniLM-L6-v2")

    def predict(self, inputs1, inputs2, **_):
        queries = [text for batch in inputs1 for text in batch["text"]]
        passages = [text for batch in inputs2 for text in batch["text"]]
        return [self.function(query, [passage])[0] for query, passage in zip(queries, passages, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("function", [overlap, untied])
def test_the_figures_are_ours_to_five_digits(function, tmp_path):
    from fresco.benchmarks.mteb_task import mteb_tasks

    whole = open_benchmark("mini")
    few = Benchmark("mini", whole.pools[::4], whole.fingerprint)
    ours = fresco.score(function, few, baselines=False, store=tmp_path / "s.sqlite", progress=False, resamples=10)
    rows = {(row["task"], row["metric"]): row["value"] for row in ours.evaluation.rows if row["kind"] == "all"}
    tasks = mteb_tasks(few)
    assert [task.metadata.name for task in tasks] == ["FrescoEK", "FrescoNEK"]
    results = mteb.evaluate(Model(function), tasks, cache=None, encode_kwargs={"batch_size": 64})
    for side, result in zip(("EK", "NEK"), results.task_results, strict=True):
        (found,) = result.scores["test"]
        measured = {metric: value for (task, metric), value in rows.items() if task == side and value is not None}
        assert {"MAP", "nDCG@10"} <= measured.keys()
        assert {key for key in found if key.startswith("fresco_")} == {f"fresco_{metric}" for metric in measured}
        for metric, value in measured.items():
            assert found[f"fresco_{metric}"] == pytest.approx(value, abs=5e-6), (side, metric)
        assert found["main_score"] == found["fresco_MAP"]
        if function is untied:  # mteb's own arithmetic agrees where no order is left to chance
            assert found["map_at_1000"] == pytest.approx(measured["MAP"], abs=1e-5)
            assert found["ndcg_at_10"] == pytest.approx(measured["nDCG@10"], abs=1e-5)
