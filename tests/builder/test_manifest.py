"""A benchmark survives as a manifest: no text in it, the same benchmark out of it, and what is gone is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fresco.benchmarks import open_benchmark
from fresco.builder.config import BuildConfig
from fresco.builder.manifest import hydrate, read_manifest
from fresco.builder.pipeline import build
from fresco.builder.wikipedia import Mirror
from fresco.errors import FrescoError
from fresco.records import parse_timestamp
from tests.builder.own_pages import club_rows, write


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("manifest")
    config = BuildConfig(folder / "b", "own", reference=parse_timestamp("2025-01-01T23:59:59Z"), workers=1)
    with Mirror(write(folder / "clubs.jsonl", club_rows()), folder / "c.sqlite") as mirror:
        build(config, mirror)
    return folder


def test_hydrated_it_is_the_same_benchmark(built: Path, tmp_path: Path) -> None:
    # Another wiki numbers its revisions otherwise.
    rows = [{**row, "revision_id": 9000 + index, "page_id": 77} for index, row in enumerate(club_rows())]
    with Mirror(write(tmp_path / "d.jsonl", rows), tmp_path / "c.sqlite") as mirror:
        found = hydrate(built / "b" / "manifest.jsonl", mirror, tmp_path / "h", workers=1)
    assert (found.queries_lost, found.gone) == (0, ())
    assert open_benchmark(str(tmp_path / "h")).fingerprint == open_benchmark(str(built / "b")).fingerprint
    assert (tmp_path / "h" / "attribution.tsv").read_text() == (built / "b" / "attribution.tsv").read_text()


def test_it_holds_no_text(built: Path) -> None:
    manifest = (built / "b" / "manifest.jsonl").read_text()
    for passage in open_benchmark(str(built / "b")).passages():
        for line in passage.body.splitlines():
            assert line not in manifest


def test_what_is_gone_or_changed_is_said_and_left_out(built: Path, tmp_path: Path) -> None:
    rows = club_rows()
    benchmark = open_benchmark(str(built / "b"))
    lost = next(row for row in rows if row["title"] == "Easthaven Rovers" and "Ida Juhl" in str(row["content"]))
    changed = next(row for row in rows if row["title"] == "Northport United" and row["revision_id"] == 101)
    changed["content"] = str(changed["content"]).replace("dock workers", "sailors")
    rows.remove(lost)
    with Mirror(write(tmp_path / "d.jsonl", rows), tmp_path / "c.sqlite") as mirror:
        found = hydrate(built / "b" / "manifest.jsonl", mirror, tmp_path / "h", workers=1)
    assert found.queries_lost == 2
    assert {(each.title, each.revision_id) for each in found.gone} >= {("Easthaven Rovers", lost["revision_id"])}
    left = open_benchmark(str(tmp_path / "h"))
    assert len(left) == len(benchmark) - 2
    texts = {passage.id: passage.body for passage in benchmark.passages()}
    assert all(texts[passage.id] == passage.body for passage in left.passages())


def test_nothing_left_is_an_error(built: Path, tmp_path: Path) -> None:
    other = [row for row in club_rows() if row["title"] == "Southgate Town"]
    with (
        Mirror(write(tmp_path / "d.jsonl", other), tmp_path / "c.sqlite") as mirror,
        pytest.raises(FrescoError, match="nothing is left"),
    ):
        hydrate(built / "b" / "manifest.jsonl", mirror, tmp_path / "h", workers=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: row.pop("sha1", None), "'sha1'"),
        (lambda row: row.update(type="thing"), "'thing'"),
        (lambda row: row.update(schema_version=99), "schema version 99"),
        (lambda row: row.update(timestamp="yesterday"), "yesterday"),
        (lambda row: row.update(title=7), "7 is no text"),
        (lambda row: row.update(superseded="a"), "'a' is no truth value"),
        (lambda row: row.update(page_id=True), "True is no whole number"),
        (lambda row: row.update(revision_id=2**63), "is no whole number"),
        (lambda row: row.update(sha1="%s"), "'%s' is no SHA-1"),
        (lambda row: row.update(passages=[]), "[] is no mapping"),
    ],
)
def test_a_wrong_manifest_is_named_with_its_line(built: Path, tmp_path: Path, change: object, message: str) -> None:
    rows = [json.loads(line) for line in (built / "b" / "manifest.jsonl").read_text().splitlines()]
    target = rows[0] if "schema" in message else rows[1]
    assert callable(change)
    change(target)
    path = write(tmp_path / "m.jsonl", rows)
    with pytest.raises(FrescoError, match=r"m\.jsonl") as error:
        read_manifest(path)
    assert message in str(error.value)


def test_no_manifest_at_all(tmp_path: Path) -> None:
    with pytest.raises(FrescoError, match="cannot be read"):
        read_manifest(tmp_path / "none.jsonl")
