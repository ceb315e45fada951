"""Child process: parses one page a line, and ends where a page takes too long of the processor."""

from __future__ import annotations

import contextlib
import json
import math
import sys
import time
from dataclasses import asdict, astuple
from typing import Any

from fresco.builder.markup import parse
from fresco.builder.wikitext.infobox import Entry, Infobox
from fresco.builder.wikitext.sections import Page, Section


def to_json(page: Page) -> str:
    """A page as one line of JSON."""
    boxes = [
        [
            box.kind,
            {name: [list(astuple(entry)) for entry in entries] for name, entries in box.fields.items()},
            *(() if box.subject is None else (box.subject,)),
        ]
        for box in page.infoboxes
    ]
    sections = [list(asdict(section).values()) for section in page.sections]
    return json.dumps([sections, boxes], ensure_ascii=False, separators=(",", ":"))


def from_json(line: str) -> Page:
    """The page of a line that :func:`to_json` wrote."""
    sections, boxes = json.loads(line)
    return Page(
        tuple(Section(*section) for section in sections),
        tuple(
            Infobox(
                kind, {name: tuple(Entry(*entry) for entry in entries) for name, entries in fields.items()}, *subject
            )
            for kind, fields, *subject in boxes
        ),
    )


def answer(request: Any) -> str:
    """One line of JSON for a request ``[whole page?, rows of tables?, text, its markup, seconds]``."""
    whole, tables, text, markup, seconds = request
    _bound(seconds)
    return to_json(parse(markup, text, whole=whole, tables=tables))


def _bound(seconds: float) -> None:
    """End this process once the page has taken so much of the processor: a busy machine costs no page.

    The parser is C code that no Python signal interrupts, so it is the kernel that ends it.
    """
    with contextlib.suppress(ImportError):  # Windows has none; the parent's clock is all there is
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _, most = resource.getrlimit(resource.RLIMIT_CPU)
        wanted = math.ceil(time.process_time() + seconds)
        resource.setrlimit(resource.RLIMIT_CPU, (wanted if most < 0 else min(wanted, most), most))


def main() -> None:
    """Answer requests line by line until standard input ends."""
    sys.stdin.reconfigure(encoding="utf-8", errors="surrogatepass")  # type: ignore[union-attr]
    sys.stdout.reconfigure(encoding="utf-8", errors="surrogatepass")  # type: ignore[union-attr]
    for line in sys.stdin:
        sys.stdout.write(answer(json.loads(line)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
