"""The current and the former values of each query, and which of them an answer names.

A benchmark's queries carry the current value. The former ones come from a file of facts, JSON Lines with a row a query:
``{"_id": QUERY, "facts": [{"value": ..., "aliases": [...], "start": ..., "end": ...}]}``. A folder that
``fresco build`` made has them in its ``manifest.jsonl``; ``mini`` carries ``facts.jsonl``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from fresco.benchmarks.embedded import EMBEDDED, embedded_folder
from fresco.benchmarks.tables import stream_jsonl
from fresco.builder.facts.values import fold
from fresco.errors import FrescoError
from fresco.records import Benchmark, Query, Task, format_timestamp

_FILES = ("facts.jsonl", "manifest.jsonl")
_ARTICLES = frozenset({"a", "an", "the"})


class Named(StrEnum):
    """Which values an answer names."""

    CURRENT = "current"
    STALE = "stale"
    BOTH = "both"
    NEITHER = "neither"


@dataclass(frozen=True)
class Values:
    """The values of one query.

    Attributes:
        current: Names of the value that is right when the query is asked.
        former: For each former value its names.
    """

    current: tuple[str, ...]
    former: tuple[tuple[str, ...], ...] = ()

    def named_in(self, answer: str) -> Named:
        """Which of them an answer names: whole words, without accents, case, punctuation and articles.

        A name inside a longer one of the other side does not count ("3.1" in "3.1.2", "George Bush" in "George Bush
        Senior"): the longest name at a place is what is meant.
        """
        said = _words(answer)
        sides = [(True, name) for name in self.current]
        sides += [(False, name) for names in self.former for name in names]
        spans = [(start, end, now) for now, name in sides for start, end in _spans(said, _words(name))]
        kept = {
            now
            for start, end, now in spans
            if not any(a <= start and end <= b and b - a > end - start for a, b, other in spans if other is not now)
        }
        if len(kept) == 2:
            return Named.BOTH
        return Named.NEITHER if not kept else Named.CURRENT if True in kept else Named.STALE


def read_values(benchmark: Benchmark, source: str | Path | None = None) -> dict[str, Values]:
    """The values of each query that has an answer.

    Args:
        benchmark: Gives the current values.
        source: File of facts; the one that the benchmark's folder holds where None.

    Raises:
        FrescoError: there is no such file, a row is malformed, or no EK query has a former value.
    """
    path = Path(source) if source is not None else _beside(benchmark.name)
    if path is None:
        raise FrescoError(
            f"{benchmark.name}: holds no {' or '.join(_FILES)}, so nobody knows its former values; name a file with "
            "--facts FILE"
        )
    facts = dict(_rows(path))
    found = {pool.query.id: _values(pool.query, facts.get(pool.query.id, ())) for pool in benchmark.pools}
    if not any(found[pool.query.id].former for pool in benchmark.pools if pool.query.task is Task.EK):
        raise FrescoError(
            f"{path}: has no former value for any EK query of {benchmark.name}; is it another benchmark's?"
        )
    return {key: values for key, values in found.items() if values.current}


def _beside(name: str) -> Path | None:
    folders = [embedded_folder(name)] if name in EMBEDDED else [Path(name)]
    places = (folder / file for folder in folders for file in _FILES)
    return next((place for place in places if place.is_file()), None)


def _rows(path: Path) -> Iterable[tuple[str, Sequence[Mapping[str, Any]]]]:
    for row in stream_jsonl(path):
        if "facts" not in row.fields or "_id" not in row.fields:
            continue  # a manifest holds other rows, too
        facts = row.fields["facts"]
        if not isinstance(facts, list) or not all(map(_is_fact, facts)):
            raise FrescoError(
                f"{row.place}: facts must be a list of objects with a value, and where they have them aliases (texts), "
                "start and end (dates)"
            )
        yield str(row.fields["_id"]), facts


def _is_fact(found: object) -> bool:
    if not isinstance(found, dict) or not found.get("value"):
        return False
    aliases = found.get("aliases") or []
    named = isinstance(aliases, list) and all(isinstance(each, str) for each in aliases)
    return named and all(isinstance(found.get(key) or "", str) for key in ("start", "end"))


def _values(query: Query, facts: Sequence[Mapping[str, Any]]) -> Values:
    asked = format_timestamp(query.timestamp)
    now = _words(query.answer)
    current, former = [query.answer] if query.answer else [], []
    for fact in facts:
        names = (str(fact["value"]), *map(str, fact.get("aliases") or ()))
        if now in [_words(name) for name in names]:
            current += names
        elif str(fact.get("start") or "") <= asked:  # what was announced for later is no former value
            former.append(names)
    right = {tuple(_words(name)) for name in current}
    former = [names for names in former if not right & {tuple(_words(name)) for name in names}]
    return Values(tuple(dict.fromkeys(current)), tuple(dict.fromkeys(former)))


def _words(text: str) -> list[str]:
    return [word for word in re.findall(r"\w+(?:[.,']\w+)*", fold(text).casefold()) if word not in _ARTICLES]


def _spans(said: Sequence[str], name: Sequence[str]) -> Iterable[tuple[int, int]]:
    width = len(name)
    if width:
        yield from (
            (at, at + width) for at in range(len(said) - width + 1) if list(said[at : at + width]) == list(name)
        )
