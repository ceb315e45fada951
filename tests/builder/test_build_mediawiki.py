"""The builder against real parts: MediaWiki's API, a SPARQL engine, and ``fresco score`` on what comes out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("pyoxigraph", reason="needs pyoxigraph: pip install pyoxigraph")

from fresco.benchmarks import open_benchmark
from fresco.builder.config import BuildConfig
from fresco.builder.manifest import hydrate, read_manifest
from fresco.builder.pipeline import build
from fresco.builder.tables import read_tables
from fresco.builder.wikipedia import Mirror, Wiki
from fresco.cli import main
from fresco.records import parse_timestamp
from tests.builder.conftest import shared
from tests.builder.servers import mediawiki
from tests.builder.sparql_service import Statements, serve
from tests.campaign import how_many

CONTACT = "tests@example.org"


def config(out: Path, titles: tuple[str, ...]) -> BuildConfig:
    reference = parse_timestamp("2025-01-01T23:59:59Z")
    return BuildConfig(out, "real pages", reference=reference, titles=titles)


def test_a_crawl_a_mirror_and_a_manifest_give_the_same_benchmark(wiki_url: str, export: Path, tmp_path: Path) -> None:
    with Mirror(export, tmp_path / "mirror.sqlite") as mirror:
        titles = tuple(sorted(mirror.titles()))[::2]
        mirrored = build(config(tmp_path / "mirrored", titles), mirror)
    with Wiki(wiki_url, CONTACT, tmp_path / "wiki.sqlite", rate=1000) as wiki:
        crawled = build(config(tmp_path / "crawled", titles), wiki)
    assert mirrored.aligned >= 2
    assert crawled == mirrored
    assert read_tables(tmp_path / "crawled") == read_tables(tmp_path / "mirrored")

    with Wiki(wiki_url, CONTACT, tmp_path / "fresh.sqlite", rate=1000) as wiki:
        found = hydrate(tmp_path / "crawled" / "manifest.jsonl", wiki, tmp_path / "hydrated")
        # Fifty texts a request, fewer where they are larger than an answer may be.
        revisions = read_manifest(tmp_path / "crawled" / "manifest.jsonl").revisions
        assert len(revisions) / 50 <= wiki.requests_made <= len(revisions) / 10 + 2
    assert found.gone == ()
    first, again = (open_benchmark(str(tmp_path / name)) for name in ("crawled", "hydrated"))
    assert first.fingerprint == again.fingerprint


@pytest.mark.slow
def test_a_crawl_and_a_mirror_of_hundreds_of_pages_give_the_same_benchmark(jsonl: Path, tmp_path: Path) -> None:
    """A quarter of them; with ``FRESCO_CAMPAIGN=4`` or more all."""
    every = max(1, 4 // how_many(1))
    export = shared("mediawiki_xml/revisions.mediawiki.xml.xz")
    if not mediawiki.is_installed():
        pytest.skip(f"needs MediaWiki: {mediawiki.HOW_TO_INSTALL}")
    with Mirror(jsonl, tmp_path / "mirror.sqlite") as mirror:
        titles = tuple(sorted(mirror.titles()))[::every]
        mirrored = build(config(tmp_path / "mirrored", titles), mirror)
    own = mediawiki.make(tmp_path / "wiki")
    own.import_export(export)
    with mediawiki.serve(own) as url, Wiki(url, CONTACT, tmp_path / "wiki.sqlite", rate=1000) as wiki:
        crawled = build(config(tmp_path / "crawled", titles), wiki)
    assert mirrored.aligned >= 150 / every
    assert crawled == mirrored
    assert read_tables(tmp_path / "crawled") == read_tables(tmp_path / "mirrored")


def test_from_statements_and_a_crawl_to_scores(wiki_url: str, tmp_path: Path) -> None:
    made = Statements()
    made.subject("Q1", "AC Milan")
    made.subject("Q2", "Baltimore Orioles")
    made.label("Q11", "Stefano Pioli")
    made.label("Q12", "Paulo Fonseca")
    made.label("Q13", "Sérgio Conceição", "Sergio Conceicao")
    made.label("Q21", "Peter Angelos", "Peter G. Angelos")
    made.label("Q22", "David Rubenstein", "David M. Rubenstein")
    made.statement("Q1", "P286", "wd:Q11", P580="2019-10-09/11", P582="2024-06-12/11")
    made.statement("Q1", "P286", "wd:Q12", P580="2024-06-13/11", P582="2024-12-29/11")
    made.statement("Q1", "P286", "wd:Q13", P580="2024-12-30/11")
    made.statement("Q2", "P127", "wd:Q21", P580="1993-01-01/9", P582="2024-03-26/11")
    made.statement("Q2", "P127", "wd:Q22", P580="2024-03-27/11")
    out = tmp_path / "b"
    options = [
        "--facts",
        "wikidata",
        "--relation",
        "head_coach",
        "--relation",
        "owner",
        "--rate",
        "500",
        "--maxlag",
        "3",
    ]
    with serve(made.turtle()) as service:
        options += ["--sparql", service.url, "--wiki", wiki_url, "--contact", CONTACT, "--workers", "1"]
        assert main(["build", "--out", str(out), *options, "--reference", "2025-01-01T23:59:59Z"]) == 0
        assert len(service.queries) >= 2
    answers = {pool.query.subject: pool.query.answer for pool in open_benchmark(str(out)).pools}
    assert answers == {"AC Milan": "Sérgio Conceição", "Baltimore Orioles": "David Rubenstein"}

    scored = ["--benchmark", str(out), "--store", str(tmp_path / "s.sqlite"), "--out", str(tmp_path / "r")]
    assert main(["score", *scored, "--resamples", "5"]) == 0
    rows = json.loads((tmp_path / "r" / "metrics.json").read_text())["rows"]
    assert {"random", "newest", "bm25"} <= {row["reranker"] for row in rows}
