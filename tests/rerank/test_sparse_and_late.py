"""SPLADE and late interaction against the published computation, written out: one text, no padding."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import string
import subprocess
from pathlib import Path

import pytest

from fresco.errors import FrescoError
from fresco.models.settings import Settings
from fresco.rerank.late import LateInteraction
from fresco.rerank.open import as_reranker
from fresco.rerank.sparse import Sparse
from fresco.testing import check_reranker
from tests import tiny_models
from tests.factories import make_passage, make_query

torch = pytest.importorskip("torch", reason="pip install 'fresco-ccs[models]'")
transformers = pytest.importorskip("transformers", reason="pip install 'fresco-ccs[models]'")

CPU = Settings(device="cpu", batch_tokens=300)  # several batches
QUERY = dataclasses.replace(make_query(), content="Who is the club's head coach?")
LONG = dataclasses.replace(make_query(2), content="Who is the head coach of the club? " * 5)
PASSAGES = [
    make_passage(f"p{n}", days_old=n, body="The club, of old, is led by a former player. " * (1 + n % 4))
    for n in range(9)
]
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def splade(tmp_path_factory):
    return tiny_models.masked_lm(tmp_path_factory.mktemp("model") / "splade")


@pytest.fixture(scope="module")
def colbert(tmp_path_factory):
    return tiny_models.colbert(tmp_path_factory.mktemp("model") / "colbert")


def largest(ours, theirs):
    assert len({round(each, 3) for each in ours}) == len(ours)  # no two alike, so an exchange would show
    return max(abs(a - float(b)) / max(1, abs(float(b))) for a, b in zip(ours, theirs, strict=True))


def test_splade(splade):
    tokenizer = transformers.AutoTokenizer.from_pretrained(splade)
    model = transformers.AutoModelForMaskedLM.from_pretrained(splade).eval()

    def weights(text):
        with torch.no_grad():
            logits = model(**tokenizer(text, return_tensors="pt")).logits[0]
        return torch.log1p(torch.relu(logits)).max(dim=0).values

    ours = Sparse(str(splade), CPU)
    expected = [weights(QUERY.text) @ weights(passage.text) for passage in PASSAGES]
    assert largest(ours.score(QUERY, PASSAGES), expected) <= TOLERANCE
    check_reranker(ours)


def vectors(folder, text, task, expanded=32):
    """ColBERT's tokens of one text: marker, expansion of queries, projection, and what of a document counts."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    bert = transformers.BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
    from safetensors.torch import load_file

    weights = load_file(folder / "model.safetensors")
    bert.load_state_dict({name[5:]: each for name, each in weights.items() if name.startswith("bert.")})
    marker = tokenizer.convert_tokens_to_ids("[unused0]" if task == "query" else "[unused1]")
    first, *rest = tokenizer(text)["input_ids"]
    ids = [first, marker, *rest]
    seen = [1] * len(ids)
    if task == "query":
        missing = max(0, expanded - len(ids))
        ids, seen = ids + [tokenizer.mask_token_id] * missing, seen + [0] * missing
    with torch.no_grad():
        hidden = bert(input_ids=torch.tensor([ids]), attention_mask=torch.tensor([seen])).last_hidden_state[0]
    found = torch.nn.functional.normalize(hidden @ weights["linear.weight"].T, dim=-1)
    if task == "document":
        skipped = {tokenizer.convert_tokens_to_ids(each) for each in string.punctuation} - {tokenizer.unk_token_id}
        found = found[[place for place, own in enumerate(ids) if own not in skipped]]
    return found


@pytest.mark.parametrize("query", [QUERY, LONG], ids=["expanded", "longer than the query length"])
def test_late_interaction(colbert, query):
    tokens = vectors(colbert, query.text, "query")
    assert (len(tokens) > 32) is (query is LONG)
    expected = [(tokens @ vectors(colbert, passage.text, "document").T).max(dim=1).values.sum() for passage in PASSAGES]
    assert largest(LateInteraction(str(colbert), CPU).score(query, PASSAGES), expected) <= TOLERANCE


def test_late_interaction_conforms(colbert):
    check_reranker(LateInteraction(str(colbert), CPU))


def test_a_loaded_object_scores_as_its_files_do_and_is_not_changed(splade, colbert):
    import sentence_transformers

    sparse = sentence_transformers.SparseEncoder(str(splade), device="cpu")
    late = sentence_transformers.MultiVectorEncoder(str(colbert), device="cpu")
    assert as_reranker(sparse, CPU).score(QUERY, PASSAGES) == Sparse(str(splade), CPU).score(QUERY, PASSAGES)
    held = as_reranker(late, CPU)
    expansion = dict(late[0].query_expansion)
    with pytest.raises(FrescoError, match=f"query {LONG.id} is longer than the 32 tokens"):
        held.score(LONG, PASSAGES)
    short = dataclasses.replace(QUERY, content="Who?")
    assert held.score(short, PASSAGES) == LateInteraction(str(colbert), CPU).score(short, PASSAGES)
    assert late[0].query_expansion == expansion


def test_the_settings_beside_the_weights_are_part_of_the_fingerprint(colbert, tmp_path):
    other = tiny_models.colbert(tmp_path / "other", mask_punctuation=False)
    one, two = (LateInteraction(str(folder), CPU) for folder in (colbert, other))
    assert one.fingerprint != two.fingerprint
    assert one.score(QUERY, PASSAGES) != two.score(QUERY, PASSAGES)


def test_an_overlong_passage_loses_the_end_of_its_body_only(colbert):
    ours = LateInteraction(str(colbert), CPU)
    long = make_passage("long", days_old=3, body=PASSAGES[0].body * 40)
    dated = dataclasses.replace(long, timestamp=make_passage("p", days_old=900).timestamp)
    score, same, other = ours.score(QUERY, [long, dataclasses.replace(long, body=long.body + "yes " * 90), dated])
    assert score == same != other
    assert (ours.truncated, ours.describe()["max_length"]) == (3, 180)


def test_models_of_another_kind_are_one_line(splade, colbert, tmp_path):
    """The library would add layers of random weights to these, and say so in a log at most."""
    embedding = tiny_models.cross_encoder(tmp_path / "embedding")
    with pytest.raises(FrescoError, match=f"neither a masked language model .* is dense:{embedding}"):
        Sparse(str(embedding), CPU)
    with pytest.raises(FrescoError, match=f"was not saved by PyLate, .* is dense:{splade}"):
        LateInteraction(str(splade), CPU)


def test_an_older_save_of_pylate_is_known_by_its_settings(splade, tmp_path):
    """It names no kind of model; the refusal of other models must not meet it."""
    folder = tmp_path / "saved"
    shutil.copytree(splade, folder)
    config = {"prompts": {}, "similarity_fn_name": "cosine", "query_length": 32, "document_length": 180}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(config))
    with pytest.raises(FrescoError, match="was not saved by PyLate"):
        LateInteraction(str(folder), CPU)
    config |= {"query_prefix": "[Q] ", "document_prefix": "[D] "}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(config))
    assert LateInteraction(str(folder), CPU).name == f"late:{folder}"


_BY_PYLATE = """
import json, sys
from pylate import models
folder, saved, texts = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
model = models.ColBERT(folder, device="cpu")
model.save(saved)
queries = model.encode(texts["queries"], is_query=True, convert_to_numpy=False)
passages = model.encode(texts["passages"], is_query=False, convert_to_numpy=False)
scores = [[float((q @ p.T).max(dim=1).values.sum()) for p in passages] for q in queries]
print(json.dumps(scores))
"""


@pytest.mark.slow
def test_models_that_pylate_saved(colbert, tmp_path):
    """PyLate asks for an older sentence-transformers, so it runs in a virtualenv of its own."""
    python = os.environ.get("PYLATE_PYTHON")
    if python is None:
        pytest.skip("needs PYLATE_PYTHON, the interpreter of a virtualenv where `pip install pylate` was run")
    short = dataclasses.replace(QUERY, content="Who?")
    texts = {"queries": [short.text], "passages": [passage.text for passage in PASSAGES]}
    saved = tmp_path / "saved"
    command = [python, "-c", _BY_PYLATE, str(colbert), str(saved), json.dumps(texts)]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    (expected,) = json.loads(done.stdout.splitlines()[-1])
    assert (Path(saved) / "modules.json").exists()
    for folder in (colbert, saved):
        assert largest(LateInteraction(str(folder), CPU).score(short, PASSAGES), expected) <= TOLERANCE
