"""TREC run files, line by line: ``query-id Q0 corpus-id rank score tag``."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator
from pathlib import Path
from typing import NamedTuple

from fresco.benchmarks.tables import read_lines
from fresco.errors import FrescoError
from fresco.io.names import short


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
        for number, line in read_lines(path):
            if only is not None and line.split(maxsplit=1)[0] not in only:
                continue
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
