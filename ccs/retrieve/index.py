"""An index in a folder: passages, one way to search them, and a manifest of what it was made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from ccs.agent.trajectory import Hit
from ccs.retrieve.corpus import read_corpus
from ccs.retrieve.dense import DenseIndex, build_dense, embedding, encoder_of
from ccs.retrieve.lexical import Bm25Index, build_bm25
from ccs.retrieve.passages import Passages, skipped_passages, write_passages
from fresco.errors import FrescoError
from fresco.io.files import digest, locked
from fresco.io.secrets import redacted
from fresco.io.state import Shape, read_state, write_state
from fresco.io.workers import opened_for_models

#: Version of the folder's layout.
SCHEMA_VERSION = 1
METHODS = ("bm25", "dense")
_MANIFEST = "manifest.json"
_CLAIM = ".claim.json"
_SHAPE: Shape = {
    "schema_version": int,
    "settings": lambda value: isinstance(value, dict) and isinstance(value.get("method"), str),
    "files": lambda value: isinstance(value, dict) and all(isinstance(spot, str) for spot in value.values()),
    "passages_sha256": str,
    "model": (str, type(None)),
}
_SPOTS = 64  # blocks of a file that are compared when it is opened; of 62 GB nobody waits for all
_SPOT_BYTES = 1 << 16

#: Told what is done, how much of it, and of how much (None where that is not known yet).
Tell = Callable[[str, int, int | None], None]


class Searcher(Protocol):
    """One way to search: numbers of passages and their scores."""

    def search(self, queries: Sequence[str], k: int) -> list[list[tuple[int, float]]]:
        """At most ``k`` for each query, best first."""
        ...


class Index:
    """A retriever over an index on disk; may be shared by threads.

    Attributes:
        passages: What is searched.
        manifest: What the index was made from.
    """

    def __init__(self, passages: Passages, searcher: Searcher, manifest: Mapping[str, Any]) -> None:
        self.passages, self.manifest = passages, manifest
        self.searcher = searcher

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """See :class:`ccs.retrieve.base.Retriever`."""
        if not queries:
            return []
        distinct = list(dict.fromkeys(queries))  # the rollouts of one question often ask the same
        found = {
            query: [Hit(*self._named(number), score) for number, score in numbers]
            for query, numbers in zip(distinct, self.searcher.search(distinct, k), strict=True)
        }
        return [list(found[query]) for query in queries]

    def _named(self, number: int) -> tuple[str, str]:
        document = self.passages[number]
        return document.id, document.contents


def build_index(
    corpus: str,
    folder: Path,
    settings: Mapping[str, Any],
    tell: Tell,
    *,
    device: str | None = None,
    ray: str | None = None,
) -> int:
    """Make an index, or what is missing of it.

    Args:
        corpus: See :func:`ccs.retrieve.corpus.read_corpus`.
        folder: Where to.
        settings: ``method``; for ``dense`` also ``model``, ``dtype``, ``index_type``, ``query_prefix`` and
            ``passage_prefix``.
        tell: Told the progress.
        device: For the model.
        ray: Address of a Ray cluster whose machines embed the passages; None: this one does.

    Returns:
        The number of passages.

    Raises:
        FrescoError: bad corpus or model, or the folder holds an index of something else.
    """
    if ray and settings["method"] != "dense":
        raise FrescoError("--ray is for --method dense: BM25 needs no model and is quick on one machine")
    encoder = encoder_of(settings, device=device) if settings["method"] == "dense" else None
    path = Path(corpus)
    claim = redacted(
        {
            "schema_version": SCHEMA_VERSION,
            "corpus": {"name": path.name, "sha256": digest(path)} if path.is_file() else {"name": corpus},
            "settings": dict(settings),
            "model": hashlib.sha256(encoder.identity.encode()).hexdigest() if encoder else None,
        }
    )
    with locked(folder):
        _claim(folder, claim)
        count = write_passages(folder, read_corpus(corpus), lambda done: tell("passages", done, None))
        passages = Passages(folder)
        if not (folder / _MANIFEST).exists():
            method = settings["method"]
            if encoder:
                kind = settings["index_type"]
                with opened_for_models(ray, device) as workers:
                    embed = partial(workers.map, partial(embedding, settings, device)) if ray else None
                    build_dense(
                        folder / method,
                        passages,
                        encoder,
                        kind,
                        lambda done: tell("embedded", done, count),
                        embed=embed,
                    )
            else:
                build_bm25(folder / method, passages, lambda done: tell("indexed", done, count))
            manifest = {
                **claim,
                "passages": count,
                "skipped": skipped_passages(folder),
                "passages_sha256": passages.sha256,
                "files": _spots(folder),
            }
            write_state(folder / _MANIFEST, manifest)
    return count


def _claim(folder: Path, claim: Mapping[str, Any]) -> None:
    """Take an empty folder, or one that was begun for the same index."""
    path = folder / _CLAIM
    if not path.exists():
        if any(each.name != ".lock" for each in folder.iterdir()):
            raise FrescoError(f"--out {folder}: holds other files; give an empty folder or a new one")
        write_state(path, claim)
        return
    found = read_state(path, {}, "remove the folder and index again")
    if found != claim:
        changed = next(name for name in claim if found.get(name) != claim[name])
        raise FrescoError(
            f"--out {folder}: holds an index with another {changed} ({_short(found.get(changed))}, now "
            f"{_short(claim[changed])}); give another folder, or remove this one"
        )


def _spots(folder: Path) -> dict[str, str]:
    """For each file of an index what :func:`_spot` says of it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(folder).as_posix(): _spot(path) for path in files}


def _spot(path: Path) -> str:
    """Hash of a file's length and of blocks all over it."""
    size = path.stat().st_size
    spots = hashlib.sha256(str(size).encode())
    with path.open("rb") as stream:
        for place in range(0, size, max(_SPOT_BYTES, size // _SPOTS)):
            stream.seek(place)
            spots.update(stream.read(_SPOT_BYTES))
        stream.seek(max(0, size - _SPOT_BYTES))
        spots.update(stream.read())
    return spots.hexdigest()


def open_index(folder: Path, *, device: str | None = None, model: str | None = None) -> Index:
    """Open a folder of :func:`build_index`.

    Args:
        folder: The index.
        device: For the model of a dense one.
        model: Where the model of a dense one is now, if it was moved.

    Raises:
        FrescoError: no whole index, one of another layout, files of another index among its own, or its model is not
            the one that made it.
    """
    again = f"make it again with `ccs index --out {folder}`"
    try:
        manifest = read_state(folder / _MANIFEST, _SHAPE, again)
    except FileNotFoundError:
        raise FrescoError(f"{folder}: holds no whole index; {again}") from None
    version, settings, files = manifest["schema_version"], manifest["settings"], manifest["files"]
    if version != SCHEMA_VERSION:
        raise FrescoError(
            f"{folder}: its layout is version {version}, this program reads {SCHEMA_VERSION}; index again"
        )
    passages = Passages(folder)
    if passages.sha256 != manifest["passages_sha256"]:
        raise FrescoError(f"{folder}: its passages are of another corpus than its index; run `ccs index` again")
    for name, spot in files.items():
        if not (folder / name).is_file() or _spot(folder / name) != spot:
            raise FrescoError(f"{folder / name}: is not the file that this index was made with; index again")
    if settings["method"] == "bm25":
        return Index(passages, Bm25Index(folder / "bm25"), manifest)
    encoder = encoder_of({**settings, "model": model or settings["model"]}, device=device)
    if hashlib.sha256(encoder.identity.encode()).hexdigest() != manifest["model"]:
        raise FrescoError(
            f"{folder}: was embedded by another version of {model or settings['model']} than the one found now; "
            "index again, or name the model that made it"
        )
    return Index(passages, DenseIndex(folder / "dense", encoder), manifest)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 100 else f"{text[:97]}..."
