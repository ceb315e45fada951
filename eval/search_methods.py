"""The searches that ``search_vs_peers.py`` sets beside each other, each over one re-ranker whose pairs are counted."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from clause_reranker import ClauseReranker, Meter, edit, params_of
from optimize_studies import cut_pools
from scored_reranker import ScoredReranker

from fresco.benchmarks import limit_queries, open_benchmark, select_split
from fresco.models.settings import Settings
from fresco.optimizer.examples import minibatch, ranking_errors
from fresco.optimizer.proposers.base import ProposedInstruction, Proposer, ScoredInstruction, SearchState
from fresco.optimizer.proposers.clauses import Bank
from fresco.optimizer.search.budget import Budget
from fresco.optimizer.search.objective import precisions
from fresco.optimizer.search.racing import ek_and_nek, resampled
from fresco.optimizer.search.rounds import Search, members_of
from fresco.optimizer.search.selection import best_expected, hypervolume, select, values_of
from fresco.optimizer.search.settings import RoundReport, SearchSettings
from fresco.optimizer.search.storage import import_optuna
from fresco.optimizer.search.study import SearchStudy
from fresco.optimizer.search.worker import Worker
from fresco.records import Pool
from fresco.rerank.registry import open_reranker

KEPT = 4
_MINIBATCH = 3  # GEPA's
_REPEATS = 20  # of a small bank: what is asked again is paid, and spends no budget


@dataclass
class World:
    """The re-ranker with what is known of it."""

    bank: Bank
    reranker: Any  # a ClauseReranker or a ScoredReranker
    training: Sequence[Pool]
    validation: Sequence[Pool]
    test: Sequence[Pool]
    tables: Mapping[str, Any]

    @classmethod
    def make(cls, number: int, bank: Bank) -> World:
        """Score every instruction."""
        mini = open_benchmark("mini")
        parts = {name: select_split(mini, name).pools for name in ("train", "validation", "test")}
        reranker = ClauseReranker(bank, number)
        tables = {name: reranker.precisions(parts[name]) for name in ("validation", "test")}
        return cls(bank, reranker, parts["train"], parts["validation"], parts["test"], tables)

    @classmethod
    def of_model(cls, spec: str, bank: Bank, passages: int, queries: int, store: Path, dtype: str = "float32") -> World:
        """Score every instruction of a small bank by a real re-ranker.

        Args:
            spec: Of the re-ranker.
            bank: The instructions.
            passages: Most of a pool.
            queries: About so many of each split.
            store: File of the scores.
            dtype: Of its weights.
        """
        mini = cut_pools(open_benchmark("mini"), passages)
        parts = {
            name: limit_queries(select_split(mini, name), queries).pools for name in ("train", "validation", "test")
        }
        reranker = ScoredReranker(open_reranker(spec, Settings(device="cpu", dtype=dtype)), bank, mini, store)
        reranker.precisions(parts["train"])  # errors are read there: all scores are in the store before a search begins
        tables = {name: reranker.precisions(parts[name]) for name in ("validation", "test")}
        return cls(bank, reranker, parts["train"], parts["validation"], parts["test"], tables)

    def meter(self) -> Meter:
        """A count that starts at nothing."""
        return Meter(self.reranker, self.validation, self.tables["validation"])

    def members(self, numbers: Sequence[int], part: str) -> list[ScoredInstruction]:
        """Instructions with their values."""
        pools = getattr(self, part)
        return [
            ScoredInstruction(number, self.reranker.texts[number], *ek_and_nek(self.tables[part][number], pools))
            for number in numbers
        ]

    def area(self, numbers: Sequence[int], part: str) -> float:
        """Hypervolume."""
        return float(hypervolume(*values_of(self.members(numbers, part))))

    def proposed(self, numbers: Sequence[int]) -> list[int]:
        """What ``fresco optimize`` proposes of instructions that were scored on all of validation."""
        again = resampled(np.asarray(self.tables["validation"])[list(numbers)].T, self.validation)
        return [numbers[place] for place in best_expected(*again, KEPT)]

    def best(self) -> list[int]:
        """The front of all instructions on validation, pruned as every search's."""
        ek, nek = values_of(self.members(range(len(self.reranker.texts)), "validation"))
        front: list[int] = []
        for number in np.lexsort((-nek, -ek)).tolist():
            if not front or nek[number] > nek[front[-1]]:
                front.append(number)
        return [member.number for member in select(self.members(front, "validation"), KEPT)]


@dataclass
class Log:
    """What a search had scored in full, in order, and what it had paid by then."""

    meter: Meter
    rows: list[tuple[int, int]] = field(default_factory=list)

    def add(self, text: str | None) -> None:
        """An instruction has been scored on all of validation."""
        number = self.meter.reranker.number[text]
        if number not in {seen for _, seen in self.rows}:
            self.rows.append((self.meter.computed, number))

    def by(self, budget: int) -> list[int]:
        """Numbers of the instructions that were scored before so many pairs."""
        return [number for paid, number in self.rows if paid <= budget]


class _OverError(Exception):
    """A search has spent all it has."""


def by_optuna(world: World, sampler: str, seed: int, most: int) -> Log:
    """Optuna's own loop, every trial in full."""
    optuna = import_optuna()
    samplers = {
        "random": optuna.samplers.RandomSampler,
        "tpe": optuna.samplers.TPESampler,
        "nsga2": lambda seed: optuna.samplers.NSGAIISampler(population_size=8, seed=seed),
    }
    log = Log(world.meter())
    log.meter.average_precisions(None, world.validation)
    log.add(None)
    trials = optuna.create_study(directions=["maximize"] * 2, sampler=samplers[sampler](seed=seed))
    for _ in range(_REPEATS * len(world.reranker.texts)):
        if log.meter.computed >= most:
            break
        trial = trials.ask()
        params = {name: trial.suggest_categorical(name, values) for name, values in world.bank.choices.items()}
        text = world.bank.assemble(params)
        if not text:
            trials.tell(trial, state=optuna.trial.TrialState.FAIL)
            continue
        trials.tell(trial, ek_and_nek(log.meter.average_precisions(text, world.validation), world.validation))
        log.add(text)
    return log


def by_gepa(world: World, seed: int, most: int) -> Log:
    """GEPA's own engine over an adapter of ours."""
    import gepa
    from gepa.core.adapter import EvaluationBatch

    log = Log(world.meter())
    draw = random.Random(seed)
    asked: list[int] = []

    class Adapter:
        propose_new_texts = None

        def evaluate(self, batch: list[Pool], candidate: dict[str, str], capture_traces: bool = False) -> Any:
            asked.append(len(batch))
            if log.meter.computed >= most or len(asked) > _REPEATS * len(world.reranker.texts):
                raise _OverError
            text = candidate["instruction"] or None
            errors: Any = None
            if len(batch) == len(world.validation):
                values = log.meter.average_precisions(text, batch)
                log.add(text)
            else:
                scores = log.meter.scores(text, batch)
                values = precisions(batch, scores)
                errors = [ranking_errors([pool], [own], 1) for pool, own in zip(batch, scores, strict=True)]
            sides = [{str(pool.query.task): float(value)} for pool, value in zip(batch, values, strict=True)]
            return EvaluationBatch(
                outputs=[None] * len(batch),
                scores=values.tolist(),
                trajectories=errors if capture_traces else None,
                objective_scores=sides,
            )

        def make_reflective_dataset(self, candidate: Any, evaluated: Any, components: Any) -> Any:
            return {"instruction": [error for errors in evaluated.trajectories for error in errors]}

    def propose(candidate: dict[str, str], shown: Mapping[str, Any], components: list[str]) -> dict[str, str]:
        kinds = [(error.pool.query.task, error.label) for error in shown["instruction"]]
        params = params_of(world.reranker, world.bank, candidate["instruction"] or None)
        return {"instruction": world.bank.assemble(edit(world.reranker, params, kinds, world.bank, draw))}

    class Quiet:
        def log(self, message: str) -> None:
            pass

    with suppress(_OverError):
        gepa.optimize(
            seed_candidate={"instruction": ""},
            trainset=list(world.training),
            valset=list(world.validation),
            adapter=Adapter(),
            custom_candidate_proposer=propose,
            reflection_minibatch_size=_MINIBATCH,
            frontier_type="hybrid",
            max_metric_calls=10**9,
            logger=Quiet(),
            seed=seed,
            raise_on_exception=True,
        )
    return log


class Edits:
    """GEPA's proposer in our search: parents by the population, errors on three training queries."""

    name, breeds = "edits", True

    def __init__(self, world: World) -> None:
        self._world = world

    def propose(self, state: SearchState, count: int) -> list[ProposedInstruction]:
        """See :class:`fresco.optimizer.proposers.base.Proposer`."""
        world = self._world
        found: dict[str, ProposedInstruction] = {}
        for _ in range(20 * count):
            parent = state.rng.choice(list(state.population))
            batch = minibatch(state.training, _MINIBATCH, state.rng)
            errors = ranking_errors(batch, state.score_training(parent.text, batch), _MINIBATCH)
            kinds = [(error.pool.query.task, error.label) for error in errors]
            params = params_of(world.reranker, world.bank, parent.text)
            text = world.bank.assemble(edit(world.reranker, params, kinds, world.bank, state.rng))
            if text not in state.seen:
                found.setdefault(text, ProposedInstruction(text, "mutation", (parent.number,)))
            if len(found) == count:
                break
        return list(found.values())


class _Logged:
    """Writes the log of a search."""

    def __init__(self, log: Log) -> None:
        self.log, self.study = log, None

    def scored(self, what: str, done: int, total: int) -> None:
        pass

    def round_done(self, seed: int, report: RoundReport) -> None:
        assert self.study is not None
        for member in members_of(self.study.trials()):
            self.log.add(member.text)


def by_ours(world: World, proposer: Proposer, seed: int, most: int, children: int = 2) -> Log:
    """Our search, as ``fresco optimize`` runs it."""
    log = Log(world.meter())
    watch = _Logged(log)
    found: Any = SearchStudy(import_optuna().storages.InMemoryStorage(), "s", {}, Worker())
    watch.study = found
    chosen = SearchSettings(
        _REPEATS * len(world.reranker.texts), children=children, seed=seed, budget=Budget("pairs", most)
    )
    meter: Any = log.meter
    Search(found, meter, world.validation, world.training, [proposer], chosen, None, world.bank.choices, watch).run()
    return log
