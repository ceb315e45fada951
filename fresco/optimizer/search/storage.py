"""The database of a study, opened, explained and closed; Optuna itself is imported here."""

from __future__ import annotations

import sqlite3
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from fresco.errors import FrescoError
from fresco.io.secrets import hide, redacted, remember

_ATTEMPTS = 5  # at making the tables: two workers may begin at the same moment
_SQLITE_WAIT = 60.0  # seconds for the lock of another worker


def import_optuna() -> Any:
    """Optuna, silenced.

    Raises:
        FrescoError: it is not installed.
    """
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise FrescoError(f"fresco optimize needs {error.name}: pip install 'fresco-ccs[optimize]'") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    return optuna


def failures() -> tuple[type[Exception], ...]:
    """What a storage raises when its database is not there, full, or locked for too long."""
    from sqlalchemy.exc import SQLAlchemyError

    return (SQLAlchemyError, import_optuna().exceptions.OptunaError)


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Turns what a storage raises into one line that names it."""
    try:
        yield
    except failures() as error:
        said = hide(" ".join(str(error).split()))[:300]
        raise FrescoError(
            f"--storage {without_password(url)} failed: {said}; what was finished is kept, so mend it and run the same "
            "command again"
        ) from error


class _WriteAhead(sqlite3.Connection):
    """A connection whose commits do not wait for the disk: a search makes twenty for each candidate.

    A process that ends loses nothing by it; where the machine fails, the database is whole and of a few seconds before.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        with suppress(sqlite3.OperationalError):  # while others write; a later connection makes up for it
            self.execute("PRAGMA journal_mode=WAL")
        self.execute("PRAGMA synchronous=NORMAL")


def open_storage(url: str) -> Any:
    """Connect to a storage, making its tables where they are missing.

    Raises:
        FrescoError: no such database, no driver for it, or no connection.
    """
    optuna = import_optuna()
    from sqlalchemy.exc import DBAPIError

    expected: tuple[type[Exception], ...] = (*failures(), ImportError, ValueError, RuntimeError)
    remember([url])  # a driver may put the password into what it says
    sqlite = {"connect_args": {"timeout": _SQLITE_WAIT, "factory": _WriteAhead}}
    settings = sqlite if url.startswith("sqlite") else {}
    for attempt in range(_ATTEMPTS):
        try:
            return optuna.storages.get_storage(optuna.storages.RDBStorage(url, engine_kwargs=settings))
        except expected as error:
            if attempt == _ATTEMPTS - 1 or not isinstance(error, (DBAPIError, optuna.exceptions.OptunaError)):
                said = hide(" ".join(str(error).split()))[:300]
                raise FrescoError(
                    f"--storage {without_password(url)}: cannot be opened: {said}; give an SQLAlchemy URL of a "
                    "database that runs, such as sqlite:///study.db"
                ) from error
            time.sleep(0.1 * (attempt + 1))
    raise AssertionError


def close_storage(storage: Any) -> None:
    """Close the connections of a storage: SQLite then takes what it wrote ahead into the one file."""
    storage.remove_session()
    storage._backend.engine.dispose()


def without_password(url: str) -> str:
    """A URL as it may be printed and recorded."""
    return str(redacted(url))
