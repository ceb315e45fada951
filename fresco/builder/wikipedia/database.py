"""An SQLite file that several processes may use at once, or a private one that goes with its process."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from fresco.errors import FrescoError

_BUSY_SECONDS = 60.0


class Database:
    """A database whose every write is one transaction.

    Args:
        path: The file; made with its folder where it is missing. None: a temporary file of SQLite's own (in TMPDIR),
            which has no name, so that a process that is killed leaves nothing behind.
        version: Of the schema, above zero.
        schema: Statements that make what is missing.

    Raises:
        FrescoError: the file is of something else, was written by another version, or cannot be written.
    """

    def __init__(self, path: Path | None, version: int, schema: str) -> None:
        self.path = path or Path("a temporary file")
        self._cure = "give another file" if path else "set TMPDIR to a folder with room"
        with self.errors():
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self.connection = sqlite3.connect(path or "", timeout=_BUSY_SECONDS, isolation_level=None)
            if path is not None:
                self._use_write_ahead_log()
            # Survives a killed process; a power cut loses the last rows.
            self.connection.execute(f"PRAGMA synchronous = {'NORMAL' if path else 'OFF'}")
            with self.transaction():
                self._check_version(version)
                for statement in schema.split(";\n"):
                    self.connection.execute(statement)
                self.connection.execute(f"PRAGMA user_version = {version}")

    def _check_version(self, own: int) -> None:
        version = self.connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0 and self.connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            raise FrescoError(f"{self.path}: a database of another program, no revision cache; give another file")
        if version not in (0, own):
            raise FrescoError(
                f"{self.path}: revision cache of version {version}, this program reads {own}; give another file"
            )

    def _use_write_ahead_log(self) -> None:
        # The switch ignores the busy timeout, so two processes that open a new file at once have to take turns here.
        give_up = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                self.connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError:
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.05)
            else:
                return

    def close(self) -> None:
        """Give the file back."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @contextmanager
    def errors(self) -> Iterator[None]:
        """What SQLite or the file system says against a block, as one line."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise FrescoError(f"{self.path}: the revision cache cannot be used ({error}); {self._cure}") from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A block that is written as a whole or not at all."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self.connection.in_transaction:  # a full disk has rolled it back already
                self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")
