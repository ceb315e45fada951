"""An old edition is refused, by name and in one line, in every shape in which a user may hold one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from fresco.benchmarks import combine, editions, open_benchmark, select_split
from fresco.benchmarks.editions import check_edition, check_manifest, check_run, parse_edition
from fresco.cli import main
from fresco.errors import FrescoError


@pytest.fixture(autouse=True)
def second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Editions as if mini and wikirev had reached their second, whatever they have reached by now."""
    monkeypatch.setattr(editions, "CURRENT", {"mini": 2, "wikirev": 2})
    monkeypatch.setattr(editions, "CONSTRUCTION", 2)


def small(folder: Path, **card: Any) -> Path:
    folder.mkdir()
    date = "2024-01-01T00:00:00Z"
    passage = {"_id": "p", "title": "T", "section": "", "text": "It is so.", "timestamp": date}
    query = {"_id": "q", "text": "Is it?", "timestamp": date, "task": "EK", "kind": "implicit", "subject": "s"}
    rows = {
        "corpus": passage,
        "queries": {**query, "relation": "", "answer": ""},
        "pools": {"query-id": "q", "corpus-id": "p", "label": "positive"},
    }
    for name, row in rows.items():
        (folder / f"{name}.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    if card:
        (folder / "benchmark.json").write_text(json.dumps(card), encoding="utf-8")
    return folder


def refusal(source: Path) -> str:
    with pytest.raises(FrescoError) as caught:
        open_benchmark(str(source))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_edition_is_read_and_kept(tmp_path: Path) -> None:
    benchmark = open_benchmark(str(small(tmp_path / "b", name="mine", edition=7, more="kept out of it")))
    assert benchmark.edition == 7
    assert benchmark.without_timestamps().edition == 7
    assert select_split(benchmark, "all").edition == 7
    assert open_benchmark(str(small(tmp_path / "plain"))).edition is None


def test_an_old_edition_is_refused_by_name(tmp_path: Path) -> None:
    for name in ("mini", "wikirev"):
        said = refusal(small(tmp_path / name, name=name, edition=1))
        assert f"edition 1 of {name} is refused" in said
        assert "dates alone decide it" in said
    assert open_benchmark(str(small(tmp_path / "new", name="mini", edition=2))).edition == 2
    assert "upgrade" in refusal(small(tmp_path / "later", name="mini", edition=3))


def test_a_first_edition_without_a_name_is_known_by_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = small(tmp_path / "copied")
    monkeypatch.setattr(editions, "_FIRST", {open_benchmark(str(folder)).fingerprint: "mini"})
    assert "edition 1 of mini is refused" in refusal(folder)


@pytest.mark.parametrize("header", [{}, {"edition": 1}, {"edition": 1, "name": "mine"}])
def test_an_old_manifest_is_refused_and_so_is_the_folder_made_of_it(header: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(FrescoError, match="refused, because in it"):
        check_manifest({"type": "benchmark", **header}, str(tmp_path / "wikirev.jsonl"))
    folder = small(tmp_path / "hydrated")
    (folder / "manifest.jsonl").write_text(json.dumps({"type": "benchmark", **header}) + "\n", encoding="utf-8")
    assert "edition 1 of wikirev" in refusal(folder)
    (folder / "manifest.jsonl").write_text(json.dumps({"type": "benchmark", "edition": 2}) + "\n", encoding="utf-8")
    assert open_benchmark(str(folder)).edition == 2


@pytest.mark.parametrize("name", ["mini", "data/mini", "/home/me/wikirev", "mini+qa", "qa+wikirev"])
def test_a_run_of_before_editions_is_refused(name: str) -> None:
    with pytest.raises(FrescoError, match=r"edition 1 of (mini|wikirev) is refused"):
        check_run({"name": name, "fingerprint": "f"}, "results")
    check_run({"name": name, "fingerprint": "f", "edition": None}, "results")
    check_run({"name": "qa", "fingerprint": "f"}, "results")


def test_compare_refuses_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = small(tmp_path / "b", name="mine", edition=4)
    run = ["score", "--benchmark", str(folder), "--store", str(tmp_path / "s"), "--resamples", "5"]
    assert main([*run, "--out", str(tmp_path / "new")]) == 0
    record = json.loads((tmp_path / "new" / "run.json").read_text())
    assert record["benchmark"]["edition"] == 4
    old = shutil.copytree(tmp_path / "new", tmp_path / "old")
    del record["benchmark"]["edition"]
    del record["checksum"]  # earlier versions wrote none
    (old / "run.json").write_text(json.dumps(record | {"benchmark": record["benchmark"] | {"name": "mini"}}))
    capsys.readouterr()
    assert main(["compare", str(old), str(tmp_path / "new")]) == 2
    said = capsys.readouterr().err
    assert "edition 1 of mini is refused" in said
    assert said.count("\n") == 1
    other = record["benchmark"] | {"edition": 5, "fingerprint": "other"}
    (old / "run.json").write_text(json.dumps(record | {"benchmark": other}))
    assert main(["compare", str(old), str(tmp_path / "new")]) == 2
    assert "(edition 5)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", "is not JSON"),
        (b"\xff", "is not JSON"),
        (b"[1]", "is not a JSON object"),
        (b'{"edition": 2}', "field 'name'"),
        (b'{"name": "b"}', "field 'edition'"),
        (b'{"name": "b", "edition": true}', "field 'edition'"),
        (b'{"name": "b", "edition": 0}', "field 'edition'"),
        (b'{"name": "b", "edition": "2"}', "field 'edition'"),
    ],
)
def test_a_wrong_card_is_one_line(content: bytes, says: str) -> None:
    with pytest.raises(FrescoError, match=says) as caught:
        parse_edition(content, "benchmark.json")
    assert "\n" not in str(caught.value)


def test_what_is_combined_names_both(tmp_path: Path) -> None:
    ek = open_benchmark(str(small(tmp_path / "b", name="mine", edition=4)))
    static = {"task": "NEK", "kind": "static", "_id": "s", "subject": "other"}
    folder = small(tmp_path / "n")
    query = json.loads((folder / "queries.jsonl").read_text()) | static
    (folder / "queries.jsonl").write_text(json.dumps(query) + "\n")
    (folder / "pools.jsonl").write_text(json.dumps({"query-id": "s", "corpus-id": "p", "label": "positive"}) + "\n")
    both = combine(ek, open_benchmark(str(folder)))
    assert both.edition is None
    assert "(edition 4)" in both.notes[0]


def test_names_that_are_not_ours_pass() -> None:
    check_edition("mine", 1, "here")


def test_what_we_ship_is_current(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert open_benchmark("mini").edition == editions.CURRENT["mini"]
