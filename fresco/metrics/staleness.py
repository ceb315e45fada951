"""Staleness by how much older the conflicting text is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from fresco.metrics.measures.current_over_obsolete import CurrentOverObsolete
from fresco.metrics.measures.stale import Stale
from fresco.metrics.pairs import ConflictPairs
from fresco.stats.arrays import FloatArray
from fresco.stats.intervals import SubjectBootstrap

#: Upper edges, in days, of the age gaps by which accuracy is told apart, and the names of the bins between them.
GAP_EDGES: Final = (0.0, 90.0, 365.0, 730.0, 1461.0)
GAP_BINS: Final = ("outdated text is newer", "<90 d", "90-365 d", "1-2 y", "2-4 y", ">4 y")


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
        (CurrentOverObsolete().name, pairs.pool, pairs.gap_days, pairs.wins(scores)),
        (Stale().name, pools, np.array(list(freshest.values())), stale[pools]),
    ):
        inside = np.digitize(gaps, GAP_EDGES)[:, None] == np.arange(len(GAP_BINS))
        bootstrap = SubjectBootstrap([subjects[pool] for pool in owner.tolist()], resamples=resamples, seed=seed)
        estimate = bootstrap.share(inside * values[:, None], inside.astype(np.float64))
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
