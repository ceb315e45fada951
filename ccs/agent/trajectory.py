"""What a rollout leaves: the turns of one agent on one question, as the environment saw them.

Queries, observations and the answer are the environment's record, never parsed again from the text that the model
wrote: a model that writes its own ``<information>`` changes nothing here. One trajectory is one line of JSON Lines.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fresco.errors import FrescoError
from fresco.io.jsonlines import parse_json
from fresco.io.names import one_line, short

#: Version of the JSON layout; raised when a reader of the old layout would be misled.
SCHEMA_VERSION = 1

#: Why a rollout ended.
STOPS = ("answer", "turns", "tokens", "passages", "error")


@dataclass(frozen=True, slots=True)
class Hit:
    """One retrieved passage.

    Attributes:
        id: The corpus's id of it.
        contents: Its text as the retriever returned it (Search-R1: the title in quotes, a line break, the text).
        score: The retriever's; None where it gave none.
    """

    id: str
    contents: str
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One thing the model said, and what the environment answered.

    Attributes:
        text: What the model generated, as generated, up to the closing tag that ended it.
        query: What it searched for; None where the turn was no well-formed search.
        hits: What the environment returned for the query, best first; empty where it found nothing.
        answer: What it answered; None where the turn was no well-formed answer.
        fault: Why the turn was malformed, in a word or two ("no action", "own information"); None where it was not.
        prompt_tokens: Tokens that the server read for this turn; None where it did not say.
        completion_tokens: Tokens that it generated.
        generation_seconds: Wall time of the generation.
        retrieval_seconds: Wall time of the search.
    """

    text: str
    query: str | None = None
    hits: tuple[Hit, ...] = ()
    answer: str | None = None
    fault: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    generation_seconds: float = 0.0
    retrieval_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One rollout.

    Attributes:
        question_id: The question's id in its file.
        question: Its text.
        sample: Which of the question's group, from 0.
        turns: In order.
        stop: One of :data:`STOPS`.
        seed: What the sampling was seeded with; None where it was not.
        model: Who generated.
        error: What went wrong where ``stop`` is ``error``.
    """

    question_id: str
    question: str
    sample: int
    turns: tuple[Turn, ...]
    stop: str
    seed: int | None = None
    model: str = ""
    error: str = ""

    @property
    def answer(self) -> str | None:
        """The final response; None where there is none."""
        return self.turns[-1].answer if self.turns else None

    @property
    def searches(self) -> tuple[Turn, ...]:
        """The turns that searched."""
        return tuple(turn for turn in self.turns if turn.query is not None)

    @property
    def faults(self) -> int:
        """How many turns were malformed."""
        return sum(turn.fault is not None for turn in self.turns)

    def to_json(self) -> str:
        """One line of JSON, without its line break."""
        # dataclasses.asdict copies each leaf, which costs as much as the JSON itself.
        turns = [{**_fields(turn), "hits": [_fields(hit) for hit in turn.hits]} for turn in self.turns]
        return json.dumps({"schema_version": SCHEMA_VERSION, **_fields(self), "turns": turns}, ensure_ascii=False)


def _fields(record: Hit | Turn | Trajectory) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


def parse_trajectory(line: str, where: str) -> Trajectory:
    """Read one line of a trajectory file.

    Args:
        line: JSON.
        where: File and line number, for errors.

    Raises:
        FrescoError: no JSON object of this layout; names the field.
    """
    try:
        row = parse_json(line)
    except ValueError as error:
        raise FrescoError(
            f"{where}: no valid JSON ({one_line(str(error), 160)}); one trajectory a line, as `ccs rollout` writes"
        ) from None
    if not isinstance(row, Mapping):
        raise FrescoError(f"{where}: a JSON object is wanted, this is {type(row).__name__}")
    if row.get("schema_version") != SCHEMA_VERSION:
        raise FrescoError(
            f"{where}: schema_version is {short(row.get('schema_version'))}, this program reads {SCHEMA_VERSION}; "
            "make the file again with `ccs rollout`"
        )
    turns = tuple(_turn(turn, f"{where}, turn {number}") for number, turn in enumerate(_list(row, "turns", where), 1))
    stop = _text(row, "stop", where)
    if stop not in STOPS:
        raise FrescoError(f"{where}: stop is {short(stop)}; it is one of {', '.join(STOPS)}")
    return Trajectory(
        question_id=_text(row, "question_id", where),
        question=_text(row, "question", where),
        sample=_number(row, "sample", where),
        turns=turns,
        stop=stop,
        seed=_optional_number(row, "seed", where),
        model=_text(row, "model", where, default=""),
        error=_text(row, "error", where, default=""),
    )


def _turn(row: Any, where: str) -> Turn:
    if not isinstance(row, Mapping):
        raise FrescoError(f"{where}: a JSON object is wanted, this is {type(row).__name__}")
    hits = []
    for rank, hit in enumerate(_list(row, "hits", where), 1):
        place = f"{where}, hit {rank}"
        if not isinstance(hit, Mapping):
            raise FrescoError(f"{place}: a JSON object is wanted, this is {type(hit).__name__}")
        score = hit.get("score")
        if score is not None and (isinstance(score, bool) or not isinstance(score, int | float)):
            raise FrescoError(f"{place}: score is {short(score)}; a number or null is wanted")
        hits.append(Hit(_text(hit, "id", place), _text(hit, "contents", place), score))
    return Turn(
        text=_text(row, "text", where),
        query=_optional_text(row, "query", where),
        hits=tuple(hits),
        answer=_optional_text(row, "answer", where),
        fault=_optional_text(row, "fault", where),
        prompt_tokens=_optional_number(row, "prompt_tokens", where),
        completion_tokens=_optional_number(row, "completion_tokens", where),
        generation_seconds=_seconds(row, "generation_seconds", where),
        retrieval_seconds=_seconds(row, "retrieval_seconds", where),
    )


def _optional_text(row: Mapping[str, Any], field: str, where: str) -> str | None:
    return None if row.get(field) is None else _text(row, field, where)


def _optional_number(row: Mapping[str, Any], field: str, where: str) -> int | None:
    return None if row.get(field) is None else _number(row, field, where)


def _seconds(row: Mapping[str, Any], field: str, where: str) -> float:
    value = row.get(field, 0.0)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FrescoError(f"{where}: {field} is {short(value)}; a number of seconds is wanted")
    return float(value)


def _text(row: Mapping[str, Any], field: str, where: str, default: str | None = None) -> str:
    value = row.get(field, default)
    if not isinstance(value, str):
        raise FrescoError(f"{where}: {field} is {short(value)}; text is wanted")
    return value


def _number(row: Mapping[str, Any], field: str, where: str) -> int:
    value = row.get(field)
    if isinstance(value, bool) or not isinstance(value, int):
        raise FrescoError(f"{where}: {field} is {short(value)}; a whole number is wanted")
    return value


def _list(row: Mapping[str, Any], field: str, where: str) -> list[Any]:
    value = row.get(field)
    if not isinstance(value, list):
        raise FrescoError(f"{where}: {field} is {type(value).__name__}; a list is wanted")
    return value
