"""The retrievers by name. Each is registered in a file of this package; :mod:`fresco.io.registry` reads the specs."""

from __future__ import annotations

from typing import Any

from ccs.retrieve.base import Retriever
from fresco.io.registry import Registry


def _fault(retriever: Any) -> str | None:
    return None if callable(retriever.search) else "its search cannot be called"


RETRIEVERS: Registry[Retriever] = Registry(
    "retriever",
    flag="--retriever",
    package="ccs.retrieve",
    group="ccs.retrievers",
    members=("search",),
    check=_fault,
    listing="ccs parts",
)
