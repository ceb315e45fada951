"""``listwise:`` against a scripted server that speaks OpenAI's wire format, and a tiny model in this process."""

from __future__ import annotations

import re
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fresco.errors import FrescoError
from fresco.models.settings import Settings
from fresco.rerank.listwise_prompt import read_ranking
from fresco.rerank.registry import open_reranker
from fresco.testing import check_reranker
from tests import tiny_models
from tests.factories import make_passage, make_query
from tests.servers.chat_api import serve, words_of

QUERY = make_query()
PASSAGES = [make_passage(f"p{n}", days_old=n, body=f"Worth {n:03}.") for n in range(51)]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def sorts(body):
    """A perfect ranker: the passages by the number that each says, highest first."""
    found = re.findall(r"\[(\d+)\] Title.*?Worth (\d+)", words_of(body), re.DOTALL)
    return " > ".join(f"[{place}]" for place, _ in sorted(found, key=lambda row: -int(row[1])))


def connect(api, options="", seed=0):
    return open_reranker(f"listwise:{api.url}#tiny/chat{options}", Settings(seed=seed))


@pytest.mark.parametrize("prompt", ["rankgpt", "rankzephyr", "rankvicuna"])
def test_windows_slide_from_the_end_to_the_top(prompt):
    with serve(sorts) as api:
        scores = connect(api, f"&prompt={prompt}").score(QUERY, PASSAGES)
        best = sorted(range(51), key=lambda place: -scores[place])
        assert best[:10] == list(range(50, 40, -1))  # what the overlap of 10 carries to the top in one pass
        assert len(api.bodies()) == 5
        assert "20 passages" in words_of(api.bodies()[0])
        assert "Timestamp: 2025-01-01" in words_of(api.bodies()[-1])


def test_passes_finish_what_one_leaves(monkeypatch):
    with serve(sorts) as api:
        scores = connect(api, "&passes=5").score(QUERY, PASSAGES)
        assert sorted(range(51), key=lambda place: -scores[place]) == list(range(50, -1, -1))


def test_the_conversation_is_rankgpts():
    with serve(sorts) as api:
        connect(api, "&start=given").score(QUERY, PASSAGES[:2])
        turns = api.bodies()[0]["messages"]
        assert [turn["role"] for turn in turns] == ["system", "user", "assistant", *["user", "assistant"] * 2, "user"]
        assert turns[3]["content"].startswith("[1] Title: Club")
        assert turns[4]["content"] == "Received passage [1]."
        assert turns[-1]["content"].endswith("do not say any word or explain.")
        assert api.bodies()[0]["temperature"] == 0


def test_faults_are_counted_and_reported():
    answers = iter(["[1] > [1] > [9] > [2]", "I cannot rank these passages.", "[3] > [2] > [1]"])
    with serve(lambda _: next(answers)) as api:
        reranker = connect(api, "&concurrency=1")
        scores = reranker.score_pools([(QUERY, PASSAGES[:3])] * 3)
        assert all(sorted(own) == [-2, -1, 0] for own in scores)
        told = reranker.describe()
        assert told["answers"] == {"asked": 3, "missing": 1, "repeated": 1, "unknown": 1, "malformed": 1}
        assert "1 name no passage" in told["warnings"][0]
        assert told["tokens"]["requests"] == 3


def test_a_model_that_answers_prose_ranks_nothing():
    with serve(lambda _: "All of them are interesting.") as api:
        with pytest.raises(FrescoError, match=r"ranked nothing: none of its 1 answers.*'All of them") as caught:
            connect(api).score(QUERY, PASSAGES[:3])
        assert "\n" not in str(caught.value)


def test_the_order_of_the_pool_does_not_reach_a_shuffled_start():
    with serve(lambda _: "[1]") as api:  # a lazy model: the start is all there is
        reranker = connect(api)
        forward, backward = reranker.score(QUERY, PASSAGES), reranker.score(QUERY, PASSAGES[::-1])
        assert forward == backward[::-1]
        assert forward != connect(api, seed=1).score(QUERY, PASSAGES)
        assert connect(api, "&start=given").score(QUERY, PASSAGES) != forward


def test_several_starts_say_how_far_they_agree():
    with serve(sorts) as api:
        steady = connect(api, "&starts=3&passes=5")
        steady.score(QUERY, PASSAGES[:30])
        assert steady.describe()["agreement_of_starts"] == 1
    with serve(lambda _: "[1]") as api:
        lazy = connect(api, "&starts=3")
        lazy.score(QUERY, PASSAGES[:30])
        assert 0.3 < lazy.describe()["agreement_of_starts"] < 0.7


def test_it_conforms_and_counts_its_price():
    with serve(lambda _: "[1]") as api:
        reranker = connect(api, "&price=1000000,0")
        check_reranker(reranker)
        assert reranker.describe()["cost"] == reranker.describe()["tokens"]["prompt_tokens"] > 0
        assert "key" not in reranker.fingerprint


def test_options_that_do_not_fit():
    with serve(sorts) as api:
        for options, message in {
            "&window=1": r"window= wants a whole number from 2",
            "&window=5&stride=6": r"stride= is longer than window=",
            "&prompt=mine": r"prompt= wants one of rankgpt",
            "&windows=5": r"option 'windows' after the model: unknown",
        }.items():
            with pytest.raises(FrescoError, match=message):
                connect(api, options)


@pytest.mark.parametrize(
    ("answer", "order"),
    [
        ("[2] > [1] > [3]", (1, 0, 2)),
        ("Sure! The ranking is: [3]>[1]", (2, 0, 1)),
        ("3 > 2 > 1", (2, 1, 0)),
        ("2, 3, 1.", (1, 2, 0)),
        ("<think>[1] is old</think>[2]", (1, 0, 2)),
        ("<think>[3] > [2], or rather", (0, 1, 2)),  # it ran out of tokens before it answered
        ("[Passage 3] > [Passage 1]", (2, 0, 1)),
        ("[doc2] > [Doc 1]", (1, 0, 2)),
        ("In 2024 there were 3 of them", (0, 1, 2)),
        ("", (0, 1, 2)),
    ],
)
def test_rankings_are_read_tolerantly(answer, order):
    assert read_ranking(answer, 3).order == order


@given(st.text(), st.integers(1, 30))
def test_whatever_is_said_every_passage_is_ranked_once(answer, count):
    assert sorted(read_ranking(answer, count).order) == list(range(count))


def test_a_model_in_this_process_is_asked_through_its_template(tmp_path):
    pytest.importorskip("torch", reason="pip install 'fresco-ccs[models]'")
    bare = tiny_models.causal_lm(tmp_path / "bare", max_position_embeddings=4096)
    with pytest.raises(FrescoError, match="no chat template"):
        open_reranker(f"listwise:{bare}", Settings(device="cpu")).score(QUERY, PASSAGES[:3])
    chat = tmp_path / "chat"
    shutil.copytree(bare, chat)
    (chat / "chat_template.jinja").write_text(tiny_models.CHAT_TEMPLATE)
    reranker = open_reranker(f"listwise:{chat}#window=4&stride=2", Settings(device="cpu"))
    with pytest.raises(FrescoError, match="ranked nothing"):  # random weights say no number in brackets
        reranker.score(QUERY, PASSAGES[:3])
    assert reranker.describe()["tokens"]["completion_tokens"] > 0
