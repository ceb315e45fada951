"""Models that cannot be ranked by: one line, exit code 2, no rank and no score left behind."""

from __future__ import annotations

import sqlite3

import pytest

from fresco.cli import main
from tests import tiny_models

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
