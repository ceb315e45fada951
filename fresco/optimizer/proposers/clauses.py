"""The proposers ``clauses``, ``clauses:tpe``, ...: instructions assembled from a bank, without any language model.

Each category of the bank is a categorical parameter ("none" or one of its wordings). What is tried next is drawn from a
model of what clauses are worth (:mod:`fresco.optimizer.proposers.surrogate`), from one of Optuna's multi-objective
samplers, or by chance. A round asks a sampler of its own, made anew from the finished trials and from the seed of the
round, so that what is proposed depends on nothing else.

The model also puts something beside its choices (:mod:`fresco.optimizer.proposers.beside`): sentences that others of
the same search have written, worked examples, and where the dates stand. Optuna's samplers know the bank alone.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fresco.errors import FrescoError
from fresco.optimizer.demonstrations import NO_EXAMPLES, Examples
from fresco.optimizer.proposers.base import ProposedInstruction, SearchState, known_values
from fresco.optimizer.proposers.beside import Beside, is_plain_choice
from fresco.optimizer.proposers.registry import PROPOSERS
from fresco.optimizer.proposers.surrogate import Catalogue, ClauseModel, Mixture, propose_choices
from fresco.optimizer.proposers.written import WrittenClauses, same_clause
from fresco.optimizer.search.storage import import_optuna

if TYPE_CHECKING:
    import optuna

NONE = "none"
_ORDER = "order"
_PARENTS = 8  # trials that NSGA-II breeds from
_TRIES = 30  # questions to the sampler for each proposal wanted: it may repeat itself

#: Samplers by the name behind the colon.
SAMPLERS = ("model", "nsga2", "tpe", "random")


@dataclass(frozen=True)
class Bank:
    """Clauses to build instructions from.

    Attributes:
        categories: Category to wordings by name, in the order of the instruction.
        orders: Names of other orders, each with the categories that come first.
    """

    categories: Mapping[str, Mapping[str, str]]
    orders: Mapping[str, Sequence[str]]

    @property
    def choices(self) -> dict[str, tuple[str, ...]]:
        """The parameters with their values."""
        parameters = {name: (NONE, *wordings) for name, wordings in self.categories.items()}
        return parameters | ({_ORDER: tuple(self.orders)} if self.orders else {})

    def assemble(self, params: Mapping[str, Any]) -> str:
        """The instruction of a choice: its wordings in order, parted by spaces; empty where all are none."""
        first = self.orders[params[_ORDER]] if self.orders else ()
        order = dict.fromkeys([*first, *self.categories])
        return " ".join(self.categories[name][params[name]] for name in order if params[name] != NONE)


def read_bank(path: Path | None = None) -> Bank:
    """Read a bank of clauses; see the file ``clauses.toml`` beside this module for the form.

    Args:
        path: TOML; None for the built-in bank.

    Raises:
        FrescoError: no TOML, or not of this form; the message names file, table and entry.
    """
    try:
        source = path or resources.files(__package__) / "clauses.toml"
        tables = tomllib.loads(source.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FrescoError(f"--clauses {path}: cannot be read as TOML: {error}") from error
    orders = tables.pop(_ORDER, {})
    categories = {name: _wordings(path, name, table) for name, table in tables.items()}
    if not categories:
        raise FrescoError(f'--clauses {path}: holds no category; write [category] and below it name = "wording"')
    if not isinstance(orders, dict):
        raise FrescoError(f'--clauses {path}: [order] is no table; write name = ["category", ...] below it')
    for name, first in orders.items():
        if not isinstance(first, list) or (wrong := [each for each in first if each not in categories]):
            what = f"{wrong[0]!r} is no category of this file" if isinstance(first, list) else f"{first!r} is no list"
            raise FrescoError(f"--clauses {path}: [order] {name}: {what}; list some of {', '.join(categories)}")
    return Bank(categories, orders)


def _wordings(path: Path | None, category: str, table: Any) -> dict[str, str]:
    if not isinstance(table, dict) or not table:
        raise FrescoError(f"--clauses {path}: {category} is no table with wordings; write [{category}] and entries")
    for name, wording in table.items():
        where = f"--clauses {path}: [{category}] {name}"
        if name == NONE:
            raise FrescoError(f"{where}: this name stands for leaving the category out; choose another one")
        if not isinstance(wording, str) or not wording.strip() or not " ".join(wording.split()).isprintable():
            raise FrescoError(f"{where}: {wording!r} is no wording; write a text in quotes")
    return {name: " ".join(wording.split()) for name, wording in table.items()}


class ClausesProposer:
    """Asks an Optuna sampler for instructions of a bank.

    Args:
        bank: The clauses.
        sampler: One of :data:`SAMPLERS`.
        examples: What the model may show behind a choice.
        layouts: Whether the model chooses where the dates stand, too.
    """

    name = "clauses"

    def __init__(
        self, bank: Bank, sampler: str = "model", *, examples: Examples = NO_EXAMPLES, layouts: bool = False
    ) -> None:
        if sampler not in SAMPLERS:
            known = ", ".join(f"clauses:{name}" for name in SAMPLERS)
            raise FrescoError(f"--proposer clauses:{sampler}: there are {known}; clauses is the first")
        self._bank, self._sampler = bank, sampler
        self._examples, self._layouts = examples, layouts
        self._model = ClauseModel(bank.choices)
        self._catalogue = Catalogue(bank.choices, bank.assemble, self._model)
        self._nothing = {name: values[0] for name, values in bank.choices.items()}
        self._wordings = {
            same_clause(wording): (category, name)
            for category, wordings in bank.categories.items()
            for name, wording in wordings.items()
        }

    def propose(self, state: SearchState, count: int) -> list[ProposedInstruction]:
        """See :class:`fresco.optimizer.proposers.base.Proposer`."""
        if self._sampler == "model":
            return self._by_model(state, count)
        found: dict[str, ProposedInstruction] = {}
        for params in self._by_optuna(state, count):
            text = self._bank.assemble(params)
            if text and text not in state.seen:
                detail = {"sampler": self._sampler}
                found.setdefault(text, ProposedInstruction(text, "clauses", params=params, detail=detail))
            if len(found) == count:
                break
        return list(found.values())

    def _by_model(self, state: SearchState, count: int) -> list[ProposedInstruction]:
        """What the model would try; without a base (nothing is scored yet) there is nothing to gain over."""
        rng = np.random.default_rng(state.rng.getrandbits(64))
        beside = Beside(WrittenClauses(self._wordings, self._bank.choices, state.trials), self._examples, self._layouts)
        members = np.array([trial.values for trial in state.trials if trial.state.name == "COMPLETE"]).reshape(-1, 2)
        base = (float(members[0, 0]), float(members[0, 1])) if len(members) else (0.0, 0.0)
        observed = beside.observed(state.trials, base)
        candidates, texts, features = self._catalogue.look([each.params for each in observed], rng)
        fresh = np.array([text not in state.seen for text in texts])

        def text_of(mixture: Mixture) -> str | None:
            return beside.text(texts[mixture[0]] if mixture[0] >= 0 else "", mixture[1:])

        def is_open(mixture: Mixture) -> bool:
            return (text := text_of(mixture)) is not None and text not in state.seen

        found = propose_choices(
            self._model, features, fresh, observed, base, members, count, rng, blocks=beside.blocks, is_open=is_open
        )
        proposals = []
        for mixture in found:
            params = candidates[mixture[0]] if mixture[0] >= 0 else self._nothing
            parents, detail = beside.origin(mixture[1:])
            text = text_of(mixture) or ""  # never empty: is_open has seen it
            proposals.append(ProposedInstruction(text, "clauses", parents, params, {"sampler": "model", **detail}))
        return proposals

    def _by_optuna(self, state: SearchState, count: int) -> Iterator[Mapping[str, Any]]:
        optuna = import_optuna()
        study = optuna.create_study(
            directions=["maximize", "maximize"], sampler=_SAMPLERS[self._sampler](state.rng.getrandbits(32))
        )
        distributions: dict[str, Any] = {
            name: optuna.distributions.CategoricalDistribution(values) for name, values in self._bank.choices.items()
        }
        for trial in state.trials:
            values = known_values(trial)
            if values and trial.distributions == distributions and is_plain_choice(trial):
                study.add_trial(_finished(trial, values))
        for _ in range(_TRIES * count):
            yield study.ask(distributions).params


def _finished(trial: optuna.trial.FrozenTrial, values: Sequence[float]) -> optuna.trial.FrozenTrial:
    import optuna

    return optuna.trial.create_trial(
        values=list(values),
        params=trial.params,
        distributions=trial.distributions,
        # All that is known is one generation, so NSGA-II picks its parents from everything, elites included.
        system_attrs={"NSGAIISampler:generation": 0},
    )


def _nsga2(seed: int) -> optuna.samplers.BaseSampler:
    import optuna

    return optuna.samplers.NSGAIISampler(population_size=_PARENTS, seed=seed)


def _random(seed: int) -> optuna.samplers.BaseSampler:
    import optuna

    return optuna.samplers.RandomSampler(seed=seed)


def _tpe(seed: int) -> optuna.samplers.BaseSampler:
    import optuna

    return optuna.samplers.TPESampler(seed=seed)


_SAMPLERS: Mapping[str, Callable[[int], Any]] = {"nsga2": _nsga2, "tpe": _tpe, "random": _random}


@PROPOSERS.register(
    "clauses[:SAMPLER]",
    "clauses of a bank, combined by a model of their worth (default), nsga2, tpe or chance",
    example="tpe",
)
def _open(sampler: str, bank: Bank, examples: Examples = NO_EXAMPLES, layouts: bool = False) -> ClausesProposer:
    return ClausesProposer(bank, sampler or "model", examples=examples, layouts=layouts)
