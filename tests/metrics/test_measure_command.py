"""Measures on the command line: by notation, of one's own in one file, by kind of conflict, and refused."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import ir_measures
import pandas as pd
import pytest

import fresco
from fresco.cli import main
from fresco.metrics.measures import measures_among, notations, parse_measure, registry
from fresco.metrics.measures.ndcg import NDCG
from fresco.records import Label, format_timestamp
from tests.factories import make_pool
from tests.waiting import PATIENCE

OWN = '''
from dataclasses import dataclass
from fresco.metrics.measures import MEASURES, Relevance, Tiers

@MEASURES.register("depth@k", "how deep one reads")
@dataclass(frozen=True)
class Depth(Relevance):
    """Share of the pool that must be read until the first relevant passage, up to a cutoff."""

    names = ("depth",)
    lower_is_better = True
    cutoff: int = 5

    def expectation(self, tiers: Tiers) -> float:
        return min(tiers.expected_rank, self.cutoff) / self.cutoff

class Broken(Depth):
    names = ("broken",)

    def expectation(self, tiers: Tiers) -> float:
        raise KeyError("gone")

class Outside(Depth):
    names = ("outside",)

    def expectation(self, tiers: Tiers) -> float:
        return 7.0

class Wrong(Depth):
    names = ("wrong",)

    def parts(self, frame):
        raise SystemExit(0)

class Unfinished(Relevance):
    pass

not_a_class = 3
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A benchmark with kinds of conflict and superseded passages, and a module of measures beside it."""
    pools = [make_pool(number, outdated=2, near=2) for number in range(6)]
    corpus = {passage.id: passage for pool in pools for passage in pool.passages}
    tables = {
        "corpus": [
            {
                **{"_id": one.id, "title": one.title, "section": one.section, "text": one.body},
                "timestamp": format_timestamp(one.timestamp),
            }
            for one in corpus.values()
        ],
        "queries": [
            {
                **{"_id": pool.query.id, "text": pool.query.content, "task": "EK", "kind": str(pool.query.kind)},
                "timestamp": format_timestamp(pool.query.timestamp),
                **{"subject": pool.query.subject, "relation": "", "answer": ""},
            }
            for pool in pools
        ],
        "pools": [
            {
                **{"query-id": pool.query.id, "corpus-id": passage.id, "label": str(label)},
                "conflict": ("version", "announced")[index % 2] if label is Label.OUTDATED else None,
                "superseded": label is Label.OUTDATED and index % 2 == 0,
            }
            for pool in pools
            for index, (passage, label) in enumerate(zip(pool.passages, pool.labels, strict=True))
        ],
    }
    (tmp_path / "bench").mkdir()
    for name, rows in tables.items():
        (tmp_path / "bench" / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "own_measures.py").write_text(OWN)
    # What a test registers is gone with it.
    monkeypatch.setattr(registry, "_ADOPTED", {})
    registry.families()
    monkeypatch.setattr(registry.MEASURES, "_parts", dict(registry.MEASURES._parts))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FRESCO_STORE", str(tmp_path / "scores.sqlite"))
    return tmp_path


def score(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own: a measure stays registered for as long as its process lives."""
    return subprocess.run(
        [sys.executable, "-m", "fresco", "score", "--benchmark", "bench", "--resamples", "20", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), str(folder)]), **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_own_and_further_measures_in_one_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = score(
        folder,
        *("--measure", "own_measures:Depth@3", "--measure", "nDCG@20", "--measure", "Rprec", "--out", "run"),
        *("--reranker", "newest", "--fail-if", "depth@3>0.9", "--fail-if", "current>obsolete(of=version)<0.5"),
    )
    assert done.returncode == 1, done.stderr
    assert "--fail-if depth@3>0.9: newest has 1.0000" in done.stderr
    assert "of=version" not in done.stderr
    for shown in ("measures asked for", "depth@3", "nDCG@20", "R-precision", "by kind of conflict", "announced"):
        assert shown in done.stdout
    rows = json.loads((folder / "run" / "metrics.json").read_text())["rows"]
    assert {row["conflict"] for row in rows if "conflict" in row} == {"version", "announced"}
    assert {"depth@3", "nDCG@20", "R-precision"} < {row["metric"] for row in rows}
    frame = pd.read_parquet(folder / "run" / "per_query.parquet")
    assert frame["depth@3"].between(0, 1).all()
    assert json.loads((folder / "run" / "run.json").read_text())["settings"]["measures"] == [
        *("depth@3", "nDCG@20", "R-precision")
    ]
    # What the run holds can be compared, in whatever notation; what it does not hold is said.
    for metric in ("nDCG@20", "Rprec", "stale(of=version)@1", "own_measures:Depth@3"):
        assert main(["compare", "run", "run", "--metric", metric]) == 0
    capsys.readouterr()
    assert main(["compare", "run", "run", "--metric", "Recall@10"]) == 2
    said = capsys.readouterr().err
    assert (
        "cannot compare by 'Recall@10': the results do not hold it; score with --measure Recall@10, or choose" in said
    )
    assert said.count("\n") == 1


def test_an_installed_package_and_a_folder_of_parts_bring_measures(folder: Path) -> None:
    (folder / "parts").mkdir()
    (folder / "own_measures.py").rename(folder / "parts" / "depth.py")
    installed = OWN.replace("depth", "reach").replace("@MEASURES", "# @MEASURES")
    (folder / "reach_package.py").write_text(installed)
    (folder / "reach-1.dist-info").mkdir()
    (folder / "reach-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: reach\nVersion: 1\n")
    (folder / "reach-1.dist-info" / "entry_points.txt").write_text("[fresco.measures]\nreach = reach_package:Depth\n")
    done = score(
        folder,
        *("--measure", "depth@2", "--measure", "reach@4", "--out", "run", "--fail-if", "reach@4>=0"),
        FRESCO_PARTS=str(folder / "parts"),
    )
    assert done.returncode == 1, done.stderr
    assert "reach@4>=0: random has" in done.stderr
    assert {"depth@2", "reach@4"} < set(pd.read_parquet(folder / "run" / "per_query.parquet").columns)


def test_measures_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["parts", "measures"]) == 0
    shown = capsys.readouterr().out
    for spec in ("nDCG[@k]", "stale@k", "R-precision", "current>obsolete"):
        assert spec in shown


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("own_measures:Nothing", "module own_measures has no Nothing"),
        ("own_measures:not_a_class", "is no"),
        ("own_measures:Unfinished", "making it failed: TypeError: Can't instantiate abstract class Unfinished"),
        ("own_measures:Broken@3", "measure broken@3, query 'q0': it failed: KeyError: 'gone'"),
        ("own_measures:Outside@3", "outside@3 lies outside [0, 1]; mend the measure"),
        ("own_measures:Wrong@3", "measure wrong@3, the mean over EK/explicit: it failed: SystemExit: 0"),
        ("nDCG@99999999999999999999", "is no measure; write NAME"),
        ("no_such_module:Depth", "no module named no_such_module"),
        ("nDCG@20.5", "is no measure; write NAME"),
        ("ndcg@20", "unknown metric 'ndcg'; choose one of"),
        ("Hit", "measure 'Hit': needs a cutoff, as in Hit@10"),
        ("R-precision@5", "takes no cutoff; leave out @5"),
        ("MAP(rel=0)", "rel is 0; it must be a whole number above 0"),
        ("MAP(rel=two)", "rel is 'two'"),
        ("MAP(rel=2)", "the benchmark has no passage that was judged 2 or better"),
        ("stale(of=history)@1", "no outdated passage whose kind of conflict is history"),
        ("MAP(gain=2)", "'gain=2' is no option of it; it takes rel=..."),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(
    spec: str, problem: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sys.modules.pop("own_measures", None)
    arguments = ["--benchmark", "bench", "--reranker", "newest", "--no-baselines", "--resamples", "10"]
    assert main(["score", *arguments, "--measure", spec]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert problem in said
    assert "Traceback" not in said


def test_the_front_door_takes_notation_and_objects(folder: Path) -> None:
    result = fresco.score(None, "bench", measures=["P@3", NDCG(cutoff=7)], resamples=10, progress=False)
    frame = result.to_frame()
    assert {"P@3", "nDCG@7"} < set(frame["metric"])
    assert set(frame["conflict"].dropna()) == {"version", "announced"}
    assert [table.title for table in result.further()] == ["by kind of conflict", "measures asked for"]
    assert "nDCG@7" in repr(result)
    assert "announced" in result._repr_html_()


def test_graded_judgements_from_the_folder_to_the_files_of_the_run(tmp_path: Path) -> None:
    """What the run says is what ir_measures computes from the qrels and the TREC run that it wrote."""
    (tmp_path / "beir" / "qrels").mkdir(parents=True)
    corpus = [{"_id": f"d{i}", "title": "", "text": f"text number {i} of forty"} for i in range(40)]
    queries = [{"_id": f"q{i}", "text": f"which number {i}"} for i in range(6)]
    judged = [f"q{i}\td{j}\t{(i * j) % 5 - 1}\n" for i in range(6) for j in range(1, 40, 3)]
    for name, rows in (("corpus", corpus), ("queries", queries)):
        (tmp_path / "beir" / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "beir" / "qrels" / "test.tsv").write_text("".join(judged))

    def by_hash(query: str, passages: list[str]) -> list[float]:
        return [float(int(hashlib.sha256((query + text).encode()).hexdigest()[:5], 16)) for text in passages]

    asked = {"nDCG@10": "nDCG@10", "nDCG@20": "nDCG@20", "MAP(rel=2)": "AP(rel=2)", "MAP": "AP", "R-precision": "Rprec"}
    result = fresco.score(
        {"hash": by_hash},
        str(tmp_path / "beir"),
        measures=asked,
        resamples=10,
        progress=False,
        out=tmp_path / "run",
        baselines=False,
        timestamps="none",
        store=tmp_path / "scores.sqlite",
    )
    qrels = list(ir_measures.read_trec_qrels(str(tmp_path / "run" / "qrels.trec")))
    assert {row.relevance for row in qrels} == {-1, 0, 1, 2, 3}
    run = ir_measures.read_trec_run(str(tmp_path / "run" / "runs" / "hash.trec"))
    measures = {name: ir_measures.parse_measure(theirs) for name, theirs in asked.items()}
    reference = ir_measures.calc_aggregate(measures.values(), qrels, run)
    ours = {row["metric"]: row["value"] for row in result.evaluation.rows if row["kind"] == "all"}
    for name, measure in measures.items():
        assert ours[name] == pytest.approx(reference[measure], abs=1e-12), name
    assert ours["nDCG@10"] != pytest.approx(ours["MAP"])


def test_notation_goes_both_ways() -> None:
    assert {"nDCG[@k]", "Recall@k", "R-precision", "stale@k", "current>obsolete"} < set(notations())
    for text in ("nDCG@20", "Recall@10", "MAP(rel=2)@5", "MRR@7", "stale(of=cross-document)@3", "ObsoleteLift"):
        assert parse_measure(text).name == text
    aliases = {"AP": "MAP", "RR@5": "MRR@5", "Success@3": "Hit@3", "R@10": "Recall@10", "Rprec": "R-precision"}
    for alias, name in aliases.items():
        assert parse_measure(alias) == parse_measure(name)
    columns = ["reranker", "rank", "MAP", "nDCG@20", "AP", "n_tied", "Recall@10", "stale(of=version)@1", "Hit"]
    assert [own.name for own in measures_among(columns)] == ["MAP", "nDCG@20", "Recall@10", "stale(of=version)@1"]
