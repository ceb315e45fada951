"""Instructions from a file: the proposer ``file:PATH``, and what ``fresco score --instructions`` reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fresco.errors import FrescoError
from fresco.io.jsonlines import parse_json
from fresco.io.names import one_line, short
from fresco.io.packed import read_text
from fresco.optimizer.proposers.base import ProposedInstruction, SearchState
from fresco.optimizer.proposers.registry import PROPOSERS

#: Of an instruction that is read: far above any, far below a file that is something else.
MOST_CHARACTERS = 4000


@dataclass(frozen=True)
class NamedInstruction:
    """An instruction of a file.

    Attributes:
        id: ``i1``, ``i2``, ... in the order of the file, or what the file calls it.
        text: One line, stripped.
    """

    id: str
    text: str


def read_instructions(path: Path) -> list[NamedInstruction]:
    """Read instructions: a ``front.json``, a JSON list of strings, or a text file with one instruction a line.

    In a text file empty lines and lines that begin with ``#`` are skipped. A text that occurs again is taken once.

    Raises:
        FrescoError: the file cannot be read, holds no instruction, or one that is no line of text; with its line.
    """
    try:
        content = read_text(path)
    except FrescoError as error:
        raise FrescoError(f"{error}; instructions were to be read from it") from None
    rows = _from_json(path, content) if content.lstrip()[:1] in ("[", "{") else _from_lines(path, content)
    found = _distinct(str(path), rows)
    if not found:
        raise FrescoError(f"{path}: holds no instruction; write one a line, or a JSON list of strings")
    return found


def read_seen(path: Path) -> list[str]:
    """Digests of the queries that chose the instructions of a file, see :mod:`fresco.optimizer.seen`.

    A ``front.json`` holds them; other files, and fronts of versions that did not write them yet, say nothing. The file
    is read as :func:`read_instructions` reads it: a guard that reads less would let through what it is there for.
    """
    try:
        content = parse_json(read_text(path))
    except (FrescoError, ValueError):  # a list of lines; what cannot be read was refused before
        return []
    benchmark = content.get("benchmark") if isinstance(content, dict) else None
    seen = benchmark.get("seen") if isinstance(benchmark, dict) else None
    return [each for each in seen if isinstance(each, str)] if isinstance(seen, list) else []


def check_instructions(texts: Sequence[str]) -> list[NamedInstruction]:
    """Instructions that are no file's, under the same rules.

    Raises:
        FrescoError: there is none, or one is no line of text.
    """
    found = _distinct("instructions", ((f"item {number}", "", text) for number, text in enumerate(texts, start=1)))
    if not found:
        raise FrescoError("instructions: an empty list; give at least one, or leave the option out")
    return found


def check_instruction(where: str, text: Any) -> str:
    """A text as one line that a model, a database and a terminal can take.

    Args:
        where: It comes from, for the message.
        text: Whatever stands there.

    Raises:
        FrescoError: it is no instruction.
    """
    if not isinstance(text, str) or not text.strip():
        raise FrescoError(f"{where}: {short(text)} is no instruction; it must be a text that is not empty")
    cleaned = " ".join(text.split())
    if not cleaned.isprintable():
        raise FrescoError(f"{where}: holds characters that cannot be printed; write plain text")
    if len(cleaned) > MOST_CHARACTERS:
        raise FrescoError(f"{where}: {len(cleaned)} characters are no instruction; at most {MOST_CHARACTERS} are read")
    return cleaned


def _distinct(source: str, rows: Iterable[tuple[str, str, Any]]) -> list[NamedInstruction]:
    found: dict[str, NamedInstruction] = {}
    for where, name, text in rows:
        cleaned = check_instruction(f"{source}, {where}", text)
        found.setdefault(cleaned, NamedInstruction(name or f"i{len(found) + 1}", cleaned))
    return list(found.values())


def _from_lines(path: Path, content: str) -> Iterator[tuple[str, str, str]]:
    with suppress(ValueError):  # what a program wrote where it had no instruction
        value = parse_json(content)
        raise FrescoError(f"{path}: holds {short(value)} and no list; write one instruction a line, or a JSON list")
    for number, line in enumerate(content.splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield f"line {number}", "", line


def _from_json(path: Path, content: str) -> Iterator[tuple[str, str, Any]]:
    try:
        read = parse_json(content)
    except ValueError as error:
        line = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise FrescoError(f"{path}{line}: begins like JSON and is none: {one_line(str(error), 200)}") from error
    if isinstance(read, dict):
        members = read.get("members")
        if not isinstance(members, list):
            raise FrescoError(f"{path}: a JSON object without `members`; give a front.json or a list of strings")
        for number, member in enumerate(members, start=1):
            own = member if isinstance(member, dict) else {}
            yield f"member {number}", str(own.get("id") or ""), own.get("text")
    else:
        for number, text in enumerate(read, start=1):
            yield f"item {number}", "", text


class FileProposer:
    """Proposes the instructions of a file in order, as many a round as it is asked for.

    Args:
        path: See :func:`read_instructions`.

    Raises:
        FrescoError: see :func:`read_instructions`.
    """

    name = "file"
    finite = True

    def __init__(self, path: Path) -> None:
        self._candidates = read_instructions(path)
        self._path = path.name

    def propose(self, state: SearchState, count: int) -> list[ProposedInstruction]:
        """See :class:`fresco.optimizer.proposers.base.Proposer`."""
        fresh = [each for each in self._candidates if each.text not in state.seen]
        return [
            ProposedInstruction(each.text, "file", detail={"file": self._path, "id": each.id}) for each in fresh[:count]
        ]


@PROPOSERS.register("file:PATH", "the instructions of a file, in order", example="instructions.txt")
def _open(path: str) -> FileProposer:
    return FileProposer(Path(path))
