"""``FreshReranker``: real documents in, their order out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime

import pytest

from fresco.errors import FrescoError
from fresco.rerank.gate import Gate
from fresco.rerank.recency import Recency
from fresco.serving import Document, FreshReranker
from fresco.serving.fresh import as_document, as_time

QUESTION = "Who is the current president of the European Central Bank?"
OLD = {"text": "The current president of the European Central Bank is Mario Draghi.", "date": "2015-03-01"}
NEW = {"text": "The current president of the European Central Bank is Christine Lagarde.", "date": "2024-03-01"}
OFF = {"text": "Ajax play in Amsterdam.", "date": "2024-06-01"}
ASKED = "2025-01-01"


def overlap(query: str, passages: list[str]) -> list[float]:
    asked = set(query.splitlines()[0].lower().split())
    return [float(len(asked & set(each.splitlines()[0].lower().split()))) for each in passages]


def texts(ranked):
    return [each.document.text for each in ranked]


def test_the_cure_puts_the_current_document_first(tmp_path):
    Recency("half-life", 365.0).save(tmp_path / "recency.json")
    plain = FreshReranker(overlap).rerank(QUESTION, [OLD, NEW, OFF], asked_at=ASKED)
    cured = FreshReranker(overlap, tmp_path / "recency.json").rerank(QUESTION, [OLD, NEW, OFF], asked_at=ASKED)
    assert plain[0].score == plain[1].score  # words do not tell them apart
    assert texts(cured)[0] == NEW["text"]
    assert cured[0].index == 1
    assert cured[0].score > cured[1].score


def test_the_gate_leaves_other_questions_alone():
    cure = Recency("half-life", 30.0, Gate(-5.0, {"current": 10.0}))
    static = FreshReranker("bm25", cure).rerank("Where do Ajax play?", [OFF, NEW], asked_at=ASKED)
    assert texts(static) == texts(FreshReranker("bm25").rerank("Where do Ajax play?", [OFF, NEW], asked_at=ASKED))


def test_the_model_reads_dates_unless_told_otherwise():
    seen = []

    def record(query: str, passages: list[str]) -> list[float]:
        seen.append((query, passages))
        return [0.0] * len(passages)

    FreshReranker(record).rerank("q?", [NEW, "without a date"], asked_at=ASKED)
    FreshReranker(record, show_dates=False).rerank("q?", [NEW], asked_at=ASKED)
    assert seen[0] == (
        "q?\nTimestamp: 2025-01-01T00:00:00Z",
        [f"{NEW['text']}\nTimestamp: 2024-03-01T00:00:00Z", "without a date"],
    )
    assert seen[1] == ("q?", [NEW["text"]])


def test_an_undated_document_is_neither_fresh_nor_stale():
    cure = Recency("tempralm", 1e6)  # dates alone
    dated = [{"text": "a", "date": "2010-01-01"}, "b", {"text": "c", "date": "2024-01-01"}, Document("d", None)]
    dated += [{"text": "e", "metadata": {"timestamp": "2018-01-01"}}]
    ranked = FreshReranker(lambda q, p: [1.0] * len(p), cure).rerank("q", dated, asked_at=ASKED)
    assert texts(ranked)[0] == "c"
    assert texts(ranked)[-1] == "a"


def test_top_k_and_nothing_at_all():
    assert len(FreshReranker("bm25").rerank(QUESTION, [OLD, NEW, OFF], top_k=2)) == 2
    assert FreshReranker("bm25").rerank(QUESTION, []) == []


def test_a_base_with_statistics_does_not_depend_on_who_asks_beside():
    alone = FreshReranker("bm25").rerank(QUESTION, [OLD, NEW, OFF], asked_at=ASKED)
    beside = [(QUESTION, [OLD, NEW, OFF], ASKED), ("Where do Ajax play?", [OFF, "Tin is a metal."], ASKED)]
    assert FreshReranker("bm25").rerank_many(beside)[0] == alone


def test_threads_share_one_and_nothing_is_mixed():
    reranker = FreshReranker(lambda q, p: [float(q.splitlines()[0] in each) for each in p])
    questions = [f"question {n}." for n in range(64)]
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda q: reranker.rerank(q, questions), questions))
    assert [answer[0].document.text for answer in answers] == questions


@pytest.mark.parametrize("given", ["2024-05-01", date(2024, 5, 1), datetime(2024, 5, 1), "2024-05-01T02:00:00+02:00"])
def test_dates(given):
    assert as_time(given) == datetime(2024, 5, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (5, "is no document"),
        ("a\ud800", "is no Unicode text"),
        ({"text": "a", "title": "\udfff"}, "is no Unicode text"),
        ({"date": "2024-01-01"}, "is no document"),
        ({"text": "a", "date": "soon"}, "is no date"),
    ],
)
def test_bad_documents_are_one_line(document, said):
    with pytest.raises(FrescoError, match=said) as caught:
        FreshReranker("bm25").rerank("q", [document])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("date", [None, "", "  "])
def test_an_empty_date_is_a_missing_one(date):
    given = {"text": "a", "date": date, "metadata": {"timestamp": "2024-05-01"}}
    assert as_document({"text": "a", "date": date}).date is None
    assert as_document({**given, "date": None}).date == as_time("2024-05-01")
    assert FreshReranker("bm25").rerank("a", [{"text": "a", "date": date}])[0].document.date is None


def test_a_query_that_is_no_text_is_refused_before_a_model_sees_it():
    with pytest.raises(FrescoError, match="is no Unicode text"):
        FreshReranker(lambda q, p: [1.0]).rerank("\ud800", ["a"])


def test_a_base_that_gives_no_score_for_a_document_is_refused():
    with pytest.raises(FrescoError):
        FreshReranker(lambda q, p: [1.0]).rerank("q", ["a", "b"])
