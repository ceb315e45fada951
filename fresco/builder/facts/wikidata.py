"""Dated facts from Wikidata's statements, through any SPARQL service that holds them.

One standard query for each relation, in pages, over full statements: ``p:``, ``ps:`` and the qualifiers start time
(P580), end time (P582) and point in time (P585). No label service and no other extension, so that the public query
service, QLever and Oxigraph all answer it
(https://www.mediawiki.org/wiki/Wikibase/Indexing/RDF_Dump_Format).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fresco.builder.config import BuildConfig
from fresco.builder.facts import Fact
from fresco.builder.facts.registry import FACT_SOURCES
from fresco.builder.facts.sparql import Binding, Sparql
from fresco.builder.templates import Relation

#: Statements in one page: Wikidata's service answers that many within its minute.
PAGE = 2000

_QUERY = """
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
SELECT ?statement ?subject ?title ?rank ?none ?value ?target
       ?start ?startPrecision ?end ?endPrecision ?point ?pointPrecision
       (GROUP_CONCAT(DISTINCT ?name; separator="\\n") AS ?labels)
       (GROUP_CONCAT(DISTINCT ?alias; separator="\\n") AS ?aliases)
WHERE {{
  ?subject p:{property} ?statement .
  FILTER(STR(?statement) > "{after}")
  ?statement wikibase:rank ?rank .
  FILTER(?rank != wikibase:DeprecatedRank){classes}
  ?article schema:about ?subject ; schema:isPartOf <https://en.wikipedia.org/> ; schema:name ?title .
  OPTIONAL {{ ?statement a ?none . FILTER(?none = <http://www.wikidata.org/prop/novalue/{property}>) }}
  OPTIONAL {{
    ?statement ps:{property} ?value .
    OPTIONAL {{ ?value owl:sameAs ?target . }}
    BIND(COALESCE(?target, ?value) AS ?holder)
    OPTIONAL {{
      ?holder rdfs:label ?text .
      FILTER(LANG(?text) = "mul" || LANGMATCHES(LANG(?text), "en"))
      BIND(CONCAT(LANG(?text), " ", STR(?text)) AS ?name)
    }}
    OPTIONAL {{ ?holder skos:altLabel ?alias . FILTER(LANG(?alias) = "mul" || LANGMATCHES(LANG(?alias), "en")) }}
  }}
  OPTIONAL {{ ?statement pq:P580 ?start .
    OPTIONAL {{ ?statement pqv:P580 ?startNode . ?startNode wikibase:timePrecision ?startPrecision . }} }}
  OPTIONAL {{ ?statement pq:P582 ?end .
    OPTIONAL {{ ?statement pqv:P582 ?endNode . ?endNode wikibase:timePrecision ?endPrecision . }} }}
  OPTIONAL {{ ?statement pq:P585 ?point .
    OPTIONAL {{ ?statement pqv:P585 ?pointNode . ?pointNode wikibase:timePrecision ?pointPrecision . }} }}
}}
GROUP BY ?statement ?subject ?title ?rank ?none ?value ?target
         ?start ?startPrecision ?end ?endPrecision ?point ?pointPrecision
ORDER BY STR(?statement)
LIMIT {limit}
"""
_CLASSES = "\n  FILTER EXISTS {{ ?subject wdt:P31/wdt:P279* ?class . VALUES ?class {{ {names} }} }}"
_ITEM = re.compile(r"https?://www\.wikidata\.org/entity/(Q\d+)$")
_TIME = re.compile(r"\+?(\d{4})-(\d\d)-(\d\d)T")
_YEAR, _MONTH = 9, 10


class Wikidata:
    """A source of facts.

    Args:
        url: Address of the SPARQL service.
        relations: Those that have a property.
        folder: Where answers are kept.
        since: Statements that ended before are left out.
        contact: Mail address or URL for the operator.
        page: Statements in one question.
        progress: Told how many relations are done.
        sparql: The service, for tests; opened from the address where None.
    """

    def __init__(
        self,
        url: str,
        relations: Sequence[Relation],
        folder: Path,
        *,
        since: datetime,
        contact: str | None = None,
        page: int = PAGE,
        progress: Callable[[int, int], None] = lambda *_: None,
        sparql: Sparql | None = None,
    ) -> None:
        self._sparql = sparql or Sparql(url, contact, folder)
        self._relations = relations
        self._since = since
        self._page = page
        self._progress = progress
        self.problems: Counter[str] = Counter()

    def facts(self) -> Iterator[Fact]:
        """The facts of each relation, in the order of the statements' names."""
        for done, relation in enumerate(self._relations):
            self._progress(done, len(self._relations))
            by_subject: dict[str, list[_Statement]] = defaultdict(list)
            for row in self._statements(relation):
                by_subject[row["title"]].append(_statement(relation, row))
            sound = []
            for own in by_subject.values():
                if _contradict(relation, own):
                    self.problems["statements that contradict each other on who holds"] += 1
                else:
                    sound += [each for each in own if each.fact is not None]
            sound.sort(key=lambda each: each.name)
            found = ((each.fact, each.is_point) for each in sound if each.fact is not None)
            yield from (fact for fact in _with_ends(found) if fact.end is None or fact.end > self._since)
        self._progress(len(self._relations), len(self._relations))

    def _statements(self, relation: Relation) -> Iterator[Binding]:
        after = ""
        while True:
            rows = self._sparql.ask(query(relation, after, self._page))
            yield from rows
            # A statement may give several rows (two start times): the page ends between statements, so the last is
            # asked for again unless the answer was short.
            if len(rows) < self._page:
                return
            last = rows[-1]["statement"]
            after = max((row["statement"] for row in rows if row["statement"] < last), default=last)


def query(relation: Relation, after: str, limit: int = PAGE) -> str:
    """The query for a page of a relation's statements, those named behind ``after``."""
    names = " ".join(f"wd:{name}" for name in relation.classes)
    classes = _CLASSES.format(names=names) if names else ""
    return _QUERY.format(property=relation.property, after=after, limit=limit, classes=classes)


@dataclass(frozen=True, slots=True)
class _Statement:
    """A statement of a subject, whether it makes a fact or not.

    Attributes:
        name: Of the statement.
        fact: None where the value or a time that counts is unknown, or nothing is said of time.
        is_point: Whether it is given for a point in time.
        preferred: Whether it is of preferred rank.
        is_open: Whether no end is stated, not even an unknown one.
        value: The holder's name; None where there is none ("no value") or it has no name.
        year: Year of its start as far as it is stated, 0 where it is not.
        start: When it starts, None where that is not known well enough.
    """

    name: str
    fact: Fact | None
    is_point: bool
    preferred: bool
    is_open: bool
    value: str | None
    year: int
    start: datetime | None


def _statement(relation: Relation, row: Binding) -> _Statement:
    value = None if "none" in row or "value" not in row else _value(relation, row)
    start = _time(row, "start", ends=False) if "start" in row else None
    end = _time(row, "end", ends=True) if "end" in row else None
    point = _time(row, "point", ends=False) if "point" in row else None
    begin = start or point
    name = row["statement"].rpartition("/")[2]
    known = ("end" not in row or end is not None) and ("start" not in row or start is not None)
    fact = None
    if value is not None and begin is not None and known and not (end is not None and end <= begin):
        aliases = tuple(sorted({alias for alias in row.get("aliases", "").split("\n") if alias} - {value}))
        fact = Fact(row["title"], relation.key, "", value, begin, end, f"wikidata:{name}", aliases)
    year = _TIME.match(row.get("start") or row.get("point") or "")
    return _Statement(
        name=name,
        fact=fact,
        is_point=start is None,
        preferred=row.get("rank", "").endswith("PreferredRank"),
        is_open="end" not in row,
        value=value,
        year=int(year[1]) if year else 0,
        start=begin,
    )


def _contradict(relation: Relation, statements: Sequence[_Statement]) -> bool:
    """Whether what a subject's statements say of the present cannot be told from those that make facts.

    A preferred statement, or one that starts later than all that can be read, may say that nobody holds ("no value"),
    or somebody without a name; one without any date may be the present holder, and a dated one a predecessor whose end
    nobody wrote down. To take the last that can be read would make a former holder the answer.
    """
    stated = [each.fact for each in statements if each.fact is not None and each.is_open]
    holders = {fact.value for fact in stated}
    latest = max((fact.start for fact in stated), default=None)
    decided = any(each.preferred and each.fact is not None and each.is_open for each in statements)
    for each in statements:
        if each.fact is not None or not each.is_open or (each.value is not None and each.value in holders):
            continue
        if each.preferred:
            return True
        later = not each.year or latest is None or each.year > latest.year
        later = later or (each.start is not None and latest is not None and each.start >= latest)
        if later and not decided:
            return True
    if decided and not relation.several:
        best = [each.fact for each in statements if each.preferred and each.fact is not None and each.is_open]
        newest = max(fact.start for fact in best)
        return any(fact.start > newest and fact.value not in {one.value for one in best} for fact in stated)
    return False


def _value(relation: Relation, row: Binding) -> str | None:
    value = row["value"]
    if _ITEM.match(value):
        return _label(row.get("labels", ""))
    if value.startswith("_:") or "/.well-known/genid/" in value or value.startswith("http"):
        return None  # "some value", or a thing without a name
    if relation.values in ("amount", "percentage"):
        try:
            number = float(value)
        except ValueError:
            return None
        written = f"{number:,.0f}" if number == int(number) else f"{number:,}"
        return f"{written}%" if relation.values == "percentage" else written
    return value


def _label(labels: str) -> str | None:
    """The name in English, else the one of all languages ("mul"), else in British, else in any other English."""
    named = sorted(line.partition(" ")[::2] for line in labels.split("\n") if line.strip())
    by_language: dict[str, str] = {language.casefold(): text for language, text in reversed(named) if text}
    for language in ("en", "mul", "en-gb", *sorted(by_language)):
        if language in by_language:
            return by_language[language]
    return None


def _time(row: Binding, name: str, *, ends: bool) -> datetime | None:
    """A time; of one that is only known to the year or month, the first moment, or, for an end, the last."""
    match = _TIME.match(row[name])
    if match is None:
        return None  # unknown, or before the common era
    precision = int(row.get(f"{name}Precision", "11"))
    if precision < _YEAR:
        return None  # a decade or a century
    year, month, day = int(match[1]), max(1, int(match[2])), max(1, int(match[3]))
    try:
        if precision == _YEAR:
            return datetime(year + ends, 1, 1, tzinfo=UTC)
        if precision == _MONTH:
            first = datetime(year, month, 1, tzinfo=UTC)
            return (first + timedelta(days=32)).replace(day=1) if ends else first
        return datetime(year, month, day, tzinfo=UTC)
    except ValueError:
        return None  # February 30 and the year 0 are on Wikidata


def _with_ends(facts: Iterator[tuple[Fact, bool]]) -> Iterator[Fact]:
    """The facts; a value at a point in time holds until the next one of its subject."""
    points: dict[str, list[Fact]] = defaultdict(list)
    for fact, is_point in facts:
        if is_point:
            points[fact.subject].append(fact)
        else:
            yield fact
    for subject in sorted(points):
        own = sorted(points[subject], key=lambda fact: (fact.start, fact.value))
        for fact, following in zip(own, [*own[1:], None], strict=True):
            later = following.start if following is not None and following.start > fact.start else None
            yield replace(fact, end=fact.end or later)


@FACT_SOURCES.register("wikidata", "dated statements of Wikidata", needs="a SPARQL service (--sparql)")
def _open(
    _arguments: str,
    config: BuildConfig,
    relations: Sequence[Relation],
    folder: Path,
    progress: Callable[[int, int], None],
) -> Wikidata:
    return Wikidata(
        config.sparql,
        [relation for relation in relations if relation.property],
        folder,
        since=config.since,
        contact=config.contact,
        progress=progress,
    )
