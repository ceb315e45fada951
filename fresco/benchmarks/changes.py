"""Since when the answers of a built benchmark hold: from the facts of its manifest."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from fresco.benchmarks.tables import read_jsonl
from fresco.errors import FrescoError
from fresco.records import parse_timestamp

MANIFEST = "manifest.jsonl"


def changed_at(folder: Path) -> dict[str, datetime]:
    """For each query of a benchmark's folder the time from which its answer holds: that of its latest current fact.

    Raises:
        FrescoError: the folder has no manifest, or a row of it is wrong.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise FrescoError(f"{folder}: has no {MANIFEST}, which says since when answers hold; `fresco build` writes it")
    found: dict[str, datetime] = {}
    for row in read_jsonl(path):
        if row.fields.get("type") != "query":
            continue
        asked = row.timestamp("timestamp")
        try:
            starts = [
                start
                for fact in row.fields["facts"]
                if (start := parse_timestamp(fact["start"])) <= asked
                and (fact["end"] is None or parse_timestamp(fact["end"]) > asked)
            ]
            found[row.text("_id")] = max(starts)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise row.error("facts", f"do not say what holds when it is asked ({error})") from None
    return found
