"""Models that cannot be ranked by: one line, exit code 2, no rank and no score left behind."""

from __future__ import annotations

import sqlite3

import pytest

import fresco
from fresco.cli import main
from fresco.rerank.timestamp_attention import timestamp_attention
from tests import tiny_models
from tests.factories import make_benchmark

torch = pytest.importorskip("torch", reason="pip install 'fresco-ccs[models]'")
transformers = pytest.importorskip("transformers", reason="pip install 'fresco-ccs[models]'")

#: Reads a message's role, and nothing of a pair's: what a chat model's template does with a re-ranker's pair.
GENERIC = (
    "{% for message in messages %}{% if message['role'] in ['system', 'user', 'assistant'] %}<|im_start|>"
    "{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endif %}{% endfor %}"
)


def overflowing(folder):
    """A model whose activations leave float16's range."""
    tiny_models.cross_encoder(folder, max_position_embeddings=512)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.no_grad():
        model.bert.encoder.layer[0].intermediate.dense.weight.mul_(1e5)
    model.save_pretrained(folder)


def without_tokenizer(folder, make=tiny_models.cross_encoder):
    """To the libraries' empty one every word is unknown, and every passage the same."""
    make(folder)
    for path in [*folder.glob("*token*"), *folder.glob("vocab*")]:
        path.unlink()


def sparse_without_tokenizer(folder):
    without_tokenizer(folder, tiny_models.masked_lm)


def without_padding(folder):
    tiny_models.cross_encoder(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = None
    tokenizer.save_pretrained(folder)


CASES = {
    "a template that shows no pair": (
        "cross-encoder",
        lambda folder: tiny_models.sequence_classifier(folder, chat_template=GENERIC),
        (),
        "cannot carry a 'query'/'document' pair",
    ),
    "not a number in half precision": (
        "cross-encoder",
        overflowing,
        ("--dtype", "float16"),
        "no finite number, so it cannot be ranked; nothing of this batch is stored",
    ),
    "no tokenizer": ("cross-encoder", without_tokenizer, (), "no tokenizer (tokenizer.json or"),
    "no tokenizer of a sparse encoder": ("sparse", sparse_without_tokenizer, (), "no tokenizer (tokenizer.json or"),
    "no padding token": ("cross-encoder", without_padding, (), "fast one (tokenizer.json) with a padding token"),
    "a limit below the template": (
        "causal-lm",
        tiny_models.causal_lm,
        ("--max-length", "40"),
        "more than the 40 that the model reads; raise --max-length",
    ),
    "an answer of two tokens": (
        "causal-lm",
        tiny_models.causal_lm,
        ("--answers", "relevant,irrelevant"),
        "it must be a single one",
    ),
    "two outputs": (
        "cross-encoder",
        lambda folder: tiny_models.cross_encoder(folder, num_labels=2),
        (),
        "choose the one that means relevant with #label=N",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_one_line_and_nothing_is_ranked(case, tmp_path, monkeypatch, capsys):
    family, make, options, said = CASES[case]
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "model")
    capsys.readouterr()
    command = ["score", "--reranker", f"{family}:./model", "--no-baselines", "--limit", "2", "--device", "cpu"]
    assert main([*command, "--out", "out", "--store", "store.sqlite", *options]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("fresco: ")
    assert said in last
    assert not list(tmp_path.glob("out/runs/*"))
    if (tmp_path / "store.sqlite").exists():
        with sqlite3.connect(tmp_path / "store.sqlite") as store:
            assert store.execute("SELECT count(*) FROM scores").fetchone() == (0,)


def embedding_model(folder):
    """A BERT's weights, without a head."""
    tiny_models.masked_lm(folder)
    model = transformers.AutoModel.from_pretrained(folder)
    model.save_pretrained(folder)


#: Every family that loads weights, and a model that it opens.
FAMILIES = {
    "dense": embedding_model,
    "sparse": tiny_models.masked_lm,
    "late": tiny_models.colbert,
    "cross-encoder": tiny_models.cross_encoder,
    "seq2seq": tiny_models.encoder_decoder,
    "likelihood": tiny_models.causal_lm,
    "causal-lm": tiny_models.causal_lm,
    "attention": tiny_models.chat_model,
    "listwise": tiny_models.chat_model,
}


def without_numbers(folder):
    """Every weight of one matrix is NaN, as after training that diverged, or an overflow."""
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    weights = load_file(path)
    own = sorted(name for name, each in weights.items() if each.ndim == 2 and (".layer" in name or ".block" in name))
    weights[own[0]] = torch.full_like(weights[own[0]], float("nan"))
    save_file(weights, path, {"format": "pt"})


def without_vocabulary(folder):
    for path in [*folder.glob("*token*"), *folder.glob("vocab*")]:
        path.unlink()


#: What is done to the model's folder, options, and what is said.
FAULTS = {
    "no numbers": (without_numbers, {}, "finite|ranked nothing"),
    "no tokenizer": (without_vocabulary, {}, "no tokenizer"),
    "a limit below the template": (lambda _: None, {"max_length": 4}, "--max-length|lower window= or words=|fewer"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("family", FAMILIES)
def test_no_family_ranks_in_silence(family, fault, tmp_path):
    FAMILIES[family](tmp_path / "model")
    spoil, options, said = FAULTS[fault]
    spoil(tmp_path / "model")
    store = tmp_path / "store.sqlite"
    given = {"baselines": False, "store": store, "progress": False, "device": "cpu", "resamples": 10, **options}
    with pytest.raises(fresco.FrescoError, match=said) as refused:
        fresco.score(f"{family}:{tmp_path / 'model'}", make_benchmark(2), **given)
    assert "\n" not in str(refused.value)
    if store.exists():
        with sqlite3.connect(store) as kept:
            assert kept.execute("SELECT count(*) FROM scores").fetchone() == (0,)


@pytest.mark.parametrize("family", ["dense", "sparse", "late", "seq2seq"])
def test_a_tokenizer_without_padding_is_one_line_or_needs_none(family, tmp_path):
    """Encoders pad: there is one line, or the scores are those of the tokenizer that can."""
    FAMILIES[family](tmp_path / "model")
    given = {"baselines": False, "progress": False, "device": "cpu", "resamples": 10}
    spec, benchmark = f"{family}:{tmp_path / 'model'}", make_benchmark(1)
    whole = fresco.score(spec, benchmark, store=tmp_path / "whole.sqlite", **given).to_frame()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    tokenizer.pad_token = None
    tokenizer.save_pretrained(tmp_path / "model")
    try:
        other = fresco.score(spec, benchmark, store=tmp_path / "other.sqlite", **given).to_frame()
    except fresco.FrescoError as refused:
        assert "pad" in str(refused) and "\n" not in str(refused)
    else:
        assert other["value"].equals(whole["value"])


def test_dates_are_not_measured_by_attention_that_is_no_number(tmp_path):
    tiny_models.causal_lm(tmp_path / "model")
    without_numbers(tmp_path / "model")
    pools = [(pool.query, pool.passages) for pool in make_benchmark(1).pools]
    with pytest.raises(fresco.FrescoError, match="finite number in"):
        timestamp_attention(str(tmp_path / "model"), pools)
