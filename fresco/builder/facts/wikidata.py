"""Dated facts from Wikidata's statements, through any SPARQL service that holds them.

Full statements are read: rank, value, and the qualifiers start time (P580), end time (P582) and point in time (P585).
:mod:`fresco.builder.facts.wikidata_questions` asks; here statements become facts.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path

from fresco.builder.config import BuildConfig
from fresco.builder.facts import Fact
from fresco.builder.facts.registry import FACT_SOURCES
from fresco.builder.facts.sparql import Binding, Sparql
from fresco.builder.facts.wikidata_questions import BATCH, MOST, Names, Questions, item_of
from fresco.builder.templates import Relation

_TIME = re.compile(r"\+?(\d{4})-(\d\d)-(\d\d)T")
_YEAR, _MONTH = 9, 10
_NO_NAMES = Names()


class Wikidata:
    """A source of facts: those of subjects of which something changed within the window.

    Args:
        url: Address of the SPARQL service.
        relations: Those that have a property.
        folder: Where answers are kept: asked again, the same question costs no request, so a killed run goes on.
        since: Beginning of the window; statements that ended before are left out.
        until: End of the window, not included.
        contact: Mail address or URL for the operator.
        batch: Items in one question.
        most: Items in one answer on what changed.
        titles: Only subjects with these articles; none: all.
        progress: Told how many relations are listed, then how many subjects are read.
        sparql: The service, for tests; opened from the address where None.
    """

    def __init__(
        self,
        url: str,
        relations: Sequence[Relation],
        folder: Path,
        *,
        since: datetime,
        until: datetime,
        contact: str | None = None,
        batch: int = BATCH,
        most: int = MOST,
        titles: Collection[str] = (),
        progress: Callable[[int, int], None] = lambda *_: None,
        sparql: Sparql | None = None,
    ) -> None:
        self._sparql = sparql or Sparql(url, contact, folder)
        self._questions = Questions(self._sparql, since, until, batch=batch, most=most)
        self._batch = batch
        self._titles = frozenset(titles)
        self._relations = relations
        self._since = since
        self._progress = progress
        self.problems: Counter[str] = Counter()

    def facts(self) -> Iterator[Fact]:
        """The facts of each relation, in the order of the subjects' numbers and of the statements' names."""
        changed = list(self._changed())
        read, subjects = 0, sum(map(len, changed))
        for relation, titles in zip(self._relations, changed, strict=True):
            for batch, rows in self._questions.statements(relation, sorted(titles)):
                self._progress(read, subjects)
                read += len(batch)
                yield from self._facts(relation, [{**row, "title": titles[_number(row["subject"])]} for row in rows])
        self._progress(subjects, subjects)

    def subjects(self) -> set[str]:
        """The subjects that facts may be about, without reading those."""
        return {title for titles in self._changed() for title in titles.values()}

    def questions_left(self) -> int:
        """Requests that reading the facts of all subjects takes, at most two for a batch of them."""
        return sum(2 * ceil(len(titles) / self._batch) for titles in self._changed())

    @property
    def seconds_of_question(self) -> float:
        """What a request to the service took, on average; 0 where none was made."""
        return self._sparql.seconds / max(1, self._sparql.requests_made)

    def _changed(self) -> Iterator[dict[str, str]]:
        """The items that changed, with their articles' titles, of each relation."""
        for done, relation in enumerate(self._relations):
            self._progress(done, len(self._relations))
            found = self._questions.changed(relation)
            yield {item: each for item, each in found.items() if not self._titles or each in self._titles}

    def _facts(self, relation: Relation, rows: Sequence[Binding]) -> Iterator[Fact]:
        """The facts of one relation in all statements of some subjects."""
        holders = sorted({item for row in rows if (item := item_of(row))})
        names = self._questions.names(holders)
        by_subject: dict[str, list[_Statement]] = defaultdict(list)
        for row in sorted(rows, key=lambda row: sorted(row.items())):
            by_subject[row["title"]].append(_statement(relation, row, names))
        sound = []
        for own in by_subject.values():
            if _contradict(relation, own):
                self.problems["statements that contradict each other on who holds"] += 1
            else:
                sound += [each for each in own if each.fact is not None]
        sound.sort(key=lambda each: each.name)
        found = ((each.fact, each.is_point) for each in sound if each.fact is not None)
        yield from (fact for fact in _with_ends(found) if fact.end is None or fact.end > self._since)


def _number(address: str) -> str:
    return address.rpartition("/")[2]


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


def _statement(relation: Relation, row: Binding, names: Mapping[str, Names]) -> _Statement:
    item = item_of(row)
    called = names.get(item, _NO_NAMES) if item else _NO_NAMES
    value = None if "none" in row or "value" not in row else called.label if item else _value(relation, row["value"])
    start = _time(row, "start", ends=False) if "start" in row else None
    end = _time(row, "end", ends=True) if "end" in row else None
    point = _time(row, "point", ends=False) if "point" in row else None
    begin = start or point
    name = row["statement"].rpartition("/")[2]
    known = ("end" not in row or end is not None) and ("start" not in row or start is not None)
    fact = None
    if value is not None and begin is not None and known and not (end is not None and end <= begin):
        aliases = tuple(alias for alias in called.aliases if alias != value)
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


def _value(relation: Relation, value: str) -> str | None:
    """A value that is no item, as a person would write it; None where it is unknown or has no name."""
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
        until=config.reference + timedelta(seconds=1),
        contact=config.contact,
        titles=config.titles,
        progress=progress,
    )
