"""A corpus that the tests of retrieval share: made-up passages with words of very different frequency."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ccs.retrieve.corpus import Document

_PLACES = ("Aden", "Bergen", "Cork", "Dakar", "Évora", "Faro", "Graz", "Hilo")
_THINGS = ("harbour", "bridge", "castle", "museum", "river", "market", "library", "tower", "garden", "station")


def documents(count: int, seed: int = 0) -> list[Document]:
    """Passages; every word of the small vocabulary is in some of them, and "the" in nearly all."""
    draw = random.Random(seed)
    made = []
    for number in range(count):
        body = [f"number{number}", *draw.choices(_THINGS, k=draw.randint(1, 12)), *["the"] * draw.randint(0, 3)]
        draw.shuffle(body)
        made.append(Document(f"p{number}", f'"{draw.choice(_PLACES)}"\n{" ".join(body)}'))
    return made


def write_rows(path: Path, rows: Iterable[Any]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def write_corpus(path: Path, made: Iterable[Document]) -> Path:
    return write_rows(path, ({"id": each.id, "contents": each.contents} for each in made))
