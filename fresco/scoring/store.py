"""The score store: one float for each (re-ranker, instruction, query, passage), in SQLite.

It gives resume for free, makes a second run cost nothing, and lets an instruction search pay only for new pairs. Keys
are SHA-256 over everything that can change a score, so a store never has to be cleared; the first score written for a
key stays.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import struct
import sys
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fresco.errors import FrescoError
from fresco.records import Passage, Query, format_timestamp

_KEYS_A_QUERY = 500  # SQLite's oldest limit on bound parameters is 999
_OPENINGS = 100  # attempts, 50 ms apart, while others open the same new file
_TABLES = """
CREATE TABLE IF NOT EXISTS scores (key BLOB PRIMARY KEY, value REAL NOT NULL, checksum INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS canaries (fingerprint TEXT PRIMARY KEY, scores TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS canary_pools (
    fingerprint TEXT PRIMARY KEY, pools TEXT NOT NULL, instruction TEXT, scores TEXT NOT NULL
) WITHOUT ROWID;
"""


def default_store() -> Path:
    """``$FRESCO_STORE``, else ``fresco/scores.sqlite`` in the user's cache folder."""
    if own := os.environ.get("FRESCO_STORE"):
        return Path(own)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "fresco" / "scores.sqlite"


def context_key(fingerprint: str, instruction: str | None, pool: Iterable[Passage] | None = None) -> bytes:
    """What the pairs of one pool share: the re-ranker, the instruction and, if it is not pointwise, the whole pool."""
    digest = hashlib.sha256()
    for field in (fingerprint, "default" if instruction is None else f"instruction:{instruction}"):
        _feed(digest, field)
    for passage in pool or ():
        _feed_passage(digest, passage)
    return digest.digest()


def pair_key(context: bytes, query: Query, passage: Passage) -> bytes:
    """The key of one score, 32 bytes."""
    digest = hashlib.sha256(context)
    _feed(digest, query.text)
    _feed(digest, format_timestamp(query.timestamp))
    _feed_passage(digest, passage)
    return digest.digest()


def _checksum(key: bytes, value: Any) -> int | None:
    """Of a score under its key: a value that moved to another key, or lost a bit, has another one."""
    try:
        # SQLite keeps no sign of a zero: -0.0 comes back as 0.0.
        return zlib.crc32(struct.pack("<d", value + 0.0), zlib.crc32(key))
    except (struct.error, TypeError):  # SQLite keeps a text in any column
        return None


def _feed_passage(digest: hashlib._Hash, passage: Passage) -> None:
    _feed(digest, passage.text)
    _feed(digest, format_timestamp(passage.timestamp))


def _feed(digest: hashlib._Hash, field: str) -> None:
    raw = field.encode()
    digest.update(len(raw).to_bytes(8, "big"))  # lengths keep ("ab", "c") apart from ("a", "bc")
    digest.update(raw)


@dataclass(frozen=True)
class Canary:
    """Pairs whose scores prove a model; see :mod:`fresco.scoring.canary`.

    Attributes:
        pools: Queries with passages, as JSON.
        instruction: Under which they were scored.
        scores: One for each passage, in order.
    """

    pools: str
    instruction: str | None
    scores: list[float]


class ScoreStore:
    """Scores on disk; usable as a context manager, and by several processes at once.

    Args:
        path: The SQLite file, made with its folders where absent. ``:memory:`` keeps nothing.

    Raises:
        FrescoError: the file is no score store, cannot be written, or the disk is full.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = path
        self._asked: dict[tuple[str, int], object] = {}
        self._passing: dict[int, tuple[object, ScoreStore]] = {}
        with self._explained():
            if str(path) != ":memory:":
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=60)
            self._prepare()

    def _prepare(self) -> None:
        """Make the tables, and write ahead: readers never wait, and a killed process leaves whole transactions only."""
        for left in reversed(range(_OPENINGS)):
            try:
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=NORMAL")
                self._db.executescript(_TABLES)
                self._add_checksums()
            except sqlite3.OperationalError as error:
                # While another process changes the journal's mode SQLite gives up at once, whatever the timeout.
                if not left or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                time.sleep(0.05)
            else:
                return

    def _add_checksums(self) -> None:
        """Give a store of an earlier version the column; its scores have no checksum and are taken as they are."""
        if "checksum" not in {row[1] for row in self._db.execute("PRAGMA table_info(scores)")}:
            try:
                self._db.execute("ALTER TABLE scores ADD COLUMN checksum INTEGER")
            except sqlite3.OperationalError as error:
                if "duplicate column" not in str(error):  # another process was quicker
                    raise

    def get(self, keys: Sequence[bytes]) -> dict[bytes, float]:
        """The stored scores among ``keys``; one whose checksum is another's is dropped, and scored again."""
        found: dict[bytes, float] = {}
        damaged: list[tuple[bytes]] = []
        with self._explained():
            for start in range(0, len(keys), _KEYS_A_QUERY):
                part = keys[start : start + _KEYS_A_QUERY]
                marks = ",".join("?" * len(part))
                rows = self._db.execute(f"SELECT key, value, checksum FROM scores WHERE key IN ({marks})", part)  # noqa: S608
                for key, value, checksum in rows:
                    if isinstance(value, float) and checksum in (None, _checksum(key, value)):
                        found[key] = value
                    else:
                        damaged.append((key,))
            if damaged:
                with self._db:
                    self._db.executemany("DELETE FROM scores WHERE key = ?", damaged)
                sys.stderr.write(f"score store {self.path}: {len(damaged)} scores were damaged; they are made again\n")
        return found

    def put(self, scores: Iterable[tuple[bytes, float]]) -> None:
        """Store scores, all or none; a key that is there keeps its first score."""
        with self._explained(), self._db:
            rows = ((key, float(value), _checksum(key, value)) for key, value in scores)
            self._db.executemany("INSERT OR IGNORE INTO scores (key, value, checksum) VALUES (?, ?, ?)", rows)

    def canary(self, fingerprint: str, scores: Sequence[float]) -> list[float]:
        """The scores first stored under this fingerprint for a server's canary pairs, storing these where none are."""
        with self._explained(), self._db:
            self._db.execute("INSERT OR IGNORE INTO canaries VALUES (?, ?)", (fingerprint, json.dumps(list(scores))))
            row = self._db.execute("SELECT scores FROM canaries WHERE fingerprint = ?", (fingerprint,)).fetchone()
        return [float(score) for score in json.loads(row[0])]

    def keep_canary(self, fingerprint: str, canary: Canary) -> Canary:
        """Store the canary of a fingerprint that has none, and give the one that is stored."""
        row = (fingerprint, canary.pools, canary.instruction, json.dumps(canary.scores))
        with self._explained(), self._db:
            self._db.execute("INSERT OR IGNORE INTO canary_pools VALUES (?, ?, ?, ?)", row)
        return self.canary_of(fingerprint) or canary

    def canary_of(self, fingerprint: str) -> Canary | None:
        """The canary that is stored for a fingerprint."""
        with self._explained():
            row = self._db.execute(
                "SELECT pools, instruction, scores FROM canary_pools WHERE fingerprint = ?", (fingerprint,)
            ).fetchone()
        return row and Canary(row[0], row[1], [float(score) for score in json.loads(row[2])])

    def once(self, what: str, reranker: object) -> bool:
        """Whether this is the first time that ``what`` is asked of this object since the store was opened."""
        asked = self._asked.setdefault((what, id(reranker)), None)
        self._asked[what, id(reranker)] = reranker  # held, so that no other object gets its id
        return asked is not reranker

    def passing(self, reranker: object) -> ScoreStore:
        """A store in memory for a re-ranker that cannot say what its scores depend on; it ends with this one."""
        if id(reranker) not in self._passing:
            self._passing[id(reranker)] = (reranker, ScoreStore(":memory:"))
        return self._passing[id(reranker)][1]

    def close(self) -> None:
        """Close the file; what was put is on disk already."""
        for _, store in self._passing.values():
            store.close()
        self._passing.clear()
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise FrescoError(
                f"score store {self.path}: {error}; free space there or name another file with --store"
            ) from error
