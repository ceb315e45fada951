"""The facts: subjects with their dated values, and how they are put into sentences."""

from __future__ import annotations

import hashlib
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path
from typing import Any

from draws import MONTHS, draw, pick, split_of

HERE = Path(__file__).parent
#: Revisions are dated from here on: Wikipedia's infoboxes are sparse before.
FIRST_DAY = date(2008, 1, 1)
LAST_DAY = date(2024, 12, 31)
#: Holders often leave some time before the next one starts, and somebody acts: no revision is dated then.
VACANCY = timedelta(days=45)

Row = dict[str, Any]


@dataclass(frozen=True)
class Value:
    """A value and the days on which a revision may state it as the present one."""

    name: str
    start: str
    first: date
    last: date

    @property
    def since(self) -> str:
        """The month in which it began; empty where it never changes."""
        return f"{MONTHS[int(self.start[5:7]) - 1]} {self.start[:4]}" if self.start else ""


@dataclass
class Fact:
    """A subject and a relation with all values, oldest first; one value and no dates where it never changes."""

    relation: str
    subject: str
    kind: str
    values: list[Value]
    template: dict[str, Any]
    frames: dict[str, list[str]]
    #: Rows of the corpus by label, each with its kind of conflict.
    rows: dict[str, list[tuple[Row, str]]] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What its draws are keyed by."""
        return f"{self.relation}/{self.subject}"

    @property
    def answer(self) -> str:
        """What is right when the queries are asked."""
        return self.values[-1].name

    @property
    def split(self) -> str:
        """Its part of the benchmark."""
        return split_of(self.subject)

    def frame(self, name: str, *key: object) -> str:
        """One way to state a thing.

        The first half of a list serves everywhere. Of the second half each relation has some in the test split only
        and the others everywhere else, and another relation has others: what was learned of a wording on one split
        does not hold on the next.
        """
        frames = self.frames[name]
        test = self.split == "test"
        allowed = [
            frame
            for place, frame in enumerate(frames)
            if place < len(frames) // 2 or bool(draw("held out", name, place, self.relation) % 2) is test
        ]
        return pick(allowed, name, *key)

    def fill(self, text: str, **names: object) -> str:
        """Put the subject and whatever is named into a template's sentence."""
        subject = _with_article(self.subject, self.template["the"])
        articles = self.template.get("the_values", ())
        slots = {
            key: _with_article(str(name), articles) if key in ("value", "previous", "other") else str(name)
            for key, name in names.items()
        }
        slots |= {"subject": subject, "Subject": capital(subject), "bare": self.subject}
        slots |= {name: self.template.get(name, "").format(**slots) for name in ("role", "verb")}
        return capital(text.format(**slots))


def _with_article(name: str, patterns: Sequence[str]) -> str:
    return f"the {name}" if any(fnmatchcase(name, pattern) for pattern in patterns) else name


def capital(text: str) -> str:
    """Start with a capital: "iOS" stays as it is; "penicillin" does not."""
    return text[:1].upper() + text[1:] if text.partition(" ")[0].islower() else text


def read_facts(side: str) -> Iterator[Fact]:
    """All facts of ``ek`` or ``nek``, relation by relation."""
    common = _toml("frames.toml" if side == "ek" else "static_frames.toml")
    for path in sorted((HERE / "facts" / side).glob("*.tsv")):
        template = _toml(f"{side}/{path.stem}.toml")
        # A relation's own sentences stand in front: they serve in every split.
        frames = common | template.get("frames", {})
        frames["state"] = [*template["statements"], *frames["state"]]
        header, *lines = path.read_text(encoding="utf-8").splitlines()
        names = header.split("\t")
        by_subject: dict[str, list[dict[str, str]]] = {}
        for line in lines:
            row = dict(zip(names, line.split("\t"), strict=True))
            by_subject.setdefault(row["subject"], []).append(row)
        for subject, rows in by_subject.items():
            yield Fact(path.stem, subject, rows[0]["kind"], list(_values(rows)), template, frames)


def _toml(name: str) -> dict[str, Any]:
    return tomllib.loads((HERE / "templates" / name).read_text(encoding="utf-8"))


def _values(rows: list[dict[str, str]]) -> Iterator[Value]:
    if "start" not in rows[0]:
        yield Value(rows[0]["value"], "", FIRST_DAY, LAST_DAY)
        return
    for row, following in pairwise([*rows, None]):
        assert row is not None
        first = max(_after(row["start"]), FIRST_DAY)
        last = _before(following["start"]) if following else LAST_DAY
        if last < FIRST_DAY:
            continue
        if first > last:
            sys.exit(f"{row['subject']}: no day is left on which {row['value']!r} is certain; give full dates")
        if following:
            last -= min(VACANCY, (last - first) // 2)
        yield Value(row["value"], row["start"], first, last)


def _after(start: str) -> date:
    """The first day on which a value is in force for certain: known to the month, the month after."""
    if len(start) == len("2024-05"):
        year, month = map(int, start.split("-"))
        return date(year + month // 12, month % 12 + 1, 1)
    return date.fromisoformat(start) + timedelta(days=1)


def _before(start: str) -> date:
    return date.fromisoformat(f"{start}-01"[:10]) - timedelta(days=1)


def passage(title: str, heading: str, sentences: Sequence[str], stamp: str) -> Row:
    """A row of the corpus; its id comes from its content and tells nothing of its label."""
    text = " ".join(sentences)
    digest = hashlib.sha256("\0".join((title, heading, text, stamp)).encode()).hexdigest()
    return {"_id": digest[:8], "title": title, "section": heading, "text": text, "timestamp": stamp}
