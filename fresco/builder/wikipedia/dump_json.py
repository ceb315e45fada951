"""JSON Lines with one revision in a line.

Fields: ``title``, ``revision_id``, ``revision_timestamp``, ``content`` (wikitext) and optionally ``page_id``, ``sha1``
(hex), ``is_redirect`` and ``model`` (``wikitext`` where absent). A ``content`` of ``null`` is a text that is not there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from fresco.builder.revisions import Revision
from fresco.builder.wikipedia.dump_command import Command
from fresco.builder.wikipedia.dump_row import LONGEST, DumpRow, dump_row
from fresco.builder.wikipedia.dump_stream import DamagedDumpError
from fresco.builder.wikipedia.report import Reason
from fresco.records import parse_timestamp

#: Told of damage; returns to go on behind it.
OnDamage = Callable[[DamagedDumpError], None]


def json_rows(path: Path | Command, stream: Iterable[bytes], on_damage: OnDamage) -> Iterator[DumpRow]:
    """Read JSON Lines.

    Args:
        path: For messages.
        stream: The file's bytes.
        on_damage: Told of each bad line, which is then passed over.
    """
    for number, line in enumerate(_lines(path, stream), start=1):
        if not line.strip():
            continue
        try:
            row = _json_row(line)
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            what = f"no field {error}" if isinstance(error, KeyError) else str(error)
            on_damage(DamagedDumpError(f"{path}: line {number}: {what}; mend or delete the line"))
            continue
        yield row


def _lines(path: Path | Command, stream: Iterable[bytes]) -> Iterator[bytes]:
    rest = bytearray()
    for chunk in stream:
        rest += chunk
        if b"\n" in chunk:
            *whole, last = bytes(rest).split(b"\n")
            yield from whole
            rest = bytearray(last)
        if len(rest) > LONGEST:
            raise DamagedDumpError(
                f"{path}: a line longer than {LONGEST} bytes; give JSON Lines, one revision in a line"
            )
    if rest:
        yield bytes(rest)


def _json_row(line: bytes) -> DumpRow:
    values = json.loads(line.decode())
    if not isinstance(values, dict):
        raise TypeError(f"a {type(values).__name__}, not an object")
    title, content = values["title"], values["content"]
    if not isinstance(title, str) or not isinstance(content, str | None) or not title.strip():
        raise TypeError("'title' and 'content' must be strings, the title not empty")
    model = str(values.get("model") or "wikitext")
    reason = None if model == "wikitext" else Reason.NOT_WIKITEXT
    if content is None:
        reason = Reason.TEXT_MISSING
    revision = Revision(
        title=title,
        page_id=int(values.get("page_id") or 0),
        revision_id=int(values["revision_id"]),
        timestamp=parse_timestamp(str(values["revision_timestamp"])),
        sha1=str(values.get("sha1") or "").lower(),
    )
    detail = model if reason is Reason.NOT_WIKITEXT else ""
    return dump_row(revision, content or "", flagged=bool(values.get("is_redirect")), reason=reason, detail=detail)
