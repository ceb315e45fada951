"""``http:`` against servers that speak each wire format, well and badly, over real sockets."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fresco.models.settings import Settings
from fresco.records import Kind, Passage, Query, Task
from fresco.rerank import base
from fresco.rerank.http import HttpReranker
from fresco.rerank.wire import FORMATS
from fresco.testing import check_reranker
from tests.servers import rerank_api as servers
from tests.servers.asking import PASSAGES, QUERY, WHEN, connect, failure
from tests.servers.rerank_api import Api, logit, serve, sigmoid

KEY = "sk-a-very-secret-key"


@pytest.fixture(autouse=True)
def no_key_and_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRESCO_API_KEY", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


# -- each format, answered well ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", list(FORMATS))
def test_each_format_is_told_apart_and_its_scores_put_in_order(dialect: str) -> None:
    with serve(dialect) as api:
        reranker = connect(api)
        raw = dialect in ("tei", "infinity", "vllm", "sglang")
        expected = [logit(QUERY.text, passage.text) for passage in PASSAGES]
        expected = expected if raw else [sigmoid(value) for value in expected]
        assert reranker.describe()["format"] == dialect
        assert reranker.score(QUERY, PASSAGES) == expected
        assert expected != sorted(expected, reverse=True)  # the servers answer best first
        assert reranker.score(QUERY, ()) == []
        assert reranker.takes_instruction == (dialect in ("vllm", "sglang", "dashscope"))
        assert base.is_pointwise(reranker)


@pytest.mark.parametrize("dialect", list(FORMATS))
def test_each_format_conforms(dialect: str) -> None:
    with serve(dialect) as api:
        check_reranker(connect(api, "batch=4"))


@pytest.mark.parametrize("dialect", list(FORMATS))
def test_a_format_that_is_named_gives_the_same_scores(dialect: str) -> None:
    with serve(dialect) as api:
        assert connect(api, f"format={dialect}").score(QUERY, PASSAGES) == connect(api).score(QUERY, PASSAGES)


@pytest.mark.parametrize(
    ("dialect", "sent"),
    [
        ("vllm", {"model", "query", "documents", "use_activation"}),
        ("tei", {"query", "texts", "raw_scores", "truncate"}),
        ("infinity", {"model", "query", "documents", "raw_scores", "return_documents"}),
        ("cohere", {"model", "query", "documents", "top_n"}),
        ("jina", {"model", "query", "documents", "top_n", "return_documents"}),
        ("sglang", {"model", "query", "documents", "return_documents"}),
        ("voyage", {"model", "query", "documents", "return_documents", "truncation"}),
        ("dashscope", {"model", "input", "parameters"}),
    ],
)
def test_a_request_has_the_fields_of_its_format_and_no_other(dialect: str, sent: set[str]) -> None:
    with serve(dialect) as api:
        connect(api).score(QUERY, PASSAGES)
        assert set(api.posted()[0]) == sent
        texts = api.posted()[0].get("input") or api.posted()[0]
        assert texts["query"] == QUERY.text
        assert "Timestamp: 2025-08-31T23:59:59Z" in texts["query"]


@pytest.mark.parametrize("dialect", list(FORMATS))
def test_order_batches_and_company_do_not_change_a_score(dialect: str) -> None:
    with serve(dialect) as api:
        rerankers = {batch: connect(api, f"batch={batch}") for batch in (1, 2, 5)}

        @settings(max_examples=15, derandomize=True)
        @given(
            bodies=st.lists(st.text(st.characters(codec="utf-8"), min_size=1), unique=True, max_size=9),
            batch=st.sampled_from(sorted(rerankers)),
        )
        def check(bodies: list[str], batch: int) -> None:
            passages = [Passage(str(n), "", "", body, WHEN) for n, body in enumerate(bodies)]
            api.requests.clear()
            whole = rerankers[batch].score(QUERY, passages)
            assert max(map(_documents, api.posted()), default=0) <= batch
            assert rerankers[batch].score(QUERY, passages[::-1]) == whole[::-1]
            assert [rerankers[5].score(QUERY, [passage])[0] for passage in passages] == whole

        check()


def _documents(body: dict[str, object]) -> int:
    asked = body.get("input") or body
    return len(asked.get("documents", asked.get("texts")))  # type: ignore[attr-defined, arg-type]


@pytest.mark.parametrize(("dialect", "field"), [("sglang", "instruct"), ("vllm", "instruction")])
def test_the_instruction_has_the_formats_own_name(dialect: str, field: str) -> None:
    with serve(dialect) as api:
        connect(api).score(QUERY, PASSAGES, "Prefer the newest.")
        assert api.posted()[-1][field] == "Prefer the newest."


def test_dashscope_nests_what_is_asked() -> None:
    with serve("dashscope") as api:
        connect(api).score(QUERY, PASSAGES, "Prefer the newest.")
        assert api.posted()[-1]["parameters"] == {
            "return_documents": False,
            "top_n": len(PASSAGES),
            "instruct": "Prefer the newest.",
        }


def test_scores_that_have_nothing_to_do_with_the_query_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server without its score template answers numbers that look well; only unrelated questions show it."""

    def by_words(query: str, text: str, instruction: str = "") -> float:
        return float(len(set(query.lower().split()) & set(text.lower().split())))

    for score, told in ((by_words, False), (lambda query, text, _="": logit("", text), True), (lambda *_: 0.5, True)):
        monkeypatch.setattr(servers, "logit", score)
        with serve("vllm") as api:
            reranker = connect(api)
            assert "warnings" not in reranker.describe()
            reranker.canary()
            warnings = reranker.describe().get("warnings", [])
            assert any("score template" in warning for warning in warnings) == told


def test_a_lone_surrogate_and_control_characters_are_sent_as_they_are() -> None:
    strange = Passage("s", "", "", "\ud800 \x00 \u2028", WHEN)
    with serve("cohere") as api:
        assert connect(api).score(QUERY, [strange]) == [sigmoid(logit(QUERY.text, strange.text))]
        assert api.posted()[0]["documents"] == [strange.text]


def test_pools_go_out_together_and_come_back_in_order() -> None:
    pools = [(Query(f"q{n}", f"Who? {n}", WHEN, Task.EK, Kind.IMPLICIT, "x"), PASSAGES[: n % 5 + 1]) for n in range(12)]
    with serve("infinity", together=2) as api:
        reranker = connect(api, "concurrency=3")
        expected = [[logit(query.text, passage.text) for passage in passages] for query, passages in pools]
        assert reranker.score_pools(pools) == expected
        assert 1 < api.most_at_once <= 3
        assert reranker.pools_per_call >= 3


def test_a_pool_longer_than_the_server_allows_is_split() -> None:
    with serve("tei", max_batch=3) as api:
        reranker = connect(api)
        assert reranker.describe()["batch"] == 3
        assert reranker.score(QUERY, PASSAGES) == [logit(QUERY.text, passage.text) for passage in PASSAGES]
        assert sorted(len(body["texts"]) for body in api.posted()) == [1, 3, 3]


def test_a_listwise_model_gets_its_pool_whole_or_not_at_all() -> None:
    with serve("jina") as api:
        assert not base.is_pointwise(connect(api, "pointwise=no"))
        assert len(connect(api, "pointwise=no").score(QUERY, PASSAGES)) == 7
        message = failure(lambda: connect(api, "pointwise=no&batch=3").score(QUERY, PASSAGES))
        assert "query 'q1' has 7 passages and a request 3" in message


# -- instruction ------------------------------------------------------------------------------------------------------


def test_an_instruction_is_sent_where_the_format_has_a_field() -> None:
    with serve("vllm") as api:
        scores = connect(api).score(QUERY, PASSAGES, "Prefer the newest.")
        assert scores == [logit(QUERY.text, passage.text, "Prefer the newest.") for passage in PASSAGES]
        assert api.posted()[-1]["instruction"] == "Prefer the newest."


def test_a_server_that_drops_the_instruction_is_found_out() -> None:
    with serve("vllm", deaf=True) as api:
        reranker = connect(api)
        message = failure(lambda: reranker.score(QUERY, PASSAGES, "Prefer the newest."))
        assert "drops the instruction" in message
        assert "--chat-template" in message
        assert len(reranker.score(QUERY, PASSAGES)) == 7


@pytest.mark.parametrize("dialect", ["tei", "infinity", "cohere", "jina"])
def test_a_format_without_the_field_sends_no_instruction(dialect: str) -> None:
    with serve(dialect) as api:
        assert connect(api).score(QUERY, PASSAGES, "Prefer the newest.") == connect(api).score(QUERY, PASSAGES)
        assert all("instruction" not in body for body in api.posted())


# -- who answers ------------------------------------------------------------------------------------------------------


def test_what_decided_is_recorded() -> None:
    with serve("tei") as tei, serve("vllm") as vllm, serve("jina") as jina:
        assert connect(tei).describe()["format_decided_by"] == "GET /info"
        assert connect(tei).describe()["server"]["model_sha"] == "5ebcf9b"
        assert connect(vllm).describe()["format_decided_by"] == "owner of the listed models"
        assert connect(vllm).describe()["server"] == {"max_model_len": 1024, "version": "0.31.0"}
        assert connect(jina).describe()["format_decided_by"] == "path /v1/rerank"


def test_a_prefix_of_the_path_is_kept_for_the_questions() -> None:
    with serve("jina", path="/proxy/v1/rerank") as api:
        connect(api)
        assert ("GET", "/proxy/info") in {(method, path) for method, path, _, _ in api.requests}


def test_a_format_that_cannot_be_told_is_asked_for() -> None:
    with serve("cohere", path="/rerank") as api:
        message = failure(lambda: connect(api))
        assert "cannot tell which format" in message
        assert "/v1/models 404" in message
        assert "add #format= with one of vllm, tei, infinity, sglang, cohere, jina, voyage, dashscope" in message
        assert connect(api, "format=cohere").describe()["format"] == "cohere"


def test_several_models_must_be_chosen_from() -> None:
    with serve("infinity", models=("a/one", "b/two")) as api:
        assert "choose with #model= (a/one, b/two)" in failure(lambda: connect(api))
        reranker = connect(api, "model=b%2Ftwo")
        reranker.score(QUERY, PASSAGES)
        assert api.posted()[0]["model"] == "b/two"


def test_a_hosted_format_without_a_model_is_refused() -> None:
    with serve("cohere") as api:
        assert "needs a model; add #model=NAME" in failure(lambda: HttpReranker(api.url, Settings()))


def test_adapters_are_no_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"id": "base", "owned_by": "vllm", "parent": None}, {"id": "lora", "owned_by": "vllm", "parent": "base"}]
    with serve("vllm", models=("base", "lora")) as api:
        well = Api.get
        monkeypatch.setattr(
            Api, "get", lambda own, path: (200, {"data": rows}) if "models" in path else well(own, path)
        )
        assert connect(api).describe()["model"] == "base"


# -- options, names, identity -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fragment", "said"),
    [
        ("colour=red", "unknown option 'colour' after #; known are format, model, key, batch, concurrency, timeout"),
        ("format=xml", "format= wants auto or one of vllm, tei, infinity, sglang, cohere, jina, voyage, dashscope"),
        ("batch=0", "batch= wants a whole number from 1"),
        ("batch=٣", "batch= wants a whole number from 1"),
        ("retries=-1", "retries= wants a whole number from 0"),
        ("timeout=nan", "timeout= wants seconds above 0"),
        ("truncate=maybe", "truncate= wants yes or no"),
        ("model=", "model= wants the name of a model"),
        ("batch=2&batch=3", "batch= is given twice"),
    ],
)
def test_a_bad_option_is_named(fragment: str, said: str) -> None:
    assert said in failure(lambda: HttpReranker(f"http://127.0.0.1:9/v1/rerank#{fragment}", Settings()))


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8000/rerank", "ftp://host/rerank", "http:///rerank", "http://h:x/rerank", "http://a b/r"]
)
def test_a_url_that_is_none_is_refused(url: str) -> None:
    assert "the URL cannot be read; write http://HOST:PORT/PATH" in failure(lambda: HttpReranker(url, Settings()))


def test_a_url_without_a_path_is_refused() -> None:
    message = failure(lambda: HttpReranker("http://127.0.0.1:8000", Settings()))
    assert "give the whole endpoint, as in http://HOST:8000/v1/rerank" in message


def test_http_need_not_be_written_twice() -> None:
    with serve("tei") as api:
        assert HttpReranker(api.url.removeprefix("http:"), Settings()).name == f"http:{api.url}"


def test_truncation_is_refused_or_asked_for() -> None:
    with serve("tei", max_characters=40) as api:
        message = failure(lambda: connect(api).score(QUERY, PASSAGES))
        assert "answered 413" in message
        assert "must have less than 512 tokens" in message
        cutting = connect(api, "truncate=yes")
        assert len(cutting.score(QUERY, PASSAGES)) == 7
        assert cutting.fingerprint != connect(api).fingerprint
        assert "cut" in cutting.describe()["too_long_texts"]
    with serve("cohere") as api:
        assert "truncate=yes: a request of format cohere" in failure(lambda: connect(api, "truncate=yes"))


def test_identity_is_what_can_change_a_score() -> None:
    with serve("vllm", models=("a", "b")) as api:
        fingerprints = {
            options: connect(api, options).fingerprint
            for options in (
                "model=a",
                "model=b",
                "model=a&format=jina",
                "model=a&batch=2&timeout=3",
                "model=a&retries=1",
            )
        }
        assert fingerprints["model=a"] == fingerprints["model=a&batch=2&timeout=3"] == fingerprints["model=a&retries=1"]
        assert len(set(fingerprints.values())) == 3
        assert base.fingerprint(connect(api, "model=a")) == fingerprints["model=a"]


def test_the_canary_tells_another_model_at_the_same_address() -> None:
    with serve("tei", max_batch=2) as api:
        reranker = connect(api)
        first = reranker.canary()
        assert len(set(first)) == 3
        assert connect(api).canary() == first
        api.salt = "other weights "
        assert connect(api).fingerprint == reranker.fingerprint
        assert connect(api).canary() != first


# -- secrets ----------------------------------------------------------------------------------------------------------


def everything_said(reranker: HttpReranker, caplog: pytest.LogCaptureFixture) -> str:
    return f"{reranker.name} {reranker.fingerprint} {reranker.describe()} {caplog.text}"


@pytest.mark.parametrize("dialect", list(FORMATS))
def test_the_key_is_sent_and_shown_nowhere(
    dialect: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("FRESCO_API_KEY", f"{KEY}\n")  # as `$(cat file)` in a Makefile leaves it
    with serve(dialect, key=KEY) as api:
        reranker = connect(api)
        reranker.score(QUERY, PASSAGES)
        assert {headers["Authorization"] for _, _, headers, _ in api.requests} == {f"Bearer {KEY}"}
        assert KEY not in everything_said(reranker, caplog)
        api.faults.append(servers.status(403, {"error": {"message": f"the key {KEY} has no credit"}}))
        message = failure(lambda: reranker.score(QUERY, PASSAGES))
        assert "the key *** has no credit" in message
        assert KEY not in message + caplog.text


@pytest.mark.parametrize("dialect", list(FORMATS))
def test_a_missing_key_is_said(dialect: str) -> None:
    with serve(dialect, key=KEY) as api:
        message = failure(lambda: connect(api).score(QUERY, PASSAGES))
        assert "answered 401 Unauthorized" in message
        assert "set the key in FRESCO_API_KEY" in message


def test_the_key_may_come_from_another_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRESCO_API_KEY", "not-this-one")
    monkeypatch.setenv("CO_API_KEY", KEY)
    with serve("cohere", key=KEY) as api:
        assert len(connect(api, "key=CO_API_KEY").score(QUERY, PASSAGES)) == 7


@pytest.mark.parametrize("value", ["UNSET_VARIABLE_OF_A_TEST", KEY, "0123456789abcdef"])
def test_a_variable_that_is_not_set_or_a_key_in_its_place_is_not_repeated(value: str) -> None:
    message = failure(lambda: HttpReranker(f"http://127.0.0.1:9/v1/rerank#key={value}", Settings()))
    assert "variable" in message
    assert value not in message


def test_a_key_that_no_header_can_carry_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRESCO_API_KEY", "sk-käse\nx")
    message = failure(lambda: HttpReranker("http://127.0.0.1:9/v1/rerank", Settings()))
    assert "the key in FRESCO_API_KEY holds characters that no HTTP header can carry" in message


def test_userinfo_and_query_values_are_sent_but_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    with serve("tei") as api:
        address = api.url.replace("http://", "http://ann:pass%40word@") + "?code=topsecret&v=1"
        reranker = HttpReranker(address, Settings(), backoff=0.01)
        reranker.score(QUERY, PASSAGES)
        assert api.requests[-1][1] == "/rerank?code=topsecret&v=1"
        assert {headers["Authorization"][:6] for _, _, headers, _ in api.requests} == {"Basic "}
        assert reranker.name == f"http:{api.url}?code=***&v=***"
        said = everything_said(reranker, caplog)
        api.faults.append(servers.status(400, {"error": "ann pass@word topsecret"}))
        said += failure(lambda: reranker.score(QUERY, PASSAGES))
        assert "ann *** ***" in said
        assert not {word for word in ("pass@word", "pass%40word", "topsecret") if word in said}


def test_a_redirect_is_not_followed_with_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRESCO_API_KEY", KEY)
    with serve("tei", key=KEY) as api, serve("tei", key=KEY) as elsewhere:
        reranker = connect(api)
        api.faults.append(servers.status(307, headers={"Location": elsewhere.url}))
        message = failure(lambda: reranker.score(QUERY, PASSAGES))
        assert f"answered 307 Temporary Redirect to {elsewhere.url}; redirects are not followed" in message
        assert elsewhere.requests == []
