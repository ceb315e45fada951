"""Passages about facts that do not change: dates are noise, and what is newer is at times a hoax."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from draws import chance, day_between, draw, moment, month, pick, shuffled
from subjects import FIRST_DAY, LAST_DAY, Fact, Row, passage


def _aside(fact: Fact, day: date, *key: object) -> str:
    return fact.frame("asides", *key).format(month=month(day_between(FIRST_DAY, day, "aside", *key)))


def _conflict(fact: Fact, wrong: Sequence[str], day: date, *key: object) -> str:
    """A hoax, a disputed claim or a corrected error: names another fact's value, and says that it is not right."""
    form = pick(("hoax", "dispute", "correction", "false", "false", "false"), "conflict", *key)
    when = month(day_between(FIRST_DAY, day, "when", *key))
    other = pick(wrong, "wrong", *key)
    if form == "false":
        return fact.frame(form, *key).format(month=when) + fact.fill(fact.frame("state", *key), value=other)
    return fact.fill(fact.frame(form, *key), other=other, month=when)


def write(fact: Fact, wrong: Sequence[str], salt: int = 0) -> None:
    """Sections that state the answer on any day, some that state something else, and some that state nothing.

    Args:
        fact: Gets the rows.
        wrong: Values of other facts of the relation.
        salt: Of the draws.
    """
    title = fact.fill(fact.template["title"])
    fillers = fact.template["fillers"]

    def section(heading: str, main: str | None, day: date, key: tuple[object, ...]) -> Row:
        around = [_aside(fact, day, *key)]
        if chance(0.5, "conflict beside", *key):
            around.append(_conflict(fact, wrong, day, "beside", *key))
        around += [fact.fill(text) for text in shuffled(fillers, "fillers", *key)[:2]]
        sentences = [*([main] if main else []), *around[: 1 + draw("length", *key) % 3]]
        return passage(title, heading, shuffled(sentences, "order", *key), moment(day, *key))

    positives = []
    for number in range(2 + draw("positives", fact.key) % 2):
        key = (fact.key, "positive", number, salt)
        day = day_between(FIRST_DAY, LAST_DAY, "day", *key)
        main = fact.fill(fact.frame("state", *key), value=fact.answer)
        if chance(0.5, "as of", *key):
            main = fact.frame("asof", *key).format(asof=month(day_between(FIRST_DAY, day, "as of", *key))) + main
        positives.append((section(pick(["", *fact.template["headings"]], "heading", *key), main, day, key), ""))
    newest = max(date.fromisoformat(row["timestamp"][:10]) for row, _ in positives)
    rows = []
    for number in range(8):
        key = (fact.key, "insufficient", number, salt)
        # In half of the facts what is wrong is newer than what is right.
        first = newest if number < 2 and chance(0.5, "newer", fact.key) else FIRST_DAY
        day = day_between(first, LAST_DAY, "day", *key)
        if number < 5:
            heading = pick(["", *fact.template["headings"]], "heading", *key)
            rows.append((section(heading, _conflict(fact, wrong, day, *key), day, key), ""))
            continue
        pile = shuffled([*fact.template["others"], *fillers], "others", *key)
        sentences = [*(fact.fill(text) for text in pile[: 1 + draw("length", *key) % 3]), _aside(fact, day, *key)]
        headings = shuffled(fact.template["other_headings"], "headings", fact.key)
        rows.append((passage(title, headings[number % len(headings)], sentences, moment(day, *key)), ""))
    fact.rows = {"positive": positives, "insufficient": rows}
