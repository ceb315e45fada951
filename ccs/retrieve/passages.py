"""The passages of an index on disk: one JSON line each and the place of each line, both memory-mapped."""

from __future__ import annotations

import hashlib
import json
import mmap
from array import array
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ccs.retrieve.corpus import Document
from fresco.errors import FrescoError
from fresco.io.files import replacing, sync
from fresco.io.state import read_array, read_state, write_state

_LINES = "passages.jsonl"
_PLACES = "passages.npy"
_STATE = "passages.json"
#: Why a passage is left out.
SKIPPED = ("empty", "repeated")
_SHAPE = {"count": int, "bytes": int, "sha256": str}


def write_passages(folder: Path, documents: Iterable[Document], tell: Callable[[int], None]) -> int:
    """Write the passages of a corpus, unless the folder holds them whole.

    Args:
        folder: Of the index.
        documents: Read in a stream.
        tell: Told the number written so far, now and then.

    Returns:
        How many there are. Empty passages, and those that repeat an earlier one, id and text, are skipped; see
        :func:`skipped_passages`.

    Raises:
        FrescoError: no passage, or one id for two texts.
    """
    if (folder / _STATE).exists():
        return count_passages(folder)
    seen: dict[bytes, bytes] = {}
    skipped = dict.fromkeys(SKIPPED, 0)
    places = array("q", [0])  # a list would take four times as much
    digest = hashlib.sha256()
    with replacing(folder / _LINES) as stream:
        for document in documents:
            if not document.contents.strip():
                skipped["empty"] += 1
                continue
            own = _hash(document.id)  # ids may be long, and there are many
            if own in seen:
                if seen[own] != _hash(document.contents):
                    raise FrescoError(
                        f"passage id {document.id!r:.80} is in the corpus twice, with two texts; ids must differ"
                    )
                skipped["repeated"] += 1
                continue
            seen[own] = _hash(document.contents)
            line = json.dumps([document.id, document.contents], ensure_ascii=False).encode() + b"\n"
            digest.update(line)
            places.append(places[-1] + stream.write(line))
            if len(seen) % 1000 == 0:
                tell(len(seen))
        if not seen:
            raise FrescoError("the corpus holds no passage; there is nothing to index")
    np.save(folder / _PLACES, np.asarray(places, np.int64))
    sync(folder / _LINES, folder / _PLACES)
    state = {"count": len(seen), "bytes": places[-1], "sha256": digest.hexdigest(), "skipped": skipped}
    write_state(folder / _STATE, state)  # last: only now are they whole
    tell(len(seen))
    return len(seen)


def count_passages(folder: Path) -> int:
    """How many passages a folder holds."""
    return int(_read_state(folder)["count"])


def skipped_passages(folder: Path) -> dict[str, int]:
    """How many passages of the corpus were left out, by reason: :data:`SKIPPED`."""
    return {**dict.fromkeys(SKIPPED, 0), **_read_state(folder).get("skipped", {})}


def _read_state(folder: Path) -> dict[str, Any]:
    return read_state(folder / _STATE, _SHAPE, "remove the folder and run `ccs index` again")


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


class Passages:
    """The passages of an index, by their number.

    Args:
        folder: Of the index.

    Raises:
        FrescoError: its files are missing or were changed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            state = _read_state(folder)
            self._places = read_array(folder / _PLACES, "run `ccs index` again", mapped=True)
            with (folder / _LINES).open("rb") as stream:
                self._lines = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError, EOFError) as error:
            raise FrescoError(f"{folder}: holds no whole index ({error}); run `ccs index` again") from error
        self.sha256: str = state["sha256"]
        if (
            self._places.shape != (state["count"] + 1,)
            or self._places.dtype.kind != "i"
            or len(self._lines) != state["bytes"]
        ):
            raise FrescoError(f"{folder / _LINES}: was changed since the index was made; run `ccs index` again")

    def __len__(self) -> int:
        return len(self._places) - 1

    def __getitem__(self, number: int) -> Document:
        start, end = self._places[number : number + 2]
        return Document(*json.loads(self._lines[start:end]))

    def __iter__(self) -> Iterator[Document]:
        return (self[number] for number in range(len(self)))
