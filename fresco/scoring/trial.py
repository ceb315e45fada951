"""A plug-in shows on a few pairs of the run that it keeps the protocol, before all the others are scored."""

from __future__ import annotations

from collections.abc import Sequence

from fresco.errors import FrescoError
from fresco.records import Candidates
from fresco.rerank.base import Reranker, as_wrapper
from fresco.rerank.conformance import NotConformingError, check_behaviour, is_foreign
from fresco.scoring.store import ScoreStore

_PASSAGES = (3, 2)  # of the two pools that are tried


def try_out(reranker: Reranker, pools: Sequence[Candidates], store: ScoreStore, instruction: str | None = None) -> None:
    """Hold a re-ranker that is not ours to the protocol, once for as long as the store is open.

    Args:
        reranker: Fitted. The base of a wrapper is tried in its place.
        pools: Of the run; the shortest are taken.
        store: Of the run.
        instruction: That of the run, tried where the re-ranker takes one.

    Raises:
        FrescoError: it breaks the protocol, or fails.
    """
    wrapper = as_wrapper(reranker)
    if wrapper is not None:
        try_out(wrapper.base, pools, store, getattr(reranker, "instruction", instruction))
        return
    if not is_foreign(reranker) or not store.once("behaviour", reranker):
        return
    shortest = sorted(
        (pool for pool in pools if pool[1]), key=lambda pool: sum(len(passage.text) for passage in pool[1])
    )
    few = [(query, list(passages)[:most]) for (query, passages), most in zip(shortest, _PASSAGES, strict=False)]
    if not few:
        return
    try:
        check_behaviour(reranker, few, instruction=instruction)
    except NotConformingError as error:
        raise FrescoError(
            f"{reranker.name}: {error}; fresco.rerank.base says what a re-ranker does, and "
            "fresco.testing.check_reranker shows the same in your tests"
        ) from None
