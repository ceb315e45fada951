"""MAP, MRR, nDCG and Hit: ir_measures where the order is certain, the exact expectation where scores are tied."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import ir_measures
import numpy as np

from fresco.metrics.ties import Tiers
from fresco.records import Label, Pool
from fresco.stats.arrays import FloatArray

#: Our names and the measures of ir_measures that they stand for.
MEASURES: Final[Mapping[str, Any]] = {
    "MAP": ir_measures.AP,
    "MRR@5": ir_measures.RR @ 5,
    "MRR@10": ir_measures.RR @ 10,
    "nDCG@5": ir_measures.nDCG @ 5,
    "nDCG@10": ir_measures.nDCG @ 10,
    "Hit@1": ir_measures.Success @ 1,
    "Hit@5": ir_measures.Success @ 5,
    "Hit@10": ir_measures.Success @ 10,
}


def ranking_metrics(
    pools: Sequence[Pool], scores: Sequence[FloatArray], tiers: Sequence[Tiers]
) -> dict[str, FloatArray]:
    """Every ranking metric of every pool.

    Args:
        pools: The candidates with their labels.
        scores: One array for each pool, in the order of its passages, finite.
        tiers: The same scores grouped by :meth:`Tiers.of`.

    Returns:
        Metric name to values in [0, 1], shape (pools,). A pool without ties is computed by ir_measures; a pool with
        ties by the closed forms of this module.
    """
    values = {name: np.full(len(pools), np.nan) for name in MEASURES}
    certain = [index for index, tier in enumerate(tiers) if not tier.tied]
    for metric, index, value in _by_ir_measures(certain, pools, scores):
        values[metric][index] = value
    for index, tier in enumerate(tiers):
        if tier.tied:
            for metric, expectation in EXPECTATIONS.items():
                values[metric][index] = expectation(tier)
    return values


def _by_ir_measures(
    certain: Sequence[int], pools: Sequence[Pool], scores: Sequence[FloatArray]
) -> list[tuple[str, int, float]]:
    if not certain:
        return []
    qrels: dict[str, dict[str, int]] = {}
    run: dict[str, dict[str, float]] = {}
    for index in certain:
        labels, order = pools[index].labels, np.argsort(-scores[index])
        qrels[str(index)] = {str(i): 1 for i, label in enumerate(labels) if label is Label.POSITIVE}
        # Ranks, not scores: trec_eval compares float32 and would tie, by id, what differs in float64.
        run[str(index)] = {str(i): -float(rank) for rank, i in enumerate(order.tolist())}
    names = {measure: name for name, measure in MEASURES.items()}
    results = ir_measures.iter_calc(list(names), qrels, run)
    return [(names[result.measure], int(result.query_id), float(result.value)) for result in results]


def expected_map(tiers: Tiers) -> float:
    """Expected average precision.

    At place i of a tier (from 0) with r positives among n passages, under ``above`` passages of which ``found`` are
    positive: a positive stands there with probability r / n, and of the i places before it each holds another
    positive with probability (r - 1) / (n - 1).
    """
    total, found = 0.0, 0
    for size, positive, above in zip(tiers.size.tolist(), tiers.positive.tolist(), tiers.above.tolist(), strict=True):
        if positive:
            place = np.arange(size)
            others = place * (positive - 1) / (size - 1) if size > 1 else np.zeros(1)
            total += positive / size * float(((found + 1 + others) / (above + place + 1)).sum())
        found += positive
    return total / found


def expected_mrr(tiers: Tiers, cutoff: int) -> float:
    """Expected reciprocal rank of the first positive, 0 below the cutoff."""
    above, law = tiers.law_of_first()
    rank = above + 1 + np.arange(len(law))
    return float((law / rank)[rank <= cutoff].sum())


def expected_ndcg(tiers: Tiers, cutoff: int) -> float:
    """Expected nDCG with binary gains: DCG is a sum over places, so each place counts the share of its tier."""
    gain = np.repeat(tiers.positive / tiers.size, tiers.size)[:cutoff]
    discount = 1 / np.log2(np.arange(2, cutoff + 2))
    ideal = discount[: int(tiers.positive.sum())].sum()
    return float(gain @ discount[: len(gain)] / ideal)


def expected_hit(tiers: Tiers, cutoff: int) -> float:
    """Probability that a positive stands at the cutoff or above it."""
    above, law = tiers.law_of_first()
    inside = max(cutoff - above, 0)
    # The whole law sums to one only up to rounding, and a certain hit is exactly 1.
    return 1.0 if inside >= len(law) else float(law[:inside].sum())


#: The closed form of each metric.
EXPECTATIONS: Final[Mapping[str, Callable[[Tiers], float]]] = {
    "MAP": expected_map,
    "MRR@5": partial(expected_mrr, cutoff=5),
    "MRR@10": partial(expected_mrr, cutoff=10),
    "nDCG@5": partial(expected_ndcg, cutoff=5),
    "nDCG@10": partial(expected_ndcg, cutoff=10),
    "Hit@1": partial(expected_hit, cutoff=1),
    "Hit@5": partial(expected_hit, cutoff=5),
    "Hit@10": partial(expected_hit, cutoff=10),
}
