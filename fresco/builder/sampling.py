"""Which revisions of a long history are read when nothing but the infoboxes tells what changed."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta

from fresco.builder.revisions import Revision

#: A revision that was replaced sooner may be vandalism, or one of many small edits.
STOOD = timedelta(days=1)


def sample(history: Sequence[Revision], since: datetime, reference: datetime, days: int) -> list[Revision]:
    """One revision for each stretch of days, back from the reference date: the last that stood for a day by its end.

    Where none of the stretch stood for a day, the last one is taken. Revisions without a hash (hidden) are no choice.

    Args:
        history: The revisions of a page, oldest first.
        since: Beginning of the window.
        reference: Its end.
        days: Length of a stretch.

    Returns:
        Distinct revisions, oldest first.
    """
    usable = [each for each in history if each.sha1 and each.timestamp <= reference]
    times = [each.timestamp for each in usable]
    ends = [*times[1:], None]
    chosen: set[int] = set()
    at = reference
    while True:
        place = bisect_right(times, at) - 1
        if place < 0:
            break
        start = at - timedelta(days=days)
        standing = place
        while standing >= 0 and times[standing] > start:
            end = ends[standing]
            if end is None or end - times[standing] >= STOOD:
                break
            standing -= 1
        chosen.add(standing if standing >= 0 and times[standing] > start else place)
        if at <= since:
            break
        at = max(start, since)
    return [usable[place] for place in sorted(chosen)]
