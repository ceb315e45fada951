"""From what a user writes to the benchmark that is meant."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from fresco.benchmarks.beir import read_beir
from fresco.benchmarks.editions import CARD, Edition, check_edition, check_fingerprint, parse_edition, read_edition
from fresco.benchmarks.embedded import EMBEDDED, embedded_folder
from fresco.benchmarks.first_stage import INJECTED, parse_pools
from fresco.benchmarks.folder import TABLES, has_table, read_benchmark, read_table
from fresco.benchmarks.layout import hub_folders, is_published
from fresco.benchmarks.registry import BENCHMARKS
from fresco.benchmarks.tables import read_hub, read_hub_file
from fresco.errors import FrescoError
from fresco.io.names import short
from fresco.records import Benchmark

_PLUG_IN = re.compile(r"(?:[\w.]+|.*\.py):[A-Za-z_]\w*")
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)


def open_benchmark(source: str, *, seed: int = 0, strict: bool = False, pools: str = INJECTED) -> Benchmark:
    """Open a benchmark.

    Args:
        source: The first of these that fits: the name of an embedded benchmark (``mini``); the path of a folder in our
            layout, or of BEIR's or MTEB's; the id of a Hugging Face dataset (``user/name``) in one of these;
            ``module:function`` of your own, which gives a benchmark. ``@SPLIT`` behind a folder or an id of BEIR's or
            MTEB's says which judgements.
        seed: Of the random dates of such a folder; the others have dates of their own.
        strict: Refuse what published collections are forgiven; see :mod:`fresco.benchmarks.published`.
        pools: Where the candidates of a published collection come from; see
            :func:`fresco.benchmarks.first_stage.parse_pools`.

    Raises:
        FrescoError: nothing fits, or what fits is wrong or an old edition; the message says where.
    """
    parse_pools(pools)
    try:
        opened = _open(source, seed, strict, pools)
    except OSError as error:
        raise FrescoError(f"{error.filename or source}: cannot be read: {error.strerror or error}") from error
    if pools != INJECTED and not opened.candidates:
        raise FrescoError(own_pools(source, pools))
    return opened


def own_pools(name: str, pools: str) -> str:
    """What is wrong with ``--pools`` for a benchmark that has pools of its own."""
    return (
        f"--pools {short(pools, 200)}: {name} has pools of its own, and nothing says which passages outside of them "
        "are outdated; it is for BEIR and MTEB collections, as --benchmark or --nek"
    )


def _open(source: str, seed: int, strict: bool, pools: str) -> Benchmark:
    if source in BENCHMARKS.parts() or source in BENCHMARKS.plug_ins():
        return BENCHMARKS.open(source, seed=seed)
    path = Path(source)
    if path.is_dir():
        return _open_folder(source, path, seed, strict=strict, pools=pools)
    if path.exists():
        raise FrescoError(f"{source} is a file; a benchmark is a folder, so give the folder that holds it")
    place, mark, split = source.rpartition("@")
    if mark and Path(place).is_dir():
        return _open_folder(source, Path(place), seed, split=split, strict=strict, pools=pools)
    place = place if mark else source
    # Where there is no network the hub is given up after 25 s: a path misspelt in its last part only is not asked for.
    if _HUB_ID.fullmatch(place) and not Path(place).parent.is_dir():
        return _open_hub(source, place, seed, split=split if mark else None, strict=strict, pools=pools)
    if _PLUG_IN.match(source):
        return BENCHMARKS.open(source, seed=seed)
    raise FrescoError(
        f"there is no benchmark {short(source, 200)}: give the name of an embedded one ({', '.join(EMBEDDED)}), the "
        "path of a benchmark or BEIR folder that exists, the id of a Hugging Face dataset (user/name), or "
        "module:function"
    )


def _open_folder(
    name: str, folder: Path, seed: int, *, split: str | None = None, strict: bool = False, pools: str = INJECTED
) -> Benchmark:
    edition = read_edition(folder)
    if is_published(folder) and not has_table(folder, "pools"):
        return _of_edition(read_beir(name, folder, seed=seed, split=split, strict=strict, pools=pools), edition)
    if split is not None:
        raise FrescoError(f"{name}: {folder} has no judgements of its own to choose from; --split cuts it by subject")
    if any(has_table(folder, table) for table in TABLES):
        return _of_edition(read_benchmark(name, lambda table: read_table(folder, table)), edition)
    raise FrescoError(
        f"{folder} is neither a benchmark (tables corpus, queries and pools, each .parquet or .jsonl) nor a BEIR or "
        "MTEB folder (corpus.jsonl, queries.jsonl, qrels/*.tsv)"
    )


def _open_hub(source: str, dataset: str, seed: int, *, split: str | None, strict: bool, pools: str) -> Benchmark:
    if published := hub_folders(dataset):
        folder, qrels = published
        return read_beir(source, folder, seed=seed, split=split, strict=strict, qrels=qrels, pools=pools)
    if split is not None:
        raise FrescoError(f"{source}: {dataset} has no judgements to choose from, or cannot be reached")
    card = read_hub_file(dataset, CARD)
    edition = parse_edition(card, f"{dataset}/{CARD}") if card is not None else None
    if edition:
        check_edition(edition.name, edition.number, dataset)
    return _of_edition(read_benchmark(dataset, lambda table: read_hub(dataset, table)), edition)


def _of_edition(benchmark: Benchmark, edition: Edition | None) -> Benchmark:
    check_fingerprint(benchmark.fingerprint, benchmark.name)
    return dataclasses.replace(benchmark, edition=edition.number) if edition else benchmark


@BENCHMARKS.register("mini", "the embedded one: real dated facts in sentences of our own")
def _mini(_arguments: str, seed: int) -> Benchmark:
    return _open_folder("mini", embedded_folder("mini"), seed)
