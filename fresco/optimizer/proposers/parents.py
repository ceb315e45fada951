"""Who is bred from: the members of the front, and whoever is best on some queries.

Two means hide much: an instruction that is best on one query in ten may be far from the front and know something that
the front does not. After GEPA (Agrawal et al. 2025, https://arxiv.org/abs/2507.19457), which draws its parents by the
number of single instances that they lead, half of the weight goes by the queries led, and half to the front alike.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from fresco.optimizer.proposers.base import ByQuery, ScoredInstruction, SearchState

_LEADERS = 4  # off the front, that crossovers are looked for among


def led_shares(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share of the queries that each member leads; a lead of several is split, one of all counts for nobody.

    Args:
        values: Average precision, shape (members, queries).
        weights: Of the queries, shape (queries,).

    Returns:
        Shape (members,); sums to 1, or is 0 where no query tells any two members apart.
    """
    leads = values == values.max(axis=0)
    leads &= ~leads.all(axis=0)
    split = leads / np.maximum(leads.sum(axis=0), 1) * weights
    total = split.sum()
    return np.asarray(split.sum(axis=1) / total if total else np.zeros(len(values)))


def draw_parents(state: SearchState, most: int) -> list[ScoredInstruction]:
    """Distinct parents for mutations, likelier first.

    Args:
        state: Without values by query the population itself, best spread first.
        most: At most so many, and no more than the population has members.
    """
    wanted = min(most, len(state.population))
    if state.by_query is None:
        return list(state.population[:wanted])
    shares = dict(zip(state.by_query.numbers, led_shares(state.by_query.values, state.by_query.weights), strict=True))
    weights = {member.number: 0.5 * float(shares[member.number]) for member in state.by_query.members}
    for member in state.population:
        weights[member.number] += 0.5 / len(state.population)
    return _drawn(state.by_query.members, weights, wanted, state.rng)


def _drawn(
    members: Sequence[ScoredInstruction], weights: dict[int, float], count: int, rng: random.Random
) -> list[ScoredInstruction]:
    left = [member for member in members if weights[member.number] > 0]
    drawn: list[ScoredInstruction] = []
    while left and len(drawn) < count:
        (chosen,) = rng.choices(left, [weights[member.number] for member in left])
        drawn.append(chosen)
        left.remove(chosen)
    return drawn


@dataclass(frozen=True)
class Pair:
    """Two parents, the first at least as strong on EK.

    Attributes:
        first: One.
        second: The other.
        gain: What the better of the two on each query has above the better one of the means.
    """

    first: ScoredInstruction
    second: ScoredInstruction
    gain: float


def complementary(state: SearchState) -> list[Pair]:
    """Pairs of the front and of those who lead most queries, the most to gain first; each needs wins of both."""
    by_query = state.by_query
    if by_query is None:
        return _opposed(state)
    shares = led_shares(by_query.values, by_query.weights)
    front = {member.number for member in state.population}
    leaders = [place for place in np.argsort(-shares, kind="stable").tolist() if shares[place] > 0]
    others = [place for place in leaders if by_query.numbers[place] not in front][:_LEADERS]
    places = [place for place, number in enumerate(by_query.numbers) if number in front] + others
    found = [_pair(by_query, *both) for both in combinations(places, 2)]
    return sorted(
        (pair for pair in found if pair.gain > 0), key=lambda pair: (-pair.gain, pair.first.number, pair.second.number)
    )


def _pair(by_query: ByQuery, one: int, other: int) -> Pair:
    values, weights = by_query.values, by_query.weights
    better = np.maximum(values[one], values[other]) @ weights
    gain = float(better - max(values[one] @ weights, values[other] @ weights))
    both = sorted((by_query.members[one], by_query.members[other]), key=lambda member: (-member.ek, member.number))
    return Pair(both[0], both[1], round(gain, 12))


def _opposed(state: SearchState) -> list[Pair]:
    """Members of which the first is stronger on EK, the second on NEK: the two ends, then others at random."""
    members = state.population
    pairs = [Pair(a, b, a.ek - b.ek + b.nek - a.nek) for a in members for b in members if a.ek > b.ek and a.nek < b.nek]
    pairs.sort(key=lambda pair: (-pair.gain, pair.first.number))
    others = pairs[1:]
    state.rng.shuffle(others)
    return [*pairs[:1], *others]
