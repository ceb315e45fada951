"""Put queries and candidates together: the order inside a pool, and the fingerprint of a benchmark."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence

from fresco.records import SCHEMA_VERSION, Label, Passage, Pool, Query, format_timestamp


def make_pool(query: Query, candidates: Iterable[tuple[Passage, Label]]) -> Pool:
    """A pool whose passages stand in the order of SHA-256 over (query id, passage id).

    A builder writes the positive first and the negatives by kind. Shown in that order, a constant scorer, or a listwise
    model that favours the top of its window, would profit from the file. The hash knows nothing of labels or dates,
    needs no seed, and is the same on every machine. It takes the query's id in, so that a passage does not stand at the
    same place in every pool.

    Raises:
        ValueError: no candidate is a positive, or one appears twice.
    """
    # Ids hold no white space, so the blank keeps them apart.
    ordered = sorted(candidates, key=lambda one: hashlib.sha256(f"{query.id} {one[0].id}".encode()).digest())
    return Pool(query, tuple(passage for passage, _ in ordered), tuple(label for _, label in ordered))


def fingerprint(pools: Sequence[Pool]) -> str:
    """SHA-256 (hex) over the content of a benchmark.

    What goes in, each as the UTF-8 of a JSON list of strings:

    - for a passage: id, title, section, body, timestamp;
    - for a pool: id, content, timestamp, task, kind, subject, relation and answer of its query, then for each
      candidate, in the order in which it is presented, the digest of its passage and its label;
    - for the benchmark: the schema version, then the digests of its pools, sorted.

    The order of rows in the files, the format of the files, where they lie, passages that stand in no pool, splits and
    notes do not go in.
    """
    passages: dict[Passage, str] = {}
    digests = []
    for pool in pools:
        query = pool.query
        parts = [query.id, query.content, format_timestamp(query.timestamp), query.task, query.kind]
        parts += [query.subject, query.relation, query.answer]
        for passage, label in zip(pool.passages, pool.labels, strict=True):
            if passage not in passages:
                passages[passage] = _passage_digest(passage)
            parts += [passages[passage], label]
        digests.append(_digest(*parts))
    return _digest("fresco benchmark", str(SCHEMA_VERSION), *sorted(digests))


def _passage_digest(passage: Passage) -> str:
    return _digest(passage.id, passage.title, passage.section, passage.body, format_timestamp(passage.timestamp))


def _digest(*parts: str) -> str:
    # JSON, because joined strings would let "a" + "bc" equal "ab" + "c".
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()
