"""Does the re-ranker prefer older, longer, richer text? A regression over the conflicts inside pools.

For every pair of a positive and an outdated passage of one pool, the difference of scores (outdated minus positive) is
explained by the differences between the texts: age, length, words shared with the query, density of entities. Outcome
and predictors are in standard deviations, so a coefficient of +0.3 for length reads "outdated text that is one
standard deviation longer gains 0.3 standard deviations of the score difference, age and the rest held fixed".

It is a description of observed pairs, not an experiment: for the effect of the date alone see
:mod:`fresco.metrics.counterfactual`. Intervals are not corrected for the number of predictors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np

from fresco.metrics.features import TextFeatures, content_words
from fresco.metrics.pairs import ConflictPairs
from fresco.records import Pool
from fresco.stats.arrays import FloatArray
from fresco.stats.intervals import SubjectBootstrap, percentile_interval

_DAYS_A_YEAR = 365.25
#: A predictor of which the others explain all but this share of variance has no coefficient of its own.
_COLLINEAR = 1e-6


@dataclass(frozen=True, slots=True)
class Predictor:
    """One difference, outdated minus positive.

    Attributes:
        name: Its key in the results.
        unit: Of the raw difference.
        more: What a positive coefficient says the re-ranker prefers.
        less: What a negative one says.
        neither: What is not found when the interval holds 0.
    """

    name: str
    unit: str
    more: str
    less: str
    neither: str


#: The predictors in the order of the design's columns. The age gap is positive where the outdated text is older.
PREDICTORS: Final = (
    Predictor("age", "years", "older text", "newer text", "older or newer text"),
    Predictor("length", "log words", "longer text", "shorter text", "longer or shorter text"),
    Predictor(
        "overlap",
        "share of the query's content words",
        "text that repeats more of the query's words",
        "text that repeats fewer of the query's words",
        "text that repeats the query's words",
    ),
    Predictor(
        "entities",
        "share of words that look like names or numbers (proxy)",
        "text denser in names and numbers",
        "text sparser in names and numbers",
        "text dense or sparse in names and numbers",
    ),
)


def differences(pools: Sequence[Pool], pairs: ConflictPairs) -> FloatArray:
    """The predictors of every pair, outdated minus positive, shape (pairs, predictors), in their own units."""
    passages = [passage for pool in pools for passage in pool.passages]
    questions = [content_words(pool.query) for pool in pools]
    features: dict[str, TextFeatures] = {}
    rows = np.empty((len(pairs), len(PREDICTORS)))

    def of(index: int) -> TextFeatures:
        passage = passages[index]
        if passage.id not in features:
            features[passage.id] = TextFeatures.of(passage)
        return features[passage.id]

    overlaps: dict[tuple[int, int], float] = {}

    def overlap(pool: int, index: int) -> float:
        if (pool, index) not in overlaps:
            overlaps[pool, index] = of(index).overlap(questions[pool])
        return overlaps[pool, index]

    for row, (pool, new, old) in enumerate(
        zip(pairs.pool.tolist(), pairs.positive.tolist(), pairs.outdated.tolist(), strict=True)
    ):
        rows[row] = (
            pairs.gap_days[row] / _DAYS_A_YEAR,
            of(old).log_length - of(new).log_length,
            overlap(pool, old) - overlap(pool, new),
            of(old).entity_density - of(new).entity_density,
        )
    return rows


class PreferenceRegression:
    """Least squares with a bootstrap over subjects; the design is prepared once for all re-rankers.

    Args:
        raw: Predictors, shape (pairs, predictors), any units.
        subjects: Subject of each pair.
        predictors: What the columns are.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.
    """

    def __init__(
        self,
        raw: FloatArray,
        subjects: Sequence[str],
        predictors: Sequence[Predictor] = PREDICTORS,
        *,
        resamples: int = 1000,
        seed: int = 0,
    ) -> None:
        self._predictors = predictors
        self._bootstrap = SubjectBootstrap(subjects, resamples=resamples, seed=seed)
        scaled, self._scale = _standardize(raw)
        self._design = np.column_stack([np.ones(len(raw)), scaled])
        self._missing = self._not_estimable()

    def fit(self, difference: FloatArray) -> dict[str, Any]:
        """Regress one re-ranker's score differences.

        Args:
            difference: Score of the outdated passage minus score of the positive, shape (pairs,).

        Returns:
            ``n_pairs``, ``n_subjects``, ``r2`` (None where nothing can be estimated) and ``predictors``: for each one
            ``coefficient``, ``ci_low``, ``ci_high`` (standard deviations of the outcome per standard deviation of the
            predictor; None where not estimable), ``sd`` in its ``unit``, and ``sentence``.
        """
        outcome, scale = _standardize(difference[:, None])
        missing = list(self._missing)
        if len(difference) <= len(missing) + 1:
            missing = ["too few pairs"] * len(missing)
        elif scale[0] == 0:
            missing = ["the score difference is the same in every pair"] * len(missing)
        low = high = coefficient = np.full(len(missing), np.nan)
        r2 = None
        if not all(missing):
            solution = np.linalg.lstsq(self._design, outcome[:, 0], rcond=None)[0]
            coefficient = solution[1:]
            residual = outcome[:, 0] - self._design @ solution
            r2 = 1 - float(residual @ residual) / float(outcome[:, 0] @ outcome[:, 0])
            if self._bootstrap.n_subjects > 1:
                replicates = self._replicates(outcome)
                low, high = percentile_interval(replicates[:, 1:])
        return {
            "n_pairs": len(difference),
            "n_subjects": self._bootstrap.n_subjects,
            "r2": r2,
            "predictors": {
                predictor.name: _report(predictor, missing[i], coefficient[i], low[i], high[i], self._scale[i])
                for i, predictor in enumerate(self._predictors)
            },
        }

    @cached_property
    def _inverses(self) -> FloatArray:
        """Inverse of X'X in each resample, from each subject's own, shape (resamples, columns, columns)."""
        width = self._design.shape[1]
        products = (self._design[:, :, None] * self._design[:, None, :]).reshape(len(self._design), width**2)
        normal = self._bootstrap.replicate(products).reshape(-1, width, width)
        # A resample of few subjects can be singular: the least-norm solution, as lstsq takes it.
        return np.asarray(np.linalg.pinv(normal, rcond=1e-10, hermitian=True), np.float64)

    def _replicates(self, outcome: FloatArray) -> FloatArray:
        """Coefficients in each resample, shape (resamples, 1 + predictors)."""
        right = self._bootstrap.replicate(self._design * outcome)
        replicates: FloatArray = np.matmul(self._inverses, right[:, :, None])[:, :, 0]
        return replicates

    def _not_estimable(self) -> list[str]:
        """For each predictor why it has no coefficient of its own, or nothing."""
        reasons = []
        for column in range(1, self._design.shape[1]):
            own = self._design[:, column]
            if self._scale[column - 1] == 0:
                reasons.append("the same in every pair")
                continue
            others = np.delete(self._design, column, axis=1)
            rest = own - others @ np.linalg.lstsq(others, own, rcond=None)[0]
            reasons.append(
                "it cannot be told from the other properties" if rest @ rest < _COLLINEAR * (own @ own) else ""
            )
        return reasons


def _standardize(columns: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Columns with mean 0 and standard deviation 1, and what they were divided by (0 for a constant column)."""
    if not len(columns):
        return columns, np.zeros(columns.shape[1])
    centred = columns - columns.mean(axis=0)
    scale = centred.std(axis=0)
    # A constant such as 0.1 leaves a rounding residue after the mean is taken away.
    scale[np.ptp(columns, axis=0) <= 1e-12 * np.abs(columns).max(axis=0)] = 0.0
    return np.where(scale > 0, centred / np.where(scale > 0, scale, 1.0), 0.0), scale


def _report(
    predictor: Predictor, missing: str, coefficient: float, low: float, high: float, scale: float
) -> dict[str, Any]:
    numbers = [None if missing or np.isnan(number) else float(number) for number in (coefficient, low, high)]
    return {
        **dict(zip(("coefficient", "ci_low", "ci_high"), numbers, strict=True)),
        "sd": float(scale),
        "unit": predictor.unit,
        "sentence": _sentence(predictor, missing, *numbers),
    }


def _sentence(
    predictor: Predictor, missing: str, coefficient: float | None, low: float | None, high: float | None
) -> str:
    if coefficient is None:
        return f"preference for {predictor.neither}: not estimable, {missing}"
    if low is None or high is None:
        return f"preference for {predictor.neither}: {coefficient:+.2f} sd per sd, no interval with one subject"
    interval = f"{coefficient:+.2f} sd per sd [{low:.2f}, {high:.2f}]"
    if low <= 0 <= high:
        return f"no preference for {predictor.neither} found: {interval}"
    return f"prefers {predictor.more if coefficient > 0 else predictor.less}: {interval}"
