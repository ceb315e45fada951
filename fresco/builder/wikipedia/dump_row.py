"""A revision as a dump carries it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from fresco.builder.revisions import Revision
from fresco.builder.wikipedia.cache import text_sha1
from fresco.builder.wikipedia.redirects import normal_title
from fresco.builder.wikipedia.report import Reason

#: Characters of one text or line; MediaWiki's own limit is 2 MiB ($wgMaxArticleSize). Bounds the memory.
LONGEST = 64 << 20

_LARGEST_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class DumpRow:
    """A revision of a dump.

    Attributes:
        revision: With the SHA-1 that the dump states, else the text's.
        text: None where the dump does not carry it or it does not match its hash.
        size: Bytes of the text.
        flagged: Whether the dump itself says that it is a redirect.
        reason: Why there is no text.
        detail: More about the reason.
    """

    revision: Revision
    text: str | None
    size: int
    flagged: bool = False
    reason: Reason | None = None
    detail: str = ""


def dump_row(
    revision: Revision, text: str, *, flagged: bool = False, reason: Reason | None = None, detail: str = ""
) -> DumpRow:
    """Check a revision of a dump against its own hash.

    Args:
        revision: As stated; ``sha1`` empty where the dump has none.
        text: As carried.
        flagged: Whether the dump says that it is a redirect.
        reason: Set where there is no text to use.
        detail: More about the reason.

    Raises:
        ValueError: no revision can have such ids, hash, title or text.
    """
    revision = dataclasses.replace(revision, title=normal_title(revision.title))
    revision.title.encode()  # half a surrogate pair is a ValueError
    if not revision.title:
        raise ValueError("a page without a title")
    if not (0 <= revision.revision_id <= _LARGEST_ID and 0 <= revision.page_id <= _LARGEST_ID):
        raise ValueError(f"revision {revision.revision_id} of page {revision.page_id}: no such numbers exist")
    if revision.sha1 and len(bytes.fromhex(revision.sha1)) != 20:
        raise ValueError(f"{revision.sha1!r} is no SHA-1")
    if reason is not None:
        return DumpRow(revision, None, 0, flagged, reason, detail)
    size, digest = len(text.encode()), text_sha1(text)
    if not revision.sha1:
        revision = dataclasses.replace(revision, sha1=digest)
    elif revision.sha1 != digest:
        detail = f"the dump says {revision.sha1}, its text has {digest}"
        return DumpRow(revision, None, size, flagged, Reason.SHA1_MISMATCH, detail)
    return DumpRow(revision, text, size, flagged)
