"""Contents of files that were read, kept for the next edition: it reads from the repository only what is new."""

from __future__ import annotations

import sqlite3
import zlib
from pathlib import Path

from fresco.errors import FrescoError

_COMMIT_EVERY = 200


class Kept:
    """Contents by the ids of their objects, compressed, in an SQLite file.

    An id is the hash of its content, so what is kept is right for every repository and every edition.

    Args:
        path: The file; made if absent.

    Raises:
        FrescoError: the file is no such one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path)
        self._new = 0
        try:
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS contents (id TEXT PRIMARY KEY, content BLOB NOT NULL) WITHOUT ROWID"
            )
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise FrescoError(f"{path}: cannot be used ({error}); delete it, and the files are read anew") from None

    def get(self, identifier: str) -> bytes | None:
        """The content; None where it is not kept."""
        try:
            row = self._database.execute("SELECT content FROM contents WHERE id = ?", (identifier,)).fetchone()
            return zlib.decompress(row[0]) if row else None
        except (sqlite3.DatabaseError, zlib.error) as error:
            raise FrescoError(f"{self._path}: is damaged ({error}); delete it, and the files are read anew") from None

    def put(self, identifier: str, content: bytes) -> None:
        """Keep a content."""
        self._database.execute("INSERT OR IGNORE INTO contents VALUES (?, ?)", (identifier, zlib.compress(content)))
        self._new += 1
        if self._new % _COMMIT_EVERY == 0:
            self._database.commit()

    def close(self) -> None:
        """Commit and close the file."""
        self._database.commit()
        self._database.close()
