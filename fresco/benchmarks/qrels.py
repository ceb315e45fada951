"""Judgements: BEIR's TSV, TREC's four columns, MTEB's rows."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from fresco.benchmarks.layout import is_of_lines, read_table_files
from fresco.benchmarks.published import Tolerance, grade, identifier
from fresco.benchmarks.tables import Row, read_lines
from fresco.errors import FrescoError
from fresco.io.names import short

_NUMBER = re.compile(r"[+-]?\d")
_HEADERS = (["query-id", "corpus-id", "score"], ["query-id", "iteration", "corpus-id", "score"])
_COLUMNS = (("query-id", "query_id", "qid"), ("corpus-id", "corpus_id", "docid", "pid"), ("score", "relevance"))
_SHAPE = "'query-id<tab>corpus-id<tab>integer score', or TREC's 'query-id 0 corpus-id score'"


def read_qrels(
    files: Sequence[Path], corpus: Collection[str], queries: Collection[str], tolerance: Tolerance
) -> dict[str, dict[str, int]]:
    """The grade of each judged passage, by query and passage.

    Args:
        files: Of one split.
        corpus: The ids that passages have.
        queries: The ids that queries have.
        tolerance: Told of judgements of what is not there, and of those that repeat another.

    Raises:
        FrescoError: a line is no judgement, or two contradict each other.
    """
    grades: dict[str, dict[str, int]] = {}
    places: dict[tuple[str, str], str] = {}
    for path in files:
        for place, query, passage, value in _lines(path, corpus, queries, tolerance):
            pair = (query, passage)
            if pair in places:
                refusal = f"{place}: {short(passage)} is judged for {short(query)} already ({places[pair]})"
                if grades[query][passage] != value:
                    raise FrescoError(f"{refusal}, as {grades[query][passage]} and not as {value}")
                tolerance.forgive("judgements that repeat another, left out", place, refusal)
                continue
            if query not in queries:
                refusal = f"{place}, field 'query-id': {short(query)} is no query"
                tolerance.forgive("judgements of queries that are not there, left out", place, refusal)
            elif passage not in corpus:
                refusal = f"{place}, field 'corpus-id': {short(passage)} is no passage of the corpus"
                tolerance.forgive("judgements of passages that are not there, left out", place, refusal)
            else:
                places[pair] = place.rpartition(", ")[2]
                grades.setdefault(query, {})[passage] = value
    return grades


def _lines(
    path: Path, corpus: Collection[str], queries: Collection[str], tolerance: Tolerance
) -> Iterator[tuple[str, str, str, int]]:
    """Place, query, passage and grade of each judgement."""
    if not is_of_lines(path):
        for row in read_table_files((path,)):
            yield _from_row(row, tolerance)
        return
    first = True
    for number, line in read_lines(path):
        place = f"{path}, line {number}"
        fields = [field.strip() for field in line.strip("\r").split("\t")] if "\t" in line else line.split()
        header = fields in _HEADERS or (first and _is_header(fields, corpus, queries))
        first = False
        if header:
            continue
        value = grade(fields[-1], place, tolerance) if len(fields) in (3, 4) else None
        if value is None or not fields[0] or not fields[-2]:
            raise FrescoError(f"{place}: {short(line)} is not {_SHAPE}")
        if len(fields) == 4 and tolerance.strict:
            raise FrescoError(f"{place}: {short(line)} is not 'query-id<tab>corpus-id<tab>integer score'")
        yield place, fields[0], fields[-2], value


def _is_header(fields: list[str], corpus: Collection[str], queries: Collection[str]) -> bool:
    """Names of columns, whatever they are: the last is no number, and they are no judgement with a wrong grade."""
    names = len(fields) in (3, 4) and not _NUMBER.match(fields[-1])
    return names and not (fields[0] in queries and fields[-2] in corpus)


def _from_row(row: Row, tolerance: Tolerance) -> tuple[str, str, str, int]:
    query, passage, score = (next((each for each in names if each in row.fields), names[0]) for names in _COLUMNS)
    value = grade(row.fields.get(score), row.place, tolerance)
    if value is None:
        raise row.error(score, f"is {short(row.fields.get(score))}, no whole number")
    return row.place, identifier(row, query, tolerance), identifier(row, passage, tolerance), value
