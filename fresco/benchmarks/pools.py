"""Put queries and candidates together: the order inside a pool, and the fingerprint of a benchmark."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

from fresco.records import SCHEMA_VERSION, Conflict, Label, Passage, Pool, Query, format_timestamp


def make_pool(
    query: Query,
    candidates: Iterable[tuple[Passage, Label]],
    *,
    gains: Mapping[str, int] | None = None,
    conflicts: Mapping[str, Conflict] | None = None,
    superseded: Mapping[str, bool] | None = None,
    missed: Mapping[str, int] | None = None,
) -> Pool:
    """A pool whose passages stand in the order of SHA-256 over (query id, passage id).

    A builder writes the positive first and the negatives by kind. Shown in that order, a constant scorer, or a listwise
    model that favours the top of its window, would profit from the file. The hash knows nothing of labels or dates,
    needs no seed, and is the same on every machine. It takes the query's id in, so that a passage does not stand at the
    same place in every pool.

    Args:
        query: The query.
        candidates: Its passages with their labels, in any order.
        gains: Grade by passage id, 0 for those that are missing; None or all of them 0 and 1: judged in binary.
        conflicts: Kind of conflict by passage id; None or empty: not known of any.
        superseded: By passage id, all of them; None or empty: not known.
        missed: Grade of each relevant passage that is no candidate, by id.

    Raises:
        ValueError: nothing is relevant, one appears twice, or what is said of it contradicts its label.
    """
    # Ids hold no white space, so the blank keeps them apart.
    ordered = sorted(candidates, key=lambda one: hashlib.sha256(f"{query.id} {one[0].id}".encode()).digest())
    passages = tuple(passage for passage, _ in ordered)
    graded = gains if gains and not {0, 1}.issuperset(gains.values()) else None
    return Pool(
        query,
        passages,
        tuple(label for _, label in ordered),
        gains=tuple(graded.get(passage.id, 0) for passage in passages) if graded else (),
        conflicts=tuple(conflicts.get(passage.id) for passage in passages) if conflicts else (),
        superseded=tuple(superseded[passage.id] for passage in passages) if superseded else (),
        missed=tuple(sorted((missed or {}).items())),
    )


def fingerprint(pools: Sequence[Pool]) -> str:
    """SHA-256 (hex) over the content of a benchmark.

    What goes in, each as the UTF-8 of a JSON list of strings:

    - for a passage: id, title, section, body, timestamp;
    - for a pool: id, content, timestamp, task, kind, subject, relation and answer of its query, then for each
      candidate, in the order in which it is presented, the digest of its passage and its label; where the data has
      grades, kinds of conflict or superseded passages, the word for it and each candidate's, in the same order;
      where a first stage missed relevant passages, the word for it, their ids and grades;
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
        for name, values in (("gains", pool.gains), ("conflicts", pool.conflicts), ("superseded", pool.superseded)):
            parts += [name, *("" if value is None else str(value) for value in values)] if values else []
        parts += ["missed", *(str(each) for one in pool.missed for each in one)] if pool.missed else []
        digests.append(_digest(*parts))
    return _digest("fresco benchmark", str(SCHEMA_VERSION), *sorted(digests))


def _passage_digest(passage: Passage) -> str:
    return _digest(passage.id, passage.title, passage.section, passage.body, format_timestamp(passage.timestamp))


def _digest(*parts: str) -> str:
    # JSON, because joined strings would let "a" + "bc" equal "ab" + "c".
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()
