"""BEIR folders: judgements, candidates, random dates, and what is refused."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from rank_bm25 import BM25Okapi

from fresco.benchmarks import open_benchmark
from fresco.benchmarks.bm25 import CorpusRanking
from fresco.benchmarks.first_stage import POOL_SIZE
from fresco.benchmarks.published import FIRST_DATE, LAST_DATE
from fresco.errors import FrescoError
from fresco.records import Benchmark, Kind, Label, Pool, Task
from fresco.stats.words import words
from tests.benchmarks.conftest import jsonl


def message(folder: Path) -> str:
    with pytest.raises(FrescoError) as caught:
        open_benchmark(str(folder), strict=True)
    text = str(caught.value)
    assert "\n" not in text
    return text


def labels(pool: Pool) -> dict[str, Label]:
    return {passage.id: label for passage, label in zip(pool.passages, pool.labels, strict=True)}


def dates(benchmark: Benchmark) -> dict[str, datetime]:
    return {passage.id: passage.timestamp for passage in benchmark.passages()}


def test_judged_queries_become_static_pools(beir: Path) -> None:
    benchmark = open_benchmark(str(beir))
    first, second = benchmark.pools
    assert labels(first) == {
        "d2": Label.POSITIVE,
        "d1": Label.NEAR_TOPIC,
        "d3": Label.NEAR_TOPIC,
        "d4": Label.NEAR_TOPIC,
    }
    assert labels(second)["d3"] is Label.POSITIVE
    query = first.query
    assert (query.id, query.subject, query.task, query.kind) == ("a", "a", Task.NEK, Kind.STATIC)
    (title_only,) = (passage for passage in first.passages if passage.id == "d4")
    assert (title_only.title, title_only.body) == ("", "Only a title")
    assert benchmark.notes == (
        "BEIR folder, relevance from test.tsv",
        "random timestamps, seed 0, 2018-01-01T00:00:00Z to 2025-08-31T23:59:59Z: 3 of 4 passages, 2 of 3 queries",
        "1 of 3 queries have no relevant passage in test.tsv and were left out",
        "positives injected among those of BM25: not comparable to BEIR's figures (--pools own or run:FILE takes a "
        "first stage)",
    )


def test_grades_are_kept(beir: Path) -> None:
    """Where every judgement is 0 or 1 nothing changes; a pool with another grade keeps the grade of each passage."""
    first, second = open_benchmark(str(beir)).pools
    assert first.gains == ()
    assert dict(zip((p.id for p in second.passages), second.gains, strict=True)) == {"d1": 0, "d2": 0, "d3": 2, "d4": 0}
    fingerprints = [open_benchmark(str(beir)).fingerprint]
    (beir / "qrels" / "test.tsv").write_text("a\td2\t1\nb\td3\t3\nb\td1\t-2\nb\td4\t1\n")
    graded = open_benchmark(str(beir))
    second = graded.pools[1]
    assert dict(zip((p.id for p in second.passages), second.gains, strict=True)) == {
        "d1": -2,
        "d2": 0,
        "d3": 3,
        "d4": 1,
    }
    assert labels(second)["d1"] is Label.NEAR_TOPIC
    fingerprints.append(graded.fingerprint)
    (beir / "qrels" / "test.tsv").write_text("a\td2\t1\nb\td3\t1\nb\td1\t0\nb\td4\t1\n")
    binary = open_benchmark(str(beir))
    assert [pool.gains for pool in binary.pools] == [(), ()]
    assert len({*fingerprints, binary.fingerprint}) == 3


def test_own_dates_stay_and_the_others_are_drawn_by_seed_and_id(beir: Path) -> None:
    first, again, other = (open_benchmark(str(beir), seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert dates(first)["d3"] == dates(other)["d3"] == datetime(2019, 5, 1, tzinfo=UTC)
    assert first.pools[1].query.timestamp == datetime(2020, 2, 2, 2, 2, 2, tzinfo=UTC)
    assert first.pools[0].query.timestamp != other.pools[0].query.timestamp
    assert all(dates(first)[passage] != dates(other)[passage] for passage in ("d1", "d2", "d4"))
    assert first.fingerprint != other.fingerprint
    # Rows that come or go move no date.
    corpus = (beir / "corpus.jsonl").read_text().splitlines(keepends=True)
    more = [jsonl([{"_id": "d0", "title": "", "text": "New."}]), *reversed(corpus)]
    (beir / "corpus.jsonl").write_text("".join(more))
    moved = dates(open_benchmark(str(beir)))
    assert {passage: moved[passage] for passage in dates(first)} == dates(first)


def test_random_dates_fill_their_range_evenly(beir: Path) -> None:
    ids = [f"x{number}" for number in range(2000)]
    (beir / "corpus.jsonl").write_text(jsonl([{"_id": own, "title": "", "text": f"word {own}"} for own in ids]))
    (beir / "queries.jsonl").write_text(jsonl([{"_id": own, "text": f"which {own}"} for own in ids]))
    (beir / "qrels" / "test.tsv").write_text("".join(f"{own}\t{own}\t1\n" for own in ids))
    benchmark = open_benchmark(str(beir))
    passages = dates(benchmark)
    queries = {pool.query.id: pool.query.timestamp for pool in benchmark.pools}
    span = (LAST_DATE - FIRST_DATE).total_seconds()
    for drawn in (passages, queries):
        places = np.array([(when - FIRST_DATE).total_seconds() / span for when in drawn.values()])
        assert 0 <= places.min() < 0.005
        assert 0.995 < places.max() <= 1
        counts = np.histogram(places, bins=10, range=(0, 1))[0]
        assert ((counts - len(places) / 10) ** 2 / (len(places) / 10)).sum() < 27.9  # chi-squared, 9 d.o.f., p = 0.001
    shared = [passages[own] == queries[own] for own in passages.keys() & queries.keys()]
    assert not all(shared), "a query and a passage of one id have dates of their own"


def test_qrels_test_is_preferred_then_a_single_file(beir: Path) -> None:
    qrels = beir / "qrels"
    (qrels / "dev.tsv").write_text("query-id\tcorpus-id\tscore\nc\td4\t1\n")
    assert [pool.query.id for pool in open_benchmark(str(beir)).pools] == ["a", "b"]
    (qrels / "test.tsv").unlink()
    benchmark = open_benchmark(str(beir))
    assert [pool.query.id for pool in benchmark.pools] == ["c"]
    assert benchmark.notes[0] == "BEIR folder, relevance from dev.tsv"
    (qrels / "train.tsv").write_text("b\td3\t1\n")
    benchmark = open_benchmark(str(beir))
    assert [pool.query.id for pool in benchmark.pools] == ["c"]
    assert "relevance from dev.tsv; there are also the judgements train (NAME@SPLIT)" in benchmark.notes[0]
    assert [pool.query.id for pool in open_benchmark(f"{beir}@train").pools] == ["b"]
    assert open_benchmark(f"{beir}@validation").pools == benchmark.pools
    with pytest.raises(FrescoError, match=r"qrels: has no judgements 'test'; there are: dev, train$"):
        open_benchmark(f"{beir}@test")
    (qrels / "dev.tsv").rename(qrels / "other.tsv")
    assert message(beir) == f"{qrels}: holds other, train; choose one, as in beir@other"
    for path in qrels.iterdir():
        path.unlink()
    assert message(beir) == f"{qrels}: holds no .tsv, .jsonl or .parquet file; test.tsv is expected"


def test_a_run_file_takes_the_place_of_bm25(beir: Path) -> None:
    run = beir / "candidates.trec"
    run.write_text("a Q0 d4 1 0.9 x\na Q0 d2 2 0.8 x\nb Q0 d1 1 0.5 x\nc Q0 d1 1 0.5 x\n")
    first, second = open_benchmark(str(beir)).pools
    assert labels(first) == {"d2": Label.POSITIVE, "d4": Label.NEAR_TOPIC}
    assert labels(second) == {"d3": Label.POSITIVE, "d1": Label.NEAR_TOPIC}
    # More than fit: the best by score stay, whatever the order of the lines.
    ids = [f"x{number:03}" for number in range(100)]
    with (beir / "corpus.jsonl").open("a") as corpus:
        corpus.write(jsonl([{"_id": own, "title": "", "text": "word"} for own in ids]))
    lines = [f"{query} Q0 {own} 1 {100 - place} x\n" for query in "ab" for place, own in enumerate(ids)]
    random.Random(0).shuffle(lines)
    run.write_text("".join(lines))
    for pool in open_benchmark(str(beir)).pools:
        assert {own for own, label in labels(pool).items() if label is Label.NEAR_TOPIC} == set(ids[: POOL_SIZE - 1])


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("a d2 1 0.5", ": 'a d2 1 0.5' is not 'query-id Q0 corpus-id rank score tag', separated by white space"),
        ("a Q0 d2 1 x t", ": 'a Q0 d2 1 x t' is not 'query-id Q0 corpus-id rank score tag', separated by white space"),
        ("a Q0 d2 1 nan t", ": the score is nan; a candidate needs a finite one"),
        ("a Q0 d9 1 0.5 t", ": 'd9' is no passage of the corpus"),
        ("b Q0 d1 2 0.1 t", ": 'd1' is a candidate of 'b' already"),
    ],
)
def test_wrong_run_lines(line: str, problem: str, beir: Path) -> None:
    path = beir / "candidates.trec"
    path.write_text(f"b Q0 d1 1 0.5 t\n\n{line}\n")
    assert message(beir) == f"{path}, line 3{problem}"


def test_a_run_without_a_judged_query(beir: Path) -> None:
    path = beir / "candidates.trec"
    path.write_text("b Q0 d1 1 0.5 t\n")
    assert message(beir) == f"{path}: has no candidate for the query 'a', which has a relevant passage"


def test_only_relevant_candidates_are_noted(beir: Path) -> None:
    path = beir / "candidates.trec"
    path.write_text("b Q0 d3 1 0.5 t\na Q0 d1 1 0.5 t\n")
    assert "1 of 2 pools hold relevant passages only: every order of them is right" in open_benchmark(str(beir)).notes


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("a\td9\t1", ", field 'corpus-id': 'd9' is no passage of the corpus"),
        ("z\td1\t1", ", field 'query-id': 'z' is no query"),
        ("b\td3\t1", ": 'd3' is judged for 'b' already (line 3), as 2 and not as 1"),
        ("b\td3\t2", ": 'd3' is judged for 'b' already (line 3)"),
        ("a d1", ": 'a d1' is not 'query-id<tab>corpus-id<tab>integer score', or TREC's 'query-id 0 corpus-id score'"),
        (
            "a\td1\tyes",
            ": 'a\\td1\\tyes' is not 'query-id<tab>corpus-id<tab>integer score', "
            "or TREC's 'query-id 0 corpus-id score'",
        ),
        ("a\t0\td1\t1", ": 'a\\t0\\td1\\t1' is not 'query-id<tab>corpus-id<tab>integer score'"),
    ],
)
def test_wrong_qrels_lines(line: str, problem: str, beir: Path) -> None:
    path = beir / "qrels" / "test.tsv"
    with path.open("a") as file:
        file.write(f"{line}\n")
    assert message(beir) == f"{path}, line 5{problem}"


@pytest.mark.parametrize(
    ("name", "row", "problem"),
    [
        ("corpus", {"title": "x", "text": "x"}, "field '_id': is missing"),
        ("corpus", {"_id": "n", "title": "x"}, "field 'text': is missing"),
        ("corpus", {"_id": "n", "title": " ", "text": ""}, "field 'text': is empty"),
        ("corpus", {"_id": "n", "text": 5}, "field 'text': is int 5, not text; write it as a string"),
        ("corpus", {"_id": 7, "text": "x"}, "field '_id': is int 7, not text; write it as a string"),
        (
            "corpus",
            {"_id": "d1", "text": "x"},
            "field '_id': 'd1' is taken already ({folder}/corpus.jsonl, line 1), and the two rows differ",
        ),
        (
            "corpus",
            {"_id": "n", "text": "x", "metadata": {"timestamp": "2019"}},
            "field 'timestamp': '2019' is no date of the form YYYY-MM-DDThh:mm:ssZ",
        ),
        ("queries", {"_id": "n", "text": ""}, "field 'text': is missing or empty"),
        (
            "queries",
            {"_id": "a", "text": "x"},
            "field '_id': 'a' is taken already ({folder}/queries.jsonl, line 1), and the two rows differ",
        ),
    ],
)
def test_wrong_rows(name: str, row: dict[str, object], problem: str, beir: Path) -> None:
    path = beir / f"{name}.jsonl"
    number = len(path.read_text().splitlines()) + 1
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")
    assert message(beir) == f"{path}, line {number}, {problem.format(folder=beir)}"


def test_files_that_are_not_there_or_not_utf8(beir: Path) -> None:
    qrels = beir / "qrels" / "test.tsv"
    kept = qrels.read_bytes()
    qrels.write_bytes(b"a\td2\t1\nb\td\xff\t1\n")
    assert message(beir) == f"{qrels}, line 2: byte 4 (0xff) is not UTF-8; save the file as UTF-8"
    qrels.write_bytes(b"a\td2\t0\n")
    assert message(beir) == f"{qrels}: no query has a relevant passage (score above 0)"
    qrels.write_bytes(kept)
    (beir / "corpus.jsonl").unlink()
    assert (
        message(beir)
        == f"{beir}: the table 'corpus' is missing; corpus.jsonl, corpus.parquet or a folder corpus/ is expected"
    )


def test_a_corpus_without_words_still_opens(beir: Path) -> None:
    (beir / "corpus.jsonl").write_text(jsonl([{"_id": f"d{n}", "title": "", "text": "!?"} for n in (1, 2, 3, 4)]))
    assert [len(pool) for pool in open_benchmark(str(beir)).pools] == [4, 4]


def test_hotpotqa(hotpot: Path) -> None:
    benchmark = open_benchmark(str(hotpot))
    assert len(benchmark) == 302
    assert {len(pool) for pool in benchmark.pools} == {POOL_SIZE}
    assert {len(list(pool.labelled(Label.POSITIVE))) for pool in benchmark.pools} == {2}
    # BM25's negatives are about the question: they share more words with it than the corpus does on average.
    corpus = [words(passage.content) for passage in benchmark.passages()]

    def overlap(question: str, passages: list[list[str]]) -> float:
        return float(np.mean([len(set(words(question)) & set(passage)) for passage in passages]))

    for pool in benchmark.pools[::30]:
        near = [words(passage.content) for passage in pool.labelled(Label.NEAR_TOPIC)]
        assert overlap(pool.query.content, near) > overlap(pool.query.content, corpus)


def test_bm25_equals_rank_bm25(hotpot: Path) -> None:
    def read(name: str) -> list[dict[str, str]]:
        return [json.loads(line) for line in (hotpot / name).read_text().splitlines()]

    corpus = {row["_id"]: f"{row['title']} {row['text']}" for row in read("corpus.jsonl")[:500]}
    queries = [row["text"] for row in read("queries.jsonl")]
    ranking = CorpusRanking(corpus, queries)
    okapi = BM25Okapi([words(corpus[own]) for own in sorted(corpus)])
    for query in queries[::5]:
        reference = okapi.get_scores(words(query))
        assert np.array_equal(ranking.scores(query), reference)
        by_hand = sorted(zip(-reference, sorted(corpus), strict=True))
        for limit in (1, 60, 499, 500, 501):
            assert ranking.ranking(query, limit) == [own for _, own in by_hand[:limit]]
