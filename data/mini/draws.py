"""Draws from SHA-256: the same for the same key on every machine, whatever else is drawn."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date, timedelta
from typing import TypeVar

#: strftime and calendar would take the names from the machine's locale.
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_GIVEN = (
    *("Alma", "Anton", "Berit", "Bruno", "Carla", "Cyril", "Dora", "Edgar", "Elke", "Emil", "Flora", "Gustav", "Hanna"),
    *("Ingrid", "Ivo", "Jana", "Jonas", "Kasper", "Klara", "Lena", "Linus", "Marta", "Milo", "Nadia", "Nils", "Olga"),
    *("Oskar", "Paula", "Petra", "Ragna", "Rolf", "Selma", "Stina", "Tilda", "Tomas", "Ulla", "Vera", "Viktor", "Zeno"),
)
_SYLLABLES = (
    ("Bar", "Bel", "Cor", "Dal", "Dor", "Fen", "Gal", "Har", "Kel", "Lor", "Mar", "Nor", "Ost", "Pel", "Quen", "Ros"),
    ("a", "e", "i", "o", "en", "an", "il", "or", "ov", "ed", "ul", "im"),
    ("berg", "burn", "dahl", "dine", "feld", "gren", "hart", "lund", "mark", "mond", "quist", "rath", "stone", "well"),
)
_CLUBS = ("Rovers", "Wanderers", "Athletic", "Harriers", "Albion", "Sporting")

T = TypeVar("T")


def draw(*key: object) -> int:
    """A number from a hash."""
    return int.from_bytes(hashlib.sha256("\0".join(map(str, key)).encode()).digest()[:8], "big")


def chance(share: float, *key: object) -> bool:
    """True for this share of the keys."""
    return draw("chance", *key) < share * 2**64


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


def moment(day: date, *key: object) -> str:
    """A time on that day."""
    second = draw("second", *key) % 86400
    return f"{day.isoformat()}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"


def month(day: date) -> str:
    """``May 2016``."""
    return f"{MONTHS[day.month - 1]} {day.year}"


def split_of(subject: str) -> str:
    """20 % train, 30 % validation, 50 % test, by subject: all facts of a subject are in one split."""
    position = draw("split", subject) / 2**64
    return "train" if position < 0.2 else "validation" if position < 0.5 else "test"


def invented(kind: str, bare: str, *key: object) -> str:
    """A name that nobody bears as far as we know: a person, a team, or a release of ``bare``."""
    word = "".join(pick(part, "syllable", place, *key) for place, part in enumerate(_SYLLABLES))
    if kind == "team":
        return f"{word} {pick(_CLUBS, 'club', *key)}"
    return f"{bare} {word}" if kind == "release" else f"{pick(_GIVEN, 'given', *key)} {word}"
