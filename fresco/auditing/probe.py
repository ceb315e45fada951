"""Learned probes: how far surface features go when a model is fitted on them.

A ridge regression of "is positive" on the features, their products two by two, and hashed unigrams and bigrams, all
taken relative to the mean of their pool, since only differences inside a pool can change a rank. Fitted on four fifths
of the subjects and scored on the last, five times over. Closed form, so that it is the same everywhere. The penalty is
the best of three on the scored folds themselves: a probe is an upper bound, and errs on the high side.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from fresco.auditing.rules import bm25
from fresco.auditing.surface import BUCKETS, COLUMNS, DATE, NAMES, SHAPE, TEXT, Names, dense, hashed, proper_words
from fresco.records import Benchmark, Label, Pool, Task
from fresco.stats.arrays import FloatArray, IntArray

FOLDS: Final = 5
_PENALTIES: Final = (3.0, 30.0, 300.0)

Matrix = npt.NDArray[np.float32]

#: What each probe may see: columns, and whether the n-grams too.
PROBES: Final[Mapping[str, tuple[Sequence[str], bool]]] = {
    "dates-learned": (DATE, False),
    "length-and-place": (SHAPE, False),
    "passage-only": ((*SHAPE[:3], *TEXT), True),
    "probe": (COLUMNS, True),
}
assert set(NAMES) < set(COLUMNS)


class Features:
    """The surface of a benchmark, read once for all probes."""

    def __init__(self, benchmark: Benchmark) -> None:
        self.pools = benchmark.pools
        passages = list(benchmark.passages())
        proper = proper_words(passages)
        self._names = {passage.id: Names.of(passage, proper) for passage in passages}
        self._hashed: dict[str, IntArray] = {passage.id: hashed(passage) for passage in passages}
        self._dense = [
            dense(pool, [self._names[passage.id] for passage in pool.passages], scores)
            for pool, scores in zip(benchmark.pools, bm25(benchmark), strict=True)
        ]
        stacked = np.concatenate(self._dense)
        self._mean, self._spread = stacked.mean(axis=0), stacked.std(axis=0) + 1e-9

    def of(self, index: int, columns: Sequence[str], grams: bool) -> Matrix:
        """The features of one pool relative to its mean, shape (passages, features)."""
        kept = [COLUMNS.index(name) for name in columns]
        single = ((self._dense[index] - self._mean) / self._spread)[:, kept].clip(-4, 4)
        left, right = np.triu_indices(len(kept))
        parts = [single, single[:, left] * single[:, right] / 2]
        if grams:
            pool = self.pools[index]
            words = np.zeros((len(pool), BUCKETS))
            for row, passage in enumerate(pool.passages):
                words[row, self._hashed[passage.id]] = 1.0
            parts.append(words)
        matrix = np.concatenate(parts, axis=1)
        return np.asarray(matrix - matrix.mean(axis=0), np.float32)


def learned(features: Features, name: str, measure: Callable[[list[FloatArray]], float]) -> list[FloatArray]:
    """Scores of a probe for every pool, each made by a model that saw no pool of its subject.

    Args:
        features: Of the benchmark.
        name: One of :data:`PROBES`.
        measure: What the penalty is chosen by; higher is better.
    """
    columns, grams = PROBES[name]
    pools = features.pools
    scores: dict[float, list[FloatArray]] = {penalty: [np.zeros(len(pool)) for pool in pools] for penalty in _PENALTIES}
    for task in Task:
        own = [index for index, pool in enumerate(pools) if pool.query.task is task]
        _fit_and_score(features, own, columns, grams, scores)
    return max(scores.values(), key=measure)


def _fit_and_score(
    features: Features,
    own: Sequence[int],
    columns: Sequence[str],
    grams: bool,
    scores: Mapping[float, list[FloatArray]],
) -> None:
    folds: list[list[int]] = [[] for _ in range(FOLDS)]
    for index in own:
        folds[_fold(features.pools[index])].append(index)
    parts = [_normal_equations(features, fold, columns, grams) for fold in folds]
    filled = [part for part in parts if part]
    for fold, part in zip(folds, parts, strict=True):
        others = [each for each in filled if each is not part]
        if part is None or not others:
            continue
        gram, target = (np.sum([each[place] for each in others], axis=0) for place in (0, 1))
        tests = [(index, features.of(index, columns, grams)) for index in fold]
        for penalty, found in scores.items():
            weights = np.linalg.solve(gram + penalty * np.eye(len(gram), dtype=gram.dtype), target)
            for index, matrix in tests:
                # Rounded, so that the last bits of another machine's sums make no other order.
                found[index] = np.asarray(matrix @ weights, np.float64).round(5)


def _fold(pool: Pool) -> int:
    return hashlib.sha256(f"fold:{pool.query.subject}".encode()).digest()[0] % FOLDS


def _normal_equations(
    features: Features, fold: Sequence[int], columns: Sequence[str], grams: bool
) -> tuple[FloatArray, FloatArray] | None:
    if not fold:
        return None
    matrix = np.concatenate([features.of(index, columns, grams) for index in fold])
    wanted = np.concatenate([_target(features.pools[index]) for index in fold])
    return (matrix.T @ matrix).astype(np.float64), (matrix.T @ wanted.astype(np.float32)).astype(np.float64)


def _target(pool: Pool) -> FloatArray:
    positive = np.array([label is Label.POSITIVE for label in pool.labels], np.float64)
    # Each pool counts the same, however many positives it has.
    return np.asarray((positive - positive.mean()) / positive.sum(), np.float64)
