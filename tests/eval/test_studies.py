"""Every study still runs: its own path on a few rows, as a process of its own, recorded into a folder of the test's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builder.servers import mediawiki
from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
EVAL = ROOT / "eval"
SHARED = ROOT.parent / "shared" / "data"

#: Study, the arguments it needs ({work} is a folder), and whether it reads the shared data.
STUDIES = [
    ("coverage", [], False),
    ("masking", [], True),
    ("reward_audit", ["--only", "evidence", "--cache", "{work}/cache.npz"], True),
    ("retrieval", ["--work", "{work}/retrieval"], True),
    ("scoring_speed", [], False),
    ("mini_baselines", [], False),
    ("tuning", [], False),
    ("fine_tuning", [], False),
    ("table1", ["--work", "{work}/table1", "--model", "nothing=seq2seq:./absent", "--model", "words=bm25"], False),
    ("build_growth", ["--work", "{work}/growth"], True),
    ("wikidata_growth", [], False),
    ("step_cost", ["{work}/training"], False),
    ("rollout_speed", [], False),
    ("lexical_speed", ["--work", "{work}/lexical"], True),
    ("search_training", ["{work}/variants"], False),
    ("reconstruction_demo", ["{work}/demo"], False),
    ("search_vs_peers", ["--without-gepa"], False),
    ("search_overhead", [], False),
    ("scale", ["--work", "{work}/scale"], False),
    ("guards", ["--work", "{work}/guards"], False),
    ("report_scale", [], False),
    ("dump_memory", [], False),
    ("build_plan", [], True),
]
#: What is no study of its own: parts that studies share.
PARTS = {
    "study",
    "clause_reranker",
    "search_methods",
    "scored_reranker",
    "baseline_tables",
    "ner_data",
    "optimize_studies",
    "search_agents",
    "training_rewards",
    "gain_tables",
    "local_lm",
    "open_agents",
    "served_policy",
    "real_training_table",
}
#: Covered otherwise: below, or by the test of what they make.
ELSEWHERE = {
    "gain_audit",
    "formed_turns",
    "language_model",
    "train_instructed_reranker",
    "instruction_search",
    "racing",
    "train_ner",
    "shared_prefix",
    "precision",
    "answers",
    "real_proposer",
    "search_dimensions",
    "real_training",
    "wikirev_baselines",
    "endoflife",
    "editions",
}


#: `real_training` whose minutes are over after its first step, whatever the clock says.
ONE_STEP = """
import real_training

begun = iter([True, False])

def on_step_begin(self, *_, **__):
    if not next(begun):
        raise real_training.OutOfTimeError

real_training.Until.on_step_begin = on_step_begin
real_training.main()
"""


def run(study: str, *arguments: str, code: str = "") -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(EVAL), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, *(["-c", code] if code else [str(EVAL / f"{study}.py")]), "--smoke", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=6 * PATIENCE
    )
    assert done.returncode == 0, done.stderr[-2000:]


def check(study: str, out: Path) -> None:
    json.loads((out / f"{study}.json").read_text(encoding="utf-8"))
    assert (out / f"{study}.md").read_text(encoding="utf-8").startswith("#")


@pytest.mark.slow
def test_sharing_a_beginning_is_measured_on_any_language_model(tmp_path):
    pytest.importorskip("torch", reason="pip install 'fresco-ccs[models]'")
    from tests import tiny_models

    folder = tiny_models.causal_lm(tmp_path / "lm", max_position_embeddings=4096)
    for family in ("causal-lm", "likelihood"):
        run("shared_prefix", str(folder), "--family", family, "--out", str(tmp_path / "out"))
    check("shared_prefix", tmp_path / "out")
    rows = json.loads((tmp_path / "out" / "shared_prefix.json").read_text(encoding="utf-8"))
    assert {row["peer"] for row in rows} == {
        "no sharing",
        "sentence-transformers",
        "model card's code",
        "plain loop",
    }
    assert max(row["difference"] for row in rows) <= 1e-3  # the same scores, or the times say nothing
    assert all(0 <= row["saved"] <= row["trie_would_save"] < row["tokens"] for row in rows)


@pytest.mark.slow
def test_lower_precision_is_measured_on_any_pointwise_model(tmp_path):
    pytest.importorskip("torch", reason="pip install 'fresco-ccs[models]'")
    from tests import tiny_models

    spec = f"cross-encoder:{tiny_models.cross_encoder(tmp_path / 'ce', max_position_embeddings=512)}"
    for name in ("one", "another", "one"):
        run("precision", spec, "--name", name, "--out", str(tmp_path / "out"))
    check("precision", tmp_path / "out")
    rows = json.loads((tmp_path / "out" / "precision.json").read_text(encoding="utf-8"))
    assert [(row["name"], row["dtype"]) for row in rows] == [
        (name, dtype) for name in ("another", "one") for dtype in ("float32", "bfloat16", "int8")
    ]
    assert all(not any(own["difference"] for own in row["measures"].values()) for row in rows[::3])
    assert "EK MAP" in rows[0]["measures"]


@pytest.mark.slow
def test_a_real_proposer_is_counted_whatever_it_says(tmp_path):
    pytest.importorskip("torch", reason="pip install 'fresco-ccs[models]'")
    from tests import tiny_models

    folder = tiny_models.chat_model(tmp_path / "lm")
    arguments = [str(folder), "--name", "tiny", "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
    run("real_proposer", *arguments)
    check("real_proposer", tmp_path / "out")
    first = json.loads((tmp_path / "out" / "real_proposer.json").read_text(encoding="utf-8"))["found"]
    for name in ("model", "model and clauses"):
        own = first[name]
        assert own["answers"] >= 1
        assert own["lists"] == own["tried"] == 0  # random weights write no list
        assert sum(own["unusable"].values()) >= own["answers"]
    assert first["model"]["gains"] == {"validation": 0.0, "test": 0.0}
    assert first["clauses"]["gains"]["validation"]["value"] > 0  # the stand-in obeys words that the bank has
    run("real_proposer", *arguments)  # all of it from the kept answers
    again = json.loads((tmp_path / "out" / "real_proposer.json").read_text(encoding="utf-8"))["found"]
    assert {**again, "cpu_minutes_of_this_run": 0} == {**first, "cpu_minutes_of_this_run": 0}


@pytest.mark.slow
def test_a_peer_is_added_to_the_record_of_the_maskers(tmp_path: Path) -> None:
    if not SHARED.is_dir():
        pytest.skip("needs the folder ../shared/data beside the project")
    out = tmp_path / "out"
    run("masking", "--out", str(out))
    before = json.loads((out / "masking.json").read_text())["rows"]
    for _ in range(2):  # again in place of itself
        run("masking", "--peer", "words of a peer=words", "--out", str(out))
    rows = json.loads((out / "masking.json").read_text())["rows"]
    assert rows[: len(before)] == before and len(rows) == len(before) + 2
    same = {row["text"]: row["leak"] for row in before if row["masker"] == "words"}
    assert {row["text"]: row["leak"] for row in rows[len(before) :]} == same
    assert "words of a peer" in (out / "masking.md").read_text()


@pytest.mark.slow
def test_the_rewards_of_a_language_model_are_measured_on_any(tmp_path):
    pytest.importorskip("torch", reason="pip install 'fresco-ccs[models]'")
    if not SHARED.is_dir():
        pytest.skip("needs the folder ../shared/data beside the project")
    from tests import tiny_models

    folder = tiny_models.causal_lm(tmp_path / "lm", max_position_embeddings=8192)
    arguments = [str(folder), "--name", "tiny", "--cache", str(tmp_path / "numbers.sqlite"), "--dtype", "float32"]
    run("gain_audit", *arguments, "--out", str(tmp_path / "out"))
    check("gain_audit", tmp_path / "out")
    first = json.loads((tmp_path / "out" / "gain_audit.json").read_text())["tiny"]
    assert all(first[part] for part in ("blanked", "plays", "retrieval", "masked", "paper"))
    # All of it is kept: without a minute the same command gives the same figures.
    run("gain_audit", *arguments, "--minutes", "0", "--out", str(tmp_path / "again"))
    again = json.loads((tmp_path / "again" / "gain_audit.json").read_text())["tiny"]
    assert {name: again[name] for name in again if name != "environment"} == {
        name: first[name] for name in first if name != "environment"
    }


@pytest.mark.slow
def test_training_on_real_text_goes_on_where_its_minutes_ended_and_adds_its_controls(tmp_path):
    pytest.importorskip("trl", reason="pip install 'fresco-ccs[train]'")
    if not SHARED.is_dir():
        pytest.skip("needs the folder ../shared/data beside the project")
    from tests import tiny_models

    policy = tiny_models.chat_model(tmp_path / "policy")
    frozen = tiny_models.causal_lm(tmp_path / "frozen", max_position_embeddings=8192)
    models = [str(policy), str(frozen), str(tmp_path / "work"), "--dtype", "float32", "--out", str(tmp_path / "out")]
    run("real_training", *models, code=ONE_STEP)
    journal = tmp_path / "work" / "gain" / "steps.jsonl"
    first = journal.read_text(encoding="utf-8")
    assert len(first.splitlines()) == 1 and not (tmp_path / "out").exists()
    for reward in ("gain", "exact match"):
        run("real_training", *models, "--reward", reward)
    check("real_training", tmp_path / "out")
    record = json.loads((tmp_path / "out" / "real_training.json").read_text(encoding="utf-8"))
    assert set(record) == {"gain", "exact match"}
    one, other = (record[reward]["held-out"] for reward in ("gain", "exact match"))
    assert one["before"] == other["before"]  # the same policy begins
    assert [row["step"] for row in record["gain"]["training"]["rows"]] == [1, 2]
    assert journal.read_text(encoding="utf-8").startswith(first)  # the step was not made again


@pytest.mark.slow
def test_answers_are_counted_with_any_chat_model(tmp_path):
    pytest.importorskip("torch", reason="pip install 'fresco-ccs[models]'")
    from tests import tiny_models

    folder = tiny_models.chat_model(tmp_path / "chat")
    run("answers", str(folder), "--out", str(tmp_path / "out"))
    check("answers", tmp_path / "out")


@pytest.mark.slow
def test_the_papers_table_goes_on_from_its_folder_and_keeps_the_other_benchmarks_part(tmp_path):
    out = tmp_path / "out"
    arguments = ["--work", str(tmp_path / "work"), "--model", "words=bm25", "--model", "none=dense:./absent"]
    parts = []
    for split in ("test", "test", "train"):
        run("table1", *arguments, "--split", split, "--out", str(out))
        record = json.loads((out / "table1.json").read_text(encoding="utf-8"))
        parts.append(record["benchmarks"]["mini"])
        record["benchmarks"]["another"] = record["benchmarks"]["mini"]
        (out / "table1.json").write_text(json.dumps(record), encoding="utf-8")
    first, again, other = parts
    assert again["tables"] == first["tables"] != other["tables"]  # seconds included: nothing was scored again
    assert "words" in first["tables"][0]["rerankers"] and set(first["not_scored"]) == {"none"}
    assert "## `another`" in (out / "table1.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_git_history_is_built_audited_and_scored(tmp_path: Path) -> None:
    bundle = SHARED / "git" / "endoflife-products.bundle"
    if not bundle.is_file():
        pytest.skip("needs the folder ../shared/data beside the project")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(bundle), str(clone)], check=True)
    for _ in range(2):
        run("editions", str(clone), "--work", str(tmp_path / "editions"), "--out", str(tmp_path / "out"))
    check("editions", tmp_path / "out")
    editions = json.loads((tmp_path / "out" / "editions.json").read_text(encoding="utf-8"))
    read = {name: each["read"] for name, each in editions["editions"].items()}
    assert 0 < read["second"] < read["first"] < editions["read_from_nothing"]
    for _ in range(2):  # the second goes on from what is kept
        run("endoflife", str(clone), "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out"))
    check("endoflife", tmp_path / "out")
    found = json.loads((tmp_path / "out" / "endoflife.json").read_text(encoding="utf-8"))
    assert found["funnel"]["aligned"] == sum(found["funnel"]["relations"].values()) > 0
    rows = {
        row["reranker"]: row["value"]
        for row in found["text"]["rows"]
        if (row["metric"], row["kind"]) == ("current>obsolete", "all")
    }
    assert rows["newest"] == found["audit"]["figures"]["date-auroc-within"] == 1  # dates decide, and the table says so
    assert "Dates decide" in (tmp_path / "out" / "endoflife.md").read_text(encoding="utf-8")
    assert str(tmp_path) not in (tmp_path / "out" / "endoflife.json").read_text(encoding="utf-8")


def test_every_study_is_named_here() -> None:
    named = {name for name, *_ in STUDIES} | PARTS | ELSEWHERE
    assert {path.stem for path in EVAL.glob("*.py")} == named


@pytest.mark.parametrize("study", sorted({path.stem for path in EVAL.glob("*.py")} - PARTS))
def test_a_study_says_what_it_does_and_takes_the_common_options(study: str) -> None:
    source = (EVAL / f"{study}.py").read_text(encoding="utf-8")
    assert f"python eval/{study}.py" in source
    assert "study.make_parser(__doc__" in source


@pytest.mark.slow
@pytest.mark.parametrize(("study", "arguments", "shared"), STUDIES, ids=[name for name, *_ in STUDIES])
def test_a_study_runs(study: str, arguments: list[str], shared: bool, tmp_path: Path) -> None:
    if shared and not SHARED.is_dir():
        pytest.skip("needs the folder ../shared/data beside the project")
    if study == "build_plan" and not mediawiki.is_installed():
        pytest.skip(f"needs MediaWiki: {mediawiki.HOW_TO_INSTALL}")
    run(study, *(each.format(work=tmp_path) for each in arguments), "--out", str(tmp_path / "out"))
    check(study, tmp_path / "out")


@pytest.mark.slow
def test_the_studies_of_the_instruction_search_run(tmp_path: Path) -> None:
    model, out = str(tmp_path / "model"), tmp_path / "out"
    for study in ("train_instructed_reranker", "racing", "instruction_search"):
        run(study, model, "--out", str(out))
    peers = ("--reranker", f"cross-encoder:{model}", "--work", str(tmp_path / "scores"), "--without-gepa")
    run("search_vs_peers", *peers, "--out", str(out))
    run("search_dimensions", model, "--work", str(tmp_path / "dimensions"), "--out", str(out))
    for study in (
        *("instructed_reranker", "racing", "instruction_search"),
        *("search_vs_peers_model", "search_dimensions"),
    ):
        check(study, out)


def test_no_figure_of_a_checkout_with_changes(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", f"file://{ROOT}", str(checkout)], check=True)
    (checkout / "eval" / "study.py").write_bytes((EVAL / "study.py").read_bytes())
    code = "import study; study.begin(study.make_parser('').parse_args([])); print('recorded')"
    command = [sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONPATH": f"{checkout / 'eval'}{os.pathsep}{checkout}"}
    (checkout / "new.txt").write_text("a change")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "the checkout has changes" in done.stderr
