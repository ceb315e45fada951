"""Small dumps in both formats, every packing, and one as large as a test wants."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.sax.saxutils import escape

import pytest


def row(title: str, number: int, content: str, **more: Any) -> dict[str, Any]:
    when = f"2020-01-{number % 28 + 1:02}T00:00:00Z"
    return {"title": title, "page_id": 1, "revision_id": number, "revision_timestamp": when, "content": content, **more}


def jsonl_bytes(rows: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def xml_bytes(rows: Iterable[dict[str, Any]]) -> bytes:
    """A small export: one page for each run of rows with one title."""
    parts = ['<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11">']
    title = None
    for row in rows:
        if row["title"] != title:
            parts.append("</page>" if title is not None else "")
            title = row["title"]
            parts.append(f"<page><title>{escape(title)}</title><ns>0</ns><id>{row['page_id']}</id>")
        parts.append(
            f"<revision><id>{row['revision_id']}</id><timestamp>{row['revision_timestamp']}</timestamp><contributor>"
            f"<id>5</id></contributor><text{row.get('attributes', '')}>{escape(row['content'])}</text>"
            f"{row.get('more', '')}</revision>"
        )
    return "".join([*parts, "</page>" if title is not None else "", "</mediawiki>"]).encode()


def write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


ROWS = [row("A", 1, "eins & <zwei>"), row("A", 2, "zwei\n\n* é ü 漢字 \U0001f600"), row("B", 3, "")]


def packed_by(*command: str) -> Callable[[bytes], bytes]:
    def packed(data: bytes) -> bytes:
        if not shutil.which(command[0]):
            pytest.skip(f"needs {command[0]}")
        with TemporaryDirectory() as folder:
            plain = write(Path(folder), "plain", data)
            target = Path(folder) / "packed.7z"  # 7z adds an ending where there is none
            line = [part.format(plain=plain, target=target) for part in command]
            subprocess.run(line, check=True, capture_output=True)
            return target.read_bytes()

    return packed


def seven_zip(data: bytes) -> bytes:
    program = next((name for name in ("7z", "7zz", "7za") if shutil.which(name)), "7z")
    return packed_by(program, "a", "-t7z", "{target}", "{plain}")(data)


BIG_READER = """
import sys
from pathlib import Path
from fresco.builder.wikipedia import Mirror
from fresco.models.memory import forget_peak, peak
forget_peak(None)
before = peak(None)
with Mirror(Path(sys.argv[1]), Path(sys.argv[2])) as mirror:
    print(len(mirror.history("Big")), peak(None) - before)
"""


def big_export(path: Path, revisions: int) -> None:
    """One page with many revisions of 100 kB, each with a line of its own: nothing can be kept for later."""
    body = "All work and no play makes a dull page.\n" * 2500
    with gzip.open(path, "wt", compresslevel=1) as out:
        out.write("<mediawiki><page><title>Big</title><ns>0</ns><id>1</id>")
        for number in range(revisions):
            when = f"20{number // 300 + 10:02}-{number % 12 + 1:02}-{number % 25 + 1:02}T00:00:00Z"
            out.write(
                f"<revision><id>{number}</id><timestamp>{when}</timestamp><text>{number}\n{body}</text></revision>"
            )
        out.write("</page></mediawiki>")
