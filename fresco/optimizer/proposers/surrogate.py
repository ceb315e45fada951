"""A model of what clauses are worth, and the instructions that it would try next.

Bayesian linear regression on the clauses and on pairs of them, once for EK and once for NEK: what a candidate gained
over the base is the sum of what its clauses and pairs are worth, plus noise. Candidates that a race dropped count, too,
by what they gained on the queries that they saw, with the noise of so few. Weights of pairs are expected to be smaller
than those of single clauses; how large both are, and how far the sum misses, is chosen by the evidence (MacKay 1992,
type II maximum likelihood on a grid).

Further columns stand for what is beside the bank, such as clauses that a language model wrote, in blocks of options.
They have no pairs: a search sees too few of them together, and as their worth adds up, the best of millions of mixtures
is found exactly (:func:`_mixtures`).

For each proposal one set of weights is drawn from the posterior (Thompson sampling), and the instruction is taken whose
drawn values add most hypervolume to the front: the draw explores, the hypervolume looks after the spread.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
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
        errors: Standard errors of the two; 0 where it was scored on every query and all that it says has a column.
        further: Which columns beside the bank's it has.
    """

    params: Mapping[str, str]
    gains: tuple[float, float]
    errors: tuple[float, float]
    further: tuple[int, ...] = ()


@dataclass(frozen=True)
class Block:
    """What may stand beside a choice from the bank: one of some options, each with some of the block's own columns.

    Attributes:
        columns: How many there are.
        options: Places of each option's columns; the first has none.
    """

    columns: int
    options: Sequence[tuple[int, ...]]

    @cached_property
    def features(self) -> FloatArray:
        """1 where an option has a column; shape (options, columns)."""
        found = np.zeros((len(self.options), self.columns))
        for row, places in enumerate(self.options):
            found[row, list(places)] = 1
        return found


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
            features: Of what was observed, further columns behind the pairs; shape (observed, features).
            gains: Shape (observed,).
            errors: Standard errors, shape (observed,).
        """
        _, factor, mean = max(self._fits(features, gains, errors), key=lambda fit: fit[0])
        return Posterior(mean, factor)

    def _fits(self, features: FloatArray, gains: FloatArray, errors: FloatArray) -> Any:
        """Log evidence, Cholesky factor of the posterior's precision, and mean, for each set of deviations."""
        clauses, pairs = len(self._columns), len(self._pairs)
        for miss in _MISS:
            noise = errors**2 + miss**2
            weighted = features / noise[:, None]
            gram, moment = features.T @ weighted, weighted.T @ gains
            constant = float(gains @ (gains / noise) + np.log(noise).sum())
            for deviation, share in product(_CLAUSE, _PAIR):
                prior = np.full(features.shape[1], deviation**-2)
                prior[clauses : clauses + pairs] = (deviation * share) ** -2
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


#: A candidate: its place among the bank's (-1: nothing of the bank), and its option of each block.
Mixture = tuple[int, ...]


def propose_choices(
    model: ClauseModel,
    features: FloatArray,
    open_: BoolArray,
    observed: Sequence[Observed],
    base: tuple[float, float],
    front: FloatArray,
    count: int,
    rng: np.random.Generator,
    *,
    blocks: Sequence[Block] = (),
    is_open: Callable[[Mixture], bool] = lambda _: True,
) -> list[Mixture]:
    """The candidates to try, the first drawn first.

    Args:
        model: Of the same choices.
        features: Of the candidates, shape (candidates, features).
        open_: Which of them may be proposed, shape (candidates,).
        observed: What was.
        base: The base's EK and NEK.
        front: Values of the members so far, shape (members, 2).
        count: How many to propose.
        rng: Source of chance.
        blocks: What may stand beside them; the further columns in this order.
        is_open: Whether a mixture with something of a block may be proposed.
    """
    plain, more = features.shape[1], sum(block.columns for block in blocks)
    seen = np.concatenate([model.features([each.params for each in observed]), _further(observed, more)], axis=1)
    gains = np.array([each.gains for each in observed]).reshape(-1, 2)
    errors = np.array([each.errors for each in observed]).reshape(-1, 2)
    posteriors = [model.fit(seen, gains[:, side], errors[:, side]) for side in (0, 1)]
    nothing = (0,) * len(blocks)
    chosen: list[Mixture] = []
    for _ in range(count):
        weights = np.stack([each.draw(rng) for each in posteriors], axis=1)
        values, parts = features @ weights[:plain] + base, _parts(blocks, weights[plain:])
        mixtures, mixed = _mixtures(values, np.array(base), parts)
        fit = [each not in chosen and any(each[1:]) and is_open(each) for each in mixtures]
        candidates = [*((place, *nothing) for place in range(len(values))), *mixtures]
        points = np.concatenate([values, mixed])
        free = np.concatenate([open_, np.array(fit, np.bool_)])
        free[[place for place, *beside in chosen if not any(beside)]] = False
        if not free.any():
            break
        known = [_value(each, values, base, parts) for each in chosen]
        around = np.concatenate([[base], front, np.array(known).reshape(-1, 2)])
        added = added_hypervolume(*points.T, *around.T)
        if not added[free].any():  # the draw sees nothing ahead of the front: what is nearest to it is tried
            behind = np.minimum(around[None, :, 0] - points[:, None, 0], around[None, :, 1] - points[:, None, 1])
            added = -behind.max(axis=1)
        chosen.append(candidates[int(np.argmax(np.where(free, added, -np.inf)))])
    return chosen


def _further(observed: Sequence[Observed], columns: int) -> FloatArray:
    found = np.zeros((len(observed), columns))
    for row, each in enumerate(observed):
        found[row, list(each.further)] = 1
    return found


def _parts(blocks: Sequence[Block], weights: FloatArray) -> list[FloatArray]:
    """What each option of each block is worth, each of shape (options, 2)."""
    ends = np.cumsum([block.columns for block in blocks]).tolist()
    return [block.features @ weights[end - block.columns : end] for block, end in zip(blocks, ends, strict=True)]


def _value(each: Mixture, values: FloatArray, base: tuple[float, float], parts: Sequence[FloatArray]) -> FloatArray:
    place, *options = each
    start = np.array(base) if place < 0 else values[place]
    return np.asarray(start + sum(part[option] for part, option in zip(parts, options, strict=True)))


def _mixtures(values: FloatArray, base: FloatArray, parts: Sequence[FloatArray]) -> tuple[list[Mixture], FloatArray]:
    """The non-dominated sums of a candidate (or nothing of the bank) and an option of each block, with their values.

    A sum is dominated where one of its terms is: so it is enough to add up the terms' own fronts, block by block.
    """
    if not parts:
        return [], np.empty((0, 2))
    start = np.concatenate([base[None], values])
    places = _outline(start)
    mixtures: list[Mixture] = [(place - 1,) for place in places]
    reached = start[places]
    for part in parts:
        options = _outline(part)
        sums = (reached[:, None] + part[None, options]).reshape(-1, 2)
        every = [(*mixture, option) for mixture in mixtures for option in options]
        kept = _outline(sums)
        mixtures, reached = [every[place] for place in kept], sums[kept]
    return mixtures, reached


def _outline(points: FloatArray) -> list[int]:
    """Places of the points that no other one dominates, of equal ones the first; most EK first."""
    order = np.lexsort((-points[:, 1], -points[:, 0]))
    heights = points[order, 1]
    before = np.concatenate([[-np.inf], np.maximum.accumulate(heights)[:-1]])
    return [int(place) for place in order[heights > before]]
