"""Editions of a corpus that lives on: the next one reads what is new, has the same bytes, and says what moved."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fresco.builder.git.repository import Objects
from fresco.builder.job import Built, Source, run_build
from fresco.builder.living import CONTENTS, MOVED
from fresco.errors import FrescoError
from fresco.records import parse_timestamp
from tests.builder.git_repository import Repository
from tests.builder.test_fields import CYCLES, PRODUCTS, document

FIRST, SECOND = "2023-08-01T00:00:00Z", "2024-08-01T00:00:00Z"


def written(numbers: range, patch: int, month: int) -> dict[str, str | bytes | None]:
    return {f"{number}.md": document(number, patch, month) for number in numbers}


@pytest.fixture
def docs(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "docs")
    made.commit("2023-02-10T00:00:00Z", written(range(6), 1, 3))
    made.commit("2023-06-10T00:00:00Z", written(range(6), 4, 5))
    return made


def build(docs: Repository, out: Path, edition: str, reference: str, **options: object) -> Built:
    source = Source(mirror=f"git:{docs.path}", keep=True)
    window = {"since": parse_timestamp("2023-01-01T00:00:00Z"), "reference": parse_timestamp(reference), "workers": 1}
    return run_build(out, source, None, lambda *_: None, {"facts": "fields", "edition": edition, **window, **options})


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in (MOVED, ".lock"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in found if "sqlite" not in path.name}


def test_the_second_edition_reads_what_is_new_and_has_the_same_bytes(
    docs: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build(docs, tmp_path / "2023" / "b", "2023", FIRST)
    assert first.read == 12  # two contents of six files, each once
    docs.commit("2024-02-10T00:00:00Z", written(range(2), 9, 11))
    docs.commit("2024-03-10T00:00:00Z", written(range(6, 8), 1, 3))
    docs.commit("2024-05-10T00:00:00Z", written(range(6, 8), 4, 5))
    asked: list[str] = []
    read = Objects.read

    def noted(self: Objects, identifier: str) -> bytes | None:
        asked.append(identifier)
        return read(self, identifier)

    monkeypatch.setattr(Objects, "read", noted)
    second = build(docs, tmp_path / "2024" / "b", "2024", SECOND, earlier=tmp_path / "2023" / "b")
    new = {docs.git("rev-parse", f"{commit}:{number}.md") for commit, number in
           (("HEAD~2", 0), ("HEAD~2", 1), ("HEAD~1", 6), ("HEAD~1", 7), ("HEAD", 6), ("HEAD", 7))}  # fmt: skip
    assert set(asked) == new and second.read == len(asked) == len(new)
    nothing = build(docs, tmp_path / "nothing" / "b", "2024", SECOND)
    assert nothing.read == 18
    assert files(second.folder) == files(nothing.folder)
    assert json.loads((second.folder / "benchmark.json").read_text(encoding="utf-8"))["of"] == "2024"

    assert second.moved is not None
    moved = {(subject, relation) for subject, relation, _, _ in second.moved.changed.values()}
    assert moved == {(f"{PRODUCTS[n]} {c}", r) for n in (0, 1) for c in CYCLES for r in ("eol date", "latest version")}
    assert ("Apache Struts 7", "latest version", "7.2.11", "7.2.16") in second.moved.changed.values()
    assert all(key.startswith(("Godot", "Helm")) for key in second.moved.new) and len(second.moved.new) == 16
    assert not second.moved.gone and second.moved.same == 4 * len(CYCLES) * 2 * 2
    assert json.loads((second.folder / MOVED).read_text(encoding="utf-8")) == second.moved.row()


def test_what_is_no_earlier_edition_is_one_line(docs: Repository, tmp_path: Path) -> None:
    with pytest.raises(FrescoError, match=r"--earlier .*none: has no stages/git.sqlite"):
        build(docs, tmp_path / "b", "2024", SECOND, earlier=tmp_path / "none")
    with pytest.raises(FrescoError, match="is the folder of --out"):
        build(docs, tmp_path / "b", "2024", SECOND, earlier=tmp_path / "b")
    for source, options, message in (
        (Source(mirror="dump.xml"), {"edition": "x"}, "has no stages/revisions.sqlite"),
        (Source(wiki="http://127.0.0.1:9/w/"), {}, "--earlier goes on from an edition of a wiki, a dump or files"),
        (
            Source(documents="news.csv"),
            {"edition": "x"},
            "--earlier goes on from an edition of a wiki, a dump or files",
        ),
    ):
        with pytest.raises(FrescoError, match=message):
            run_build(tmp_path / "b", source, None, lambda *_: None, {"earlier": tmp_path, **options})
    build(docs, tmp_path / "b", "2023", FIRST)
    damaged = tmp_path / "b" / "stages" / CONTENTS
    damaged.write_bytes(b"no database, but long enough to be told from an empty one" * 40)
    with pytest.raises(FrescoError, match=r"git.sqlite: cannot be used .*; delete it"):
        build(docs, tmp_path / "b", "2023", FIRST)
