"""The builder against a real MediaWiki: a crawl and a dump of the same pages give the same benchmark."""

from __future__ import annotations

from pathlib import Path

from fresco.benchmarks import open_benchmark
from fresco.build.config import BuildConfig
from fresco.build.manifest import hydrate, read_manifest
from fresco.build.pipeline import build
from fresco.build.tables import read_tables
from fresco.build.wikipedia import Mirror, Wiki
from fresco.records import parse_timestamp

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
