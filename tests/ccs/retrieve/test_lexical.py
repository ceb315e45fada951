from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rank_bm25 import BM25Okapi

from ccs.retrieve import lexical
from ccs.retrieve.corpus import Document
from ccs.retrieve.lexical import Bm25Index, build_bm25
from ccs.retrieve.passages import Passages, write_passages
from fresco.errors import FrescoError
from fresco.stats.words import words
from tests.ccs.retrieve.corpora import documents


def indexed(folder: Path, made: list[Document]) -> Bm25Index:
    folder.mkdir()
    write_passages(folder, made, lambda _: None)
    build_bm25(folder / "bm25", Passages(folder), lambda _: None)
    return Bm25Index(folder / "bm25")


def reference(made: list[Document], query: str, k: int) -> list[tuple[int, float]]:
    """Every passage through rank-bm25, those with a word of the query kept, the order of the corpus between equals."""
    tokens = [words(each.contents) for each in made]
    scores = BM25Okapi(tokens).get_scores(words(query))
    held = [number for number, own in enumerate(tokens) if set(own) & set(words(query))]
    return [
        (number, scores[number]) for number in sorted(held, key=lambda number: (-round(scores[number], 9), number))
    ][:k]


@pytest.mark.parametrize("shard", [20_000, 37])
def test_parity_with_rank_bm25(shard: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexical, "_SHARD", shard)
    made = documents(300)
    index = indexed(tmp_path / "i", made)
    for query in ("Bergen castle bridge", "the the library", "number17", "ÉVORA market", "the", "nowhere", ""):
        (found,) = index.search([query], 20)
        wanted = reference(made, query, 20)
        np.testing.assert_allclose([s for _, s in found], [s for _, s in wanted], rtol=0, atol=1e-9)
        assert [n for n, _ in found] == [n for n, _ in wanted]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.text("ab cé<\n", min_size=1, max_size=12), min_size=2, max_size=12),
    query=st.text("ab cé", max_size=8),
)
def test_parity_on_any_small_corpus(texts: list[str], query: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    made = [Document(str(number), f"x {text}") for number, text in enumerate(texts)]
    (found,) = indexed(tmp_path_factory.mktemp("bm25") / "i", made).search([query], 50)
    wanted = reference(made, query, 50)
    assert {n for n, _ in found} == {n for n, _ in wanted}
    np.testing.assert_allclose([s for _, s in sorted(found)], [s for _, s in sorted(wanted)], rtol=0, atol=1e-9)


def test_no_words_nothing_to_search_by(tmp_path: Path) -> None:
    with pytest.raises(FrescoError, match="no passage of the corpus holds a word"):
        indexed(tmp_path / "i", [Document("a", "?!"), Document("b", "...")])
