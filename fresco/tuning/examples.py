"""Pools of the train split as rows for a loss, with the dates shown, hidden or dealt anew.

Hard negatives are the pool's own. A copy of a query's list keeps its labels true whatever becomes of the dates:

- *shown*: the texts as a re-ranker reads them.
- *hidden*: without the timestamp lines. Outdated passages are left out unless their own words show their age (a former
  value in a current revision, an announced one): nothing in the input would tell the others from the positive.
- *swapped*: on NEK all dates are dealt anew. On EK only those of the passages that state no answer, since which of
  the others is right hangs on their dates; one of them becomes the newest of the pool. So the newest passage is
  hardly ever right, and a model that learned to sort by date would lose.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from fresco.records import Conflict, Label, Passage, Pool, Query, Task

#: What an outdated passage itself says of its age.
_TELLING = (Conflict.HISTORY, Conflict.ANNOUNCED)
_ANSWERING = (Label.POSITIVE, Label.OUTDATED)

#: Makes a passage's text fit beside a query's.
Fit = Callable[[Query, Passage], str]


@dataclass(frozen=True)
class Listed:
    """A query with the passages of one list, the positives first.

    Attributes:
        query: Its dates shown or hidden as the passages' are.
        passages: Of its pool.
        labels: 1.0 for a positive (or the grade, where judgements are graded), else 0.0.
    """

    query: Query
    passages: tuple[Passage, ...]
    labels: tuple[float, ...]


def lists(pools: Sequence[Pool], dates: Sequence[str], negatives: int | None, seed: int) -> Iterator[Listed]:
    """A list for each pool and each treatment of its dates.

    Args:
        pools: Of the train split.
        dates: Of :data:`fresco.tuning.plan.DATES`.
        negatives: In a list; all where None.
        seed: Of what is drawn.
    """
    for pool in pools:
        for how in dates:
            draw = random.Random(f"{seed}:{how}:{pool.query.id}")  # noqa: S311
            yield _listed(pool, how, negatives, draw)


def _listed(pool: Pool, how: str, negatives: int | None, draw: random.Random) -> Listed:
    places = list(range(len(pool)))
    query, passages = pool.query, list(pool.passages)
    if how == "hidden":
        query = replace(query, dated=False)
        passages = [replace(passage, dated=False) for passage in passages]
        places = [place for place in places if not _hangs_on_its_date(pool, place)]
    elif how == "swapped":
        passages = _dealt_anew(pool, draw)
    right = [place for place in places if pool.labels[place] is Label.POSITIVE]
    wrong = [place for place in places if pool.labels[place] is not Label.POSITIVE]
    if negatives is not None and negatives < len(wrong):
        wrong = draw.sample(wrong, negatives)
    chosen = [*right, *wrong]
    return Listed(
        query, tuple(passages[place] for place in chosen), tuple(float(max(0, pool.grades[place])) for place in chosen)
    )


def _hangs_on_its_date(pool: Pool, place: int) -> bool:
    conflict = pool.conflicts[place] if pool.conflicts else None
    return pool.labels[place] is Label.OUTDATED and conflict not in _TELLING


def _dealt_anew(pool: Pool, draw: random.Random) -> list[Passage]:
    passages = list(pool.passages)
    silent = [
        place for place, label in enumerate(pool.labels) if pool.query.task is Task.NEK or label not in _ANSWERING
    ]
    when = [passages[place].timestamp for place in silent]
    draw.shuffle(when)
    if pool.query.task is Task.EK and when:
        newest = max(passage.timestamp for passage in passages)
        when[0] = max(newest, min(newest + timedelta(days=1), pool.query.timestamp))  # of a random one: it is shuffled
    for place, moment in zip(silent, when, strict=True):
        passages[place] = replace(passages[place], timestamp=moment)
    return passages


def pair_rows(listed: Sequence[Listed], fit: Fit) -> dict[str, list[object]]:
    """Columns for a point-wise loss: a row a pair, the label 0 or 1."""
    rows = [
        (each.query.text, fit(each.query, passage), float(label > 0))
        for each in listed
        for passage, label in zip(each.passages, each.labels, strict=True)
    ]
    return {name: [row[place] for row in rows] for place, name in enumerate(("query", "passage", "label"))}


def list_rows(listed: Sequence[Listed], fit: Fit) -> dict[str, list[object]]:
    """Columns for a list-wise loss: a row a query."""
    return {
        "query": [each.query.text for each in listed],
        "passages": [[fit(each.query, passage) for passage in each.passages] for each in listed],
        "labels": [list(each.labels) for each in listed],
    }
