"""What the wiki and the mirror share: texts come from the cache, verified, without redirects, with a report."""

from __future__ import annotations

import math
from datetime import datetime
from types import TracebackType
from typing import Self

from fresco.builder.revisions import Revision
from fresco.builder.wikipedia.cache import FOREVER, Cache
from fresco.builder.wikipedia.redirects import target_of
from fresco.builder.wikipedia.report import Reason, Report


class CachedSource:
    """A source of revisions over a cache.

    Args:
        name: Identity of the source in the cache.
        cache: Where listings and texts are kept.
        report: Where problems are noted.
    """

    def __init__(self, name: str, cache: Cache, report: Report) -> None:
        self.cache = cache
        self.report = report
        self._source = cache.source(name)

    def close(self) -> None:
        """Give back what the source holds."""
        self.cache.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _is_known(self, revision: Revision) -> bool:
        if self.cache.answer(self._source, revision.revision_id) is not None:
            return True
        return bool(revision.sha1) and self.cache.has_text(revision.sha1)

    def _known_text(self, revision: Revision) -> str | None:
        """The text of a revision that is known, None (and a row in the report) where it cannot be used."""
        answer = self.cache.answer(self._source, revision.revision_id)
        if answer is not None and answer.reason is not None:
            self.report.add(revision.title, revision.revision_id, answer.reason, answer.detail)
            if not answer.sha1:
                return None
        digest = answer.sha1 if answer is not None else revision.sha1
        if revision.sha1 and digest != revision.sha1:
            detail = f"asked for {revision.sha1}, the source has {digest}"
            self.report.add(revision.title, revision.revision_id, Reason.SHA1_MISMATCH, detail)
            return None
        text = self.cache.text(digest) if digest else None
        if text is None:
            self.report.add(revision.title, revision.revision_id, Reason.NO_ANSWER)
            return None
        target = target_of(text)
        if target is not None:
            self.report.add(revision.title, revision.revision_id, Reason.REDIRECT, f"to {target!r}")
            return None
        return text


def window(start: datetime | None, end: datetime | None) -> tuple[int, int]:
    """A window of time ``[start, end)`` in whole Unix seconds, which is how wikis date revisions."""
    return (
        math.ceil(start.timestamp()) if start is not None else 0,
        math.ceil(end.timestamp()) if end is not None else FOREVER,
    )
