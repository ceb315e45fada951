"""``fresco build`` as it is typed."""

from __future__ import annotations

import argparse
import inspect
from pathlib import Path

import pytest

import fresco
from fresco.benchmarks import open_benchmark
from fresco.builder.config import BuildConfig
from fresco.builder.wikipedia import Wiki
from fresco.commands.build import add_build, run_build
from fresco.errors import FrescoError
from fresco.records import parse_timestamp
from tests.builder.own_pages import club_rows, write


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    add_build(parser.add_subparsers(dest="command"))
    return run_build(parser.parse_args(["build", *arguments]))


@pytest.fixture
def dump(tmp_path: Path) -> str:
    return str(write(tmp_path / "clubs.jsonl", club_rows()))


def test_from_a_dump_to_a_benchmark_a_manifest_and_back(
    dump: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, manifest, beir = tmp_path / "b", tmp_path / "m.jsonl", tmp_path / "beir"
    options = ["--facts", "infobox", "--mirror", dump, "--reference", "2025-01-01T23:59:59Z", "--workers", "1"]
    assert run("--out", str(out), *options, "--manifest-out", str(manifest), "--beir-out", str(beir)) == 0
    printed = capsys.readouterr().out
    assert "aligned pairs               4 over 1 relations" in printed
    assert f"fresco score --benchmark {out}" in printed
    assert (beir / "qrels" / "test.tsv").exists()
    assert run("--out", str(out), "--status") == 0
    assert capsys.readouterr().out.count("done:") == 5
    assert run("--out", str(tmp_path / "h"), "--mirror", dump, "--manifest", str(manifest)) == 0
    assert "0 lost" in capsys.readouterr().out
    assert open_benchmark(str(tmp_path / "h")).fingerprint == open_benchmark(str(out)).fingerprint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "either --wiki URL or --mirror FILE"),
        (["--mirror", "DUMP", "--wiki", "http://127.0.0.1/w/"], "either --wiki URL or --mirror FILE"),
        (["--mirror", "none.jsonl"], "none.jsonl"),
        (["--mirror", "DUMP", "--facts", "infobox", "--relation", "king"], "no relation 'king'"),
        (["--mirror", "DUMP", "--facts", "infobox", "--titles", "none.txt"], "--titles none.txt"),
        (["--mirror", "DUMP", "--manifest", "none.jsonl"], "none.jsonl"),
        (["--mirror", "DUMP", "--facts", "wikidata"], "--contact"),
    ],
)
def test_bad_input_is_one_clear_line(dump: str, tmp_path: Path, options: list[str], message: str) -> None:
    with pytest.raises(FrescoError) as error:
        run("--out", str(tmp_path / "b"), *(dump if option == "DUMP" else option for option in options))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_defaults_of_the_command_are_those_of_the_parts() -> None:
    parser = argparse.ArgumentParser()
    add_build(parser.add_subparsers(dest="command"))
    given = parser.parse_args(["build", "--out", "x"])
    config = BuildConfig(Path("x"), "any")
    for name in ("facts", "sparql", "sample_days", "pool_size", "embedder", "workers", "ray"):
        assert getattr(given, name) == getattr(config, name)
    assert (given.tables == "rows") == config.tables
    wiki = inspect.signature(Wiki).parameters
    assert (given.rate, given.maxlag) == (wiki["rate"].default, wiki["maxlag"].default)


def test_without_tables_they_are_no_text(dump: str, tmp_path: Path) -> None:
    options = ["--mirror", dump, "--reference", "2025-01-01T23:59:59Z", "--workers", "1"]
    held = {}
    for tables in ("rows", "drop"):
        manifest = tmp_path / f"{tables}.jsonl"
        out = tmp_path / tables
        run("--out", str(out), *options, "--tables", tables, "--manifest-out", str(manifest))
        passages = [passage.body for pool in open_benchmark(str(out)).pools for passage in pool.passages]
        held[tables] = any("1931 | Cup: won" in body.split("\n") for body in passages)
        run("--out", str(tmp_path / f"{tables}-again"), "--mirror", dump, "--manifest", str(manifest))
        again = open_benchmark(str(tmp_path / f"{tables}-again"))
        assert again.fingerprint == open_benchmark(str(out)).fingerprint
    assert held == {"rows": True, "drop": False}


def test_from_python_it_is_the_same_benchmark(dump: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--mirror", dump, "--reference", "2025-01-01T23:59:59Z", "--workers", "1"]
    assert run("--out", str(tmp_path / "command"), *options) == 0
    heard: list[str] = []
    asked = {"reference": parse_timestamp("2025-01-01T23:59:59Z"), "workers": 1}
    built = fresco.build(tmp_path / "b", mirror=dump, progress=lambda what, *_: heard.append(what), **asked)
    assert built.open().fingerprint == open_benchmark(str(tmp_path / "command")).fingerprint
    assert built.funnel is not None
    assert any("aligned pairs" in line for line in built.funnel.lines())
    assert "align" in heard
    again = fresco.build(tmp_path / "h", mirror=dump, manifest=tmp_path / "b" / "manifest.jsonl", progress=False)
    assert again.hydrated is not None
    assert again.hydrated.queries_lost == 0
    assert again.open().fingerprint == built.open().fingerprint
    with pytest.raises(FrescoError, match="either --wiki URL or --mirror FILE"):
        fresco.build(tmp_path / "n")
    with pytest.raises(TypeError, match="has no option 'sparkle'"):
        fresco.build(tmp_path / "n", mirror=dump, sparkle=1)
