"""A benchmark without its text: facts, revisions, hashes, sections and labels, from which anyone can rebuild it.

The manifest is JSON Lines with a ``type`` in each row: one ``benchmark`` (reference date, versions), one ``revision``
for each revision used (with, for each passage, its place, heading and SHA-1 of the plain text), one ``query`` for each
query (with its facts and its pool). Wikipedia's sentences are not ours to publish under another licence; these are not
sentences.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fresco.benchmarks.editions import CARD, CONSTRUCTION, Edition, check_manifest
from fresco.benchmarks.tables import Row as FileRow
from fresco.benchmarks.tables import read_jsonl
from fresco.builder.assemble import Assembly
from fresco.builder.config import BuildConfig
from fresco.builder.passages import make_passage, page_id, place_of, read_place, sections_of
from fresco.builder.revisions import Revision, RevisionSource
from fresco.builder.rows import Row, revision_row, row_revision
from fresco.builder.tables import attribution, corpus_row, write_tables
from fresco.builder.wikitext.parsed import PARSER_VERSION, Parser
from fresco.errors import FrescoError
from fresco.io.files import locked, write_atomically
from fresco.io.names import short
from fresco.records import SCHEMA_VERSION, Label, format_timestamp

#: Without any passage of these labels, where it had some, a query asks nothing any more.
_NEEDED = (Label.POSITIVE, Label.OUTDATED)
_SAID: dict[type, str] = {str: "text", int: "whole number", bool: "truth value", dict: "mapping"}
_QUERY = ("_id", "text", "timestamp", "task", "kind", "subject", "relation", "answer")


@dataclass(frozen=True, slots=True)
class Gone:
    """What could not be hydrated.

    Attributes:
        title: Page.
        revision_id: Revision.
        timestamp: Its time.
        reason: Why.
        passages: How many passages of the benchmark are lost with it.
    """

    title: str
    revision_id: int
    timestamp: str
    reason: str
    passages: int


@dataclass(frozen=True, slots=True)
class Hydrated:
    """What became of a manifest.

    Attributes:
        queries: Queries whose positives and outdated passages are there.
        queries_lost: Queries that lost all of one of them.
        passages: Passages there.
        gone: What is not there.
    """

    queries: int
    queries_lost: int
    passages: int
    gone: tuple[Gone, ...]


def manifest_rows(config: BuildConfig, assembly: Assembly, aligned: Sequence[Row]) -> Iterator[Row]:
    """The rows of the manifest of a benchmark."""
    yield {
        "type": "benchmark",
        "edition": CONSTRUCTION,
        "schema_version": SCHEMA_VERSION,
        "parser_version": PARSER_VERSION,
        "tables": config.tables and not config.like_paper,
        "reference": format_timestamp(config.reference),
        "facts": config.facts,
        "embedder": config.embedder or "BM25",
        "attribution": config.attribution,
        **({"licence": config.licence} if config.licence else {}),
    }
    texts = {row["_id"]: row for row in assembly.tables["corpus"]}
    used: dict[Revision, list[str]] = {}
    for identifier in texts:
        used.setdefault(assembly.revisions[identifier], []).append(identifier)
    superseded = {row["corpus-id"]: row["superseded"] for row in assembly.tables["pools"]}
    for revision in sorted(used, key=lambda each: (each.title, each.timestamp)):
        own = sorted(used[revision], key=_page_order)
        yield {
            "type": "revision",
            **revision_row(revision),
            "superseded": superseded[own[0]],
            "passages": {place_of(each): [texts[each]["section"], _sha1(texts[each]["text"])] for each in own},
        }
    facts = {(row["subject"], row["relation"], row["role"]): row["facts"] for row in aligned}
    pools: dict[str, dict[str, list[str]]] = {}
    conflicts: dict[str, dict[str, str]] = {}
    for row in assembly.tables["pools"]:
        labels = pools.setdefault(row["query-id"], {label.value: [] for label in Label})
        labels[row["label"]].append(row["corpus-id"])
        if row["conflict"]:
            conflicts.setdefault(row["query-id"], {})[row["corpus-id"]] = row["conflict"]
    for query, key in zip(assembly.tables["queries"], assembly.pairs, strict=True):
        own_conflicts = conflicts.get(query["_id"], {})
        yield {"type": "query", **query, "facts": facts[key], "pool": pools[query["_id"]], "conflicts": own_conflicts}


def _page_order(identifier: str) -> tuple[int, int, int]:
    section, window = read_place(place_of(identifier))
    return section, window.start, window.end


def _sha1(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest, read and checked.

    Attributes:
        edition: Of the benchmark it makes.
        header: Row of the benchmark.
        revisions: Rows of revisions.
        queries: Rows of queries.
    """

    edition: Edition
    header: Mapping[str, Any]
    revisions: Sequence[Mapping[str, Any]]
    queries: Sequence[Mapping[str, Any]]


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Raises:
        FrescoError: it is none, or a row lacks a field; the message names the line.
    """
    found: dict[str, list[Mapping[str, Any]]] = {"benchmark": [], "revision": [], "query": []}
    required = {
        "benchmark": ("schema_version", "reference", "attribution"),
        "revision": ("title", "page_id", "revision_id", "timestamp", "sha1", "superseded", "passages"),
        "query": (*_QUERY, "pool", "conflicts"),
    }
    try:
        rows = read_jsonl(path)
    except OSError as error:
        raise FrescoError(f"{path}: cannot be read: {error.strerror or error}") from error
    for row in rows:
        kind = str(row.fields.get("type"))
        if kind not in found:
            raise row.error("type", f"{kind!r} is none of {', '.join(found)}; is this a manifest?")
        for name in required[kind]:
            if name not in row.fields:
                raise row.error(name, "is missing")
        if kind != "benchmark":
            row.timestamp("timestamp")
        if kind == "revision":
            _check_revision(row)
        if kind == "query":
            _check_query(row)
        found[kind].append(row.fields)
    if len(found["benchmark"]) != 1 or not found["query"]:
        raise FrescoError(f"{path}: is no manifest; one row of type benchmark and rows of type query are expected")
    if found["benchmark"][0]["schema_version"] != SCHEMA_VERSION:
        raise FrescoError(
            f"{path}: has schema version {found['benchmark'][0]['schema_version']}, this program reads {SCHEMA_VERSION}"
        )
    edition = check_manifest(found["benchmark"][0], str(path))
    return Manifest(edition, found["benchmark"][0], found["revision"], found["query"])


def _check_query(row: FileRow) -> None:
    for name in ("_id", "text", "task", "kind", "subject", "relation", "answer"):
        if not isinstance(row.fields[name], str):
            raise row.error(name, f"{short(row.fields[name])} is no text")
    pool, conflicts = row.fields["pool"], row.fields["conflicts"]
    if not isinstance(pool, dict) or not all(isinstance(ids, list) for ids in pool.values()):
        raise row.error("pool", f"{short(pool)} is no mapping of labels to lists of passages")
    if not all(isinstance(own, str) for ids in pool.values() for own in ids):
        raise row.error("pool", "a passage is no text")
    if not isinstance(conflicts, dict) or not all(isinstance(own, str) for own in conflicts.values()):
        raise row.error("conflicts", f"{short(conflicts)} is no mapping of passages to conflicts")


def _check_revision(row: FileRow) -> None:
    for name, kind in (
        ("title", str),
        ("page_id", int),
        ("revision_id", int),
        ("superseded", bool),
        ("passages", dict),
    ):
        value = row.fields[name]
        if type(value) is not kind or (isinstance(value, int) and not 0 <= value < 2**63):
            raise row.error(name, f"{short(value)} is no {_SAID[kind]}")
    if not isinstance(row.fields["sha1"], str) or not re.fullmatch("[0-9a-f]{40}|", row.fields["sha1"]):
        raise row.error("sha1", f"{short(row.fields['sha1'])} is no SHA-1 in hexadecimal")
    for section in row.fields["passages"].values():
        if not isinstance(section, list) or len(section) != 2 or not all(isinstance(each, str) for each in section):
            raise row.error("passages", f"{short(section)} is no heading with a SHA-1")
    for place in row.fields["passages"]:
        try:
            read_place(place)
        except ValueError:
            raise row.error("passages", f"{place!r} is no place like 3:0-120 or infobox:0-120") from None


def hydrate(manifest: Path, source: RevisionSource, out: Path, *, workers: int | None = None) -> Hydrated:
    """Rebuild a benchmark from its manifest.

    Every text is verified: the SHA-1 of the revision's wikitext, and of each section's plain text. A passage whose text
    is gone or differs is left out of its pools; a query whose positives, or outdated passages, are all gone is left out
    with its pool.

    Args:
        manifest: The file.
        source: A wiki or a mirror.
        out: Folder for the benchmark.
        workers: Processes that parse; None: as many as there are cores.

    Raises:
        FrescoError: the manifest is wrong, the source gives up, or nothing is left.
    """
    read = read_manifest(manifest)
    tables = bool(read.header.get("tables", False))
    with locked(out), Parser(out / "stages" / "parsed.sqlite", tables=tables, workers=workers) as parser:
        corpus, revisions, gone = _corpus(read, source, parser)
    superseded = _superseded(read)
    queries, pools = [], []
    for query in read.queries:
        kept = [(each, label) for label in Label for each in query["pool"].get(label.value, ()) if each in corpus]
        lost = {label for label in _NEEDED if query["pool"].get(label.value)} - {label for _, label in kept}
        if not lost:
            queries.append({key: query[key] for key in _QUERY})
            pools += [
                {
                    "query-id": query["_id"],
                    "corpus-id": each,
                    "label": label.value,
                    "conflict": query["conflicts"].get(each),
                    "superseded": superseded[each],
                }
                for each, label in kept
            ]
    if not queries:
        raise FrescoError(f"{manifest}: nothing is left of it: the source has no revision that holds a positive")
    used = {row["corpus-id"] for row in pools}
    rows = [corpus[each] for each in sorted(used)]
    write_tables(out, {"corpus": rows, "queries": queries, "pools": pools})
    write_atomically(out / "manifest.jsonl", manifest.read_bytes())
    write_atomically(out / CARD, read.edition.as_json())
    own = (revisions[each] for each in used)
    table = attribution(own, read.header["attribution"], read.header.get("licence"))
    write_atomically(out / "attribution.tsv", table)
    return Hydrated(len(queries), len(read.queries) - len(queries), len(used), tuple(gone))


def _corpus(
    manifest: Manifest, source: RevisionSource, parser: Parser
) -> tuple[dict[str, dict[str, str]], dict[str, Revision], list[Gone]]:
    corpus: dict[str, dict[str, str]] = {}
    revisions: dict[str, Revision] = {}
    gone: list[Gone] = []
    rows = {row_revision(row): row for row in manifest.revisions}
    reasons: dict[Revision, str] = {}

    def verified() -> Iterator[tuple[Revision, str]]:
        for revision, text in source.texts(list(rows)):
            if _sha1_of(text) == revision.sha1:
                yield revision, text
            else:
                reasons[revision] = "the text has another SHA-1"

    def failed(revision: Revision) -> None:
        reasons[revision] = "the parser gave up on it"

    found = set()
    for revision, page in parser.pages(
        verified(), whole=True, failed=failed, markup_of=lambda revision: revision.markup
    ):
        found.add(revision)
        sections = {section.index: section for section in sections_of(page, infobox=True)}
        lost = 0
        for place, (_, sha1) in rows[revision]["passages"].items():
            number, window = read_place(place)
            section = sections.get(number)
            if section is None or _sha1(section.text[window.start : window.end]) != sha1:
                lost += 1
                continue
            passage = make_passage(revision, section, window)
            corpus[passage.id] = corpus_row(passage)
            revisions[passage.id] = revision
        if lost:
            gone.append(_gone(revision, "its plain text differs: made by another version of the cleaner", lost))
    for revision, row in rows.items():
        if revision not in found:
            reason = reasons.get(revision, "the source does not have it (deleted, hidden, or not in the mirror)")
            gone.append(_gone(revision, reason, len(row["passages"])))
    return corpus, revisions, gone


def _superseded(manifest: Manifest) -> dict[str, bool]:
    return {
        f"{page_id(row_revision(row))}#{place}": row["superseded"]
        for row in manifest.revisions
        for place in row["passages"]
    }


def _gone(revision: Revision, reason: str, passages: int) -> Gone:
    return Gone(revision.title, revision.revision_id, format_timestamp(revision.timestamp), reason, passages)


def _sha1_of(text: str) -> str:
    return hashlib.sha1(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()
