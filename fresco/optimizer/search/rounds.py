"""The search: small rounds of proposals, each raced to the end, on one study that any number of workers share.

A round is a few instructions, so that each learns from those before it; FRESCO's generations are rounds of eight
children for each member. What a round proposes is a function of the seed, the round and the finished trials of earlier
rounds; who scores what is not. So a search that was killed and started again ends in the same trials as an undisturbed
one, and so does one that several workers share.

A round may look back a little less (``SearchSettings.ahead``): then it does not wait for the last one's scores, so that
a language model writes while the re-ranker scores and a second worker finds something to do. Each round draws its own
order of the queries, or the luck of the first few would choose all the way.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fresco.optimizer.proposers.base import (
    ByQuery,
    ProposedInstruction,
    Proposer,
    ScoredInstruction,
    ScoreTraining,
    SearchState,
    is_slow,
)
from fresco.optimizer.search.asking import ask
from fresco.optimizer.search.budget import charged, spent
from fresco.optimizer.search.gain import hypervolume_row
from fresco.optimizer.search.objective import Objective
from fresco.optimizer.search.racing import SHARES, Race, Stages, draw_stages, ek_and_nek, race, resampled
from fresco.optimizer.search.selection import best_expected, hypervolume, non_dominated, select, values_of
from fresco.optimizer.search.settings import RoundReport, SearchSettings, Watcher
from fresco.optimizer.search.study import SearchStudy
from fresco.optimizer.search.writing import TrainingMeter, Writing, Written
from fresco.records import Pool, Task
from fresco.scoring.runner import Progress
from fresco.stats.arrays import FloatArray

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

#: Another one: a study of an earlier one cannot be gone on with.
SEARCH_VERSION = 6

_REJECTIONS_KEPT = 100  # a round; what an attribute of a MySQL storage holds
_LONGEST_WAIT = 1.0  # seconds between two looks at what other workers do


@dataclass
class Search:
    """One search, from the base instruction to the last round.

    Attributes:
        study: Where its trials are.
        objective: Scores instructions.
        pools: What is selected by; never those that the front is proved on.
        training: Pools that proposers may look at.
        proposers: Asked in order, each for its share of a round.
        settings: How it runs.
        base: Text of the base instruction; None for the model's own default.
        choices: Values of the parameters that proposals may carry.
        refill: Asked where the proposers have nothing to try; None leaves such a round empty.
        watch: Told the progress.
        reader: What kind of re-ranker reads the instructions, in words for a proposer.
    """

    study: SearchStudy
    objective: Objective
    pools: Sequence[Pool]
    training: Sequence[Pool]
    proposers: Sequence[Proposer]
    settings: SearchSettings
    base: str | None = None
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    watch: Watcher | None = None
    refill: Proposer | None = None
    reader: str = ""

    def __post_init__(self) -> None:
        self._default = self.objective.default_text  # here and not on a thread beside scoring: it asks the re-ranker
        self._stages: dict[int, Stages] = {}
        self._values: dict[int, FloatArray] = {}
        self._place = {pool.query.id: place for place, pool in enumerate(self.pools)}
        self._writing: dict[int, Writing] = {}
        self._scored = 0
        self._gained: tuple[list[int], Mapping[str, float | None]] | None = None

    def stages(self, number: int) -> Stages:
        """The query sets of a round."""
        if number not in self._stages:
            shares = SHARES if self.settings.racing else (1.0,)
            self._stages[number] = draw_stages(self.pools, shares=shares, seed=f"{self.settings.seed}:{number}")
        return self._stages[number]

    def run(self) -> list[RoundReport]:
        """Run all rounds, or what is left of them.

        Raises:
            FrescoError: the re-ranker or a proposer failed; every finished score and trial is kept.
        """
        reports: list[RoundReport] = []
        wait = _Wait()
        while len(reports) <= self.settings.rounds:
            scored = self._scored
            for number in range(len(reports), min(len(reports) + self.settings.ahead, self.settings.rounds) + 1):
                if number == len(reports) and self._is_over(number):
                    return reports
                if self._advance(number) and number == len(reports):
                    reports.append(self.report(number))
                    if self.watch:
                        self.watch.round_done(self.settings.seed, reports[-1])
                    break
            else:  # whatever is left to do, others do
                if self._scored == scored:
                    wait()
                continue
            wait = _Wait()
        return reports

    def report(self, number: int) -> RoundReport:
        """Where the search stood after a round that has ended."""
        trials = self.study.rounds(number + 1)
        own = [trial for trial in trials if trial.user_attrs["round"] == number]
        scored = sum(int(trial.user_attrs["pairs_scored"]) for trial in trials)
        members = members_of(trials)
        population = select(members, self.settings.population)
        plan = self.study.planned(number) or {}
        return RoundReport(
            number,
            population,
            len(own),
            sum(trial.state.name == "PRUNED" for trial in own),
            dict(plan.get("rejected", {})),
            bool(plan.get("refilled", False)),
            scored,
            len(trials) * self.stages(0).all_pairs - scored,
            float(hypervolume(*values_of(members))),
            self._gain(members),
            spent(trials, [self.study.planned(earlier) or {} for earlier in range(number + 1)]),
            self.settings.budget,
        )

    def _gain(self, members: Sequence[ScoredInstruction]) -> Mapping[str, float | None]:
        """What the front of members is above the base."""
        front = [m.number for m, keep in zip(members, non_dominated(*values_of(members)), strict=True) if keep]
        if self._gained is None or self._gained[0] != front:  # most rounds change no front
            columns = np.stack([self.values_of(number) for number in front], axis=1)
            row = hypervolume_row(columns, self.values_of(0), self.pools, seed=self.settings.seed)
            self._gained = front, row["gain"]
        return self._gained[1]

    def _advance(self, number: int) -> bool:
        """Do what can be done for a round without waiting for others; whether it has ended."""
        if self._is_over(number) or (self.study.planned(number) is None and not self._plan(number)):
            return False
        if self.settings.ahead and number < self.settings.rounds:
            self._write_ahead(number + 1)
        try:
            self._race(number)
        except _BusyError:
            return False
        return True

    def _known(self, number: int) -> list[FrozenTrial] | None:
        """The trials that a round may know, once all of them have ended and every round before it is planned."""
        if any(self.study.planned(earlier) is None for earlier in range(number)):
            return None
        trials = self.study.rounds(max(number - self.settings.ahead, min(number, 1)))
        return trials if all(trial.state.is_finished() for trial in trials) else None

    def _is_over(self, number: int) -> bool:
        """Whether the budget leaves nothing for a round; told by what it may know, so all workers end alike."""
        if number == 0 or self.settings.budget is None or (known := self._known(number)) is None:
            return False
        return self.settings.budget.is_spent(known, [self.study.planned(earlier) or {} for earlier in range(number)])

    def _plan(self, number: int) -> bool:
        """Make sure that every instruction of the round has its trial; False while another worker sees to it."""
        known = self._known(number)
        if known is None or (lease := self.study.take_planning(number)) is None:
            return False
        with lease:
            written = self._written(number, known)
            for proposal in written.proposals:
                text = self.base if number == 0 else proposal.text
                self.study.add(proposal, text=text, number=number, seed=self.settings.seed, choices=self.choices)
            self.study.mark_planned(number, written.plan)
        return True

    def _write_ahead(self, number: int) -> None:
        """Have a slow proposer write a round while others are scored."""
        if not any(map(is_slow, self.proposers)) or number in self._writing or self.study.planned(number) is not None:
            return
        known = self._known(number)
        if known is not None and not self._is_over(number):
            self._writing[number] = Writing(lambda score: self._write(number, known, score))

    def _written(self, number: int, known: Sequence[FrozenTrial]) -> Written:
        """What was written ahead, or is written now."""
        writing = self._writing.pop(number, None)
        return writing.join(self.objective.scores) if writing else self._write(number, known, self.objective.scores)

    def _write(self, number: int, known: Sequence[FrozenTrial], score: ScoreTraining) -> Written:
        """Ask the proposers for a round."""
        meter = TrainingMeter(score)
        started, price = time.perf_counter(), self._price()
        proposals, rejected = self._proposals(number, known, self.proposers, meter)
        refilled = not proposals and self.refill is not None
        if refilled and self.refill is not None:
            proposals, more = self._proposals(number, known, [self.refill], meter)
            rejected += more
        cost = {"pairs": meter.pairs, "seconds": time.perf_counter() - started, "price": self._price() - price}
        plan = {
            "proposed": len(proposals),
            "rejected": dict(Counter(each["reason"] for each in rejected).most_common()),
            "rejections": rejected[:_REJECTIONS_KEPT],
            "refilled": refilled,
            "cost": cost,
        }
        return Written(proposals, plan)

    def _price(self) -> float:
        clients = [getattr(proposer, "client", None) for proposer in self.proposers]
        return sum(client.cost or 0.0 for client in clients if client is not None)

    def _proposals(
        self, number: int, trials: Sequence[FrozenTrial], proposers: Sequence[Proposer], score: ScoreTraining
    ) -> tuple[list[ProposedInstruction], list[dict[str, Any]]]:
        """What proposers write for a round, and what of it cannot be tried."""
        if number == 0:
            return [ProposedInstruction(self.base or self._default or "", "base")], []
        members = members_of(trials)
        population, by_query = select(members, self.settings.population), self._by_query(members)
        children = 8 * len(population) if self.settings.children is None else self.settings.children
        everything = self.study.rounds(number)  # what is under way is seen, though not yet known
        seen = {trial.user_attrs["text"] for trial in everything} | {self.base, self._default}

        def state(place: int, kept: Collection[str]) -> SearchState:
            return SearchState(
                number,
                population,
                frozenset({text for text in seen if text is not None}.union(kept)),
                self.training,
                score,
                trials,
                random.Random(f"{self.settings.seed}:{number}:{place}"),  # noqa: S311 - to repeat, not to hide
                by_query,
                self.reader,
            )

        return ask(proposers, children, state)

    def _by_query(self, members: Sequence[ScoredInstruction]) -> ByQuery:
        sides = np.array([pool.query.task is Task.EK for pool in self.pools])
        weights = np.where(sides, 0.5 / sides.sum(), 0.5 / (~sides).sum())
        return ByQuery(members, np.stack([self.values_of(member.number) for member in members]), weights)

    def _race(self, number: int) -> None:
        """Score a round's trials and end each of them.

        Raises:
            _BusyError: others are scoring what is missing.
        """
        trials = {trial.number: trial for trial in self.study.of_round(number)}
        if all(trial.state.is_finished() for trial in trials.values()):
            return
        stages = self.stages(number)
        place = [self._place[pool.query.id] for pool in stages.pools]
        earlier = members_of(self._known(number) or ())
        front = [m for m, keep in zip(earlier, non_dominated(*values_of(earlier)), strict=True) if keep]
        texts = {key: trial.user_attrs["text"] for key, trial in trials.items()}
        found = race(
            list(trials),
            stages,
            lambda alive, stage: self._evaluate({key: texts[key] for key in alive}, stage, number),
            rivals={member.number: self.values_of(member.number)[place] for member in front},
            level=self.settings.level if self.settings.racing else 0.0,
            seed=self.settings.seed,
        )
        for key, trial in trials.items():
            self._end(trial, found, key, stages)

    def _end(self, trial: FrozenTrial, found: Race, key: int, stages: Stages) -> None:
        values = found.values[key]
        seen = stages.pools[: len(values)]
        attributes: dict[str, Any] = {
            "queries_scored": len(seen),
            "pairs_scored": sum(len(pool) for pool in seen),
            "pairs_charged": charged(trial.user_attrs["text"], seen),
            "seconds": self.study.seconds(key, range(len(stages.ends))),
        }
        if key not in found.dropped:
            self.study.complete(trial, *ek_and_nek(values, seen), attributes)
            return
        # Some query sets are easier than others: the base's full values plus what the candidate gained or lost
        # against the base on the same queries compares with members that were scored on all.
        base = self.values_of(0)
        gains = values - base[[self._place[pool.query.id] for pool in seen]]
        whole, gained = ek_and_nek(base, self.pools), ek_and_nek(gains, seen)
        dropped = found.dropped[key]
        estimate = {
            "estimate": [full + gain for full, gain in zip(whole, gained, strict=True)],
            "error": [_error(gains, seen, self.pools, task) for task in Task],
            "stage": dropped.stage,
            "standing": dropped.standing,
        }
        self.study.prune(trial, {**attributes, **estimate})

    def _evaluate(self, texts: Mapping[int, str | None], stage: int, number: int) -> dict[int, FloatArray]:
        """Values of a stage, scored here as far as no other worker scores them."""
        pools = self.stages(number).added(stage)
        known = self.study.values(list(texts), stage, len(pools))
        for place, key in enumerate(texts, start=1):
            if key in known or (lease := self.study.take(key, stage)) is None:
                continue
            what = f"candidate {place} of {len(texts)}"
            progress = self._progress(f"seed {self.settings.seed}, round {number}, stage {stage + 1}, {what}")
            with lease:
                started = time.perf_counter()
                values = self.objective.average_precisions(texts[key], pools, progress)
                known[key] = self.study.put_values(key, stage, values, time.perf_counter() - started)
            self._scored += 1
            for writing in self._writing.values():
                writing.serve(self.objective.scores)
        if missing := [key for key in texts if key not in known]:
            known |= self.study.values(missing, stage, len(pools))  # others may have come to an end meanwhile
        if any(key not in known for key in texts):
            raise _BusyError
        return known

    def values_of(self, number: int) -> FloatArray:
        """Average precisions of a trial that was scored on all queries, in the order of :attr:`pools`."""
        if number not in self._values:
            stages = self.stages(self.study.round_of(number))
            parts = [self.study.stored(number, k, len(stages.added(k))) for k in range(len(stages.ends))]
            values = np.empty(len(self.pools))
            values[[self._place[pool.query.id] for pool in stages.pools]] = np.concatenate(parts)
            self._values[number] = values
        return self._values[number]

    def proposed(self, most: int) -> list[ScoredInstruction]:
        """What the search proposes as its result: see :func:`fresco.optimizer.search.selection.best_expected`.

        Args:
            most: At most so many.
        """
        members = members_of(self.study.rounds(self.settings.rounds + 1))
        columns = np.stack([self.values_of(each.number) for each in members], axis=1)
        again = resampled(columns, self.pools, seed=self.settings.seed)
        return [members[place] for place in best_expected(*again, most)]

    def _progress(self, what: str) -> Progress:
        def progress(done: int, total: int) -> None:
            if self.watch:
                self.watch.scored(what, done, total)

        return progress


def members_of(trials: Sequence[FrozenTrial]) -> list[ScoredInstruction]:
    """The trials that were scored on all queries of the search."""
    return [
        ScoredInstruction(trial.number, trial.user_attrs["text"], *trial.values)
        for trial in trials
        if trial.state.name == "COMPLETE"
    ]


def _error(gains: FloatArray, seen: Sequence[Pool], pools: Sequence[Pool], task: Task) -> float:
    """Standard error of a mean gain on one side, as an estimate of that on all of its queries."""
    own = gains[[pool.query.task is task for pool in seen]]
    left = 1 - len(own) / sum(pool.query.task is task for pool in pools)
    return float(np.std(own, ddof=1) * np.sqrt(left / len(own))) if len(own) > 1 else 1.0


class _BusyError(Exception):
    """What a round lacks is being scored by another worker."""


class _Wait:
    """Sleeps a little longer each time."""

    def __init__(self) -> None:
        self._seconds = 0.05

    def __call__(self) -> None:
        time.sleep(self._seconds)
        self._seconds = min(self._seconds * 1.5, _LONGEST_WAIT)
