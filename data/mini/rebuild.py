"""Write the benchmark ``mini`` anew from its facts and templates, byte for byte the same everywhere.

    python data/mini/rebuild.py            writes corpus.jsonl, queries.jsonl and pools.jsonl
    python data/mini/rebuild.py --check    exits with 1 where the files on disk differ
    python data/mini/rebuild.py --counts   prints the table of the card

Facts are real and dated (``facts/``); every sentence is ours (``templates/``). All choices are drawn from SHA-256, so
nothing depends on the order of a set, on a seed or on the version of Python.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

HERE = Path(__file__).parent
ASKED = "2025-01-01T23:59:59Z"
POOL_SIZE = 51
INSUFFICIENT = 8
OUTDATED = 12
#: Revisions are dated from here on: Wikipedia's infoboxes are sparse before.
FIRST_DAY = date(2008, 1, 1)
#: The current revision of a page is at most this old when the questions are asked: a whole year, as months that only
#: outdated revisions have would be a lexical hint.
CURRENT_FROM = date(2024, 1, 1)
LAST_DAY = date(2024, 12, 31)
#: Holders often leave some time before the next one starts, and somebody acts: no revision is dated then.
VACANCY = timedelta(days=45)
#: strftime and calendar would take the names from the machine's locale.
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)

T = TypeVar("T")
Row = dict[str, str]


@dataclass(frozen=True)
class Value:
    """A value and the days on which a revision may state it as the present one."""

    name: str
    since: str
    first: date
    last: date


@dataclass
class Fact:
    """A subject and a relation with all values, oldest first; one value and no dates where it never changes."""

    relation: str
    subject: str
    values: list[Value]
    template: dict[str, Any]
    statements: list[Row] = field(default_factory=list)  # state the value that is right when asked
    outdated: list[Row] = field(default_factory=list)
    insufficient: list[Row] = field(default_factory=list)

    @property
    def key(self) -> str:
        """What its draws are keyed by."""
        return f"{self.relation}/{self.subject}"

    @property
    def answer(self) -> str:
        """What is right when the queries are asked."""
        return self.values[-1].name

    def fill(self, text: str, since: str = "", **values: str) -> str:
        """Put the subject, a month and values, where named, into a template's sentence."""
        subject = _with_article(self.subject, self.template["the"])
        names = {key: _with_article(value, self.template.get("the_values", ())) for key, value in values.items()}
        names |= {"subject": subject, "Subject": _capital(subject), "bare": self.subject, "since": since}
        return _capital(text.format(**names))


def draw(*key: object) -> int:
    """A number from a hash: the same for the same key, everywhere."""
    return int.from_bytes(hashlib.sha256("\0".join(map(str, key)).encode()).digest()[:8], "big")


def pick(options: Sequence[T], *key: object) -> T:
    """One of the options."""
    return options[draw(*key) % len(options)]


def shuffled(items: Sequence[T], *key: object) -> list[T]:
    """The items in the order of their hashes."""
    order = sorted(range(len(items)), key=lambda place: draw(*key, place))
    return [items[place] for place in order]


def day_between(first: date, last: date, *key: object) -> date:
    """A day from ``first`` to ``last``, both included."""
    return first + timedelta(days=draw(*key) % ((last - first).days + 1))


def _with_article(name: str, patterns: Sequence[str]) -> str:
    return f"the {name}" if any(fnmatchcase(name, pattern) for pattern in patterns) else name


def _capital(text: str) -> str:
    # "iOS" stays as it is at the start of a sentence; "penicillin" does not.
    return text[:1].upper() + text[1:] if text.partition(" ")[0].islower() else text


def read_facts(kind: str) -> Iterator[Fact]:
    """All facts of ``ek`` or ``nek``, relation by relation."""
    for path in sorted((HERE / "facts" / kind).glob("*.tsv")):
        template = tomllib.loads((HERE / "templates" / kind / f"{path.stem}.toml").read_text(encoding="utf-8"))
        header, *lines = path.read_text(encoding="utf-8").splitlines()
        names = header.split("\t")
        by_subject: dict[str, list[dict[str, str]]] = {}
        for line in lines:
            row = dict(zip(names, line.split("\t"), strict=True))
            by_subject.setdefault(row["subject"], []).append(row)
        for subject, rows in by_subject.items():
            yield Fact(path.stem, subject, list(_values(rows)), template)


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
        yield Value(row["value"], _month(row["start"]), first, last)


def _after(start: str) -> date:
    """The first day on which a value is in force for certain: known to the month, the month after."""
    if len(start) == len("2024-05"):
        year, month = map(int, start.split("-"))
        return date(year + month // 12, month % 12 + 1, 1)
    return date.fromisoformat(start) + timedelta(days=1)


def _before(start: str) -> date:
    return date.fromisoformat(f"{start}-01"[:10]) - timedelta(days=1)


def _month(start: str) -> str:
    return f"{MONTHS[int(start[5:7]) - 1]} {start[:4]}"


def moment(day: date, *key: object) -> str:
    """A time on that day."""
    second = draw("second", *key) % 86400
    return f"{day.isoformat()}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"


def passage(fact: Fact, heading: str, sentences: Sequence[str], stamp: str) -> Row:
    """A row of the corpus; its id comes from its content and tells nothing of its label."""
    title, text = fact.fill(fact.template["title"]), " ".join(sentences)
    digest = hashlib.sha256("\0".join((title, heading, text, stamp)).encode()).hexdigest()
    return {"_id": digest[:12], "title": title, "section": heading, "text": text, "timestamp": stamp}


def statement(fact: Fact, place: int, stamp: str, *key: object) -> Row:
    """A section that states value ``place`` as the present one. Current and outdated ones are made alike."""
    template, value = fact.template, fact.values[place]
    sentences = [fact.fill(pick(template["statements"], "statement", *key), value=value.name)]
    extras = []
    if value.since and draw("tell since", *key) % 2:
        extras.append(fact.fill(pick(template["since"], "since", *key), value=value.name, since=value.since))
    if place and draw("tell predecessor", *key) % 3 == 0:
        previous = fact.values[place - 1].name
        extras.append(fact.fill(pick(template["predecessors"], "before", *key), value=value.name, previous=previous))
    # Two to six sentences.
    fillers = shuffled(template["fillers"], "fillers", *key)[: 1 + draw("length", *key) % (5 - len(extras))]
    sentences += shuffled([*extras, *(fact.fill(filler) for filler in fillers)], "order", *key)
    if draw("statement last", *key) % 4 == 0:
        sentences.append(sentences.pop(0))
    return passage(fact, pick(["", *template["headings"]], "heading", *key), sentences, stamp)


def other_section(fact: Fact, number: int, stamp: str, *key: object) -> Row:
    """A section that names no value."""
    template = fact.template
    pile = shuffled([*template["others"], *template["fillers"]], "others", *key)
    sentences = [fact.fill(sentence) for sentence in pile[: 2 + draw("length", *key) % 4]]
    headings = shuffled(template["other_headings"], "headings", fact.key)
    return passage(fact, headings[number % len(headings)], sentences, stamp)


def write_evolving(fact: Fact) -> None:
    """The current revision with its other sections, and sections of older revisions."""
    day = day_between(max(fact.values[-1].first, CURRENT_FROM), LAST_DAY, "current day", fact.key)
    # One revision, one time: newest-first cannot tell the positive from the sections beside it.
    now = moment(day, fact.key, "current")
    past = len(fact.values) - 1
    fact.statements.append(statement(fact, past, now, fact.key, "current"))
    fact.insufficient += [other_section(fact, n, now, fact.key, "other", n) for n in range(INSUFFICIENT)]
    for number in range(OUTDATED):
        place = past - 1 - number % past
        value = fact.values[place]
        then = moment(day_between(value.first, value.last, fact.key, "outdated day", number), fact.key, number)
        fact.outdated.append(statement(fact, place, then, fact.key, "outdated", number))


def write_static(fact: Fact) -> None:
    """Two sections that state the answer and some that do not, each on a random day."""

    def someday(*key: object) -> str:
        return moment(day_between(FIRST_DAY, LAST_DAY, fact.key, *key), fact.key, *key)

    fact.statements += [statement(fact, 0, someday("stated", n), fact.key, "static", n) for n in range(2)]
    fact.insufficient += [other_section(fact, n, someday("other", n), fact.key, "other", n) for n in range(5)]


def near_topic(fact: Fact, piles: dict[str, list[Row]], wanted: int) -> list[Row]:
    """Passages of other subjects, two thirds from the same relation; none names this subject or one of its values."""
    names = "|".join(re.escape(name) for name in (fact.subject, *(value.name for value in fact.values)))
    forbidden = re.compile(rf"(?<!\w)(?:{names})(?!\w)")
    other = pick([relation for relation in piles if relation != fact.relation], "other relation", fact.key)
    chosen: list[Row] = []
    for relation, most in ((fact.relation, wanted * 2 // 3), (other, wanted)):
        pile = piles[relation]
        start = draw("start", fact.key, relation) % len(pile)
        for row in (*pile[start:], *pile[:start]):
            if len(chosen) == most:
                break
            if not forbidden.search(f"{row['title']} {row['text']}"):
                chosen.append(row)
    return chosen


def build() -> dict[str, list[Row]]:
    """The three tables."""
    evolving, static = list(read_facts("ek")), list(read_facts("nek"))
    for fact in evolving:
        write_evolving(fact)
    for fact in static:
        write_static(fact)
    queries: list[Row] = []
    pools: list[Row] = []
    for facts, task, kinds in ((evolving, "EK", ("explicit", "implicit")), (static, "NEK", ("static",))):
        piles: dict[str, list[Row]] = {}
        for fact in facts:
            piles.setdefault(fact.relation, []).extend((*fact.statements, *fact.outdated, *fact.insufficient[:2]))
        piles = {relation: shuffled(rows, "pile", relation) for relation, rows in piles.items()}
        for fact in facts:
            own = {"positive": fact.statements, "outdated": fact.outdated, "insufficient": fact.insufficient}
            wanted = POOL_SIZE - sum(len(rows) for rows in own.values())
            own["near-topic"] = near_topic(fact, piles, wanted)
            for kind in kinds:
                query = _query(fact, task, kind)
                queries.append(query)
                pools += [
                    {"query-id": query["_id"], "corpus-id": row["_id"], "label": label}
                    for label, rows in own.items()
                    for row in rows
                ]
    used = {row["corpus-id"] for row in pools}
    corpus = [row for fact in (*evolving, *static) for row in (*fact.statements, *fact.outdated, *fact.insufficient)]
    return {"corpus": [row for row in corpus if row["_id"] in used], "queries": queries, "pools": pools}


def _query(fact: Fact, task: str, kind: str) -> Row:
    text = fact.fill(pick(fact.template["queries" if kind == "static" else kind], "query", kind, fact.key))
    plain = "".join(letter if letter.isalnum() else "-" for letter in f"{fact.relation}-{fact.subject}".lower())
    return {
        "_id": "-".join([*filter(None, plain.split("-")), kind]),
        "text": text,
        "timestamp": ASKED,
        "task": task,
        "kind": kind,
        "subject": fact.subject,
        "relation": fact.template["relation"],
        "answer": fact.answer,
    }


def counts(tables: dict[str, list[Row]]) -> str:
    """The table of the card."""
    queries = {row["_id"]: row for row in tables["queries"]}
    facts = Counter((row["task"], row["relation"]) for row in queries.values() if row["kind"] != "implicit")
    labels = Counter((queries[row["query-id"]]["task"], row["label"]) for row in tables["pools"])
    lines = ["| task | relation | facts | queries |", "|---|---|---|---|"]
    for (task, relation), number in facts.items():
        lines.append(f"| {task} | {relation} | {number} | {number * (2 if task == 'EK' else 1)} |")
    lines += ["", "| task | label | passages a pool |", "|---|---|---|"]
    for (task, label), number in labels.items():
        pools = sum(row["task"] == task for row in queries.values())
        lines.append(f"| {task} | {label} | {number / pools:.1f} |")
    total = f"{len(tables['corpus'])} passages, {len(queries)} queries, {len(tables['pools'])} rows of pools."
    return "\n".join([*lines, "", total])


def main(arguments: Sequence[str]) -> int:
    """Write, check or count."""
    tables = build()
    if "--counts" in arguments:
        print(counts(tables))
        return 0
    stale = []
    for name, rows in tables.items():
        content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
        path = HERE / f"{name}.jsonl"
        if "--check" not in arguments:
            path.write_bytes(content)
        elif not path.is_file() or path.read_bytes() != content:
            stale.append(path.name)
    if stale:
        print(f"not what the facts and templates give: {', '.join(stale)}; run rebuild.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
