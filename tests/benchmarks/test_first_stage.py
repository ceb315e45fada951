"""A first stage taken as it is: the figures are those that trec_eval gives on the same run, and the output says so."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import pytrec_eval

import fresco
from fresco.benchmarks import open_benchmark
from fresco.benchmarks.first_stage import BM25_DEPTH
from fresco.cli import main
from fresco.errors import FrescoError
from fresco.records import Label
from tests.benchmarks.conftest import jsonl

DOCUMENTS, QUERIES, DEPTH = 60, 25, 12
#: Ours to trec_eval's name.
SAME = {
    "MAP": "map",
    "MRR": "recip_rank",
    "nDCG@10": "ndcg_cut_10",
    "nDCG": "ndcg",
    "Recall@5": "recall_5",
    "R-precision": "Rprec",
    "P@5": "P_5",
    "Hit@1": "success_1",
}


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BEIR folder with graded judgements; the run misses many, and some queries lie in the corpus."""
    draw = random.Random(7)
    folder = tmp_path_factory.mktemp("first") / "set"
    (folder / "qrels").mkdir(parents=True)
    vocabulary = [f"word{number}" for number in range(80)]
    corpus = [
        {"_id": f"d{number}", "title": "", "text": " ".join(draw.choices(vocabulary, k=12))}
        for number in range(DOCUMENTS)
    ]
    queries = [{"_id": f"q{number}", "text": " ".join(draw.choices(vocabulary, k=5))} for number in range(QUERIES)]
    corpus += [{"_id": query["_id"], "title": "", "text": query["text"]} for query in queries[:5]]
    qrels, run = ["query-id\tcorpus-id\tscore"], []
    for number, query in enumerate(queries):
        judged = draw.sample(range(DOCUMENTS), k=draw.randint(1, 8))
        qrels += [
            f"{query['_id']}\td{own}\t{draw.choice([0, 1, 1, 2, 3]) if place else 2}"
            for place, own in enumerate(judged)
        ]
        if number == QUERIES - 1:
            continue  # one that the first stage has nothing for
        scores = sorted((draw.random() for _ in range(DEPTH)), reverse=True)
        found = [f"d{own}" for own in draw.sample(range(DOCUMENTS), k=DEPTH)]
        if number < 5:
            found[0] = query["_id"]  # of course the query itself comes first
        run += [f"{query['_id']} Q0 {own} 0 {score!r} x" for own, score in zip(found, scores, strict=True)]
    (folder / "corpus.jsonl").write_text(jsonl(corpus))
    (folder / "queries.jsonl").write_text(jsonl(queries))
    (folder / "qrels" / "test.tsv").write_text("\n".join(qrels) + "\n")
    (folder.parent / "first.trec").write_text("\n".join(run) + "\n")
    return folder


def by_trec_eval(collection: Path, run: Path, top: int | None = None) -> dict[str, dict[str, float]]:
    """What BEIR does: a query's own document goes, the first ``top`` stay, trec_eval does the rest."""
    judged: dict[str, dict[str, int]] = {}
    for line in (collection / "qrels" / "test.tsv").read_text().splitlines()[1:]:
        query, passage, grade = line.split("\t")
        judged.setdefault(query, {})[passage] = int(grade)
    ranked: dict[str, dict[str, float]] = {}
    for line in run.read_text().splitlines():
        query, _, passage, _, score, _ = line.split()
        if passage != query:
            ranked.setdefault(query, {})[passage] = float(score)
    for query, own in ranked.items():
        ranked[query] = dict(sorted(own.items(), key=lambda each: -each[1])[:top])
    wanted = {"map", "recip_rank", "ndcg_cut.10", "ndcg", "recall.5", "Rprec", "P.5", "success.1"}
    return pytrec_eval.RelevanceEvaluator(judged, wanted).evaluate(ranked)


@pytest.mark.parametrize("top", [None, 7])
def test_the_figures_are_those_of_trec_eval(collection: Path, tmp_path: Path, top: int | None) -> None:
    run = collection.parent / "first.trec"
    result = fresco.score(
        f"run:{run}",
        str(collection),
        pools=f"run:{run}" + (f"#top={top}" if top else ""),
        baselines=False,
        measures=list(SAME),
        resamples=20,
        store=tmp_path / "s.sqlite",
        out=tmp_path / "out",
        progress=False,
    )
    theirs = by_trec_eval(collection, run, top)
    ours = result.per_query().set_index("query_id")
    assert set(ours.index) == set(theirs) and len(theirs) == QUERIES - 1
    assert (ours["n_missed"] > 0).any() and (ours["n_positive"] == 0).any()
    for measure, name in SAME.items():
        for query, own in theirs.items():
            assert ours.loc[query, measure] == pytest.approx(own[name], abs=1e-9), (measure, query)
    # The folder alone gives them again: what was missed stands in its judgements.
    (written,) = (tmp_path / "out" / "runs").glob("*.trec")
    qrels: dict[str, dict[str, int]] = {}
    for line in (tmp_path / "out" / "qrels.trec").read_text().splitlines():
        query, _, passage, grade = line.split()
        qrels.setdefault(query, {})[passage] = int(grade)
    ranked: dict[str, dict[str, float]] = {}
    for line in written.read_text().splitlines():
        query, _, passage, _, score, _ = line.split()
        ranked.setdefault(query, {})[passage] = float(score)
    again = pytrec_eval.RelevanceEvaluator(qrels, {"map", "ndcg_cut.10"}).evaluate(ranked)
    assert {query: own["map"] for query, own in again.items()} == pytest.approx(ours["MAP"].to_dict(), abs=1e-9)


def test_a_querys_own_document_is_in_no_pool(collection: Path) -> None:
    run = collection.parent / "first.trec"
    for pools in ("injected", "own", f"run:{run}"):
        for pool in open_benchmark(str(collection), pools=pools).pools:
            assert pool.query.id not in {passage.id for passage in pool.passages}, pools


def test_bm25_as_it_is_puts_no_positive_in(collection: Path) -> None:
    injected, own = (open_benchmark(str(collection), pools=pools) for pools in ("injected", "own#top=5"))
    assert all(Label.POSITIVE in pool.labels and not pool.missed for pool in injected.pools)
    assert all(len(pool) == 5 for pool in own.pools)
    assert any(pool.missed for pool in own.pools)
    for theirs, ours in zip(injected.pools, own.pools, strict=True):
        relevant = {passage.id for passage in theirs.labelled(Label.POSITIVE)}
        found = {passage.id for passage in ours.labelled(Label.POSITIVE)}
        assert found | {passage for passage, _ in ours.missed} == relevant
        assert found <= relevant
    assert injected.fingerprint != own.fingerprint
    deep = open_benchmark(str(collection), pools="own")
    assert all(len(pool) == min(BM25_DEPTH, DOCUMENTS + 5 - (int(pool.query.id[1:]) < 5)) for pool in deep.pools)


def test_every_output_says_which_it_is(collection: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = collection.parent / "first.trec"
    common = ["score", "--benchmark", str(collection), "--resamples", "20", "--store", str(tmp_path / "s"), "--json"]
    said = {}
    for name, more in (("injected", []), ("first", ["--pools", f"run:{run}#top=7"])):
        assert main([*common, *more, "--out", str(tmp_path / name)]) == 0
        shown = capsys.readouterr()
        record = json.loads((tmp_path / name / "run.json").read_text())["benchmark"]
        said[name] = record["candidates"]
        assert {json.loads(line)["candidates"] for line in shown.out.splitlines()} == {said[name]}
        assert said[name] in " ".join(shown.err.split())
        assert said[name] in fresco.load(tmp_path / name)._repr_html_()
    assert said == {
        "injected": "positives injected among those of BM25",
        "first": "first stage first.trec, top 7, nothing injected",
    }
    with pytest.raises(FrescoError, match="other content"):
        fresco.load(tmp_path / "injected").compare(fresco.load(tmp_path / "first"))


@pytest.mark.parametrize(
    ("pools", "benchmark", "problem"),
    [
        ("own", "mini", "mini has pools of its own"),
        ("runs:x", "mini", "--pools 'runs:x': choose injected"),
        ("own#top=0", "mini", "choose injected"),
        ("run:nowhere.trec", None, "nowhere.trec: cannot be read: No such file or directory"),
    ],
)
def test_what_cannot_be_is_one_line(
    pools: str, benchmark: str | None, problem: str, collection: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", "--benchmark", benchmark or str(collection), "--pools", pools]) == 2
    message = capsys.readouterr().err
    assert problem in message
    assert message.count("\n") == 1


def test_it_is_the_static_side_too(collection: Path) -> None:
    from fresco.benchmarks.part import Part

    run = collection.parent / "first.trec"
    opened = Part(pools=f"run:{run}").open("mini", str(collection))
    assert opened.candidates == f"{collection}: first stage first.trec, nothing injected"
    assert any(pool.missed for pool in opened.pools)
