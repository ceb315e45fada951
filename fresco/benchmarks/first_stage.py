"""``--pools``: where the candidates of a published query come from, and whether the relevant ones are put among them.

FRESCO gives each query its positive and 50 others, so that a re-ranker has something to find: the figures are those of
re-ranking alone. BEIR, MTEB and most papers re-rank what a first stage found, and what it missed counts as not found.
The two cannot be compared, so every output says which it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from fresco.errors import FrescoError
from fresco.io.names import short

#: The spec of FRESCO's way.
INJECTED = "injected"
#: Candidates of a query: one positive and 50 others (FRESCO, task definition).
POOL_SIZE = 51
#: How many of BM25's ranking BEIR's baselines re-rank; a run is taken whole unless told otherwise.
BM25_DEPTH = 100

_SPEC = re.compile(r"(?P<what>own|run:(?P<file>.+?))(?:#top=(?P<top>[1-9][0-9]{0,6}))?", re.DOTALL)


@dataclass(frozen=True)
class FirstStage:
    """One way to get candidates.

    Attributes:
        injected: Whether every positive is a candidate, and the others fill the pool up to :data:`POOL_SIZE`.
        run: A TREC run; None takes the collection's ``candidates.trec``, else BM25.
        top: How many of the ranking; None takes all of a run, and :data:`BM25_DEPTH` of BM25.
    """

    injected: bool = True
    run: Path | None = None
    top: int | None = None

    def file(self, folder: Path) -> Path | None:
        """The TREC run that is read for a collection in ``folder``; None where BM25 ranks its corpus."""
        own = folder / "candidates.trec"
        return self.run or (own if own.exists() else None)

    def describe(self, folder: Path) -> str:
        """Which of both it is, in a few words."""
        file = self.file(folder)
        if self.injected:
            return f"positives injected among those of {file.name if file else 'BM25'}"
        depth = self.top if file or self.top else BM25_DEPTH
        return f"first stage {file.name if file else 'BM25'}{f', top {depth}' if depth else ''}, nothing injected"


def parse_pools(spec: str) -> FirstStage:
    """Read what ``--pools`` says: ``injected``, ``own`` or ``run:FILE``; the latter two with ``#top=N``.

    Raises:
        FrescoError: it says something else.
    """
    if spec == INJECTED:
        return FirstStage()
    if (found := _SPEC.fullmatch(spec)) is None:
        raise FrescoError(
            f"--pools {short(spec)}: choose injected (each query's positives and the best others, 51 in all), own (the "
            "collection's candidates.trec or BM25, as it is) or run:FILE (a TREC run, as it is), the latter two "
            "with #top=N"
        )
    return FirstStage(
        False, Path(found["file"]) if found["file"] else None, int(found["top"]) if found["top"] else None
    )
