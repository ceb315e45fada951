"""TREC run files, line by line: ``query-id Q0 corpus-id rank score tag``."""

from __future__ import annotations

import math
import re
from collections.abc import Container, Iterator
from pathlib import Path
from typing import NamedTuple

from fresco.benchmarks.tables import read_lines
from fresco.errors import FrescoError
from fresco.io.names import short
from fresco.io.packed import blocks_of_lines

# Lines that follow each other and begin with the same plain query and a space; or one line that begins otherwise.
_LINES = re.compile(rb"(?P<query>[!-~]+) [^\n]*\n(?:(?P=query) [^\n]*\n)*|[^\n]*\n")


class RunLine(NamedTuple):
    """One line of a run.

    Attributes:
        place: File and line, for error messages.
        query_id: Of a query.
        passage_id: Of a passage.
        score: Finite; higher is better. The rank that the line states is not read.
    """

    place: str
    query_id: str
    passage_id: str
    score: float


def read_run_lines(path: Path, only: Container[str] | None = None) -> Iterator[RunLine]:
    """The lines of a run, checked.

    Args:
        path: Of the run.
        only: Read the lines of these queries and pass over the others; None reads all.

    Raises:
        FrescoError: the file cannot be read, or a line is wrong; with its number.
    """
    try:
        for number, line in read_lines(path) if only is None else _lines_of(path, only):
            place = f"{path}, line {number}"
            try:
                query_id, _, passage_id, _, value, _ = line.split()
                score = float(value)
            except ValueError:
                raise FrescoError(
                    f"{place}: {short(line)} is not 'query-id Q0 corpus-id rank score tag', separated by white space"
                ) from None
            if not math.isfinite(score):
                raise FrescoError(f"{place}: the score is {score}; a candidate needs a finite one")
            yield RunLine(place, query_id, passage_id, score)
    except OSError as error:
        raise FrescoError(f"{path}: cannot be read: {error.strerror or error}") from error


def read_trec_run(path: Path, only: Container[str] | None = None) -> dict[str, dict[str, float]]:
    """A run as ``{query id: {passage id: score}}``; ``only`` as in :func:`read_run_lines`.

    Raises:
        FrescoError: see :func:`read_run_lines`; or a passage is listed twice for a query, or nothing is in the file.
    """
    scores: dict[str, dict[str, float]] = {}
    for place, query_id, passage_id, score in read_run_lines(path, only):
        own = scores.setdefault(query_id, {})
        if passage_id in own:
            raise FrescoError(f"{place}: {short(passage_id)} is ranked for {short(query_id)} already")
        own[passage_id] = score
    if not scores and only is None:
        raise FrescoError(f"{path}: holds no line 'query-id Q0 corpus-id rank score tag'")
    return scores


def _lines_of(path: Path, only: Container[str]) -> Iterator[tuple[int, str]]:
    """What :func:`read_lines` gives, the lines of some queries: a hundred among thousands is usual."""
    for first, block in blocks_of_lines(path):
        try:
            block.decode()
        except UnicodeDecodeError:
            # Line by line, which says where.
            yield from ((number, line) for number, line in read_lines(path) if number >= first and _of(line, only))
            return
        number, at = first, 0
        for found in _LINES.finditer(block if block.endswith(b"\n") else block + b"\n"):
            same = found["query"]
            if same.decode() in only if same else _of(found[0].decode(), only):
                number, at = number + block.count(b"\n", at, found.start()), found.start()
                yield from enumerate(found[0].decode().split("\n")[:-1], start=number)


def _of(line: str, only: Container[str]) -> bool:
    query = line.split(None, 1)[:1]
    return bool(query) and query[0] in only
