"""The front door from Python: what a notebook, a script and the command share."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import fresco
from fresco.rerank.base import Reranker
from tests import commands
from tests.factories import make_benchmark
from tests.waiting import PATIENCE

BENCHMARK = make_benchmark(12)
QUICK = {"resamples": 20, "progress": False, "store": ":memory:"}


def overlap(query: str, passages: list[str]) -> list[float]:
    words = set(query.lower().split())
    return [float(len(words & set(passage.lower().split()))) for passage in passages]


class Oldest:
    name = "oldest"
    takes_instruction = False

    def score(self, query, passages, instruction=None):
        return [-passage.timestamp.timestamp() for passage in passages]


def names(result):
    return [
        name for name in result.rerankers if name not in ("random", "newest", "bm25", "latest", "half-life:bm25,365")
    ]


def files_of(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "run.json"
    }


def test_importing_is_quick_and_names_are_functions():
    script = (
        "import sys, fresco\n"
        "assert not {'pandas', 'numpy', 'rich', 'torch'} & set(sys.modules), 'import fresco is heavy'\n"
        "assert callable(fresco.score) and callable(fresco.evaluate) and callable(fresco.load)\n"
        "import fresco.scoring.pipeline, fresco.optimizer, fresco.builder\n"
        "assert callable(fresco.score)\n"
        "assert set(fresco.__all__) <= set(dir(fresco))\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    with pytest.raises(AttributeError, match="has no attribute 'scores'"):
        _ = fresco.scores


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        (None, []),
        ("half-life:bm25,30", ["half-life:bm25,30"]),
        (overlap, ["overlap"]),
        (lambda query, passages: [float(len(each)) for each in passages], ["lambda"]),
        (Oldest, ["oldest"]),
        (Oldest(), ["oldest"]),
        ({"mine": overlap, "old": Oldest()}, ["mine", "old"]),
        ([Oldest(), overlap, {"again": overlap}, "tempralm:bm25,1"], ["oldest", "overlap", "again", "tempralm:bm25,1"]),
        ({"a prior": "half-life:bm25,30"}, ["a prior"]),
        (["bm25"], []),
    ],
)
def test_whatever_a_user_has_is_scored(what, expected):
    result = fresco.score(what, BENCHMARK, **QUICK)
    assert result.rerankers[:5] == ["random", "newest", "bm25", "latest", "half-life:bm25,365"]
    assert names(result) == expected
    assert result.named == (expected or (["bm25"] if what else result.rerankers))


def test_a_prior_under_another_name_scores_as_itself():
    result = fresco.score(["half-life:bm25,30", {"a prior": "half-life:bm25,30"}], BENCHMARK, **QUICK)
    values = {row["reranker"]: row["value"] for row in result.evaluation.rows if row["metric"] == "MAP"}
    assert values["a prior"] == values["half-life:bm25,30"]


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (7, "int objects cannot score"),
        ({7: overlap}, "7 cannot be the name of a re-ranker"),
        ({" ": overlap}, "cannot be the name of a re-ranker"),
        ([overlap, overlap], None),
        ([overlap, {"overlap": Oldest()}], "both call themselves 'overlap'"),
        ("bm52", "bm52"),
        ([], "[] names no re-ranker"),
        (object(), "object objects cannot score"),
        (lambda query, passages: [1.0], "1 scores for the"),
        (lambda query, passages: [float("nan")] * len(passages), "no finite number"),
        (lambda query, passages: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_what_cannot_be_scored_gets_one_line(what, said):
    if said is None:
        assert names(fresco.score(what, BENCHMARK, **QUICK)) == ["overlap"]
        return
    with pytest.raises(fresco.FrescoError) as caught:
        fresco.score(what, BENCHMARK, **QUICK)
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"timestamps": "hidden"}, "--timestamps hidden: choose text or none"),
        ({"limit": 0}, "--limit 0"),
        ({"limit": 2.5}, "--limit 2.5: give a whole number from 1 up"),
        ({"resamples": -3}, "--resamples -3"),
        ({"seed": -1}, "--seed -1: give a whole number from 0 up"),
        ({"seed": "x"}, "--seed 'x'"),
        ({"batch_tokens": 0}, "--batch-tokens 0"),
        ({"max_length": True}, "--max-length True"),
        ({"progress": 3}, "progress=3"),
        ({"split": "dev"}, "'dev' is no split"),
        ({"instruction": " "}, "--instruction is empty"),
        ({"instruction": "x"}, "no re-ranker of this run takes one"),
        ({"instructions": []}, "instructions: an empty list"),
        ({"instruction": "x", "instructions": ["y"]}, "--instruction"),
        ({"baselines": False}, "nothing to score"),
    ],
)
def test_bad_options_get_one_line(options, said):
    with pytest.raises(fresco.FrescoError) as caught:
        fresco.score(None, BENCHMARK, **{**QUICK, **options})
    assert said in str(caught.value)


def test_a_function_is_never_served_the_scores_of_another_one(tmp_path):
    store = tmp_path / "scores.sqlite"
    first = fresco.score({"f": overlap}, BENCHMARK, **{**QUICK, "store": store}, baselines=False)
    other = fresco.score(
        {"f": lambda query, passages: [-score for score in overlap(query, passages)]},
        BENCHMARK,
        **{**QUICK, "store": store},
        baselines=False,
    )
    assert not np.array_equal(first.run.rerankers[0].scores[0], other.run.rerankers[0].scores[0])


def test_a_result_as_frames_text_and_html():
    result = fresco.score({"<b>mine</b>": overlap}, BENCHMARK, **QUICK)
    frame = result.to_frame()
    assert {"reranker", "task", "kind", "metric", "value", "ci_low", "ci_high", "n"} <= set(frame.columns)
    assert len(frame) == len(result.evaluation.rows)
    assert len(result.per_query()) == len(BENCHMARK) * 6
    text = repr(result)
    assert "<b>mine</b>" in text
    assert "tiny: 12 queries" in text
    page = result._repr_html_()
    assert "&lt;b&gt;mine&lt;/b&gt;" in page
    assert "<b>mine" not in page
    assert page.count("<tr") == 7


def test_plots_are_figures_that_a_notebook_shows(tmp_path):
    result = fresco.score(None, BENCHMARK, **QUICK)
    for name in ("quality", "stale_by_age"):
        figure = result.plot(name)
        assert figure._repr_png_().startswith(b"\x89PNG")
        figure.savefig(tmp_path / f"{name}.pdf")
    with pytest.raises(fresco.FrescoError, match="there are quality, stale_by_age"):
        result.plot("speed")


def test_a_saved_result_is_the_folder_of_the_command(tmp_path):
    command = ["score", "--benchmark", "mini", "--limit", "30", "--resamples", "20", "--out", "theirs"]
    done = commands.run("fresco", *command, "--store", "scores.sqlite", cwd=tmp_path, env=os.environ)
    assert done.returncode == 0, done.stderr
    result = fresco.score(limit=30, resamples=20, store=tmp_path / "scores.sqlite", progress=False)
    result.save(tmp_path / "ours")
    assert files_of(tmp_path / "ours") == files_of(tmp_path / "theirs")
    records = [json.loads((tmp_path / name / "run.json").read_text()) for name in ("ours", "theirs")]
    assert records[0].keys() == records[1].keys()
    assert records[0]["identity"] == records[1]["identity"]

    loaded = fresco.load(tmp_path / "theirs")
    assert loaded.evaluation.to_json_dict() == result.evaluation.to_json_dict()
    assert repr(loaded) == repr(result)
    assert loaded._repr_html_() == result._repr_html_()
    loaded.save(tmp_path / "copy")
    assert files_of(tmp_path / "copy") == files_of(tmp_path / "theirs")
    assert loaded.save(tmp_path / "theirs") == tmp_path / "theirs"
    with pytest.raises(fresco.FrescoError, match="something else"):
        fresco.score(limit=31, resamples=20, progress=False, store=":memory:").save(tmp_path / "copy")


def test_two_runs_are_compared():
    a = fresco.score({"mine": overlap}, BENCHMARK, **QUICK)
    b = fresco.score({"mine": Oldest()}, BENCHMARK, **QUICK)
    frame = a.compare(b, "MRR@10")
    row = frame[(frame["a"] == "mine") & (frame["kind"] == "explicit")].iloc[0]
    assert row["difference"] == pytest.approx(row["value_b"] - row["value_a"])
    other = fresco.score({"mine": Oldest()}, make_benchmark(5), **QUICK)
    object.__setattr__(other, "record", {**other.record, "benchmark": {"name": "x", "fingerprint": "1"}})
    with pytest.raises(fresco.FrescoError, match="other content"):
        a.compare(other)


def test_progress_may_be_a_function_of_the_users():
    heard = []
    fresco.score("bm25", BENCHMARK, **{**QUICK, "progress": lambda *told: heard.append(told)}, baselines=False)
    assert heard[-1][0] == "bm25"
    assert heard[-1][1] == heard[-1][2]


def nested(score=lambda query, passage: float(len(passage.body))):
    return {
        pool.query.id: {passage.id: score(pool.query, passage) for passage in pool.passages} for pool in BENCHMARK.pools
    }


def frame_of(scores, **columns):
    rows = [(query, passage, score) for query, own in scores.items() for passage, score in own.items()]
    return pd.DataFrame(rows, columns=["query_id", "passage_id", "score"]).assign(**columns)


def test_scores_of_every_form_give_the_same_figures(tmp_path):
    scores = nested()
    lines = [f"{query} Q0 {passage} 1 {score} t" for query, own in scores.items() for passage, score in own.items()]
    (tmp_path / "mine.trec").write_text("\n".join(lines))
    forms = [
        (scores, {"name": "mine"}),
        ({"mine": scores}, {}),
        (frame_of(scores), {"name": "mine"}),
        (frame_of(scores, reranker="mine"), {}),
        (tmp_path / "mine.trec", {}),
        ({"mine": str(tmp_path / "mine.trec")}, {}),
    ]
    figures = [fresco.evaluate(BENCHMARK, form, **QUICK, **options).evaluation.rows for form, options in forms]
    assert all(rows == figures[0] for rows in figures)
    scored = fresco.score(
        {"mine": lambda query, passages: [float(len(each.splitlines()[2])) for each in passages]}, BENCHMARK, **QUICK
    )
    assert scored.evaluation.rows == figures[0]


def test_passages_without_a_score_stand_below_and_are_counted():
    scores = nested(lambda query, passage: -1000.0 if "now" in passage.id else -2000.0)
    for own in scores.values():
        for passage in [each for each in own if "old" in each]:
            del own[passage]
    first = BENCHMARK.pools[0].query.id
    del scores[first]
    result = fresco.evaluate(BENCHMARK, {"part": scores}, **QUICK, baselines=False)
    ranks = result.per_query().set_index("query_id")["rank"]
    assert ranks[first] == 3.0  # five passages, all tied
    assert set(ranks.drop(first)) == {1.0}
    stale = result.per_query().set_index("query_id")["stale@1"]
    assert set(stale.drop(first)) == {0.0}
    (said,) = [line for line in result.warnings if "no score" in line]
    assert (
        said == "part: 27 of 60 passages have no score in part and stand below the others; 1 queries have none at all"
    )
    assert result.evaluation.bias["part"]["counterfactual"] is None


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ({}, "scores: dict '{}' is none"),
        (7, "scores: int '7' is none"),
        ({"q0": 1.0}, "scores: query q0 has 1.0"),
        ({"other": {"p": 1.0}}, "scores no passage of the benchmark"),
        ({"q0": {"q0-now": float("nan")}}, "passage q0-now of query q0 is nan"),
        ({"q0": {"q0-now": "1"}}, "passage q0-now of query q0 is '1'"),
        (pd.DataFrame({"query": ["q0"]}), "lacks the column query_id"),
        (pd.DataFrame({"query_id": [], "passage_id": [], "score": []}), "has no row"),
        (frame_of({"q0": {"q0-now": 1.0}}).loc[[0, 0]], "scores passage q0-now of query q0 twice"),
        ({"mine": {"q0": {"q0-now": 1.0}}, "other": {"q0": 1.0}}, "other: query q0 has 1.0"),
        ({7: {"q0": {"q0-now": 1.0}}}, "7 is not a name"),
        ([1.0, 2.0], "is none"),
        ("nowhere.trec", "nowhere.trec: cannot be read"),
    ],
)
def test_bad_scores_get_one_line(scores, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(fresco.FrescoError) as caught:
        fresco.evaluate(BENCHMARK, scores, **QUICK)
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_bad_line_of_a_run_is_named(tmp_path):
    path = tmp_path / "bad.trec"
    path.write_text("q0 Q0 q0-now 1 2.0 t\nq0 Q0 q0-now 2 1.0 t\n")
    with pytest.raises(fresco.FrescoError, match=r"bad.trec, line 2: 'q0-now' is ranked for 'q0' already"):
        fresco.evaluate(BENCHMARK, path, **QUICK)
    path.write_text("\n")
    with pytest.raises(fresco.FrescoError, match="holds no line"):
        fresco.evaluate(BENCHMARK, path, **QUICK)


def test_the_protocol_is_what_the_objects_keep():
    assert isinstance(Oldest(), Reranker)
