"""Clauses that others wrote: the texts of a search, cut into sentences that join the bank.

A language model (or a file, or a plug-in) proposes whole texts, of which the clauses' model could learn nothing and
reuse nothing. Here each finished text is read as what it is made of: wordings of the bank, where it repeats some, and
sentences of its own. The best of those become columns of the model, and any few of them may stand behind a choice from
the bank. All of it is a function of the finished trials, so a search that was killed goes on with the same clauses.

What was written is text from outside, whoever wrote it: a clause must be one printable sentence of bounded length
without marks of a chat template, and there are only so many of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from fresco.optimizer.proposers.base import known_values
from fresco.optimizer.proposers.llm_answers import is_plain
from fresco.stats.words import words

#: Written clauses that the model has a column for: those of the best texts.
MOST = 24
#: Most written clauses in one instruction.
TOGETHER = 3
_SHORTEST, _LONGEST = 10, 300  # characters of a clause
_END = re.compile(r"(?<=[.!?])(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\bcf\.)(?<!\bvs\.)\s+")


@dataclass(frozen=True)
class WrittenClause:
    """A sentence that is in no bank.

    Attributes:
        text: With a stop at its end.
        trial: Number of the first trial that held it.
    """

    text: str
    trial: int


@dataclass(frozen=True)
class Reading:
    """What a text is made of.

    Attributes:
        params: Of each category of the bank the wording that it holds.
        clauses: Its other sentences, by :func:`same_clause`.
        unknown: Sentences that are no clause: too long, or a second wording of one category.
    """

    params: Mapping[str, str]
    clauses: Sequence[str]
    unknown: int = 0


def cut(text: str) -> list[str]:
    """The sentences of an instruction, each with a stop at its end."""
    found = [each.strip() for each in _END.split(text) if each.strip()]
    return [each if each[-1] in ".!?" else f"{each}." for each in found]


def same_clause(text: str) -> str:
    """What two clauses share that say the same: case, spaces and punctuation make no other one."""
    return " ".join(words(text))


def usable(clause: str) -> bool:
    """Whether a sentence may join the bank; braces are marks of a layout or a field of a template."""
    return _SHORTEST <= len(clause) <= _LONGEST and is_plain(clause) and not {"{", "}"} & set(clause)


class WrittenClauses:
    """The clauses that a search has had written so far.

    Args:
        wordings: Category and name of each wording of the bank, by :func:`same_clause`.
        choices: Values of each parameter of the bank; the first stands for leaving it out.
        trials: Finished ones, in order of number.

    Attributes:
        clauses: At most :data:`MOST`, in the order in which they were written.
    """

    def __init__(
        self, wordings: Mapping[str, tuple[str, str]], choices: Mapping[str, Sequence[str]], trials: Sequence[Any]
    ) -> None:
        self._wordings, self._choices = wordings, choices
        self._readings: list[Reading | None] = []
        found: dict[str, WrittenClause] = {}
        worth: dict[str, float] = {}
        for trial in trials:
            values = known_values(trial)
            reading = self._read(trial, found) if values else None
            self._readings.append(reading)
            if values and reading:
                for key in reading.clauses:
                    worth[key] = max(worth.get(key, float("-inf")), sum(values))
        # The texts that did best: what stood in none of them will hardly be missed.
        best = sorted(worth, key=lambda key: (-worth[key], found[key].trial))[:MOST]
        kept = [key for key in found if key in best]
        self.clauses = [found[key] for key in kept]
        self._columns = {key: place for place, key in enumerate(kept)}

    @property
    def options(self) -> list[tuple[int, ...]]:
        """Places of the clauses that may stand together; nothing first."""
        return [few for size in range(TOGETHER + 1) for few in combinations(range(len(self.clauses)), size)]

    def made_of(self) -> Iterator[tuple[Mapping[str, str], tuple[int, ...], int] | None]:
        """What each trial is made of: its choice from the bank, places of its clauses, and how many more it has.

        None for the base, and for a trial without values or of another bank.
        """
        for reading in self._readings:
            if reading is None:
                yield None
                continue
            places = tuple(self._columns[key] for key in reading.clauses if key in self._columns)
            yield reading.params, places, reading.unknown + len(reading.clauses) - len(places)

    def _read(self, trial: Any, found: dict[str, WrittenClause]) -> Reading | None:
        """Read a trial, and note the clauses that no earlier one had."""
        attributes = trial.user_attrs
        clauses: dict[str, None] = {}
        if trial.params:
            if trial.params.keys() != self._choices.keys():
                return None
            for each in attributes.get("detail", {}).get("written", ()):
                key = same_clause(each["clause"])
                found.setdefault(key, WrittenClause(each["clause"], each["trial"]))
                clauses[key] = None
            return Reading(trial.params, list(clauses))
        if attributes["text"] is None or attributes["operator"] == "base":
            return None
        params = {name: values[0] for name, values in self._choices.items()}
        unknown = 0
        for sentence in cut(attributes["text"]):
            key = same_clause(sentence)
            category, name = self._wordings.get(key, ("", ""))
            if category and params[category] in (name, self._choices[category][0]):
                params[category] = name
            elif category or not usable(sentence):
                unknown += 1
            else:
                found.setdefault(key, WrittenClause(sentence, trial.number))
                clauses[key] = None
        return Reading(params, list(clauses), unknown)
