"""The search: rounds of proposals, each raced to the end, on one study that any number of workers share.

What a round proposes is a function of the seed, the round and the finished trials of earlier rounds; who scores what is
not. So a search that was killed and started again by one worker ends in the same trials as an undisturbed one.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fresco.optimizer.proposers.base import ProposedInstruction, Proposer, ScoredInstruction, SearchState
from fresco.optimizer.search.objective import Objective
from fresco.optimizer.search.racing import LEVEL, SHARES, Race, Stages, draw_stages, ek_and_nek, race
from fresco.optimizer.search.selection import hypervolume, non_dominated, select, values_of
from fresco.optimizer.search.study import SearchStudy
from fresco.records import Pool
from fresco.scoring.runner import Progress
from fresco.stats.arrays import FloatArray

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

#: Another one: a study of an earlier one cannot be gone on with.
SEARCH_VERSION = 2

_REJECTIONS_KEPT = 100  # a round; what an attribute of a MySQL storage holds
_LONGEST_WAIT = 1.0  # seconds between two looks at what other workers do


@dataclass(frozen=True)
class SearchSettings:
    """How a search runs.

    Attributes:
        rounds: After round 0, which is the base instruction alone.
        population: Most members kept.
        children: New instructions a round.
        seed: Of the proposals, the stages and the resampling.
        racing: Whether dominated candidates are dropped early; else all are scored on all queries.
        level: See :data:`fresco.optimizer.search.racing.LEVEL`.
    """

    rounds: int = 10
    population: int = 4
    children: int = 32
    seed: int = 0
    racing: bool = True
    level: float = LEVEL


@dataclass(frozen=True)
class RoundReport:
    """Where the search stands after a round.

    Attributes:
        round: From 0.
        population: The members kept.
        tried: Instructions of this round.
        dropped: Those of them that did not survive the race.
        rejected: Proposals of this round that got no trial, by reason.
        refilled: Whether the proposers had nothing to try, so that another one was asked.
        pairs_scored: Of all rounds so far.
        pairs_spared: Of all rounds so far.
        hypervolume: Of all that was scored on every query of the search; it never falls.
    """

    round: int
    population: Sequence[ScoredInstruction]
    tried: int
    dropped: int
    rejected: Mapping[str, int]
    refilled: bool
    pairs_scored: int
    pairs_spared: int
    hypervolume: float


class Watcher(Protocol):
    """Is told how far a search has come."""

    def scored(self, what: str, done: int, total: int) -> None:
        """``done`` of ``total`` query-passage pairs."""

    def round_done(self, seed: int, report: RoundReport) -> None:
        """A round has ended."""


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

    def __post_init__(self) -> None:
        shares = SHARES if self.settings.racing else (1.0,)
        self.stages: Stages = draw_stages(self.pools, shares=shares, seed=self.settings.seed)

    def run(self) -> list[RoundReport]:
        """Run all rounds, or what is left of them.

        Raises:
            FrescoError: the re-ranker or a proposer failed; every finished score and trial is kept.
        """
        reports = []
        for number in range(self.settings.rounds + 1):
            self._plan(number)
            self._race(number)
            reports.append(self.report(number))
            if self.watch:
                self.watch.round_done(self.settings.seed, reports[-1])
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
            len(trials) * self.stages.all_pairs - scored,
            float(hypervolume(*values_of(members))),
        )

    def _plan(self, number: int) -> None:
        """Make sure that every instruction of the round has its trial."""
        wait = _Wait()
        while self.study.planned(number) is None:
            if (lease := self.study.take_planning(number)) is None:
                wait()
                continue
            with lease:
                proposals, rejected = self._proposals(number, self.proposers)
                if refilled := not proposals and self.refill is not None:
                    proposals, more = self._proposals(number, [self.refill])
                    rejected += more
            for proposal in proposals:
                text = self.base if number == 0 else proposal.text
                self.study.add(proposal, text=text, number=number, seed=self.settings.seed, choices=self.choices)
            self.study.mark_planned(
                number,
                {
                    "proposed": len(proposals),
                    "rejected": dict(Counter(each["reason"] for each in rejected).most_common()),
                    "rejections": rejected[:_REJECTIONS_KEPT],
                    "refilled": refilled,
                },
            )

    def _proposals(
        self, number: int, proposers: Sequence[Proposer]
    ) -> tuple[list[ProposedInstruction], list[dict[str, Any]]]:
        """What proposers write for a round, and what of it cannot be tried."""
        if number == 0:
            return [ProposedInstruction(self.base or self.objective.default_text or "", "base")], []
        trials = self.study.rounds(number)
        population = select(members_of(trials), self.settings.population)
        seen = {trial.user_attrs["text"] for trial in trials} | {self.base, self.objective.default_text}
        texts = {text for text in seen if text is not None}
        kept: dict[str, ProposedInstruction] = {}
        rejected: list[dict[str, Any]] = []
        for place, proposer in enumerate(proposers):
            state = SearchState(
                number,
                population,
                frozenset(texts | kept.keys()),
                self.training,
                self.objective.scores,
                trials,
                random.Random(f"{self.settings.seed}:{number}:{place}"),  # noqa: S311 - to repeat, not to hide
            )
            left = self.settings.children - len(kept)
            share = -(-left // (len(proposers) - place))  # what one leaves over goes to the next ones
            for proposal in proposer.propose(state, share):
                if reason := _unusable(proposal.text, state.seen | kept.keys()):
                    rejected.append(_rejection(proposal.operator, proposal.parents, reason, proposal.text))
                else:
                    kept[proposal.text] = proposal
            rejected += [
                _rejection(each.operator, each.parents, each.reason, each.text)
                for each in getattr(proposer, "last_rejected", ())
            ]
        return list(kept.values()), rejected

    def _race(self, number: int) -> None:
        """Score a round's trials and end each of them."""
        trials = {trial.number: trial for trial in self.study.of_round(number)}
        if all(trial.state.is_finished() for trial in trials.values()):
            return
        earlier = members_of(self.study.rounds(number))
        front = [m for m, keep in zip(earlier, non_dominated(*values_of(earlier)), strict=True) if keep]
        texts = {key: trial.user_attrs["text"] for key, trial in trials.items()}
        found = race(
            list(trials),
            self.stages,
            lambda alive, stage: self._evaluate({key: texts[key] for key in alive}, stage, number),
            rivals={member.number: self._all_values(member.number) for member in front},
            level=self.settings.level if self.settings.racing else 0.0,
            seed=self.settings.seed,
        )
        for key, trial in trials.items():
            self._end(trial, found, key)

    def _end(self, trial: FrozenTrial, found: Race, key: int) -> None:
        values = found.values[key]
        seen = self.stages.pools[: len(values)]
        ek, nek = ek_and_nek(values, seen)
        attributes: dict[str, Any] = {
            "queries_scored": len(seen),
            "pairs_scored": sum(len(pool) for pool in seen),
        }
        if key in found.dropped:
            # Some query sets are easier than others: the base's full values plus what the candidate gained or lost
            # against the base on the same queries compares with members that were scored on all.
            base = self._all_values(0)
            whole, part = ek_and_nek(base, self.stages.pools), ek_and_nek(base[: len(values)], seen)
            estimate = [full + own - same for full, own, same in zip(whole, (ek, nek), part, strict=True)]
            dropped = found.dropped[key]
            self.study.prune(
                trial,
                {**attributes, "estimate": estimate, "stage": dropped.stage, "standing": dropped.standing},
            )
        else:
            self.study.complete(trial, ek, nek, attributes)

    def _evaluate(self, texts: Mapping[int, str | None], stage: int, number: int) -> dict[int, FloatArray]:
        """Values of a stage: scored here, or waited for where another worker scores them."""
        pools = self.stages.added(stage)
        known = self.study.values(list(texts), stage)
        wait = _Wait()
        while missing := [key for key in texts if key not in known]:
            scored = False
            for key in missing:
                if (lease := self.study.take(key, stage)) is None:
                    continue
                place = f"candidate {list(texts).index(key) + 1} of {len(texts)}"
                progress = self._progress(f"seed {self.settings.seed}, round {number}, stage {stage + 1}, {place}")
                with lease:
                    values = self.objective.average_precisions(texts[key], pools, progress)
                    self.study.put_values(key, stage, values)
                known[key] = self.study.values([key], stage).get(key, values)
                scored = True
            known |= self.study.values([key for key in missing if key not in known], stage)
            if not scored:
                wait()
        return known

    def _progress(self, what: str) -> Progress:
        def progress(done: int, total: int) -> None:
            if self.watch:
                self.watch.scored(what, done, total)

        return progress

    def _all_values(self, number: int) -> FloatArray:
        return np.concatenate([self.study.values([number], stage)[number] for stage in range(len(self.stages.ends))])


def members_of(trials: Sequence[FrozenTrial]) -> list[ScoredInstruction]:
    """The trials that were scored on all queries of the search."""
    return [
        ScoredInstruction(trial.number, trial.user_attrs["text"], *trial.values)
        for trial in trials
        if trial.state.name == "COMPLETE"
    ]


class _Wait:
    """Sleeps a little longer each time."""

    def __init__(self) -> None:
        self._seconds = 0.05

    def __call__(self) -> None:
        time.sleep(self._seconds)
        self._seconds = min(self._seconds * 1.5, _LONGEST_WAIT)


def _unusable(text: str, seen: frozenset[str]) -> str | None:
    if not text.strip():
        return "empty"
    if text.strip() != text or len(text.splitlines()) > 1:
        return "not one stripped line"
    if not text.isprintable():
        return "characters that cannot be printed"
    return "seen before" if text in seen else None


def _rejection(operator: str, parents: Sequence[int], reason: str, text: str) -> dict[str, Any]:
    shown = text[:200].encode("utf-8", "backslashreplace").decode("utf-8")  # half a surrogate pair fits no database
    return {"operator": operator, "parents": list(parents), "reason": reason, "text": shown}
