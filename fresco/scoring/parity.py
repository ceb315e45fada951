"""Whether two ways to score a model give the same scores: the same pairs by both, compared score by score.

A verdict is one of *the same* (every difference within the tolerance), *the same up to a fixed curve* (the ranks agree
to the last place: one gives a sigmoid of the other, say) and *different*, with the cause where it is one that is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fresco.benchmarks.part import Part
from fresco.errors import FrescoError
from fresco.models.settings import Settings
from fresco.records import Benchmark, Candidates
from fresco.rerank.base import Reranker, as_wrapper, describe, tolerance_of
from fresco.rerank.open import as_rerankers
from fresco.scoring.runner import fit, score
from fresco.scoring.store import ScoreStore, default_store
from fresco.stats.arrays import FloatArray
from fresco.terminal.progress import Progress, no_progress, shown_progress


@dataclass(frozen=True)
class Parity:
    """What a comparison found.

    Attributes:
        names: Of the two re-rankers.
        pairs: Compared.
        queries: Whose pools they are.
        largest: Absolute difference of a pair.
        where: Query and passage of that pair.
        correlation: Spearman's, over all pairs; NaN where a side is constant.
        correlation_in_pools: The mean of Spearman's within each pool.
        changed_top: Queries whose first passage is another.
        tolerance: Within which two scores are the same, relative to the larger of them and 1.
        beyond: Pairs that differ by more.
        verdict: ``the same``, ``the same up to a fixed curve`` or ``different``.
        causes: What may have made the difference, the likeliest first.
        described: Both re-rankers' own words.
    """

    names: tuple[str, str]
    pairs: int
    queries: int
    largest: float
    where: tuple[str, str]
    correlation: float
    correlation_in_pools: float
    changed_top: int
    tolerance: float
    beyond: int
    verdict: str
    causes: tuple[str, ...]
    described: tuple[Mapping[str, Any], Mapping[str, Any]]

    @property
    def passed(self) -> bool:
        """Whether one can stand in for the other."""
        return self.verdict == "the same"


def parity(
    a: Any,
    b: Any,
    benchmark: str | Benchmark = "mini",
    *,
    nek: str | Benchmark | None = None,
    strict: bool = False,
    limit: int | None = 10,
    instruction: str | None = None,
    tolerance: float | None = None,
    store: str | Path | None = None,
    progress: bool | Progress = True,
    settings: Settings | None = None,
) -> Parity:
    """Compare the scores that two backends of one model give to the same pairs.

    Args:
        a: Whatever :func:`score` takes for one re-ranker.
        b: The other.
        benchmark: Whose pairs; as for :func:`score`.
        nek: Another one as the static side.
        strict: As for :func:`score`.
        limit: About so many queries, whole subjects.
        instruction: For those that take one.
        tolerance: Relative to the larger of two scores and 1; the looser of their own where None.
        store: File of the score store.
        progress: Whether bars are drawn on standard error; or a callback.
        settings: For models that a spec names.

    Raises:
        FrescoError: something cannot be opened, a re-ranker failed, or both are one.
    """
    settings = settings or Settings()
    one, other = as_rerankers((a, b), settings)
    if one.name == other.name:
        raise FrescoError(f"{one.name} is compared with itself; name another backend of the model")
    opened = Part("all", limit, "text", settings.seed, strict).open(benchmark, nek)
    pools = [(pool.query, pool.passages) for pool in opened.pools]
    with ScoreStore(Path(store) if store else default_store()) as kept, shown_progress(progress, "pairs") as tell:
        return compare_backends((one, other), pools, kept, instruction=instruction, tolerance=tolerance, progress=tell)


def compare_backends(
    rerankers: tuple[Reranker, Reranker],
    pools: Sequence[Candidates],
    store: ScoreStore,
    *,
    instruction: str | None = None,
    tolerance: float | None = None,
    progress: Progress = no_progress,
) -> Parity:
    """Score pools by two re-rankers and compare.

    Args:
        rerankers: The two.
        pools: Queries with their passages; at least one.
        store: Keeps the scores.
        instruction: For those of the two that take one.
        tolerance: Relative to the larger of two scores and 1; the looser of the re-rankers' own where None.
        progress: Told what is scored.

    Raises:
        FrescoError: a re-ranker failed.
    """
    scores = []
    for each in rerankers:
        base = as_wrapper(each)
        fit(each, (passage for _, passages in pools for passage in passages))
        takes = each.takes_instruction or (base is not None and base.base.takes_instruction)
        told = instruction if takes else None
        bar = lambda done, total, name=each.name: progress(name, done, total)  # noqa: E731
        scores.append(score(each, pools, store, instruction=told, progress=bar).scores)
    within = max(map(tolerance_of, rerankers)) if tolerance is None else tolerance
    described = (describe(rerankers[0]), describe(rerankers[1]))
    return _compared((rerankers[0].name, rerankers[1].name), pools, scores[0], scores[1], within, described)


def _compared(
    names: tuple[str, str],
    pools: Sequence[Candidates],
    ours: Sequence[FloatArray],
    theirs: Sequence[FloatArray],
    tolerance: float,
    described: tuple[Mapping[str, Any], Mapping[str, Any]],
) -> Parity:
    a, b = np.concatenate(list(ours)), np.concatenate(list(theirs))
    places = [(query.id, passage.id) for query, passages in pools for passage in passages]
    gaps = np.abs(a - b)
    beyond = int((gaps > tolerance * np.maximum(1.0, np.maximum(np.abs(a), np.abs(b)))).sum())
    tops = sum(int(np.argmax(one) != np.argmax(other)) for one, other in zip(ours, theirs, strict=True) if len(one))
    within = [_spearman(one, other) for one, other in zip(ours, theirs, strict=True)]
    known = [value for value in within if not np.isnan(value)]
    whole = _spearman(a, b)
    verdict = "the same" if not beyond else "the same up to a fixed curve" if whole > 0.99999 else "different"
    causes = () if not beyond else tuple(_causes(a, b, whole, described))
    return Parity(
        names,
        len(a),
        len(pools),
        float(gaps.max()),
        places[int(gaps.argmax())],
        whole,
        float(np.mean(known)) if known else float("nan"),
        tops,
        tolerance,
        beyond,
        verdict,
        causes,
        described,
    )


def _spearman(a: FloatArray, b: FloatArray) -> float:
    one, other = _ranks(a), _ranks(b)
    if len(a) < 2 or one.std() == 0 or other.std() == 0:
        return float("nan")
    return float(np.corrcoef(one, other)[0, 1])


def _ranks(values: FloatArray) -> FloatArray:
    """Ranks from 0, those of tied values averaged."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = counts.cumsum()
    ranks: FloatArray = ((ends - counts + ends - 1) / 2)[inverse]
    return ranks


def _causes(a: FloatArray, b: FloatArray, whole: float, described: tuple[Mapping[str, Any], Mapping[str, Any]]) -> Any:
    """Known reasons for two backends of one model to differ, by the scores and by what each says of itself."""
    one, other = described
    for left, right in ((a, b), (b, a)):
        squashed = 1 / (1 + np.exp(-np.clip(left, -60, 60)))
        if right.min() >= 0 and right.max() <= 1 and np.abs(squashed - right).max() < 0.02:
            yield "one gives the sigmoid of what the other gives: ask the server for raw scores"
            break
    if whole < 0.2:
        yield "the scores have hardly anything in common: a missing template, or other weights"
    if one.get("template") and other.get("template") and one["template"] != other["template"]:
        yield "their prompts differ (template)"
    if one.get("default_instruction") != other.get("default_instruction"):
        yield "their default instructions differ: name one with --instruction"
    if bool(one.get("truncated")) != bool(other.get("truncated")) or one.get("max_length") != other.get("max_length"):
        yield "they read inputs of different lengths (truncation): set --max-length, or the server's limit"
    if one.get("dtype") != other.get("dtype") and (one.get("dtype") or other.get("dtype")):
        yield f"their numbers differ: {one.get('dtype', 'unknown')} and {other.get('dtype', 'unknown')} (dtype)"
