"""Encoder-decoders and query likelihood against the published computation, written out: one pair, no padding."""

from __future__ import annotations

import shutil

import pytest

from fresco.errors import FrescoError
from fresco.models import batching
from fresco.models.settings import Settings
from fresco.rerank.likelihood import LikelihoodReranker
from fresco.rerank.registry import open_reranker
from fresco.rerank.seq2seq import Seq2SeqReranker
from fresco.testing import check_reranker
from tests import tiny_models
from tests.factories import make_passage, make_query

torch = pytest.importorskip("torch", reason="pip install 'fresco-ccs[models]'")
transformers = pytest.importorskip("transformers", reason="pip install 'fresco-ccs[models]'")

CPU = Settings(device="cpu")
QUERY = make_query()
PASSAGES = [make_passage(f"p{n}", days_old=n, body="The club is led by a player. " * (1 + n % 4)) for n in range(9)]


@pytest.fixture(scope="module")
def t5(tmp_path_factory):
    return tiny_models.encoder_decoder(tmp_path_factory.mktemp("model") / "t5")


@pytest.fixture(scope="module")
def lm(tmp_path_factory):
    return tiny_models.causal_lm(tmp_path_factory.mktemp("model") / "lm")


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(batching, "CPU_BATCH_TOKENS", 300)


def close(ours, theirs):
    assert len({round(each, 4) for each in ours}) > len(ours) // 2  # not constant
    return max(abs(a - float(b)) for a, b in zip(ours, theirs, strict=True)) <= 1e-5


def first_step(folder, prompts):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    rows = []
    for prompt in prompts:
        with torch.no_grad():
            ids = tokenizer(prompt, return_tensors="pt").input_ids
            rows.append(model(input_ids=ids, decoder_input_ids=torch.tensor([[0]])).logits[0, 0])
    return rows, tokenizer


def test_monot5(t5):
    prompts = [f"Query: {QUERY.text} Document: {passage.text} Relevant:" for passage in PASSAGES]
    rows, tokenizer = first_step(t5, prompts)
    true, false = tokenizer.convert_tokens_to_ids(["▁true", "▁false"])
    ours = Seq2SeqReranker(str(t5), CPU)
    assert close(ours.score(QUERY, PASSAGES), [row[true] - row[false] for row in rows])
    check_reranker(ours)


def test_rankt5_is_known_by_its_name_and_by_its_score_token(t5, tmp_path):
    named = tmp_path / "RankT5-base"
    shutil.copytree(t5, named)
    rows, tokenizer = first_step(t5, [f"Query: {QUERY.text} Document: {passage.text}" for passage in PASSAGES])
    token = tokenizer.convert_tokens_to_ids("<extra_id_10>")
    assert close(open_reranker(f"seq2seq:{named}", CPU).score(QUERY, PASSAGES), [row[token] for row in rows])
    chosen = Settings(device="cpu", answers=("<extra_id_10>",))
    assert open_reranker(f"seq2seq:{t5}", chosen).describe()["score"] == "logit of the score token"


def test_upr_over_an_encoder_decoder(t5):
    tokenizer = transformers.AutoTokenizer.from_pretrained(t5)
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(t5).eval()
    expected = []
    for passage in PASSAGES:
        prompt = f"Passage: {passage.text}. Please write a question based on this passage."
        labels = tokenizer(QUERY.text, return_tensors="pt").input_ids
        with torch.no_grad():
            expected.append(-model(**tokenizer(prompt, return_tensors="pt"), labels=labels).loss)
    ours = LikelihoodReranker(str(t5), CPU)
    assert close(ours.score(QUERY, PASSAGES), expected)
    check_reranker(ours)


def decoder_likelihood(folder, before, query):
    """The mean log-probability by the model's own loss."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    found = []
    for text in before:
        prompt, asked = (tokenizer(each, add_special_tokens=False)["input_ids"] for each in (text, query))
        ids = torch.tensor([[*prompt, *asked]])
        labels = ids.clone()
        labels[0, : len(prompt)] = -100
        with torch.no_grad():
            found.append(-model(ids, labels=labels).loss)
    return found


@pytest.mark.parametrize("instruction", [None, "Ask what is new."])
def test_likelihood_over_a_decoder(lm, instruction):
    asked = instruction or "Please write a question based on this passage."
    before = [f"Passage: {passage.text}. {asked}\nQuestion:" for passage in PASSAGES]
    ours = LikelihoodReranker(str(lm), CPU)
    assert close(ours.score(QUERY, PASSAGES, instruction), decoder_likelihood(lm, before, f" {QUERY.text}"))
    check_reranker(ours)


@pytest.mark.parametrize("shape", [{}, {"use_sliding_window": True, "sliding_window": 200, "max_window_layers": 0}])
def test_a_passage_that_is_read_once_for_its_queries_changes_no_score(tmp_path, shape):
    """The plain way is the reference. A window of attention shorter than a row shares nothing in that batch."""
    folder = tiny_models.causal_lm(tmp_path / "lm", "qwen2", **shape)
    queries = [make_query(n) for n in range(4)]
    passages = [make_passage(f"p{n}", days_old=n, body="The club is led by a player. " * (1 + n)) for n in range(16)]
    pairs = [(query, passage) for query in queries for passage in passages[queries.index(query) :]]
    ours = LikelihoodReranker(str(folder), CPU)
    model = ours._under(None)
    assert model.sharing.on
    shared = batching.score_all(model, pairs, 2048)
    tokens = sum(map(len, model.encode(pairs)))
    assert 0.2 * tokens < ours.describe()["tokens_saved_by_sharing"] < 0.8 * tokens
    model.sharing.on = False
    plain = batching.score_all(model, pairs, 2048)
    assert len({round(each, 4) for each in plain}) > len(plain) // 2
    assert max(abs(a - b) for a, b in zip(shared, plain, strict=True)) <= 1e-4


def test_likelihood_over_a_chat_model_goes_through_its_template(lm, tmp_path):
    chat = tmp_path / "chat"
    shutil.copytree(lm, chat)
    (chat / "chat_template.jinja").write_text("{% for m in messages %}<|im_start|>{{ m['content'] }}\n{% endfor %}=>")
    ours = LikelihoodReranker(str(chat), CPU)
    assert ours.describe()["template"].startswith("<|im_start|>Passage: {document}")
    assert not close(ours.score(QUERY, PASSAGES), LikelihoodReranker(str(lm), CPU).score(QUERY, PASSAGES))


def test_models_and_templates_that_do_not_fit(lm, t5, tmp_path):
    with pytest.raises(FrescoError, match="no encoder-decoder; a language model is causal-lm:"):
        Seq2SeqReranker(str(lm), CPU)
    with pytest.raises(FrescoError, match="try seq2seq:"):
        open_reranker(f"cross-encoder:{t5}", CPU)
    with pytest.raises(FrescoError, match="an encoder-decoder is seq2seq:"):
        open_reranker(f"causal-lm:{t5}", CPU)
    with pytest.raises(FrescoError, match="writes no text"):
        LikelihoodReranker(str(tiny_models.cross_encoder(tmp_path / "bert")), CPU)
    (tmp_path / "form").write_text("{query} {document}")
    with pytest.raises(FrescoError, match=r"must end in \{query\}"):
        LikelihoodReranker(str(lm), Settings(template=str(tmp_path / "form")))
