"""What the adapters for other libraries share: their documents read as ours, the answer to a missing package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fresco.errors import FrescoError
from fresco.serving.fresh import Document, as_time

#: Key of a document's metadata under which the adapters look for its date unless told another.
DATE_KEY = "date"


def dated(text: str, metadata: Mapping[str, Any] | None, key: str) -> Document:
    """A document of another library.

    Args:
        text: Its content.
        metadata: Its metadata.
        key: Under which the date stands there; a document without it has none.

    Raises:
        FrescoError: what stands there is no date.
    """
    known = metadata or {}
    return Document(text, as_time(known.get(key)), metadata=known)


def missing(package: str, error: ImportError) -> FrescoError:
    """What is said where the other library is not installed."""
    return FrescoError(f"this adapter needs {error.name}: pip install {package}")
