"""``attention:`` against the published computation, written plainly: one eager pass over the whole prompt."""

from __future__ import annotations

import pytest

from fresco.errors import FrescoError
from fresco.models.settings import Settings
from fresco.rerank.attention import AttentionReranker
from fresco.rerank.registry import open_reranker
from fresco.testing import check_reranker
from tests import tiny_models
from tests.factories import make_passage, make_query

torch = pytest.importorskip("torch", reason="pip install 'fresco-ccs[models]'")
transformers = pytest.importorskip("transformers", reason="pip install 'fresco-ccs[models]'")

CPU = Settings(device="cpu")
QUERY = make_query()
PASSAGES = [make_passage(f"p{n}", days_old=n, body="The club is led by a player. " * (1 + n % 3)) for n in range(5)]


@pytest.fixture(scope="module")
def lm(tmp_path_factory):
    return tiny_models.causal_lm(tmp_path_factory.mktemp("model") / "lm")


def plainly(folder, layers):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()

    def ids(text):
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    def paid(query):
        tokens, spans = ids("Here are some paragraphs:\n\n"), []
        for n, passage in enumerate(PASSAGES, 1):
            tokens += ids(f"[{n}]")
            start = len(tokens)
            tokens += ids(f" {passage.text}")
            spans.append((start, len(tokens)))
            tokens += ids("\n\n")
        ask = "Please find information that are relevant to the following query in the paragraphs above.\n\nQuery:"
        first = len(tokens) + len(ids(ask))
        tokens += ids(ask + query)
        with torch.no_grad():
            attentions = model(torch.tensor([tokens]), output_attentions=True).attentions
        return sum(attentions[layer][0, :, first:, :].mean(dim=1).sum(dim=0) for layer in layers), spans

    given, spans = paid(f" {QUERY.text}")
    free, _ = paid(" N/A")
    scores = []
    for start, end in spans:
        values = given[start:end] - free[start:end]
        scores.append(float(values[values > values.mean() - 2 * values.std()].sum()))
    return scores


@pytest.mark.parametrize(("option", "layers"), [({}, [0, 1]), ({"layers": (1, 1)}, [1])])
def test_parity_with_one_eager_pass(lm, option, layers):
    ours = AttentionReranker(str(lm), CPU, **option)._ready().attention(QUERY, PASSAGES)
    expected = plainly(lm, layers)
    assert len({round(each, 4) for each in ours}) == len(ours)
    assert max(abs(a - b) for a, b in zip(ours, expected, strict=True)) <= 1e-5


def test_it_ranks_by_that_attention(lm):
    reranker = open_reranker(f"attention:{lm}", CPU)
    scores = reranker.score(QUERY, PASSAGES)
    assert sorted(scores) == [-4, -3, -2, -1, 0]
    assert reranker.score(QUERY, PASSAGES[::-1]) == scores[::-1]
    check_reranker(open_reranker(f"attention:{lm}#window=4&stride=2&heads=0.1,1.0&words=20", CPU))


def test_what_does_not_fit_is_said(lm):
    with pytest.raises(FrescoError, match="2 layers of 2 heads"):
        open_reranker(f"attention:{lm}#layers=1-5", CPU).score(QUERY, PASSAGES)
    with pytest.raises(FrescoError, match="lower window= or words="):
        open_reranker(f"attention:{lm}", Settings(device="cpu", max_length=100)).score(QUERY, PASSAGES)
    with pytest.raises(FrescoError, match="layers= wants a range"):
        open_reranker(f"attention:{lm}#layers=x", CPU)
