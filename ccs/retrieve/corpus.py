"""Passages to search, read in a stream from JSON Lines, Parquet or a Hugging Face dataset.

A row has ``id`` (or ``_id``) and ``contents``, as in Search-R1's corpora, or ``title`` and ``text``; these two become
``"TITLE"``, a line break and the text, which is Search-R1's form too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fresco.errors import FrescoError
from fresco.io.hub import NAME, read_rows
from fresco.io.jsonlines import read_objects

#: A longer passage is a document that nobody split; agents could not read it.
LONGEST_PASSAGE = 1_000_000
_PACKED = (".jsonl", ".json", ".gz", ".xz")


@dataclass(frozen=True, slots=True)
class Document:
    """A passage of the corpus: its id, and the text that is searched and returned."""

    id: str
    contents: str


def read_corpus(source: str) -> Iterator[Document]:
    """The passages of a corpus, in its order.

    Args:
        source: A path (``.jsonl``, also with ``.gz`` or ``.xz``; ``.parquet``), or a Hugging Face dataset,
            ``user/name``, ``user/name:config`` or ``user/name:config@split`` (``train`` where none is named).

    Raises:
        FrescoError: nothing there, or a row that is no passage; names file, line and field.
    """
    path = Path(source)
    if path.suffix == ".parquet" and path.is_file():
        rows = _parquet(path)
    elif path.is_file():
        rows = read_objects(path, "passage")
    elif (hub := NAME.fullmatch(source)) and path.suffix not in _PACKED:
        rows = read_rows(hub["repo"], hub["config"], hub["split"] or "train")
    else:
        raise FrescoError(
            f"--corpus {source}: no such file; give JSON Lines (.jsonl, .gz, .xz), Parquet, or a Hugging Face "
            "dataset (user/name:config@split)"
        )
    for where, row in rows:
        yield _document(row, where)


def _parquet(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(1024):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}, row {number}", row
    except (OSError, pyarrow.ArrowException) as error:
        said = " ".join(str(error).split())[:200]
        raise FrescoError(f"{path}: cannot be read as Parquet after row {number}: {said}") from error


def _document(row: Mapping[str, Any], where: str) -> Document:
    name = row.get("id", row.get("_id"))
    if isinstance(name, bool) or not isinstance(name, str | int) or name == "":
        raise FrescoError(f"{where}: id is {name!r:.60}; text or a whole number is wanted, another for each passage")
    if row.get("contents") is not None:
        contents = _text(row, "contents", where)
    else:
        title = _text(row, "title", where) if row.get("title") else ""
        text = _text(row, "text", where)
        contents = f'"{title}"\n{text}' if title else text
    if not contents.strip():
        raise FrescoError(f"{where}: the passage is empty; leave it out")
    if len(contents) > LONGEST_PASSAGE:
        raise FrescoError(
            f"{where}: a passage of {len(contents):,} characters; {LONGEST_PASSAGE:,} are the most, split the document"
        )
    # A lone surrogate (JSON can spell one) has no UTF-8.
    return Document(_encodable(str(name)), _encodable(contents))


def _text(row: Mapping[str, Any], field: str, where: str) -> str:
    value = row.get(field)
    if not isinstance(value, str):
        raise FrescoError(f"{where}: {field} is {value!r:.60}; text is wanted")
    return value


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
