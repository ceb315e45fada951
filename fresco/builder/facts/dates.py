"""Days as people write them."""

from __future__ import annotations

import re
from datetime import date

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_NUMBERS = {name[:3].lower(): number for number, name in enumerate(_MONTHS, 1)}
_NAME = r"(?P<month>[A-Za-z]{3,9})\.?"
_WRITTEN = (
    re.compile(r"(?P<year>\d{4})-(?P<number>\d{1,2})-(?P<day>\d{1,2})(?:[T ]\d{2}:\d{2}.*)?"),
    re.compile(rf"(?P<day>\d{{1,2}})(?:st|nd|rd|th)? {_NAME},? (?P<year>\d{{4}})"),
    re.compile(rf"{_NAME} (?P<day>\d{{1,2}})(?:st|nd|rd|th)?,? (?P<year>\d{{4}})"),
)


def date_of(text: str) -> date | None:
    """The day that a text is: ``2024-04-30``, ``30 April 2024``, ``April 30th, 2024``; None where it is none."""
    for pattern in _WRITTEN:
        match = pattern.fullmatch(text.strip())
        if match is None:
            continue
        found = match.groupdict()
        name = (found.get("month") or "").lower()
        if name and not any(
            each.lower().startswith(name.removesuffix("t") if name == "sept" else name) for each in _MONTHS
        ):
            return None
        month = _NUMBERS[name[:3]] if name else int(found["number"])
        try:
            return date(int(found["year"]), month, int(found["day"]))
        except ValueError:
            return None
    return None


def forms_of(day: date) -> tuple[str, ...]:
    """The ways in which texts write a day, ISO 8601 first."""
    name = _MONTHS[day.month - 1]
    words = [form for month in dict.fromkeys((name, name[:3])) for form in (
        f"{day.day} {month} {day.year}", f"{month} {day.day}, {day.year}", f"{month} {day.day} {day.year}"
    )]  # fmt: skip
    return (day.isoformat(), *words)
