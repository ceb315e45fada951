"""Proof, on each run, that stored scores are still those of the re-ranker that is asked now.

A fingerprint is a promise: it names everything that can change a score. A server may change its model behind its
address, and a plug-in may read a file that its fingerprint does not cover. So with the first scores of a fingerprint a
few pairs of that run are stored whole, texts and dates included, and every later run scores them anew, even where
everything is stored. A difference beyond rounding is refused.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from fresco.errors import FrescoError
from fresco.records import Candidates, Kind, Pair, Passage, Query, Task, format_timestamp, parse_timestamp
from fresco.rerank.base import Reranker, is_pointwise, tolerance_of
from fresco.rerank.conformance import BadScoresError, named_failures, read_scores, same
from fresco.scoring.store import Canary, ScoreStore

_PAIRS = 3
_DRAWN = 12  # of which the shortest are taken: a canary is paid for on every run
_SERVED_TOLERANCE = 0.02  # bfloat16 servers repeat themselves to about this much on logits of order one


def choose_pools(
    reranker: Reranker,
    pools: Sequence[Candidates],
    keys: Sequence[Sequence[bytes]],
    stored: Mapping[bytes, float],
    distinct: Mapping[bytes, Pair],
) -> tuple[list[Candidates], list[float]]:
    """The canary of a run and its stored scores: three short pairs, or the smallest pool for a listwise re-ranker.

    Returns:
        Pools and, flat, the score of each of their passages; empty where too little is stored.
    """
    if is_pointwise(reranker):
        drawn = sorted(stored.keys() & distinct.keys())[:_DRAWN]  # keys are hashes: the first are a fair draw
        chosen = sorted(drawn, key=lambda key: (len(distinct[key][1].text), key))[:_PAIRS]
        return [(distinct[key][0], [distinct[key][1]]) for key in chosen], [stored[key] for key in chosen]
    whole = [place for place, own in enumerate(keys) if own and all(key in stored for key in own)]
    if not whole:
        return [], []
    place = min(whole, key=lambda place: (len(keys[place]), keys[place][0]))
    return [pools[place]], [stored[key] for key in keys[place]]


def check(reranker: Reranker, canary: Canary) -> None:
    """Score a canary anew.

    Raises:
        FrescoError: the scores are others, or the re-ranker failed.
    """
    pools, instruction = _read(canary.pools), canary.instruction
    with named_failures(reranker):
        now = [score for query, passages in pools for score in _scored(reranker, query, passages, instruction)]
    _compare(reranker, canary.scores, now, tolerance_of(reranker))


def record(
    store: ScoreStore, fingerprint: str, instruction: str | None, pools: Sequence[Candidates], scores: Sequence[float]
) -> Canary:
    """Store a canary under a fingerprint that has none; the one that is stored then."""
    return store.keep_canary(fingerprint, Canary(_written(pools), instruction, list(scores)))


def check_own(reranker: Reranker, store: ScoreStore, fingerprint: str) -> bool:
    """Check a re-ranker that brings fixed pairs of its own (``canary()``); whether it does.

    Raises:
        FrescoError: the scores are others than when the first scores of the fingerprint were stored.
    """
    own = getattr(reranker, "canary", None)
    if not callable(own):
        return False
    with named_failures(reranker):
        now = [float(value) for value in own()]
    _compare(reranker, store.canary(fingerprint, now), now, max(_SERVED_TOLERANCE, tolerance_of(reranker)))
    return True


def _scored(reranker: Reranker, query: Query, passages: Sequence[Passage], instruction: str | None) -> list[float]:
    model: Any = reranker
    if hasattr(model, "score_pools"):
        (scores,) = model.score_pools([(query, list(passages))], instruction)
    else:
        scores = reranker.score(query, list(passages), instruction)
    try:
        return read_scores(scores, len(passages))
    except BadScoresError as error:
        raise FrescoError(f"{reranker.name} returned {error}") from None


def _compare(reranker: Reranker, before: Sequence[float], now: Sequence[float], tolerance: float) -> None:
    if len(now) == len(before) and all(same(a, b, tolerance) for a, b in zip(now, before, strict=True)):
        return
    raise FrescoError(
        f"{reranker.name} answers otherwise than when its stored scores were made (test pairs then "
        f"{_short(before)}, now {_short(now)}): what it scores with has changed and its fingerprint has not, or a "
        "server runs another model; name another --store, or give the plug-in a fingerprint that covers it"
    )


def _short(scores: Sequence[float]) -> str:
    return "/".join(f"{score:.3g}" for score in scores[:5]) + ("/..." if len(scores) > 5 else "")


def _written(pools: Sequence[Candidates]) -> str:
    def plain(record: Query | Passage) -> dict[str, Any]:
        row = {**dataclasses.asdict(record), "timestamp": format_timestamp(record.timestamp)}
        if not row["leads"]:  # as versions wrote it that knew of no layout
            del row["leads"]
        return row

    return json.dumps([[plain(query), [plain(passage) for passage in passages]] for query, passages in pools])


def _read(text: str) -> list[Candidates]:
    def query(row: Mapping[str, Any]) -> Query:
        fields = {"timestamp": parse_timestamp(row["timestamp"]), "task": Task(row["task"]), "kind": Kind(row["kind"])}
        return Query(**{**row, **fields})

    def passage(row: Mapping[str, Any]) -> Passage:
        return Passage(**{**row, "timestamp": parse_timestamp(row["timestamp"])})

    return [(query(own), [passage(row) for row in rows]) for own, rows in json.loads(text)]
