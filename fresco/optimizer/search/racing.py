"""Racing: score candidates on growing query sets and drop those that will hardly be on the front.

All candidates see the same queries, stage by stage; each stage adds to the one before. After a stage the subjects are
resampled (paired bootstrap: one draw for all candidates, all queries of a subject together), and a candidate may be
dropped when it is on the front of all that are left, earlier members included, in fewer than a quarter of the
resamples. Of candidates that did equally well so far only the first is on the front. A candidate that is on the front
by its estimates is never dropped.

A stage drops at most half of those that are left, the furthest behind the front first. A bootstrap over few subjects
takes them for all there is: where one answer tells two candidates apart, the worse one never leads. So a small stage
alone must not decide; without this limit races lost more of the hypervolume than they were meant to
(``eval/results/racing.md``).

Racing after Maron & Moore 1994 and Birattari et al. 2002 (F-Race), with dominance for their test; the limit is that of
successive halving (Jamieson & Talwalkar 2016).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fresco.errors import FrescoError
from fresco.optimizer.search.selection import non_dominated
from fresco.records import Pool, Task
from fresco.stats.arrays import FloatArray
from fresco.stats.intervals import SubjectBootstrap, divide

#: Shares of the queries that a candidate has seen after each stage.
SHARES = (1 / 8, 1 / 4, 1 / 2, 1.0)
#: A candidate on the front in fewer resamples than this share may be dropped.
LEVEL = 0.25
#: Largest share of the candidates left that a stage drops, rounded up.
DROPPED = 0.5
#: Subjects that a stage needs on each side. Few: a bootstrap over four says little, but a stage drops half at most, the
#: furthest behind first. With eight, 60 queries left a single stage before the last, and races could spare a quarter.
LEAST = 4
_COMPARED = 2_000_000  # comparisons at a time: a byte each, in a handful of arrays

#: Average precision of each candidate (by its key) on the pools of one stage, float64, shape (pools of the stage,).
Evaluate = Callable[[Sequence[int], int], Mapping[int, FloatArray]]


@dataclass(frozen=True)
class Stages:
    """Query sets for a race.

    Attributes:
        pools: All pools, in the order in which they are scored.
        ends: How many of them have been scored after each stage, rising; the last is all.
    """

    pools: tuple[Pool, ...]
    ends: tuple[int, ...]

    def added(self, stage: int) -> tuple[Pool, ...]:
        """The pools that a stage adds."""
        return self.pools[self.ends[stage - 1] if stage else 0 : self.ends[stage]]

    def pairs(self, stage: int) -> int:
        """Query-passage pairs of the pools that a stage adds."""
        return sum(len(pool) for pool in self.added(stage))

    @property
    def all_pairs(self) -> int:
        """Query-passage pairs of all pools."""
        return sum(len(pool) for pool in self.pools)


def draw_stages(
    pools: Sequence[Pool], *, shares: Sequence[float] = SHARES, seed: int | str = 0, least: int = LEAST
) -> Stages:
    """Nested query sets of whole subjects, the same share of each stratum in each.

    A stratum is the subjects that have queries of the same tasks and kinds. A stage in which a task would have fewer
    than ``least`` subjects is left out.

    Args:
        pools: Each side has at least one.
        shares: Rising; 1.0 is added where it is missing.
        seed: Of the draw. A subject's place depends on it and its name alone.
        least: See :data:`LEAST`.

    Raises:
        FrescoError: a side has no pools: then there is no front.
    """
    for task in Task:
        if not any(pool.query.task is task for pool in pools):
            raise FrescoError(f"there is no {task} query to search by; add some with --nek, or take a larger --limit")
    kinds: dict[str, set[tuple[str, str]]] = {}
    for pool in pools:
        kinds.setdefault(pool.query.subject, set()).add((pool.query.task, pool.query.kind))
    strata: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for subject in sorted(kinds, key=lambda name: hashlib.sha256(f"race:{seed}:{name}".encode()).digest()):
        strata.setdefault(tuple(sorted(kinds[subject])), []).append(subject)
    entry: dict[str, int] = {}  # the first stage that holds the subject
    used = [share for share in shares if share < 1 and _enough(strata, share, least)]
    for stage, share in enumerate([*used, 1.0]):
        for subjects in strata.values():
            for subject in subjects[: _part(subjects, share)]:
                entry.setdefault(subject, stage)
    ordered = sorted(pools, key=lambda pool: entry[pool.query.subject])  # stable: file order inside a stage
    counts = np.bincount([entry[pool.query.subject] for pool in pools], minlength=len(used) + 1)
    return Stages(tuple(ordered), tuple(np.cumsum(counts).tolist()))


def _part(subjects: Sequence[str], share: float) -> int:
    return -int(-len(subjects) * share // 1)


def _enough(strata: Mapping[tuple[tuple[str, str], ...], Sequence[str]], share: float, least: int) -> bool:
    return all(
        sum(_part(names, share) for kinds, names in strata.items() if any(own == task for own, _ in kinds)) >= least
        for task in Task
    )


@dataclass(frozen=True)
class Dropped:
    """How a candidate left the race.

    Attributes:
        stage: After which stage, from 0.
        standing: Share of resamples in which it was on the front.
    """

    stage: int
    standing: float


@dataclass(frozen=True)
class Race:
    """What a race found.

    Attributes:
        values: Average precision of each candidate on the pools that it was scored on, a prefix of ``Stages.pools``;
            all of them for a survivor.
        dropped: The candidates that did not survive.
        pairs_scored: Query-passage pairs that the candidates were scored on.
        pairs_spared: Pairs that full evaluation would have scored besides.
    """

    values: dict[int, FloatArray]
    dropped: dict[int, Dropped] = field(default_factory=dict)
    pairs_scored: int = 0
    pairs_spared: int = 0

    @property
    def survivors(self) -> list[int]:
        """Keys of the candidates that were scored on all pools."""
        return [key for key in self.values if key not in self.dropped]


def race(
    candidates: Sequence[int],
    stages: Stages,
    evaluate: Evaluate,
    *,
    rivals: Mapping[int, FloatArray] | None = None,
    level: float = LEVEL,
    most: float = DROPPED,
    resamples: int = 1000,
    seed: int = 0,
) -> Race:
    """Score candidates stage by stage, dropping the dominated.

    Args:
        candidates: Distinct keys, such as trial numbers.
        stages: See :func:`draw_stages`; with a single stage this is full evaluation.
        evaluate: Called once for each stage with the candidates that are left.
        rivals: Values of earlier members on all pools; they can dominate and are never dropped.
        level: See :data:`LEVEL`.
        most: See :data:`DROPPED`.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.
    """
    values: dict[int, list[FloatArray]] = {key: [] for key in candidates}
    dropped: dict[int, Dropped] = {}
    alive = list(candidates)
    scored = 0
    last = len(stages.ends) - 1
    for stage, end in enumerate(stages.ends):
        if not alive:
            break
        results = evaluate(alive, stage)
        for key in alive:
            values[key].append(np.asarray(results[key], np.float64))
        scored += len(alive) * stages.pairs(stage)
        if stage == last or not level:
            continue
        known = {key: own[:end] for key, own in (rivals or {}).items()}  # first: of equals the older one stays
        known |= {key: np.concatenate(values[key]) for key in alive}
        standing = standings(known, stages.pools[:end], resamples=resamples, seed=seed)
        doubtful = [key for key in reversed(alive) if standing[key].share < level]  # of equals the later ones go first
        doubtful.sort(key=lambda key: -standing[key].behind)
        for key in doubtful[: math.ceil(most * len(alive))]:
            dropped[key] = Dropped(stage, standing[key].share)
        alive = [key for key in alive if key not in dropped]
    spared = len(candidates) * stages.all_pairs - scored
    return Race({key: np.concatenate(own) for key, own in values.items()}, dropped, scored, spared)


def race_fully(candidates: Sequence[int], stages: Stages, evaluate: Evaluate) -> Race:
    """The reference: every candidate on every pool."""
    return race(candidates, stages, evaluate, level=0.0)


@dataclass(frozen=True)
class Standing:
    """How a candidate stands among others.

    Attributes:
        share: Of the resamples in which it is on the front; 1.0 where it is by its estimates.
        behind: What it lacks on both sides to be on the front, mean over the resamples.
    """

    share: float
    behind: float


def standings(
    values: Mapping[int, FloatArray], pools: Sequence[Pool], *, resamples: int = 1000, seed: int = 0
) -> dict[int, Standing]:
    """How each candidate stands among all.

    Args:
        values: Average precision, each of shape (pools,).
        pools: The same for all.
        resamples: Of the bootstrap over subjects.
        seed: Of the bootstrap.
    """
    ek, nek = resampled(np.stack(list(values.values()), axis=1), pools, resamples=resamples, seed=seed)
    share = _share_on_front(ek, nek)
    behind = [
        # By the rival that is ahead on both sides by most; of itself a candidate is 0 ahead. Where a resample drew no
        # pool of a side, nobody is ahead.
        float(np.nan_to_num(np.minimum(ek - ek[:, [index]], nek - nek[:, [index]])).max(axis=1).mean())
        for index in range(len(values))
    ]
    estimates = [ek_and_nek(own, pools) for own in values.values()]
    ek, nek = (np.array(side) for side in zip(*estimates, strict=True))
    now = non_dominated(ek, nek, first_of_equals=True)
    return {
        key: Standing(1.0 if now[index] else float(share[index]), behind[index]) for index, key in enumerate(values)
    }


def _share_on_front(ek: FloatArray, nek: FloatArray) -> FloatArray:
    """Share of the resamples in which each candidate is on the front; every pair of candidates is compared in each."""
    resamples, candidates = ek.shape
    rows = max(1, _COMPARED // candidates**2)
    counts = np.zeros(candidates)
    for start in range(0, resamples, rows):
        part = slice(start, start + rows)
        counts += non_dominated(ek[part], nek[part], first_of_equals=True).sum(axis=0)
    return np.asarray(counts / resamples)


def resampled(
    values: FloatArray, pools: Sequence[Pool], *, resamples: int = 1000, seed: int = 0
) -> tuple[FloatArray, FloatArray]:
    """Means on EK and on NEK in each resample of the subjects, each of shape (resamples, candidates).

    Args:
        values: Shape (pools, candidates).
        pools: Where the values were measured.
        resamples: How many.
        seed: Same seed, same draws.
    """
    bootstrap = SubjectBootstrap([pool.query.subject for pool in pools], resamples=resamples, seed=seed)
    ek, nek = (
        divide(
            bootstrap.replicate(values * side[:, None]),
            bootstrap.replicate(np.repeat(side[:, None], values.shape[1], 1)),
        )
        for side in _sides(pools)
    )
    return ek, nek


def ek_and_nek(values: npt.NDArray[np.float64], pools: Sequence[Pool]) -> tuple[float, float]:
    """Mean over the EK pools and mean over the NEK pools; NaN for a side without pools."""
    ek, nek = (float(values[side > 0].mean()) if side.any() else float("nan") for side in _sides(pools))
    return ek, nek


def _sides(pools: Sequence[Pool]) -> tuple[FloatArray, FloatArray]:
    ek = np.array([pool.query.task is Task.EK for pool in pools], np.float64)
    return ek, 1 - ek
