"""Pages of our own making with dated revisions, as JSON Lines that a mirror reads: the tests hold no Wikipedia text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

DATES = ("2022-03-01T10:00:00Z", "2023-03-01T10:00:00Z", "2024-03-01T10:00:00Z", "2024-11-01T10:00:00Z")

#: Manager on each date, and club names. The last manager holds at the reference date.
CLUBS: Mapping[str, tuple[str, str, str, str]] = {
    "Northport United": ("Alma Berg", "Alma Berg", "Carl Dorn", "Carl Dorn"),
    "Easthaven Rovers": ("Emil Falk", "Greta Holm", "Greta Holm", "Ida Juhl"),
    "Westmere Athletic": ("Karl Lind", "Karl Lind", "Karl Lind", "Mona Nord"),
    "Southgate Town": ("Olaf Prim", "Olaf Prim", "Olaf Prim", "Olaf Prim"),
    "Midvale Harriers": ("Rosa Sund", "Rosa Sund", "vacant", "[[Tove Ulv]]"),
}

_CLUB = """{{{{Infobox football club
| clubname = {name}
| manager  = {manager}
| capacity = {capacity}
<!-- nothing changes here -->
| website  = {{{{URL|example.org}}}}
}}}}
'''{name}''' is a football club that plays in the league of the coast.<ref>Own invention, page 3.</ref> Its colours are
green and white, and it was founded by dock workers of the town.

== Staff ==
The {word} of the club is {plain}, who trains the first team on four days of the week beside the river.

== History ==
The club won the cup of the coast twice in its early years.
{{| class="wikitable"
! Year !! Cup
|-
| 1931 || won
|}}
In {year} a new stand was opened on the northern side of the ground.{before}

=== Early years ===
Dock workers met in the tavern by the harbour and drew up the first rules of the game in a single evening.

== Ground ==
Matches are played by the harbour wall, where the wind decides about every second goal, as people of the town say.

== References ==
{{{{reflist}}}}
"""


def club_rows() -> list[dict[str, object]]:
    """The revisions of the clubs."""
    rows: list[dict[str, object]] = []
    for page, (name, managers) in enumerate(CLUBS.items(), 1):
        for number, (date, manager) in enumerate(zip(DATES, managers, strict=True), 1):
            # Who came before is history from then on: the newest revision states a former value, too.
            gone = [each.strip("[]") for each in managers[:number] if each not in (manager, "vacant")]
            plain = manager.strip("[]") if manager != "vacant" else "not named yet"
            text = _CLUB.format(
                name=name,
                manager=manager,
                plain=plain,
                word="manager" if number < 3 else "head coach",
                capacity=f"{10 + page},500",
                year=date[:4],
                before=f"\n\n=== Earlier days ===\n{gone[-1]} was the manager for years of little luck."
                if gone
                else "",
            )
            rows.append(row(name, page, 100 * page + number, date, text))
    return rows


def row(title: str, page_id: int, revision_id: int, timestamp: str, content: str) -> dict[str, object]:
    """A revision as a row of JSON Lines."""
    return {
        "title": title,
        "page_id": page_id,
        "revision_id": revision_id,
        "revision_timestamp": timestamp,
        "content": content,
    }


def write(path: Path, rows: Iterable[Mapping[str, object]]) -> Path:
    """Write the rows."""
    path.write_text("".join(json.dumps(each) + "\n" for each in rows), encoding="utf-8")
    return path
