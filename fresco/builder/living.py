"""Living editions: a build that goes on from what an earlier edition has read, and what has moved between the two."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fresco.builder.tables import as_json, read_tables
from fresco.errors import FrescoError
from fresco.io.files import write_atomically

#: What an edition keeps below ``stages/``: contents of files by their objects' ids, and parsed pages by their texts.
#: Both are right whatever else has changed, so a build that takes them over has the bytes of one from nothing. So are
#: the texts of a wiki or a dump by their hashes; which listings of a wiki stand it is asked (:meth:`Wiki.renew`).
CONTENTS, PARSED, REVISIONS = "git.sqlite", "parsed.sqlite", "revisions.sqlite"
MOVED = "moved.json"


@dataclass(frozen=True, slots=True)
class Moved:
    """What differs between two editions.

    Attributes:
        changed: Queries of both, by id, whose answers differ: subject, relation, the earlier answer, the present one.
        new: Ids of queries that only the present edition asks.
        gone: Ids of those that only the earlier one asks.
        same: How many have the same answer in both.
    """

    changed: Mapping[str, tuple[str, str, str, str]]
    new: tuple[str, ...]
    gone: tuple[str, ...]
    same: int

    def row(self) -> dict[str, Any]:
        """As JSON data."""
        changed = [
            {"query": key, "subject": subject, "relation": relation, "from": before, "to": now}
            for key, (subject, relation, before, now) in self.changed.items()
        ]
        return {"changed": changed, "new": list(self.new), "gone": list(self.gone), "same": self.same}

    def lines(self) -> Iterator[str]:
        """For a person."""
        yield f"since the earlier edition   {len(self.changed)} answers moved, {self.same} stand ({MOVED})"
        yield f"                            {len(self.new)} queries are new, {len(self.gone)} are gone"


def take_over(earlier: Path, out: Path, kept: str | None) -> None:
    """Copy what an earlier edition has read, unless the build has begun with files of its own.

    Args:
        earlier: Its folder.
        out: That of the build.
        kept: What an edition of this source keeps (:data:`CONTENTS`, :data:`REVISIONS`); None: it lies elsewhere.

    Raises:
        FrescoError: there is no such edition, it kept nothing, or what it kept is damaged.
    """
    if kept is not None and not (earlier / "stages" / kept).is_file():
        why = "; only a build with --edition keeps it" if kept == CONTENTS else ""
        raise FrescoError(f"--earlier {earlier}: has no {Path('stages', kept)}{why}")
    for name in filter(None, (kept, PARSED)):
        source, target = earlier / "stages" / name, out / "stages" / name
        if source.is_file() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy(source, target)


def _copy(source: Path, target: Path) -> None:
    """Copy a database, with what its last writer has not yet put into the file itself."""
    begun = target.with_name(f"{target.name}.taken-over")
    begun.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(begun)) as new:
            old.backup(new)
    except sqlite3.Error as error:
        raise FrescoError(f"--earlier: {source}: cannot be read ({error}); build that edition again") from error
    begun.replace(target)


def compare(earlier: Path, out: Path) -> Moved:
    """What has moved; written to ``moved.json``, too.

    Args:
        earlier: Folder of the earlier edition.
        out: That of the present one.

    Raises:
        FrescoError: the earlier edition is not finished.
    """
    if not (earlier / "queries.parquet").is_file():
        raise FrescoError(f"--earlier {earlier}: is not finished; run its own command again first")
    before, now = ({row["_id"]: row for row in read_tables(each)["queries"]} for each in (earlier, out))
    both = [key for key in now if key in before]
    changed = {
        key: (now[key]["subject"], now[key]["relation"], before[key]["answer"], now[key]["answer"])
        for key in both
        if before[key]["answer"] != now[key]["answer"]
    }
    moved = Moved(
        changed,
        tuple(sorted(now.keys() - before.keys())),
        tuple(sorted(before.keys() - now.keys())),
        len(both) - len(changed),
    )
    write_atomically(out / MOVED, as_json(moved.row()))
    return moved
