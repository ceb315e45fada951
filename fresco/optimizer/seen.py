"""Which queries chose a front: written into ``front.json``, refused where the front is to be proved.

A query is known again by its words and its subject, not by its id: ids are numbered anew when a benchmark is cut or put
together, and a leak through a renamed query is a leak all the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable

from fresco.errors import FrescoError
from fresco.records import Pool, Query

_LENGTH = 16  # hexadecimal digits: chance makes two of a million queries the same in one of 10^7 cases


def query_digest(query: Query) -> str:
    """The first digits of the SHA-256 over subject and words."""
    return hashlib.sha256(f"{query.subject}\0{query.content}".encode()).hexdigest()[:_LENGTH]


def digests(pools: Iterable[Pool]) -> list[str]:
    """The distinct digests of pools' queries, sorted."""
    return sorted({query_digest(pool.query) for pool in pools})


def refuse_seen(pools: Iterable[Pool], seen: Collection[str], source: str) -> None:
    """Refuse queries that a front was chosen by.

    Args:
        pools: About to be scored.
        seen: Digests that the front's file holds.
        source: The file's name.

    Raises:
        FrescoError: some of the queries are among them.
    """
    known = frozenset(seen)
    asked = [pool.query for pool in pools]
    leaked = [query.id for query in asked if query_digest(query) in known]
    if leaked:
        raise FrescoError(
            f"{source} was chosen by {len(leaked)} of these {len(asked)} queries ({leaked[0]}, ...), so they prove "
            "nothing of it; leave --split away, or give --split test"
        )
