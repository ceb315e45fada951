"""Passages to search, read in a stream from JSON Lines, Parquet, TSV or a Hugging Face dataset.

A row has ``id`` (or ``_id``, ``docid``), a text or a whole number, and ``contents``, as in Search-R1's corpora, or
``title`` and ``text``; these two, which DPR's TSV has as well, become ``"TITLE"``, a line break and the text, which is
Search-R1's form too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fresco.errors import FrescoError
from fresco.io.hub import NAME, read_rows
from fresco.io.jsonlines import read_objects
from fresco.io.parquet import read_parquet
from fresco.io.tables import kind_of, named_rows, read_tsv

#: A longer passage is a document that nobody split; agents could not read it.
LONGEST_PASSAGE = 1_000_000
_FILES = (".jsonl", ".json", ".tsv", ".parquet", ".gz", ".xz", ".bz2")
_IDS = ("id", "_id", "docid")


@dataclass(frozen=True, slots=True)
class Document:
    """A passage of the corpus: its id, and the text that is searched and returned; an empty one is not indexed."""

    id: str
    contents: str


def read_corpus(source: str) -> Iterator[Document]:
    """The passages of a corpus, in its order.

    Args:
        source: A path (``.jsonl`` or ``.tsv``, also with ``.gz`` or ``.xz``; ``.parquet``), or a Hugging Face dataset,
            ``user/name``, ``user/name:config`` or ``user/name:config@split`` (``train`` where none is named).

    Raises:
        FrescoError: nothing there, or a row that is no passage; names file, line and field.
    """
    path = Path(source)
    if path.is_file():
        readers = {".parquet": read_parquet, ".tsv": _tsv}
        rows = readers[kind](path) if (kind := kind_of(path)) in readers else read_objects(path, "passage")
    elif (hub := NAME.fullmatch(source)) and path.suffix not in _FILES:
        rows = read_rows(hub["repo"], hub["config"], hub["split"] or "train")
    else:
        raise FrescoError(
            f"--corpus {source}: no such file; give JSON Lines or TSV (.jsonl, .tsv, .gz, .xz), Parquet, or a "
            "Hugging Face dataset (user/name:config@split)"
        )
    for where, row in rows:
        yield _document(row, where)


def _tsv(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    rows = read_tsv(path)
    where, header = next(rows, (str(path), []))
    if not {"text", "contents"} & {*header} or not {*_IDS} & {*header}:
        raise FrescoError(
            f"{where}: the header is {', '.join(header)[:100]!r}; the columns id and text (and title), as in DPR's "
            "psgs_w100.tsv, or id and contents are wanted"
        )
    yield from named_rows(rows, header)


def _document(row: Mapping[str, Any], where: str) -> Document:
    name = next((row[field] for field in _IDS if row.get(field) is not None), None)
    if isinstance(name, bool) or not isinstance(name, str | int) or name == "":
        raise FrescoError(f"{where}: id is {name!r:.60}; text or a whole number is wanted, another for each passage")
    if row.get("contents") is not None:
        contents = _text(row, "contents", where)
    else:
        title = _text(row, "title", where) if row.get("title") else ""
        text = _text(row, "text", where)
        contents = f'"{title}"\n{text}' if title else text
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
