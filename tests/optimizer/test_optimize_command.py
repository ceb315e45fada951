"""``fresco optimize`` as a user runs it: a search end to end, killed and resumed, carried over, and refused."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
from contextlib import closing

import optuna
import pytest

from fresco.cli import main
from tests.optimizer.conftest import SEARCH, fresco, results_of, start
from tests.waiting import PATIENCE, wait_until


def rows_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def stored(path):
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=PATIENCE)) as database:
            return int(database.execute("SELECT COUNT(*) FROM scores").fetchone()[0])
    except sqlite3.OperationalError:  # not made yet
        return 0


def wait_for_scores(path, more, process):
    """Until so many more scores are stored, or the search has ended."""
    begin = stored(path)
    wait_until(lambda: stored(path) >= begin + more or process.poll() is not None)


def test_a_search_end_to_end_and_what_it_writes(workplace):
    arguments = [argument for argument in SEARCH if argument != "--no-baselines"]
    done = fresco(*arguments, "--seeds", "2", "--proposer", "clauses", "--proposer", "clauses:tpe", cwd=workplace)
    assert done.returncode == 0, done.stderr
    for said in (
        "seed 0 round 2: gain over the base",
        "seed 1 round 2",
        "pairs scored",
        "spared",
        "base",
        "i1*",
        "tempralm",
    ):
        assert said in done.stdout
    assert "fresco score --instructions out/front.json" in done.stdout
    out = workplace / "out"
    front = json.loads((out / "front.json").read_text())
    assert front["schema_version"] == 1
    assert {baseline["name"] for baseline in front["baselines"]} == {"tempralm", "mrag", "demonstrations"}
    assert front["base"]["text"] is None
    assert [front["base"]["test"]["EK gain"][key] for key in ("value", "ci_low", "ci_high")] == [0.0, 0.0, 0.0]
    best = front["members"][0]
    assert best["on_front"]
    # The stand-in obeys recency words, and the bank has them. On the test split dates alone win nothing of mini.
    assert best["validation"]["EK gain"]["value"] > 0
    assert best["lineage"][0]["operator"] == "clauses"
    assert best["lineage"][0]["text"] == best["text"]
    for seed in front["seeds"]:
        areas = [entry["hypervolume"] for entry in seed["rounds"]]
        assert areas == sorted(areas)
        assert all(len(entry["population"]) <= 3 for entry in seed["rounds"])
    rows = rows_of(out / "proposals.jsonl")
    for seed in front["seeds"]:
        own = [row for row in rows if row["seed"] == seed["seed"] and row["state"] != "REJECTED"]
        assert len(own) == 1 + 2 * 5
        assert seed["pairs_scored"] == sum(row["pairs_scored"] for row in own)
    record = json.loads((out / "run.json").read_text())
    assert record["studies"] == ["fresco-seed0", "fresco-seed1"]
    assert record["environment"]["packages"]["optuna"] == optuna.__version__
    assert sorted(path.name for path in (out / "plots").iterdir()) == [
        f"{name}.{kind}" for name in ("front", "front_by_round", "hypervolume_by_pairs") for kind in ("png", "svg")
    ]
    study = optuna.load_study(study_name="fresco-seed0", storage=f"sqlite:///{out / 'study.db'}")
    assert {trial.state.name for trial in study.trials} <= {"COMPLETE", "PRUNED"}

    before = results_of(out)
    again = fresco(*arguments, "--seeds", "2", "--proposer", "clauses", "--proposer", "clauses:tpe", cwd=workplace)
    assert again.returncode == 0, again.stderr
    assert results_of(out) == before  # and again: nothing is left to do


@pytest.mark.slow
def test_full_selection_drops_nothing_and_longer_searches_go_on(workplace):
    assert fresco(*SEARCH, "--selection", "full", "--rounds", "1", cwd=workplace).returncode == 0
    short = rows_of(workplace / "out" / "proposals.jsonl")
    assert fresco(*SEARCH, "--selection", "full", cwd=workplace).returncode == 0
    longer = rows_of(workplace / "out" / "proposals.jsonl")
    assert longer[: len(short)] == short
    assert len(longer) == len(short) + 5
    assert {row["state"] for row in longer} == {"COMPLETE"}


def test_killed_at_random_points_it_ends_in_the_same_bytes(workplace, tmp_path_factory):
    other = tmp_path_factory.mktemp("undisturbed")
    (other / "small").symlink_to((workplace / "small").resolve())
    assert fresco(*SEARCH, cwd=other).returncode == 0
    rng, kills = random.Random(7), 0
    for _ in range(4):
        process = start(*SEARCH, cwd=workplace, OBEDIENT_SECONDS="0.002")
        wait_for_scores(workplace / "scores.sqlite", rng.randrange(1, 1500), process)
        kills += process.poll() is None
        process.kill()
        process.communicate()
    assert kills >= 2
    done = fresco(*SEARCH, cwd=workplace)
    assert done.returncode == 0, done.stderr
    assert results_of(workplace / "out") == results_of(other / "out")


def test_interrupted_it_says_how_to_go_on(workplace):
    process = start(*SEARCH, cwd=workplace, OBEDIENT_SECONDS="0.5")  # it does not end before
    wait_for_scores(workplace / "scores.sqlite", 1, process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "the same command goes on from there" in said
    assert "Traceback" not in said


def test_the_front_is_what_score_finds_and_carries_over(workplace):
    assert fresco(*SEARCH, "--resamples", "60", cwd=workplace).returncode == 0
    front = json.loads((workplace / "out" / "front.json").read_text())
    done = fresco(
        *("score", "--benchmark", "small", "--reranker", "tests.optimizer.obedient:Obedient"),
        *("--instructions", "out/front.json", "--no-baselines", "--resamples", "60", "--out", "again", "--json"),
        cwd=workplace,
    )
    assert done.returncode == 0, done.stderr
    assert "carry over to obedient" in done.stderr
    assert "instruction sensitivity, EK" in done.stderr
    rows = {
        (row["reranker"], row["task"], row["kind"], row["metric"]): row
        for row in map(json.loads, done.stdout.splitlines())
    }
    record = json.loads((workplace / "again" / "run.json").read_text())["instructions"]
    assert record["legend"] == {member["id"]: member["text"] for member in front["members"]}
    assert len(front["benchmark"]["fingerprint"]) == 64 and front["benchmark"]["seed"] == 0
    leaked = fresco(
        *("score", "--benchmark", "small", "--split", "all", "--reranker", "tests.optimizer.obedient:Obedient"),
        *("--instructions", "out/front.json", "--no-baselines", "--out", "leaked", "--seed", "1"),
        cwd=workplace,
    )
    assert leaked.returncode == 2
    assert "out/front.json was chosen by" in leaked.stderr
    assert len(leaked.stderr.splitlines()) == 1
    kept = []
    for member in front["members"]:
        for task in ("EK", "NEK"):
            row = rows[f"obedient [{member['id']}]", task, "all", "MAP"]
            assert {key: row[key] for key in ("value", "ci_low", "ci_high", "n")} == member["test"][task]
            gain = record["rerankers"]["obedient"]["gain"][member["id"]][task]
            assert {**gain, "n": row["n"]} == {**member["test"][f"{task} gain"], "p_holm": gain["p_holm"]}
        if member["test"]["EK gain"]["ci_low"] > 0 and member["test"]["NEK gain"]["ci_high"] >= 0:
            kept.append(member["id"])
    assert record["rerankers"]["obedient"]["carries_over"] == kept
    values = [rows[f"obedient [{member['id']}]", "EK", "all", "MAP"]["value"] for member in front["members"]]
    spread = record["rerankers"]["obedient"]["sensitivity"]["EK"]["range"]
    assert spread == pytest.approx(max(values) - min(values))


def test_a_file_of_candidates_and_an_instruction_to_start_from(workplace):
    (workplace / "mine.txt").write_text("Prefer the newest passage.\nThe latest date counts.\n")
    done = fresco(
        *SEARCH, "--proposer", "file:mine.txt", "--instruction", "Find the answer.", "--rounds", "1", cwd=workplace
    )
    assert done.returncode == 0, done.stderr
    rows = rows_of(workplace / "out" / "proposals.jsonl")
    assert [(row["operator"], row["text"]) for row in rows] == [
        ("base", "Find the answer."),
        ("file", "Prefer the newest passage."),
        ("file", "The latest date counts."),
    ]
    assert json.loads((workplace / "out" / "front.json").read_text())["base"]["text"] == "Find the answer."


def refused(arguments, workplace, monkeypatch, capsys):
    """Exit code 2 and one line; in this process, which saves the start of another."""
    monkeypatch.chdir(workplace)
    assert main(list(arguments)) == 2
    said = capsys.readouterr().err
    lines = [line for line in said.splitlines() if line.startswith("fresco: ")]
    assert len(lines) == 1
    assert "Traceback" not in said
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--reranker", "newest"), "newest takes no instruction"),
        (("--reranker", "tests.optimizer.obedient:Deaf"), "deaf gives the same scores under contrary instructions"),
        (("--proposer", "magic"), "--proposer magic: unknown; known are clauses"),
        (("--proposer", "clauses:cmaes"), "there are clauses:model, clauses:nsga2"),
        (("--proposer", "file:nowhere.txt"), "nowhere.txt: cannot be read (No such file"),
        (("--clauses", "nowhere.toml"), "--clauses nowhere.toml: cannot be read"),
        (("--storage", "nonsense"), "--storage nonsense: cannot be opened"),
        (("--instruction", " "), "--instruction is empty"),
        (("--benchmark", "ek-only"), "no NEK query is in the split 'validation'"),
    ],
)
def test_bad_input_is_one_clear_line(workplace, monkeypatch, capsys, arguments, said):
    folder = workplace / "ek-only"
    folder.mkdir()
    for name in ("corpus", "queries", "pools"):
        (folder / f"{name}.jsonl").write_text((workplace / "small" / f"{name}.jsonl").read_text())
    queries = [row for row in rows_of(folder / "queries.jsonl") if row["task"] == "EK"]
    ids = {row["_id"] for row in queries}
    pools = [row for row in rows_of(folder / "pools.jsonl") if row["query-id"] in ids]
    for name, rows in (("queries", queries), ("pools", pools)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert said in refused([*SEARCH, *arguments], workplace, monkeypatch, capsys)


def test_forced_a_deaf_reranker_is_searched_and_the_front_is_noise(workplace):
    done = fresco(*SEARCH, "--reranker", "tests.optimizer.obedient:Deaf", "--force", "--rounds", "1", cwd=workplace)
    assert done.returncode == 0, done.stderr
    assert "keep the base instruction" in done.stdout


@pytest.mark.slow
def test_a_benchmark_that_changed_is_refused(workplace, monkeypatch, capsys):
    assert fresco(*SEARCH, "--rounds", "1", cwd=workplace).returncode == 0
    changed = workplace / "changed"
    changed.mkdir()
    for name in ("corpus", "queries", "pools"):
        text = (workplace / "small" / f"{name}.jsonl").read_text()
        (changed / f"{name}.jsonl").write_text(text.replace("most recent", "latest"))
    again = [*SEARCH, "--benchmark", "changed"]
    assert "holds something else than this run" in refused(again, workplace, monkeypatch, capsys)
    storage = ("--storage", f"sqlite:///{workplace / 'out' / 'study.db'}", "--out", "elsewhere")
    assert "searched with another benchmark" in refused([*again, *storage], workplace, monkeypatch, capsys)
    assert main([*again, "--rounds", "1", "--overwrite"]) == 0


def test_without_optuna_the_line_to_install_it(workplace, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    said = refused(SEARCH, workplace, monkeypatch, capsys)
    assert "pip install 'fresco-ccs[optimize]'" in said


def test_the_real_benchmark(tmp_path):
    done = fresco(
        *("optimize", "--reranker", "tests.optimizer.obedient:Obedient", "--limit", "60", "--rounds", "1"),
        *("--population", "2", "--children", "4", "--seeds", "1", "--no-baselines", "--resamples", "50"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "warning: the search selected by 61 of 184 validation queries" in done.stdout
    (out,) = (tmp_path / "fresco-results").iterdir()
    assert out.name.startswith("optimize-mini-")
