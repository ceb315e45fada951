"""Page names in any script, however they are typed: in dumps, at a real MediaWiki, and through a whole build."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from fresco.benchmarks import open_benchmark
from fresco.builder.config import BuildConfig
from fresco.builder.manifest import hydrate
from fresco.builder.pipeline import build
from fresco.builder.wikipedia import Mirror, Wiki
from fresco.builder.wikipedia.redirects import capitalized, normal_title
from fresco.records import Label, parse_timestamp
from tests.builder.conftest import NAMES
from tests.builder.own_pages import CLUBS, club_rows
from tests.builder.own_pages import write as write_rows
from tests.builder.wikipedia.dump_samples import jsonl_bytes, row, write, xml_bytes

ROWS = [row(name, number, f"A page of {name}.", page_id=number) for number, name in enumerate(NAMES, 1)]


def typed(name: str) -> set[str]:
    """Ways in which people and programs write a name."""
    apart = unicodedata.normalize("NFD", name)
    return {name, apart, name.replace(" ", "_"), f" {name}\u200e", f"\u202b{apart}\u202c", f"\u3000{name}\xa0"}


@pytest.mark.parametrize("written", [jsonl_bytes, xml_bytes])
def test_names_of_a_dump_in_any_script(written: Callable[..., bytes], tmp_path: Path) -> None:
    with Mirror(write(tmp_path, "dump", written(ROWS)), tmp_path / "c.sqlite") as mirror:
        assert list(mirror.titles()) == sorted(NAMES)
        for name, own in zip(NAMES, ROWS, strict=True):
            for way in typed(name):
                assert [text for _, text in mirror.texts(mirror.history(way))] == [own["content"]], way
                assert mirror.resolve([way]) == {way: name}
        assert len(mirror.report) == 0


def test_names_of_a_dump_are_read_as_its_wiki_reads_them(tmp_path: Path) -> None:
    """Exports made by hand write names as they like."""
    ways = [sorted(typed(name))[number % 3] for number, name in enumerate(NAMES)]
    rows = [{**own, "title": f"\n  {way}\n"} for own, way in zip(ROWS, ways, strict=True)]
    data = xml_bytes(rows).replace(b"<ns>0</ns>", b"")
    with Mirror(write(tmp_path, "dump.xml", data), tmp_path / "c.sqlite") as mirror:
        assert list(mirror.titles()) == sorted(NAMES)


def test_names_of_a_real_wiki_in_any_script(long_wiki_url: str, tmp_path: Path) -> None:
    own = [name for name in NAMES if name[0].upper() == name[0]]
    assert set(NAMES) - set(own) == {"თბილისი"}  # a wiki without Wikimedia's settings begins it with a capital
    with Wiki(long_wiki_url, None, tmp_path / "cache.sqlite", rate=1000.0) as wiki:
        assert set(own) <= set(wiki.titles())
        for name in own:
            for way in typed(name):
                assert [text for _, text in wiki.texts(wiki.history(way))] == [f"A page of {name}."], way
        assert len(wiki.report) == 0
        asked = [way for name in own for way in (name, name.replace(" ", "_"))]
        assert wiki.resolve(asked) == {way: normal_title(way) for way in asked}


def test_a_build_of_pages_in_any_script_is_that_of_latin_ones(tmp_path: Path) -> None:
    names = dict(
        zip(CLUBS, ("Москва Юнайтед", "東京ユナイテッド", "تهران یونایتد", "თბილისი", "서울 유나이티드"), strict=True)
    )
    found = {}
    for folder, naming in (("latin", {name: name for name in CLUBS}), ("any", names)):
        rows = club_rows()
        for each in rows:
            own = str(each["title"])
            each["content"] = str(each["content"]).replace(own, naming[own])
            each["title"] = naming[own]
        out = tmp_path / folder
        config = BuildConfig(out, "own pages", reference=parse_timestamp("2025-01-01T23:59:59Z"), workers=1)
        with Mirror(write_rows(tmp_path / f"{folder}.jsonl", rows), tmp_path / f"{folder}.sqlite") as mirror:
            build(config, mirror)
            hydrated = hydrate(out / "manifest.jsonl", mirror, tmp_path / f"{folder}-again", workers=1)
        assert hydrated.gone == ()
        pools = open_benchmark(str(out)).pools
        found[folder] = sorted(
            (names[pool.query.subject] if folder == "latin" else pool.query.subject, pool.query.answer)
            for pool in pools
        )
        assert all({Label.POSITIVE, Label.OUTDATED} <= set(pool.labels) for pool in pools)
    assert found["any"] == found["latin"]
    assert {subject for subject, _ in found["any"]} == {*names.values()} - {names["Southgate Town"]}  # never changes


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("iPad", "IPad"),
        ("москва", "Москва"),
        ("éire", "Éire"),
        ("ßx", "ßx"),
        ("თბილისი", "თბილისი"),
        ("東京", "東京"),
        ("", ""),
    ],
)
def test_first_letters(title: str, expected: str) -> None:
    assert capitalized(title) == expected
