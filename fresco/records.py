r"""The rows of a benchmark: queries, passages and pools, frozen and validated.

A query is text and the time it is asked; a passage is text and its date. Both are shown to a re-ranker as
``{text}\nTimestamp: {YYYY-MM-DDThh:mm:ssZ}`` (FRESCO, arXiv 2604.14227, task definition). The layout of the files
that hold these rows is in :mod:`fresco.benchmarks`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

#: Version of every file layout that this package writes; raised when a reader of the old layout would be misled.
SCHEMA_VERSION = 1

_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_TIMESTAMP_LINE = re.compile(r"^(?=Timestamp:)", re.MULTILINE)


class Task(StrEnum):
    """The two sides of the trade-off."""

    EK = "EK"  # Evolving Knowledge: the answer changed, the newest statement is right
    NEK = "NEK"  # Non-Evolving Knowledge: the answer stands, dates are noise


class Kind(StrEnum):
    """How a query asks."""

    EXPLICIT = "explicit"  # says "most recent", "current", "latest"
    IMPLICIT = "implicit"  # present tense only
    STATIC = "static"  # asks for something that does not change (every NEK query)


class Label(StrEnum):
    """What a passage is to the query of its pool."""

    POSITIVE = "positive"  # states the answer that is valid when the query is asked
    OUTDATED = "outdated"  # states an answer that is not valid when the query is asked: see Conflict
    INSUFFICIENT = "insufficient"  # same page as the positive, no answer
    NEAR_TOPIC = "near-topic"  # another page or subject, similar words, no answer


class Conflict(StrEnum):
    """How an outdated passage comes to contradict the positive: what it would take to be rid of it."""

    VERSION = "version"  # an older revision of the same page; whoever keeps only the latest revision has none
    HISTORY = "history"  # a former value in the current revision of the page
    CROSS_DOCUMENT = "cross-document"  # another page, with a newer date and an older value
    ANNOUNCED = "announced"  # a value that is to be valid later


def parse_timestamp(text: str) -> datetime:
    """Read ``YYYY-MM-DDThh:mm:ssZ``.

    Raises:
        ValueError: the text has another shape or is no date of the calendar.
    """
    if not _TIMESTAMP.fullmatch(text):
        raise ValueError(f"{text!r} is not of the form YYYY-MM-DDThh:mm:ssZ")
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def format_timestamp(when: datetime) -> str:
    """Write an aware datetime as ``YYYY-MM-DDThh:mm:ssZ`` (UTC, whole seconds)."""
    return when.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _with_timestamp(content: str, when: datetime, *, leads: bool) -> str:
    # A line of the content that looks like ours could forge the date: one space in front takes that from it.
    lines = [_TIMESTAMP_LINE.sub(" ", content), f"Timestamp: {format_timestamp(when)}"]
    return "\n".join(reversed(lines) if leads else lines)


@dataclass(frozen=True, slots=True)
class Query:
    """A question and the time it is asked.

    Attributes:
        id: Unique in its benchmark.
        content: The question alone.
        timestamp: When it is asked, aware, UTC.
        task: EK or NEK.
        kind: explicit, implicit or static.
        subject: What it is about; the unit of splits and of resampling.
        relation: Which property is asked for ("head coach"); empty where unknown.
        answer: The right answer, for readers of the results; empty where unknown.
        dated: Whether :attr:`text` carries the timestamp line.
        leads: Whether that line is the first of :attr:`text`, not the last; see :mod:`fresco.rerank.layout`.
    """

    id: str
    content: str
    timestamp: datetime
    task: Task
    kind: Kind
    subject: str
    relation: str = ""
    answer: str = ""
    dated: bool = True
    leads: bool = False

    @property
    def text(self) -> str:
        """What a re-ranker reads."""
        return _with_timestamp(self.content, self.timestamp, leads=self.leads) if self.dated else self.content


@dataclass(frozen=True, slots=True)
class Passage:
    """A section of a page as it stood on a date.

    Attributes:
        id: Unique in its benchmark.
        title: Title of the page; may be empty.
        section: Heading of the section; empty for the lead.
        body: The section's text, without title and heading.
        timestamp: Date of the revision, aware, UTC.
        dated: Whether :attr:`text` carries the timestamp line.
        leads: Whether that line is the first of :attr:`text`, not the last; see :mod:`fresco.rerank.layout`.
    """

    id: str
    title: str
    section: str
    body: str
    timestamp: datetime
    dated: bool = True
    leads: bool = False

    @property
    def content(self) -> str:
        """Title, heading and body, without the date."""
        lines = [f"Title: {self.title}"] if self.title else []
        if self.section:
            lines.append(f"##{self.section}")
        return "\n".join([*lines, self.body])

    @property
    def text(self) -> str:
        """What a re-ranker reads."""
        return self.text_of(self.content)

    def text_of(self, content: str) -> str:
        """What a re-ranker reads where the content was cut."""
        return _with_timestamp(content, self.timestamp, leads=self.leads) if self.dated else content

    @property
    def timestamp_line(self) -> str:
        """The last line of :attr:`text` with its line break, or nothing: what truncation must not cut."""
        return f"\nTimestamp: {format_timestamp(self.timestamp)}" if self.dated and not self.leads else ""


@dataclass(frozen=True, slots=True)
class Pool:
    """The candidates of one query; one of them at least is positive, or a first stage has missed a relevant passage.

    Attributes:
        query: The query.
        passages: Its candidates, each once.
        labels: What each passage is, in the order of the passages.
        gains: The grade of each passage as it was judged, in the same order; a passage is positive if and only if its
            grade is at least 1. Empty where the judgements are binary.
        conflicts: The kind of conflict of each outdated passage, None for every other and where it is not known, in
            the same order. Empty where the data does not say.
        superseded: Whether each passage comes from a revision that is not the newest of its page, or from an old
            snapshot, in the same order. Empty where the data does not say.
        missed: Id and grade of each relevant passage that is no candidate: a measure counts it as one that no order
            finds. Empty where positives are candidates by construction.
    """

    query: Query
    passages: tuple[Passage, ...]
    labels: tuple[Label, ...]
    gains: tuple[int, ...] = ()
    conflicts: tuple[Conflict | None, ...] = ()
    superseded: tuple[bool, ...] = ()
    missed: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        name = f"pool of query {self.query.id!r}"
        if len(self.passages) != len(self.labels):
            raise ValueError(f"{name}: {len(self.passages)} passages, {len(self.labels)} labels")
        for what in ("gains", "conflicts", "superseded"):
            if (given := len(getattr(self, what))) not in (0, len(self.passages)):
                raise ValueError(f"{name}: {len(self.passages)} passages, {given} {what}")
        if Label.POSITIVE not in self.labels and not self.missed:
            raise ValueError(f"{name} has no positive")
        candidates = {passage.id for passage in self.passages}
        if any(own in candidates or grade < 1 for own, grade in self.missed):
            raise ValueError(f"{name}: what was missed is a candidate, or not relevant")
        if len(candidates) != len(self.passages):
            raise ValueError(f"{name} holds a passage twice")
        for passage, label, gain in zip(self.passages, self.labels, self.gains, strict=False):
            if (label is Label.POSITIVE) != (gain >= 1):
                raise ValueError(f"{name}: {passage.id!r} is {label} with grade {gain}; positive means a grade above 0")
        for passage, label, conflict in zip(self.passages, self.labels, self.conflicts, strict=False):
            if conflict is not None and label is not Label.OUTDATED:
                raise ValueError(f"{name}: {passage.id!r} is {label}; only an outdated passage has a kind of conflict")

    def __len__(self) -> int:
        return len(self.passages)

    @property
    def grades(self) -> tuple[int, ...]:
        """The grade of each passage: :attr:`gains`, or 1 for a positive and 0 for the others."""
        return self.gains or tuple(int(label is Label.POSITIVE) for label in self.labels)

    def labelled(self, label: Label) -> Iterator[Passage]:
        """The passages that bear the label, in pool order."""
        return (passage for passage, own in zip(self.passages, self.labels, strict=True) if own is label)


@dataclass(frozen=True)
class Benchmark:
    """Pools with the name and the content hash of what they were read from.

    Attributes:
        name: How it was asked for (``mini``, a path, a dataset id).
        pools: In file order.
        fingerprint: SHA-256 (hex) over every query, passage, date and label; the same for the same content, wherever
            it lies and in whichever format.
        notes: What a reader of the results must know ("random timestamps, seed 0").
        splits: Which split a subject is assigned to (train, validation, test); empty where the data does not say.
        edition: Which edition, where the data says so (see :mod:`fresco.benchmarks.editions`).
        candidates: Where candidates come from, in a few words, if the collection brings no pools of its own.
    """

    name: str
    pools: tuple[Pool, ...]
    fingerprint: str
    notes: tuple[str, ...] = ()
    splits: Mapping[str, str] = field(default_factory=dict, hash=False)
    edition: int | None = None
    candidates: str = ""

    def __len__(self) -> int:
        return len(self.pools)

    def passages(self) -> Iterable[Passage]:
        """Every distinct passage, in order of first appearance."""
        return {passage.id: passage for pool in self.pools for passage in pool.passages}.values()

    def without_timestamps(self) -> Benchmark:
        """The same pools with the dates hidden from the text; ``.timestamp`` stays for those that read it."""
        undated: dict[str, Passage] = {p.id: dataclasses.replace(p, dated=False) for p in self.passages()}
        pools = tuple(
            dataclasses.replace(
                pool,
                query=dataclasses.replace(pool.query, dated=False),
                passages=tuple(undated[passage.id] for passage in pool.passages),
            )
            for pool in self.pools
        )
        return dataclasses.replace(self, pools=pools, notes=(*self.notes, "timestamps hidden from the text"))


#: One pool as a re-ranker sees it: no labels.
Candidates = tuple[Query, Sequence[Passage]]
#: One (query, passage) pair.
Pair = tuple[Query, Passage]
