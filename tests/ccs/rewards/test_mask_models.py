"""The recognizer that comes with the package, and Hugging Face token classifiers."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccs.rewards.mask import TAGS, Masker, MaskOptions, mask_queries, open_masker
from ccs.rewards.mask.embedded import MODEL, common_words, data_folder
from ccs.rewards.mask.merge import merge
from fresco.errors import FrescoError
from tests import tiny_models

_ROOT = Path(__file__).parents[3]
_WIKIGOLD = _ROOT.parent / "shared" / "data" / "ner" / "wikigold_CONLL-format_data_wikigold.conll.txt"


@pytest.fixture(scope="module")
def embedded() -> Masker:
    pytest.importorskip("spacy", reason="pip install 'fresco-ccs[ccs]'")
    return open_masker()


def test_the_shipped_files_are_small_and_hold_no_pickle():
    files = [path for path in data_folder().rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 6_000_000
    assert not [path for path in files if path.suffix in {".pkl", ".pickle", ".py", ".so"}]
    named = re.findall(r'^@\w+ = "(.*)"$', (data_folder() / MODEL / "config.cfg").read_text(), re.MULTILINE)
    assert {name for name in named if not name.startswith("spacy.")} == {"Adam.v1", "compounding.v1"}  # thinc's
    assert 10_000 < len(common_words()) < 30_000


def test_the_recognizer_alone_finds_names(embedded):
    text = "Who was Frederick Collier when he lived in France ?"
    tags = {span.tag for span in open_masker("ner").spans([text])[0]}
    assert tags <= set(TAGS) and "PERSON" in tags


def test_queries_through_the_default(embedded):
    queries = ["who is the wife of barack obama", "Barack Obama wife birth date", "population of france in 1998"]
    masked = mask_queries(queries, "How old is the wife of Barack Obama?", embedded, MaskOptions())
    assert not [word for word in ("obama", "barack", "france", "1998") if word in " ".join(masked).lower()]
    assert masked[0].startswith("who is the wife of [")


@given(st.text(max_size=80))
def test_spans_lie_in_the_text(embedded, text):
    spans = embedded.spans([text])[0]
    assert all(0 <= span.start < span.end <= len(text) and span.tag in TAGS for span in spans)


def test_a_text_is_masked_alike_in_any_batch(embedded):
    texts = ["Barack Obama in France", "who won", "", "x" * 3000, "france " * 200]
    assert embedded.spans(texts) == [embedded.spans([text])[0] for text in texts]
    assert open_masker().fingerprint == embedded.fingerprint


def test_leak_on_held_out_sentences(embedded):
    """A few articles of the test part, held to the targets that ``eval/results/masking.md`` reports on all of it."""
    if not _WIKIGOLD.exists():
        pytest.skip("needs ../shared/data/ner beside the project")
    sys.path.insert(0, str(_ROOT / "eval"))
    try:
        from ner_data import wikigold
    finally:
        sys.path.pop(0)
    written = [sentence for article in list(wikigold("test").values())[:12] for sentence in article]
    for sentences, most in ((written, 0.10), ([sentence.lowered() for sentence in written], 0.30)):
        wanted = left = 0
        texts = [sentence.text for sentence in sentences]
        for sentence, text, spans in zip(sentences, texts, embedded.spans(texts), strict=True):
            covered = {at for span in merge(text, spans) for at in range(span.start, span.end)}
            places = sentence.offsets()
            for start, end, _ in sentence.entities:
                for place in places[start:end]:
                    letters = {at for at in range(*place) if text[at].isalnum()}
                    wanted += bool(letters)
                    left += not letters <= covered
        assert wanted > 200
        assert left / wanted <= most


@pytest.mark.parametrize("write", [str, str.lower, str.upper], ids=["as written", "lower", "upper"])
@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("Ludwig van Beethoven", "{} birthplace"),
        ("Jean-Luc Picard", "actor who plays {}"),
        ("J.K. Rowling", "books by {}"),
        ("New York City", "flights to {}"),
        ("McDonald's", "{} headquarters"),
        ("Beyoncé", "husband of {}"),
        ("São Paulo", "population of {}"),
        ("Barack_Obama", "wife of {}"),
        ("GPT-4", "{} release date"),
        ("May 5 2020", "what happened on {}"),
    ],
)
def test_a_name_is_masked_however_it_is_written(embedded, name, query, write):
    """No way of writing a name in capitals or without may carry it through the bottleneck."""
    [masked] = mask_queries([query.format(write(name))], None, embedded)
    kept = re.sub(r"\[[A-Z_0-9]+\]", " ", masked).casefold()
    parts = [part for part in re.split(r"[\W_]+", name.casefold()) if len(part) > 1]
    assert not [part for part in parts if part in re.split(r"[\W_]+", kept)]
    assert set(query.replace("{}", "").split()) <= set(masked.replace("]'s", "] 's").split())


def test_opening_a_masker_of_rules_imports_no_model_library():
    code = "import sys; from ccs.rewards.mask import open_masker; open_masker('patterns+words').spans(['Obama']); "
    code += "sys.exit(any(name in sys.modules for name in ('torch', 'spacy', 'transformers')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=_ROOT, check=False).returncode == 0


@pytest.fixture(scope="module")
def classifier(tmp_path_factory) -> Path:
    """A random token classifier that reads 40 tokens at a time."""
    pytest.importorskip("transformers", reason="pip install 'fresco-ccs[models]'")
    import torch
    from transformers import BertConfig, BertForTokenClassification, BertTokenizerFast

    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("classifier")
    tiny_models.cross_encoder(folder)  # for its tokenizer
    tokenizer = BertTokenizerFast.from_pretrained(folder, model_max_length=40)
    labels = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
        id2label=dict(enumerate(labels)),
        label2id={name: at for at, name in enumerate(labels)},
        initializer_range=0.5,
    )
    BertForTokenClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_hf_labels_equal_the_librarys_pipeline(classifier):
    from transformers import pipeline

    texts = ["who is the head coach of the club", "the latest release", "", "Head  Coach!"]
    reference = pipeline("token-classification", str(classifier), aggregation_strategy="none", device="cpu")
    for text, spans in zip(texts, open_masker(f"hf:{classifier}").spans(texts), strict=True):
        expected = {
            (at, tag)
            for token in (reference(text) if text else [])
            for tag in ["PERSON" if "PER" in token["entity"] else "LOC"]
            for at in range(token["start"], token["end"])
        }
        # A span closes the blanks between its tokens.
        assert {
            (at, span.tag) for span in spans for at in range(span.start, span.end) if not text[at].isspace()
        } == expected


def test_hf_reads_texts_longer_than_its_window(classifier):
    masker = open_masker(f"hf:{classifier}")
    text = " ".join(["the head coach of the club"] * 40)
    spans = masker.spans([text])[0]
    assert max(span.end for span in spans) > len(text) * 0.9
    assert masker.fingerprint != open_masker("patterns").fingerprint


def test_hf_refuses_what_labels_no_tokens(tmp_path):
    pytest.importorskip("transformers", reason="pip install 'fresco-ccs[models]'")
    with pytest.raises(FrescoError, match="labels no tokens"):
        open_masker(f"hf:{tiny_models.cross_encoder(tmp_path)}")
    with pytest.raises(FrescoError, match="there is no folder"):
        open_masker("hf:./nowhere")
