"""Revisions of a dump, one after another, whatever its format and packing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from fresco.builder.wikipedia.dump_command import Command
from fresco.builder.wikipedia.dump_json import OnDamage, json_rows
from fresco.builder.wikipedia.dump_row import DumpRow
from fresco.builder.wikipedia.dump_stream import DamagedDumpError, Progress, chunks
from fresco.builder.wikipedia.dump_xml import xml_rows
from fresco.errors import FrescoError

_BOM = b"\xef\xbb\xbf"
_BLANK = _BOM + b" \t\r\n\v\f"  # as a set of bytes, none of which begins a dump
_DECLARATION = b"<?xml"


def rows(path: Path | Command, on_damage: OnDamage, progress: Progress | None = None) -> Iterator[DumpRow]:
    """Read a dump; its format is told from its first byte.

    Args:
        path: The file, packed or not; or what writes it.
        on_damage: Told of each damaged place. A bad line of JSON Lines is passed over, anything else ends the file.
        progress: As for :func:`~fresco.builder.wikipedia.dump_stream.chunks`.

    Raises:
        FrescoError: the file is no dump, or cannot be opened.
    """
    stream = chunks(path, progress)
    head = b""
    try:
        for chunk in stream:
            head += chunk
            if head.lstrip(_BLANK):
                break
        bare = head.lstrip(_BLANK)
        start = bare[:1]
        if start == b"<":
            # Files that were split or joined by hand begin with blank lines, which XML forbids before its declaration,
            # and with byte order marks behind them.
            as_it_is = bare[: len(_DECLARATION)] != _DECLARATION and _BOM not in head[1 : len(head) - len(bare)]
            yield from xml_rows(path, chain([head if as_it_is else bare], stream))
        elif start == b"{":
            blank = head[: len(head) - len(bare)].replace(_BOM, b"")  # its lines count
            yield from json_rows(path, chain([blank + bare], stream), on_damage)
        else:
            raise FrescoError(f"{path}: neither a MediaWiki XML export nor JSON Lines; it begins with {head[:20]!r}")
    except DamagedDumpError as damage:
        on_damage(damage)
    finally:
        stream.close()  # ends the program that unpacks, whoever stops reading
