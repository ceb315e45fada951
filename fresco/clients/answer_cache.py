"""The answers of language models on disk, by the hash of what was asked."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from fresco.errors import FrescoError


def request_key(path: str, payload: Mapping[str, Any]) -> bytes:
    """SHA-256 of a request, whichever server it goes to."""
    request = json.dumps({"path": path, "payload": payload}, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(request.encode()).digest()


class AnswerCache:
    """Answers by the hash of what was asked; threads and processes may share the file, and the first answer stays.

    Raises:
        FrescoError: the file cannot be written, or is no such cache.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=60, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute("CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, answer TEXT NOT NULL)")

    def get(self, key: bytes) -> Any:
        """The answer kept under the key; None where none is."""
        with self._explained(), closing(self._db.execute("SELECT answer FROM answers WHERE key = ?", (key,))) as rows:
            row = rows.fetchone()
        return None if row is None else json.loads(row[0])

    def put(self, key: bytes, answer: Any) -> Any:
        """Keep an answer unless there is one; give back the one that is kept."""
        with self._explained(), self._db:
            self._db.execute("INSERT OR IGNORE INTO answers VALUES (?, ?)", (key, json.dumps(answer)))
        return self.get(key)

    def close(self) -> None:
        """Close the file; what was put is on disk already."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            with self._lock:
                yield
        except (sqlite3.Error, OSError) as error:
            raise FrescoError(f"cache of answers {self._path}: {error}; name another file or delete it") from error
