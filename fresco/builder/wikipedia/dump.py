"""Revisions of a dump, one after another, whatever its format and packing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from fresco.builder.wikipedia.dump_json import OnDamage, json_rows
from fresco.builder.wikipedia.dump_row import DumpRow
from fresco.builder.wikipedia.dump_stream import DamagedDumpError, Progress, chunks
from fresco.builder.wikipedia.dump_xml import xml_rows
from fresco.errors import FrescoError

_BOM = b"\xef\xbb\xbf"


def rows(path: Path, on_damage: OnDamage, progress: Progress | None = None) -> Iterator[DumpRow]:
    """Read a dump; its format is told from its first byte.

    Args:
        path: The file, packed or not.
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
            if head.removeprefix(_BOM).strip():
                break
        start = head.removeprefix(_BOM).lstrip()[:1]
        if start == b"<":
            # Files that were split by hand begin with blank lines, which XML forbids before its declaration only.
            bare = head.removeprefix(_BOM).lstrip()
            yield from xml_rows(path, chain([bare if bare.startswith(b"<?xml") else head], stream))
        elif start == b"{":
            yield from json_rows(path, chain([head.removeprefix(_BOM)], stream), on_damage)
        else:
            raise FrescoError(f"{path}: neither a MediaWiki XML export nor JSON Lines; it begins with {head[:20]!r}")
    except DamagedDumpError as damage:
        on_damage(damage)
    finally:
        stream.close()  # ends the program that unpacks, whoever stops reading
