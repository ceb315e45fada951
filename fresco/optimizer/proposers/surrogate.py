"""A model of what clauses are worth, and the instructions that it would try next.

Bayesian linear regression on the clauses and on pairs of them, once for EK and once for NEK: what a candidate gained
over the base is the sum of what its clauses and pairs are worth, plus noise. Candidates that a race dropped count, too,
by what they gained on the queries that they saw, with the noise of so few. Weights of pairs are expected to be smaller
than those of single clauses; how large both are, and how far the sum misses, is chosen by the evidence (MacKay 1992,
type II maximum likelihood on a grid).

For each proposal one set of weights is drawn from the posterior (Thompson sampling), and the instruction is taken whose
drawn values add most hypervolume to the front: the draw explores, the hypervolume looks after the spread.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular

from fresco.stats.arrays import BoolArray, FloatArray

_CLAUSE = (0.02, 0.05, 0.1, 0.2)  # deviations of a clause's worth that are tried, in units of the objective
_PAIR = (0.2, 0.5)  # deviation of a pair's, as a share of a clause's
_MISS = (0.005, 0.01, 0.02, 0.04)  # deviations of what the sum misses
_ALL = 30_000  # choices up to which every one is looked at
_SOME = 5_000  # drawn of more than that
_MOST_PAIRS = 600  # of a larger bank pairs are left out: a search will not see most of them


@dataclass(frozen=True)
class Observed:
    """What a candidate gained.

    Attributes:
        params: Its choice.
        gains: On EK and on NEK over the base, on the same queries.
        errors: Standard errors of the two; 0 where it was scored on every query.
    """

    params: Mapping[str, str]
    gains: tuple[float, float]
    errors: tuple[float, float]


@dataclass(frozen=True)
class Posterior:
    """A normal distribution of weights.

    Attributes:
        mean: Shape (features,).
        factor: Cholesky factor of the precision, shape (features, features).
    """

    mean: FloatArray
    factor: FloatArray

    def draw(self, rng: np.random.Generator) -> FloatArray:
        """Weights, shape (features,)."""
        return np.asarray(
            self.mean + solve_triangular(self.factor, rng.standard_normal(len(self.mean)), lower=True, trans="T")
        )


class ClauseModel:
    """The regression.

    Args:
        choices: Values of each parameter; the first stands for leaving it out.
    """

    def __init__(self, choices: Mapping[str, Sequence[str]]) -> None:
        self._choices = choices
        self._columns = [(name, value) for name, values in choices.items() for value in values[1:]]
        pairs = [
            (one, other)
            for one, other in combinations(range(len(self._columns)), 2)
            if self._columns[one][0] != self._columns[other][0]
        ]
        self._pairs = pairs if len(pairs) <= _MOST_PAIRS else []

    def features(self, params: Sequence[Mapping[str, str]]) -> FloatArray:
        """Clauses, then pairs, 1 where chosen; shape (choices, features)."""
        single = np.array([[own[name] == value for name, value in self._columns] for own in params], np.float64)
        single = single.reshape(len(params), len(self._columns))
        if not self._pairs:
            return single
        ones, others = np.array(self._pairs).T
        return np.concatenate([single, single[:, ones] * single[:, others]], axis=1)

    def fit(self, features: FloatArray, gains: FloatArray, errors: FloatArray) -> Posterior:
        """What the observations say of one objective's weights, under the deviations of the best evidence.

        Args:
            features: Of what was observed, shape (observed, features).
            gains: Shape (observed,).
            errors: Standard errors, shape (observed,).
        """
        _, factor, mean = max(self._fits(features, gains, errors), key=lambda fit: fit[0])
        return Posterior(mean, factor)

    def _fits(self, features: FloatArray, gains: FloatArray, errors: FloatArray) -> Any:
        """Log evidence, Cholesky factor of the posterior's precision, and mean, for each set of deviations."""
        clauses = len(self._columns)
        for miss in _MISS:
            noise = errors**2 + miss**2
            weighted = features / noise[:, None]
            gram, moment = features.T @ weighted, weighted.T @ gains
            constant = float(gains @ (gains / noise) + np.log(noise).sum())
            for deviation, share in product(_CLAUSE, _PAIR):
                prior = np.full(features.shape[1], (deviation * share) ** -2)
                prior[:clauses] = deviation**-2
                factor = np.linalg.cholesky(gram + np.diag(prior))
                half = solve_triangular(factor, moment, lower=True)
                mean = solve_triangular(factor, half, lower=True, trans="T")
                determinant = 2 * np.log(np.diag(factor)).sum() - np.log(prior).sum()
                yield -0.5 * (constant - float(half @ half) + float(determinant)), factor, mean


def added_hypervolume(ek: FloatArray, nek: FloatArray, front_ek: FloatArray, front_nek: FloatArray) -> FloatArray:
    """The area above (0, 0) that each point would add to what a front dominates.

    Args:
        ek: Of the points, shape (points,).
        nek: Likewise.
        front_ek: Of the front, shape (members,).
        front_nek: Likewise.

    Returns:
        Shape (points,), 0 or more.
    """
    order = np.argsort(front_ek)
    edges = np.concatenate([[0.0], np.maximum(front_ek[order], 0.0), [np.inf]])
    # Between two edges the front reaches as high as the best member to the right.
    heights = np.concatenate([np.maximum.accumulate(front_nek[order][::-1])[::-1], [0.0]])
    heights = np.maximum(heights, 0.0)
    widths = np.clip(np.minimum(ek[:, None], edges[None, 1:]) - edges[None, :-1], 0.0, None)
    return np.asarray((widths * np.clip(nek[:, None] - heights[None, :], 0.0, None)).sum(axis=1))


class Catalogue:
    """The instructions of a bank that a model chooses among: every one, of a large bank some.

    Args:
        choices: Values of each parameter.
        assemble: From a choice to its text; choices may share one.
        model: Of the same choices.
    """

    def __init__(
        self, choices: Mapping[str, Sequence[str]], assemble: Callable[[Mapping[str, str]], str], model: ClauseModel
    ) -> None:
        self._choices, self._assemble, self._model = choices, assemble, model
        self._whole = math.prod(len(values) for values in choices.values()) <= _ALL
        self._kept: tuple[list[Mapping[str, str]], list[str], FloatArray] | None = None

    def look(
        self, known: Sequence[Mapping[str, str]], rng: np.random.Generator
    ) -> tuple[list[Mapping[str, str]], list[str], FloatArray]:
        """Choices, their texts (distinct, none empty) and features.

        Args:
            known: Choices that were tried; of a large bank those are looked at that differ in one clause, too.
            rng: Draws the others.
        """
        if self._kept is not None:
            return self._kept
        distinct: dict[str, Mapping[str, str]] = {}
        for params in self._some(known, rng):
            if text := self._assemble(params):
                distinct.setdefault(text, params)
        chosen = list(distinct.values())
        found = chosen, list(distinct), self._model.features(chosen)
        self._kept = found if self._whole else None
        return found

    def _some(self, known: Sequence[Mapping[str, str]], rng: np.random.Generator) -> Iterator[Mapping[str, str]]:
        names, values = list(self._choices), list(self._choices.values())
        if self._whole:
            yield from (dict(zip(names, chosen, strict=True)) for chosen in product(*values))
            return
        for row in zip(*(rng.integers(len(each), size=_SOME) for each in values), strict=True):
            yield {name: each[place] for name, each, place in zip(names, values, row, strict=True)}
        for own in known:
            yield from ({**own, name: value} for name in names for value in self._choices[name] if value != own[name])


def propose_choices(
    model: ClauseModel,
    features: FloatArray,
    open_: BoolArray,
    observed: Sequence[Observed],
    base: tuple[float, float],
    front: FloatArray,
    count: int,
    rng: np.random.Generator,
) -> list[int]:
    """Places of the candidates to try, the first drawn first.

    Args:
        model: Of the same choices.
        features: Of the candidates, shape (candidates, features).
        open_: Which of them may be proposed, shape (candidates,).
        observed: What was.
        base: The base's EK and NEK.
        front: Values of the members so far, shape (members, 2).
        count: How many to propose.
        rng: Source of chance.
    """
    seen = model.features([each.params for each in observed])
    gains = np.array([each.gains for each in observed]).reshape(-1, 2)
    errors = np.array([each.errors for each in observed]).reshape(-1, 2)
    posteriors = [model.fit(seen, gains[:, side], errors[:, side]) for side in (0, 1)]
    chosen: list[int] = []
    for _ in range(min(count, int(open_.sum()))):
        values = features @ np.stack([each.draw(rng) for each in posteriors], axis=1) + base
        around = np.concatenate([[base], front, values[chosen]])
        added = added_hypervolume(*values.T, *around.T)
        if not added[open_].any():  # the draw sees nothing ahead of the front: what is nearest to it is tried
            behind = np.minimum(around[None, :, 0] - values[:, None, 0], around[None, :, 1] - values[:, None, 1])
            added = -behind.max(axis=1)
        added = np.where(open_, added, -np.inf)
        added[chosen] = -np.inf
        chosen.append(int(np.argmax(added)))
    return chosen
