"""Where the files of published collections lie: BEIR's folders and MTEB's, on disk or on the Hugging Face hub.

BEIR keeps ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/SPLIT.tsv``; MTEB a folder for each table (``corpus/``,
``queries/``, and ``qrels/``, ``data/`` or ``default/`` for the judgements) with files such as
``test-00000-of-00001.parquet``. Any table may be JSON Lines, packed or not, or Parquet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fresco.benchmarks.tables import Row, one_line, stream_jsonl
from fresco.errors import FrescoError
from fresco.io.parquet import read_parquet

_ROWS = (".jsonl", ".parquet")
_LINES = (".tsv", ".txt", ".trec", ".qrels")
_PACKED = (".gz", ".xz", ".bz2")
_JUDGEMENTS = ("qrels", "data", "default")
_SHARD = re.compile(r"-\d{5}-of-\d{5}$", re.ASCII)
#: Splits that are measured on, best first, where nobody says which: the last resort of train is left to the user.
_PREFERRED = ("test", "dev", "validation", "val")
_SAME = {"dev": "validation", "val": "validation"}


@dataclass(frozen=True)
class Layout:
    """The files of one collection.

    Attributes:
        folder: That holds them.
        corpus: Of the passages, in order.
        queries: Of the queries, in order.
        split: Which judgements.
        qrels: Their files.
        others: Further splits that are there.
    """

    folder: Path
    corpus: tuple[Path, ...]
    queries: tuple[Path, ...]
    split: str
    qrels: tuple[Path, ...]
    others: tuple[str, ...]


def is_published(folder: Path) -> bool:
    """Whether the folder has judgements where BEIR or MTEB keeps them."""
    return (folder / "qrels").is_dir() or bool(_files(folder, "corpus") and _splits(folder))


def find_layout(folder: Path, split: str | None = None, qrels: Path | None = None) -> Layout:
    """Find the files.

    Args:
        folder: See :func:`is_published`.
        split: Which judgements; where None the only ones there are, else those of the test or the validation split.
        qrels: Another folder that has the judgements.

    Raises:
        FrescoError: a table is missing or ambiguous, or there is no such split.
    """
    where, splits = _splits_of(qrels or folder)
    names = sorted(splits)
    if split is not None:
        chosen = next((name for name in names if name == split), None) or next(
            (name for name in names if _SAME.get(name, name) == _SAME.get(split, split)), None
        )
        if chosen is None:
            raise FrescoError(f"{where}: has no judgements {split!r}; there are: {', '.join(names) or 'none'}")
    else:
        chosen = names[0] if len(names) == 1 else next((name for name in _PREFERRED if name in names), None)
        if chosen is None:
            there = ", ".join(names) or "no .tsv, .jsonl or .parquet file"
            ways = f"; choose one, as in {folder.name}@{names[0]}" if names else "; test.tsv is expected"
            raise FrescoError(f"{where}: holds {there}{ways}")
    corpus, queries = (_table(folder, name, chosen) for name in ("corpus", "queries"))
    others = tuple(name for name in names if name != chosen)
    return Layout(folder, corpus, queries, chosen, splits[chosen], others)


def hub_folders(dataset: str) -> tuple[Path, Path | None] | None:
    """The files of a dataset of the hub in one of these layouts, fetched through the hub's own cache.

    Args:
        dataset: ``user/name``. BeIR keeps the judgements in ``user/name-qrels``.

    Returns:
        The folder, and another one for the judgements where it has none; None where it is no such dataset, or is out
        of reach and not in the cache.

    Raises:
        FrescoError: a file cannot be fetched.
    """
    folder = _hub_snapshot(dataset, ("corpus", "queries", *_JUDGEMENTS))
    if folder is None or not _files(folder, "corpus"):
        return None
    if is_published(folder):
        return folder, None
    qrels = _hub_snapshot(f"{dataset}-qrels", (*_PREFERRED, "train"))
    return None if qrels is None else (folder, qrels)


def _hub_snapshot(dataset: str, tables: tuple[str, ...]) -> Path | None:
    """What the hub has of these tables; of a dataset with pools of its own, which is no published one, nothing."""
    from huggingface_hub import HfApi, snapshot_download

    files: list[str] = []
    try:
        files = HfApi().list_repo_files(dataset, repo_type="dataset")
    except Exception:  # no network, no such dataset: what was fetched before may be there
        with suppress(Exception):
            return Path(snapshot_download(dataset, repo_type="dataset", local_files_only=True))
        return None
    wanted = [name for name in files if _table_of(name) in tables]
    if not wanted or any(_table_of(name) == "pools" for name in files):
        return None
    try:
        return Path(snapshot_download(dataset, repo_type="dataset", allow_patterns=wanted))
    except Exception as error:  # whatever httpx, the hub's client and the disk raise
        raise FrescoError(f"{dataset}: cannot be fetched ({one_line(error)})") from error


def _table_of(name: str) -> str:
    """The table that a file of a dataset belongs to: its folder, or its own name."""
    path = Path(name)
    known = _kind(path) in (*_ROWS, *_LINES) and not name.startswith(".")
    return "" if not known else _stem(path) if len(path.parts) == 1 else path.parts[0]


def read_table_files(files: tuple[Path, ...]) -> Iterator[Row]:
    """The rows of the files of one table, in a stream.

    Raises:
        FrescoError: a file cannot be read or a row is none; or there is no row.
    """
    empty = True
    for path in files:
        rows = (Row(*row) for row in read_parquet(path)) if _kind(path) == ".parquet" else stream_jsonl(path)
        for row in rows:
            empty = False
            yield row
    if empty:
        raise FrescoError(f"{files[0]}: the table has no rows")


def is_of_lines(path: Path) -> bool:
    """Whether judgements stand there line by line (TSV, TREC) rather than as rows with names."""
    return _kind(path) in _LINES


def _kind(path: Path) -> str:
    return (path.with_suffix("") if path.suffix in _PACKED else path).suffix


def _stem(path: Path) -> str:
    plain = path.with_suffix("") if path.suffix in _PACKED else path
    return _SHARD.sub("", plain.stem)


def _visible(folder: Path, kinds: tuple[str, ...]) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _kind(path) in kinds and not path.name.startswith("."))


def _files(folder: Path, table: str) -> list[Path]:
    beside = [path for path in _visible(folder, _ROWS) if _stem(path) == table]
    return beside or _visible(folder / table, _ROWS)


def _table(folder: Path, table: str, split: str) -> tuple[Path, ...]:
    files = _files(folder, table)
    if not files:
        raise FrescoError(
            f"{folder}: the table {table!r} is missing; {table}.jsonl, {table}.parquet or a folder {table}/ is expected"
        )
    kinds = {_kind(path) for path in files}
    groups: dict[str, list[Path]] = {}
    for path in files:
        groups.setdefault(_stem(path), []).append(path)
    if len(groups) > 1:
        wanted = [name for name in (split, _SAME.get(split, split), table) if name in groups]
        if not wanted:
            raise FrescoError(
                f"{files[0].parent}: holds {', '.join(sorted(groups))}, and none is of the split {split!r}; keep one"
            )
        groups = {wanted[0]: groups[wanted[0]]}
    (chosen,) = groups.values()
    if len(kinds) > 1 or (len(chosen) > 1 and not all(_SHARD.search(_unpacked_stem(path)) for path in chosen)):
        names = " and ".join(path.name for path in chosen)
        raise FrescoError(f"{files[0].parent}: holds the table {table!r} twice, as {names}; remove one")
    return tuple(chosen)


def _unpacked_stem(path: Path) -> str:
    return (path.with_suffix("") if path.suffix in _PACKED else path).stem


def _splits(folder: Path) -> dict[str, tuple[Path, ...]]:
    return _splits_of(folder)[1]


def _splits_of(folder: Path) -> tuple[Path, dict[str, tuple[Path, ...]]]:
    """Where judgements lie, and their files by split; a split in two formats is read from the first."""
    for name in _JUDGEMENTS:
        for kind in (*_LINES, *_ROWS):
            files = _visible(folder / name, (kind,))
            if files:
                return folder / name, _by_split(folder / name)
    beside: dict[str, tuple[Path, ...]] = {
        _stem(path): (path,) for path in _visible(folder, _LINES)
    }  # BeIR's repositories of qrels on the hub
    return (folder, beside) if beside else (folder / "qrels", {})


def _by_split(folder: Path) -> dict[str, tuple[Path, ...]]:
    found: dict[str, tuple[Path, ...]] = {}
    for kind in (*_LINES, *_ROWS):
        own: dict[str, tuple[Path, ...]] = {}
        for path in _visible(folder, (kind,)):
            own[_stem(path)] = (*own.get(_stem(path), ()), path)
        found = {**own, **found}
    return found
