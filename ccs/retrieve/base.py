"""What a retriever is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ccs.agent.trajectory import Hit


class Retriever(Protocol):
    """Finds passages; may be asked by several threads at once."""

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """The best passages for each query.

        Args:
            queries: Any texts.
            k: Most passages for each, at least 1.

        Returns:
            One list for each query, best first; shorter than ``k``, or empty, where fewer passages match.

        Raises:
            FrescoError: it cannot search: the server is down, or answers something else.
        """
        ...
