"""The date templates: ``{{start date|2023|5|1}}``, ``{{dts|2024|May|3}}``, ``{{date|5 January 2020}}`` and others."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_YES = ("y", "yes", "1", "true", "dmy")


def date(values: Sequence[str], named: Mapping[str, str]) -> str | None:
    """Year, month and day, as numbers or names; or a date in one parameter; None where it cannot be read.

    Args:
        values: Unnamed parameters. Hours and a second date (of birth, behind one of death) come after these three.
        named: ``df`` or ``format`` say whether the day stands first.
    """
    day_first = named.get("df", "").casefold() in _YES or named.get("format", "").casefold().startswith("dmy")
    first = values[0].strip() if values else ""
    if re.search(r"\d", first) and not re.fullmatch(r"-?\d{1,4}", first):
        day_first = day_first or (len(values) > 1 and values[1].strip().casefold() == "dmy")
        return _free(first, day_first)
    month = _month(values[1] if len(values) > 1 else "")
    day = _day(values[2] if len(values) > 2 else "")
    year = first if re.fullmatch(r"\d{1,4}", first) else ""
    if first and not year:
        return None
    if month is None or day is None:
        return None
    return _written(year, month, day, day_first) or None


def start_and_end(values: Sequence[str], named: Mapping[str, str]) -> str | None:
    """``{{start and end dates|2020|1|5|2021|2|6}}``."""
    both = [date(values[:3], named), date(values[3:6], named)] if len(values) == 6 else [None]
    return "\u2013".join(each for each in both if each) if all(both) else None


def as_of(values: Sequence[str], named: Mapping[str, str]) -> str | None:
    """``{{as of|2023|5}}``."""
    if "alt" in named:
        return named["alt"]
    when = date(values, named)
    lower = named.get("lc", "").casefold() in _YES
    return f"{'as' if lower else 'As'} of {when}" if when else None


def _written(year: str, month: int, day: int, day_first: bool) -> str:
    if not month:
        return "" if day else year
    name = _MONTHS[month - 1]
    if not day:
        return f"{name} {year}".strip()
    if day_first:
        return f"{day} {name} {year}".strip()
    return f"{name} {day}, {year}" if year else f"{name} {day}"


def _month(text: str) -> int | None:
    """1 to 12, 0 where it is empty, None where it is no month."""
    text = text.strip().strip(".")
    if not text:
        return 0
    if text.isdigit():
        return int(text) if 1 <= int(text) <= 12 else None
    found = [place for place, name in enumerate(_MONTHS, 1) if name.casefold().startswith(text.casefold()[:9])]
    if text.casefold().startswith("sept"):
        found = [9]
    return found[0] if len(found) == 1 and len(text) >= 3 else None


def _day(text: str) -> int | None:
    text = text.strip()
    if not text:
        return 0
    return int(text) if text.isdigit() and 1 <= int(text) <= 31 else None


def _free(text: str, day_first: bool) -> str:
    """A date in one parameter; what is written in words already stays as it is."""
    iso = re.fullmatch(r"(\d{4})-(\d\d?)(?:-(\d\d?))?(?:T.*)?", text)
    if iso is None:
        return text
    month, day = _month(iso[2]), _day(iso[3] or "")
    return text if month is None or day is None else _written(iso[1], month, day, day_first)
