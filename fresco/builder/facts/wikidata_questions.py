"""Questions about Wikidata's statements that a service answers within its minute, however many statements there are.

Three kinds of question, each bounded and each exact:

- *Which items changed?* Items with an article, one of whose statements of a property starts, ends or is given for a
  time within the window. The dates are filtered inside, and a LIMIT in a subquery bounds the answer: an answer that
  reaches it, or a service that runs out of time, splits the range of dates in two. So every answer that counts is
  whole, and nothing depends on the order in which a service gives its rows.
- *What do their statements say?* All statements of a batch of items (VALUES) that had not ended before the window.
- *What are the holders called?* Labels and aliases of a batch of holders.

Standard SPARQL 1.1 without a label service or another extension, for the public service, QLever and Oxigraph alike
(https://www.mediawiki.org/wiki/Wikibase/Indexing/RDF_Dump_Format). The cost is linear in the statements
(``eval/wikidata_growth.py``); pages cut from one sorted list of statements would each sort them all again.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fresco.builder.facts.sparql import Binding, Sparql, TooLongError
from fresco.builder.templates import Relation

#: Items or holders in one question.
BATCH = 400
#: Items in one answer on what changed.
MOST = 50_000
#: Qualifiers that date a statement: start time, end time, point in time.
DATES = ("P580", "P582", "P585")

_ITEM = re.compile(r"https?://www\.wikidata\.org/entity/(Q\d+)$")
_DAY = timedelta(days=1)
_PREFIXES = """
PREFIX p: <http://www.wikidata.org/prop/>
PREFIX ps: <http://www.wikidata.org/prop/statement/>
PREFIX pq: <http://www.wikidata.org/prop/qualifier/>
PREFIX pqv: <http://www.wikidata.org/prop/qualifier/value/>
PREFIX wd: <http://www.wikidata.org/entity/>
PREFIX wdt: <http://www.wikidata.org/prop/direct/>
PREFIX wikibase: <http://wikiba.se/ontology#>
PREFIX schema: <http://schema.org/>
PREFIX skos: <http://www.w3.org/2004/02/skos/core#>
PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#>
PREFIX owl: <http://www.w3.org/2002/07/owl#>
PREFIX xsd: <http://www.w3.org/2001/XMLSchema#>
"""
_CHANGED = """
SELECT ?subject ?title WHERE {{
  {{
    SELECT DISTINCT ?subject ?article WHERE {{
      ?subject p:{property} ?statement .
      ?statement pq:{date} ?when .
      FILTER(?when >= {start} && ?when < {stop})
      ?article schema:about ?subject ; schema:isPartOf <https://en.wikipedia.org/> .
    }}{limit}
  }}
  ?article schema:name ?title .
}}
"""
_STATEMENTS = """
SELECT ?statement ?subject ?rank ?none ?value ?target
       ?start ?startPrecision ?end ?endPrecision ?point ?pointPrecision
WHERE {{
  VALUES ?subject {{ {items} }}
  ?subject p:{property} ?statement .
  ?statement wikibase:rank ?rank .
  FILTER(?rank != wikibase:DeprecatedRank){classes}
  OPTIONAL {{ ?statement a ?none . FILTER(?none = <http://www.wikidata.org/prop/novalue/{property}>) }}
  OPTIONAL {{ ?statement ps:{property} ?value . OPTIONAL {{ ?value owl:sameAs ?target . }} }}
  OPTIONAL {{ ?statement pq:P580 ?start .
    OPTIONAL {{ ?statement pqv:P580 ?startNode . ?startNode wikibase:timePrecision ?startPrecision . }} }}
  OPTIONAL {{ ?statement pq:P582 ?end .
    OPTIONAL {{ ?statement pqv:P582 ?endNode . ?endNode wikibase:timePrecision ?endPrecision . }} }}
  OPTIONAL {{ ?statement pq:P585 ?point .
    OPTIONAL {{ ?statement pqv:P585 ?pointNode . ?pointNode wikibase:timePrecision ?pointPrecision . }} }}
  FILTER(BOUND(?point) || !COALESCE(?end < {start}, false))
}}
"""
_CLASSES = "\n  FILTER EXISTS {{ ?subject wdt:P31/wdt:P279* ?class . VALUES ?class {{ {names} }} }}"
_NAMES = """
SELECT ?holder ?language ?label ?alias WHERE {{
  VALUES ?holder {{ {items} }}
  {{ ?holder rdfs:label ?label . BIND(LANG(?label) AS ?language) }}
  UNION
  {{ ?holder skos:altLabel ?alias . BIND(LANG(?alias) AS ?language) }}
  FILTER(?language = "mul" || STRSTARTS(?language, "en"))
}}
"""


@dataclass(frozen=True, slots=True)
class Names:
    """What an item is called in English.

    Attributes:
        label: Its name; None where it has none.
        aliases: Other names, sorted.
    """

    label: str | None = None
    aliases: tuple[str, ...] = ()


class Questions:
    """What is asked of a service.

    Args:
        sparql: The service.
        since: Beginning of the window.
        until: Its end, not included.
        batch: Items or holders in one question.
        most: Items in one answer on what changed.
    """

    def __init__(
        self, sparql: Sparql, since: datetime, until: datetime, *, batch: int = BATCH, most: int = MOST
    ) -> None:
        self._sparql = sparql
        # A date that is known to its year alone stands as the first of January, and may mean any day of that year.
        self._start = datetime(since.year, 1, 1, tzinfo=UTC)
        self._stop = until
        self._batch = batch
        self._most = most

    def changed(self, relation: Relation) -> dict[str, str]:
        """Items with a change of a relation within the window, by number (``Q42``), with their articles' titles.

        Raises:
            FrescoError: the service refuses, stays away, or cannot even answer for one day.
        """
        found: dict[str, str] = {}
        for date in DATES:
            ranges = [(self._start, self._stop)]
            while ranges:
                start, stop = ranges.pop()
                middle = start + (stop - start) // 2
                middle = datetime(middle.year, middle.month, middle.day, tzinfo=UTC)
                rows = self._between(relation, date, start, stop, can_split=start < middle < stop)
                if rows is None:
                    ranges += [(middle, stop), (start, middle)]
                    continue
                for row in rows:
                    item = _item(row["subject"])
                    if item is not None:
                        found[item] = min(found.get(item, row["title"]), row["title"])
        return found

    def _between(
        self, relation: Relation, date: str, start: datetime, stop: datetime, *, can_split: bool
    ) -> Sequence[Binding] | None:
        """The items with a date in a range; None where the range has to be split."""
        limit = f" LIMIT {self._most}" if can_split else ""
        question = _PREFIXES + _CHANGED.format(
            property=relation.property, date=date, start=_literal(start), stop=_literal(stop), limit=limit
        )
        try:
            rows = self._sparql.ask(question)
        except TooLongError:
            if can_split:
                return None
            raise
        return None if can_split and len(rows) >= self._most else rows

    def statements(self, relation: Relation, items: Sequence[str]) -> Iterator[tuple[Sequence[str], Sequence[Binding]]]:
        """The statements of items, a batch of items at a time.

        Yields:
            The items of the batch, and rows: one for each statement, several where it has several dates of one kind.

        Raises:
            FrescoError: the service refuses, stays away, or cannot answer for a single item.
        """
        names = " ".join(f"wd:{name}" for name in relation.classes)
        classes = _CLASSES.format(names=names) if names else ""
        start = _literal(self._start)

        def question(batch: str) -> str:
            return _STATEMENTS.format(property=relation.property, items=batch, classes=classes, start=start)

        yield from self._in_batches(items, question)

    def names(self, holders: Sequence[str]) -> dict[str, Names]:
        """What items are called, by number; those without an English name are left out.

        Raises:
            FrescoError: as :meth:`statements`.
        """
        labels: dict[str, dict[str, str]] = defaultdict(dict)
        aliases: dict[str, set[str]] = defaultdict(set)
        for _, rows in self._in_batches(holders, lambda batch: _NAMES.format(items=batch)):
            for row in rows:
                holder, language = _item(row["holder"]), row["language"].casefold()
                if holder is None or not (language in ("en", "mul") or language.startswith("en-")):
                    continue
                if "label" in row:
                    labels[holder][language] = row["label"]
                else:
                    aliases[holder].add(row["alias"])
        return {holder: Names(_label(labels[holder]), tuple(sorted(aliases[holder]))) for holder in {*labels, *aliases}}

    def _in_batches(
        self, items: Sequence[str], question: Callable[[str], str]
    ) -> Iterator[tuple[Sequence[str], Sequence[Binding]]]:
        """Ask for all items; a batch that takes the service too long is halved, and grows again where it can."""
        at, size = 0, self._batch
        while at < len(items):
            batch = items[at : at + size]
            try:
                rows = self._sparql.ask(_PREFIXES + question(" ".join(f"wd:{item}" for item in batch)))
            except TooLongError:
                if len(batch) == 1:
                    raise
                size = len(batch) // 2
                continue
            at += len(batch)
            size = min(self._batch, 2 * size)
            yield batch, rows


def item_of(row: Binding) -> str | None:
    """The item that a statement names, behind a redirect where there is one; None where its value is no item."""
    return _item(row.get("target") or row.get("value") or "")


def _item(address: str) -> str | None:
    match = _ITEM.match(address)
    return match[1] if match else None


def _label(by_language: dict[str, str]) -> str | None:
    """The name in English, else the one of all languages ("mul"), else in British, else in any other English."""
    return next(
        (by_language[each] for each in ("en", "mul", "en-gb", *sorted(by_language)) if each in by_language), None
    )


def _literal(when: datetime) -> str:
    return f'"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"^^xsd:dateTime'
