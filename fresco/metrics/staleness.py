"""Does outdated text win? Obsolete Ratio with its base rate, stale@1, and the positive against each outdated passage.

Obsolete Ratio (FRESCO, arXiv 2604.14227, metrics) is the share of outdated passages among the negatives ranked above
the first positive. Where most negatives of a pool are outdated a random order scores high too, so the pool's own share
stands beside it (``ObsoleteBase``) and the ratio of the two means is the lift: 1 says "no worse than the pool".
All of these are for EK pools alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from fresco.metrics.pairs import ConflictPairs
from fresco.metrics.ties import Tiers
from fresco.records import Pool, Task
from fresco.stats.arrays import FloatArray
from fresco.stats.intervals import SubjectBootstrap

#: Upper edges, in days, of the age gaps by which accuracy is told apart, and the names of the bins between them.
GAP_EDGES: Final = (0.0, 90.0, 365.0, 730.0, 1461.0)
GAP_BINS: Final = ("outdated text is newer", "<90 d", "90-365 d", "1-2 y", "2-4 y", ">4 y")


def obsolete_ratio(tiers: Tiers) -> float:
    """Expected share of outdated passages among the negatives above the first positive, given that there are any.

    The probability that there are any is 1 - Hit@1: that is the weight of a pool in a mean. NaN where it is 0.
    """
    above, law = tiers.law_of_first()
    first = tiers.first
    certain = int(tiers.outdated[:first].sum())
    mates = int(tiers.size[first] - tiers.positive[first])
    ahead = np.arange(len(law))
    if above == 0:
        law, ahead = law[1:], ahead[1:]
    if not len(law):
        return float("nan")
    # Those of the own tier that come first are a random sample of its negatives.
    sampled = ahead * (tiers.outdated[first] / mates) if mates else 0.0
    return float((law * ((certain + sampled) / (above + ahead))).sum() / law.sum())


def staleness_metrics(
    pools: Sequence[Pool], tiers: Sequence[Tiers], pairs: ConflictPairs, scores: FloatArray
) -> dict[str, FloatArray]:
    """The staleness metrics that a single query has; see :mod:`fresco.metrics.catalog`.

    Args:
        pools: The candidates with their labels.
        tiers: The scores of each pool, grouped.
        pairs: The conflicts of the same pools.
        scores: The scores of all pools laid end to end.

    Returns:
        Metric name to values in [0, 1], shape (pools,). NaN for NEK pools and where a metric is undefined:
        ``ObsoleteRatio`` and ``ObsoleteBase`` where a positive is on top for certain, ``current>obsolete`` where the
        pool has no outdated passage.
    """
    ratio, base, stale = (np.full(len(pools), np.nan) for _ in range(3))
    for index, (pool, tier) in enumerate(zip(pools, tiers, strict=True)):
        if pool.query.task is not Task.EK:
            continue
        stale[index] = tier.outdated[0] / tier.size[0]
        ratio[index] = obsolete_ratio(tier)
        if not np.isnan(ratio[index]):
            base[index] = tier.outdated.sum() / (tier.size.sum() - tier.positive.sum())
    wins = np.bincount(pairs.pool, weights=pairs.wins(scores), minlength=len(pools))
    count = np.bincount(pairs.pool, minlength=len(pools))
    current = np.divide(wins, count, out=np.full(len(pools), np.nan), where=count > 0)
    return {"ObsoleteRatio": ratio, "ObsoleteBase": base, "stale@1": stale, "current>obsolete": current}


def by_age_gap(
    pairs: ConflictPairs,
    subjects: Sequence[str],
    scores: FloatArray,
    stale: FloatArray,
    *,
    resamples: int,
    seed: int,
) -> pd.DataFrame:
    """Accuracy by how much older the conflicting text is.

    Args:
        pairs: The conflicts.
        subjects: Subject of each pool.
        scores: The scores of all pools laid end to end.
        stale: stale@1 of each pool.
        resamples: Of the bootstrap over subjects.
        seed: Of the bootstrap.

    Returns:
        ``metric``, ``bin``, ``value``, ``ci_low``, ``ci_high``, ``n``, a row for every bin in the order of
        :data:`GAP_BINS`. ``current>obsolete`` counts pairs by their own gap; ``stale@1`` counts pools by the gap to the
        freshest outdated passage. Values are NaN where n is 0.
    """
    freshest: dict[int, float] = {}
    for pool, gap in zip(pairs.pool.tolist(), pairs.gap_days.tolist(), strict=True):
        freshest[pool] = min(gap, freshest.get(pool, gap))
    pools = np.array(list(freshest), np.intp)
    frames = []
    for metric, owner, gaps, values in (
        ("current>obsolete", pairs.pool, pairs.gap_days, pairs.wins(scores)),
        ("stale@1", pools, np.array(list(freshest.values())), stale[pools]),
    ):
        inside = np.digitize(gaps, GAP_EDGES)[:, None] == np.arange(len(GAP_BINS))
        bootstrap = SubjectBootstrap([subjects[pool] for pool in owner.tolist()], resamples=resamples, seed=seed)
        estimate = bootstrap.ratio(inside * values[:, None], inside.astype(np.float64))
        frames.append(
            pd.DataFrame(
                {
                    "metric": metric,
                    "bin": GAP_BINS,
                    "value": estimate.value,
                    "ci_low": estimate.low,
                    "ci_high": estimate.high,
                    "n": inside.sum(axis=0),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)
