"""What a search is told, from the command line or from Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fresco.errors import FrescoError, require_whole
from fresco.models.settings import Settings
from fresco.optimizer.demonstrations import MOST
from fresco.optimizer.search.budget import Budget
from fresco.optimizer.search.settings import SearchSettings

#: Instructions that a search tries where neither rounds nor a budget are given: as many as FRESCO's most.
CHILDREN = 320
_PAPER_ROUNDS = 10
_NO_END = 10**6  # rounds: the budget ends the search


@dataclass(frozen=True)
class SearchOptions:
    """What a search is told.

    Attributes:
        instruction: To start from; None for the model's own.
        proposer: Specs; they share each round.
        clauses: File of another bank of clauses.
        rounds: Of each search; None for as many as make :data:`CHILDREN` instructions, or as the budget allows.
        population: Instructions kept.
        children: New ones a round; two where None, four where a language model writes them.
        budget: Ends each search: pairs, minutes or a price, see :meth:`fresco.optimizer.search.budget.Budget.parse`.
        climb: Changes that a child of a proposer that breeds tries on a few training queries before it races; 0: none.
        demonstrations: Most worked examples of the train split behind a choice of clauses; which of them, and how many,
            is searched for.
        layouts: Whether it is searched for where the dates of query and passages stand, too.
        like_paper: FRESCO's generations: ten rounds, in each eight new instructions for each one kept.
        selection: ``racing``, or ``full`` for scoring all on everything.
        seed: Of the first search and of resampling.
        seeds: Searches, each with its seed.
        limit: Select by about so many validation queries only.
        force: Search though instructions change no score.
        baselines: Whether the temporal and demonstration baselines are tuned and proved, too.
        device: Of the model, as are the next three; for the record, where the re-ranker is open already.
        dtype: Its numeric type.
        max_length: Its longest input in tokens.
        batch_tokens: Tokens in one forward pass.
        template: As for :func:`fresco.api.score`; so are the answers.
        answers: Of models that are asked in words.
        trust: ``MODEL@COMMIT`` of repositories whose code may run.
        resamples: Bootstrap samples for each interval.
        study: Name of the Optuna studies.
        storage: Their address; SQLite in the folder where None.
        strict: Refuse rows of a published collection that are otherwise left out.
    """

    instruction: str | None = None
    proposer: Sequence[str] = ("clauses",)
    clauses: str | Path | None = None
    rounds: int | None = None
    population: int = 4
    children: int | None = None
    budget: str | None = None
    like_paper: bool = False
    climb: int = 0
    demonstrations: int = 0
    layouts: bool = False
    selection: str = "racing"
    seed: int = 0
    seeds: int = 3
    limit: int | None = None
    force: bool = False
    baselines: bool = True
    device: str | None = None
    dtype: str = "float32"
    max_length: int | None = None
    batch_tokens: int = 16384
    template: str | None = None
    answers: tuple[str, ...] = ()
    trust: tuple[str, ...] = ()
    resamples: int = 1000
    study: str = "fresco"
    storage: str | None = None
    strict: bool = False

    def __post_init__(self) -> None:
        for name in ("rounds", "population", "children", "seeds", "limit", "resamples"):
            value = getattr(self, name)
            if value is not None:
                require_whole(name, value)
        if self.like_paper and self.children is not None:
            raise FrescoError("--like-paper makes eight children for each instruction kept; leave --children away")
        require_whole("climb", self.climb, least=0)
        require_whole("demonstrations", self.demonstrations, least=0)
        if self.demonstrations > MOST:
            raise FrescoError(f"--demonstrations {self.demonstrations}: at most {MOST} fit behind an instruction")
        for name in ("demonstrations", "layouts"):
            if getattr(self, name) and not {"clauses", "clauses:model"} & {*self.proposer}:
                raise FrescoError(f"--{name} go with what --proposer clauses chooses; add it, or leave them away")
        if self.budget is not None:
            Budget.parse(self.budget)
        if self.selection not in ("racing", "full"):
            raise FrescoError(f"--selection {self.selection}: choose racing or full")

    def search_settings(self, seed: int, *, slow: bool) -> SearchSettings:
        """How the search of a seed runs.

        Args:
            seed: Its own.
            slow: Whether a proposer takes long: then a round is written while the one before is scored.
        """
        budget = Budget.parse(self.budget) if self.budget else None
        children = None if self.like_paper else self.children or (1 if self.climb else 4 if slow else 2)
        usual = _PAPER_ROUNDS if children is None else _NO_END if budget else -(-CHILDREN // children)
        racing = self.selection == "racing"
        ahead = 0 if self.like_paper else int(slow)
        return SearchSettings(
            self.rounds or usual, self.population, children, seed, racing=racing, ahead=ahead, budget=budget
        )

    @property
    def settings(self) -> Settings:
        """For a re-ranker that is opened by a spec."""
        return Settings(
            self.device,
            self.dtype,
            self.max_length,
            self.batch_tokens,
            self.seed,
            self.template,
            self.answers,
            self.trust,
        )
