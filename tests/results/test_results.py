from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fresco.errors import FrescoError
from fresco.io.provenance import environment, git_state
from fresco.rerank.baselines import Newest, Random
from fresco.rerank.given import open_given
from fresco.results.reader import read_run
from fresco.results.writer import claim, slug, write_run
from fresco.scoring.pipeline import score_benchmark
from fresco.scoring.store import ScoreStore
from tests.factories import make_benchmark


@pytest.fixture(scope="module")
def run():
    with ScoreStore(":memory:") as store:
        return score_benchmark(make_benchmark(), [Random(), Newest()], store, resamples=20)


def test_a_run_is_read_back(run, tmp_path):
    write_run(run, tmp_path, {"schema_version": 1, "identity": "a"})
    saved = read_run(tmp_path)
    assert saved.rerankers == ["random", "newest"]
    assert len(saved.per_query()) == 12
    assert json.loads((tmp_path / "metrics.json").read_text())["rows"] == run.evaluation.rows


def test_trec_lines_are_in_rank_order(run, tmp_path):
    write_run(run, tmp_path, {"schema_version": 1})
    lines = [line.split() for line in (tmp_path / "runs" / "random.trec").read_text().splitlines()]
    assert len(lines) == 30
    for start in range(0, 30, 5):
        pool = lines[start : start + 5]
        assert [int(fields[3]) for fields in pool] == [1, 2, 3, 4, 5]
        scores = [float(fields[4]) for fields in pool]
        assert scores == sorted(scores, reverse=True)
    qrels = [line.split() for line in (tmp_path / "qrels.trec").read_text().splitlines()]
    assert sum(int(fields[3]) for fields in qrels) == 6


def test_scores_of_other_questions_under_the_same_ids_are_refused(run, tmp_path):
    write_run(run, tmp_path, {"schema_version": 1})
    path = tmp_path / "runs" / "random.trec"
    own = open_given(path)["random"]
    pool = run.benchmark.pools[0]
    changed = replace(pool.query, content="Who led the other team?")
    scores = own.score(pool.query, pool.passages)
    assert own.score(replace(pool.query, timestamp=pool.query.timestamp + timedelta(1)), pool.passages) == scores
    with pytest.raises(FrescoError, match=r"random\.trec: scored another question under the id .*Who led the other"):
        own.score(changed, pool.passages)
    (tmp_path / "runs" / "queries.json").write_text('{"queries": 3}')
    with pytest.raises(FrescoError, match=r"queries\.json: is damaged .*; remove it"):
        open_given(path)
    (tmp_path / "runs" / "queries.json").unlink()  # as of a run that was made elsewhere
    assert open_given(path)["random"].score(changed, pool.passages) == scores


def test_written_twice_it_is_the_same_bytes(run, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_run(run, tmp_path / name, {"schema_version": 1})
    for path in sorted((tmp_path / "one").rglob("*.*")):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes(), path


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "run.json").unlink(), "no complete folder"),
        (lambda folder: (folder / "run.json").write_text("{"), r"run\.json: is damaged"),
        (lambda folder: (folder / "run.json").write_text("[1]"), r"run\.json: is damaged"),
        (lambda folder: (folder / "per_query.parquet").write_bytes(b"PAR1 not"), r"per_query\.parquet: is damaged"),
        (lambda folder: (folder / "run.json").write_text('{"schema_version": 99}'), "schema version 99"),
    ],
)
def test_spoiled_folders_are_refused_in_one_line(run, tmp_path, spoil, said):
    write_run(run, tmp_path, {"schema_version": 1})
    spoil(tmp_path)
    with pytest.raises(FrescoError, match=said) as caught:
        read_run(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_is_claimed_by_its_own_run_alone(run, tmp_path):
    claim(tmp_path / "new", "a", overwrite=False)
    write_run(run, tmp_path / "new", {"schema_version": 1, "identity": "a"})
    claim(tmp_path / "new", "a", overwrite=False)
    with pytest.raises(FrescoError, match="--overwrite"):
        claim(tmp_path / "new", "b", overwrite=False)
    claim(tmp_path / "new", "b", overwrite=True)


def test_killed_while_it_wrote_it_writes_again(run, tmp_path):
    claim(tmp_path, "a", overwrite=False)
    (tmp_path / ".writing-x1" / "runs").mkdir(parents=True)  # what a killed process leaves behind
    (tmp_path / "qrels.trec").write_text("half of it")
    with pytest.raises(FrescoError, match="--overwrite"):
        claim(tmp_path, "b", overwrite=False)
    claim(tmp_path, "a", overwrite=False)
    write_run(run, tmp_path, {"schema_version": 1, "identity": "a"})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("metrics.json", "per_query.parquet", "plots", "qrels.trec", "run.json", "runs")
    ]


@given(st.lists(st.text(min_size=1), min_size=2, max_size=2, unique=True))
def test_slugs_are_file_names_and_differ(names):
    slugs = [slug(name) for name in names]
    assert slugs[0] != slugs[1]
    assert all("/" not in one and len(one) <= 67 and not one.startswith(".") for one in slugs)


def test_the_commit_is_ours_or_none(tmp_path):
    assert git_state(tmp_path) is None
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / "inside").mkdir()
    assert git_state(tmp_path / "inside") is None  # somebody else's repository around us


def test_the_environment_names_what_can_change_a_result():
    described = environment()
    assert described["packages"]["numpy"] == np.__version__
    assert described["python"].startswith("3.")
