"""Honest ends: the front on all of the validation split and on the test split, which the search has not seen.

Everything is set against the base instruction, query by query. Intervals come from resampled subjects, drawn as
``fresco score`` draws them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fresco.metrics.aggregate import rounded
from fresco.optimizer.search.gain import Row, hypervolume_row
from fresco.optimizer.search.racing import standings
from fresco.records import Pool, Task
from fresco.stats.arrays import FloatArray
from fresco.stats.intervals import SubjectBootstrap

#: Two-sided 95 % quantiles of Student's t by degrees of freedom.
_STUDENT = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
_NORMAL = 1.96
_FEW_SUBJECTS = 20
#: An instruction is on the front unless fewer of the resamples than this have it there.
MEMBER = 0.05


@dataclass(frozen=True)
class Split:
    """Average precision of some instructions or re-rankers on one split.

    Attributes:
        pools: Of the split.
        values: Key to average precision, each of shape (pools,).
        base: The key that the others are set against.
        seed: Of the resampling.
        resamples: Of the bootstrap.
    """

    pools: Sequence[Pool]
    values: Mapping[str, FloatArray]
    base: str
    seed: int = 0
    resamples: int = 1000

    def rows(self) -> dict[str, dict[str, Row]]:
        """For each key the mean on ``EK`` and ``NEK``, and on ``EK gain`` and ``NEK gain`` what it is above the base.

        Gains are paired, query by query.
        """
        keys = list(self.values)
        rows: dict[str, dict[str, Row]] = {key: {} for key in keys}
        for task in Task:
            own = np.array([pool.query.task is task for pool in self.pools])
            subjects = [pool.query.subject for pool, keep in zip(self.pools, own, strict=True) if keep]
            if not subjects:
                continue
            bootstrap = SubjectBootstrap(subjects, resamples=self.resamples, seed=self.seed)
            values = np.stack([self.values[key][own] for key in keys], axis=1)
            for name, columns in ((task, values), (f"{task} gain", values - self.values[self.base][own][:, None])):
                # As `fresco score` has them: what lies between 0 and 1 is a share, what is below 0, too, is resampled.
                bounds = bootstrap.share if name == task else bootstrap.ratio
                estimate = bounds(columns, np.ones_like(columns))
                for place, key in enumerate(keys):
                    rows[key][str(name)] = {
                        "value": rounded(estimate.value[place]),
                        "ci_low": rounded(estimate.low[place]),
                        "ci_high": rounded(estimate.high[place]),
                        "n": len(subjects),
                    }
        return rows

    def front(self, keys: Sequence[str]) -> list[str]:
        """The keys that are not surely dominated: on the front in at least :data:`MEMBER` of the resamples.

        A point estimate alone drops nobody: which of two close instructions is ahead is luck, and a front that keeps
        both loses nothing.
        """
        shares = self.standing(keys)
        return [key for key in keys if shares[key] >= MEMBER]

    def standing(self, keys: Sequence[str]) -> dict[str, float]:
        """Share of the resamples in which each key is on the front of all; 1 for those on it by their estimates."""
        values = {place: self.values[key] for place, key in enumerate(keys)}
        found = standings(values, self.pools, resamples=self.resamples, seed=self.seed)
        return {key: found[place].share for place, key in enumerate(keys)}

    def hypervolume(self, keys: Sequence[str]) -> Row:
        """The area that the keys dominate above (0, 0), with its interval and what it is above the base's."""
        columns = np.stack([self.values[key] for key in keys], axis=1)
        base = self.values[self.base]
        return hypervolume_row(columns, base, self.pools, resamples=self.resamples, seed=self.seed)

    def warnings(self, name: str) -> list[str]:
        """What a reader of these values must know."""
        warnings = []
        for task in Task:
            count = len({pool.query.subject for pool in self.pools if pool.query.task is task})
            if count < _FEW_SUBJECTS:
                warnings.append(f"{name}, {task}: {count} subjects are few, read its intervals with care")
        return warnings


def gains_without_loss(rows: Mapping[str, Mapping[str, Row]], keys: Sequence[str]) -> list[str]:
    """The keys whose EK gain has an interval above zero while that of their NEK gain reaches zero."""
    return [key for key in keys if _low(rows[key]["EK gain"]) > 0 and _high(rows[key]["NEK gain"]) >= 0]


def over_seeds(values: Sequence[float]) -> Row:
    """Mean over seeds with Student's 95 % interval; no interval of a single seed."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return {"value": rounded(mean), "sd": None, "ci_low": None, "ci_high": None, "n": len(values)}
    deviation = float(np.std(values, ddof=1))
    half = student(len(values) - 1) * deviation / math.sqrt(len(values))
    return {
        "value": rounded(mean),
        "sd": rounded(deviation),
        "ci_low": rounded(mean - half),
        "ci_high": rounded(mean + half),
        "n": len(values),
    }


def student(freedom: int) -> float:
    """Two-sided 95 % quantile of Student's t; of the normal distribution beyond the table."""
    return _STUDENT.get(freedom, _NORMAL)


def _low(row: Row) -> float:
    return -math.inf if row["ci_low"] is None else float(row["ci_low"])


def _high(row: Row) -> float:
    return math.inf if row["ci_high"] is None else float(row["ci_high"])
