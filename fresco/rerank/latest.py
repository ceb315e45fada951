"""BM25 over the latest revision of each page: what a user who keeps no older revisions has, without reading a word."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from fresco.records import Passage, Query
from fresco.rerank.lexical import Bm25
from fresco.rerank.registry import RERANKERS


def revision_ranks(passages: Sequence[Passage]) -> npt.NDArray[np.intp]:
    """How many dates of its page are newer than a passage's, shape (passages,): 0 for the latest revision.

    Passages of one title are of one page, as far as the pool shows it; one without a title is a page of its own.
    """
    dates: dict[str, set[float]] = {}
    for passage in passages:
        dates.setdefault(_page(passage), set()).add(passage.timestamp.timestamp())
    newest_first = {page: sorted(own, reverse=True) for page, own in dates.items()}
    return np.array([newest_first[_page(p)].index(p.timestamp.timestamp()) for p in passages], np.intp)


def _page(passage: Passage) -> str:
    return passage.title or f"\0{passage.id}"


class Latest:
    """BM25, with every passage that is not of the latest revision of its page below all that are."""

    name = "latest"
    takes_instruction = False
    pointwise = False

    def __init__(self) -> None:
        self._words = Bm25()
        self.fingerprint = ""

    def fit(self, passages: Iterable[Passage]) -> None:
        """Count the words of the benchmark's passages."""
        self._words.fit(passages)
        self.fingerprint = f"latest:1:{self._words.fingerprint}"

    def score(self, query: Query, passages: Sequence[Passage], instruction: str | None = None) -> list[float]:
        """Score one pool; see :class:`fresco.rerank.base.Reranker`."""
        scores = np.array(self._words.score(query, passages))
        above = np.ptp(scores) + 1.0
        return [float(score) for score in np.where(revision_ranks(passages) == 0, scores + above, scores)]


@RERANKERS.register("latest", "BM25 over the latest revision of each page", instruction="no")
def _latest(_arguments: str) -> Latest:
    return Latest()
