"""``http:`` against a real vLLM that serves a tiny model, compared with transformers on the same text."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fresco.errors import FrescoError
from fresco.models.settings import Settings
from fresco.records import Kind, Passage, Query, Task
from fresco.rerank.http import HttpReranker
from fresco.testing import check_reranker
from tests.servers import vllm

pytestmark = [
    pytest.mark.slow,
    pytest.mark.vllm,
    pytest.mark.skipif(vllm.python() is None, reason=vllm.HOW_TO_INSTALL),
]

TEMPLATE = (
    "<Instruct>: {{ instruction | default('Given a web search query, retrieve relevant passages') }}\n"
    "<Query>: {{ messages[0]['content'] }}\n<Document>: {{ messages[1]['content'] }}"
)
WHEN = datetime(2025, 8, 31, 23, 59, 59, tzinfo=UTC)
QUERY = Query("q1", "Who is the current head coach of the club?", WHEN, Task.EK, Kind.EXPLICIT, "The club")
PASSAGES = tuple(
    Passage(f"p{n}", "The club", section, body, datetime(2015 + n, 3, 1, tzinfo=UTC))
    for n, (section, body) in enumerate(
        [
            ("", "The head coach of the club is a former player."),
            ("Coaches", "Jane Roe led the club until the spring.\n\nHer successor was named in June."),
            ("History", "The club was founded by workers of the railway. " * 5),
            ("Größe", "Das Stadion fasst 20.000 Zuschauer — 日本語 🙂."),
            ("", "{{ instruction }} <|im_end|> {% raw %}"),
        ]
    )
)
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.tiny_models import sequence_classifier

    return sequence_classifier(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def server(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("vllm")
    template = folder / "score.jinja"
    template.write_text(TEMPLATE)
    arguments = ["--runner", "pooling", "--chat-template", str(template), "--served-model-name", "tiny"]
    with vllm.serve(model, arguments, folder / "server.log") as url:
        yield url


def logits(model: Path, instruction: str | None) -> list[float]:
    """What transformers gives the rendered prompts, one at a time: slow and obvious."""
    import jinja2
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    network = AutoModelForSequenceClassification.from_pretrained(model, dtype=torch.float32).eval()
    template = jinja2.Template(TEMPLATE)
    given = {} if instruction is None else {"instruction": instruction}
    scores = []
    for passage in PASSAGES:
        prompt = template.render(messages=[{"content": QUERY.text}, {"content": passage.text}], **given)
        with torch.no_grad():
            scores.append(float(network(**tokenizer(prompt, return_tensors="pt")).logits[0, 0]))
    return scores


def sigmoids(values: list[float]) -> list[float]:
    import torch

    return torch.sigmoid(torch.tensor(values)).tolist()


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank"])
def test_scores_are_the_logits_of_transformers(server: str, model: Path, path: str) -> None:
    reranker = HttpReranker(server + path, Settings())
    assert reranker.describe()["format"] == "vllm"
    assert reranker.describe()["model"] == "tiny"
    expected = logits(model, None)
    assert max(expected) - min(expected) > 0.1
    assert reranker.score(QUERY, PASSAGES) == pytest.approx(expected, abs=TOLERANCE)


def test_an_instruction_reaches_the_model(server: str, model: Path) -> None:
    reranker = HttpReranker(f"{server}/v1/rerank", Settings())
    assert reranker.takes_instruction
    one, other = "Prefer the newest passage that states the answer.", "Rank passages by length."
    by_one = reranker.score(QUERY, PASSAGES, one)
    by_other = reranker.score(QUERY, PASSAGES, other)
    assert by_one == pytest.approx(logits(model, one), abs=TOLERANCE)
    assert by_other == pytest.approx(logits(model, other), abs=TOLERANCE)
    assert max(abs(a - b) for a, b in zip(by_one, by_other, strict=True)) > 100 * TOLERANCE
    assert max(abs(a - b) for a, b in zip(by_one, reranker.score(QUERY, PASSAGES), strict=True)) > 100 * TOLERANCE


@pytest.mark.parametrize("form", ["cohere", "jina"])
def test_the_other_formats_that_vllm_serves_give_the_sigmoid(server: str, model: Path, form: str) -> None:
    reranker = HttpReranker(f"{server}/v2/rerank#format={form}&model=tiny", Settings())
    assert not reranker.takes_instruction
    assert reranker.score(QUERY, PASSAGES) == pytest.approx(sigmoids(logits(model, None)), abs=TOLERANCE)


def test_pools_and_batches_keep_their_order(server: str) -> None:
    whole = HttpReranker(f"{server}/v1/rerank", Settings())
    parted = HttpReranker(f"{server}/v1/rerank#batch=2&concurrency=3", Settings())
    pools = [(QUERY, PASSAGES), (QUERY, PASSAGES[::-1]), (QUERY, PASSAGES[2:3]), (QUERY, ())]
    expected = whole.score_pools(pools)
    assert expected[1] == pytest.approx(expected[0][::-1], abs=TOLERANCE)
    for scores, reference in zip(parted.score_pools(pools), expected, strict=True):
        assert scores == pytest.approx(reference, abs=TOLERANCE)
    assert whole.canary() == pytest.approx(parted.canary(), abs=TOLERANCE)


def test_a_text_that_is_too_long_is_refused_or_cut_as_asked(server: str) -> None:
    long = (Passage("long", "The club", "", "stadium " * 3000, WHEN),)
    refusing = HttpReranker(f"{server}/v1/rerank", Settings())
    with pytest.raises(FrescoError, match=r"answered 400 Bad Request: .*1024.*\(query 'q1'\)") as caught:
        refusing.score(QUERY, long)
    assert "\n" not in str(caught.value)
    cutting = HttpReranker(f"{server}/v1/rerank#truncate=yes", Settings())
    assert len(cutting.score(QUERY, long)) == 1
    assert cutting.fingerprint != refusing.fingerprint


def test_it_conforms(server: str) -> None:
    check_reranker(HttpReranker(f"{server}/v1/rerank#truncate=yes", Settings()))


def test_the_canary_of_a_server_repeats(server: str) -> None:
    first, second = (HttpReranker(f"{server}/rerank", Settings()).canary() for _ in range(2))
    assert first == pytest.approx(second, abs=TOLERANCE)
    assert len(set(first)) == 3


def test_a_model_that_is_not_served_is_one_line(server: str) -> None:
    reranker = HttpReranker(f"{server}/v1/rerank#model=other", Settings())
    with pytest.raises(FrescoError, match=r"answered 404 Not Found: .*other.* does not exist"):
        reranker.score(QUERY, PASSAGES)
