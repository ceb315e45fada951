from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rank_bm25 import BM25Okapi

from ccs.retrieve import lexical, maxscore
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


def test_text_without_blanks_is_searched_by_its_parts(tmp_path: Path) -> None:
    made = [
        Document("zh", "中国的首都是北京。"),
        Document("th", "กรุงเทพเป็นเมืองหลวงของประเทศไทย"),
        Document("en", "Rome"),
    ]
    index = indexed(tmp_path / "i", made)
    found = index.search(["首都", "ประเทศไทย", "北京在哪里", "東京"], 2)
    assert [[number for number, _ in each] for each in found] == [[0], [1], [0], []]
    vocabulary = tmp_path / "i" / "bm25" / "words.json"
    vocabulary.write_text(vocabulary.read_text(encoding="utf-8").replace('"首都"', '"中国的首都"'), encoding="utf-8")
    with pytest.raises(FrescoError, match="an earlier version read it; run `ccs index` again"):
        Bm25Index(tmp_path / "i" / "bm25")


def zipf(count: int, seed: int) -> list[Document]:
    """Passages of words as unevenly frequent as a language has them: some in nearly all passages, most in one."""
    draw = np.random.default_rng(seed)
    return [
        Document(str(number), " ".join(f"w{word}" for word in draw.zipf(1.35, draw.integers(5, 60)) if word < 5000))
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Bm25Index:
    return indexed(tmp_path_factory.mktemp("uneven") / "i", zipf(3000, 0))


@pytest.mark.parametrize("sparse", [1, 8, 10**9])  # all words rare; as it is; all common
@pytest.mark.parametrize("k", [1, 3, 10, 400])
def test_what_is_not_read_changes_nothing(
    uneven: Bm25Index, k: int, sparse: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maxscore, "_SPARSE", sparse)
    draw = np.random.default_rng(k)
    for _ in range(150):
        query = " ".join(f"w{word}" for word in draw.zipf(1.2, draw.integers(1, 12)) if word < 5000)
        assert uneven.search([query], k) == [uneven.search_plainly(query, k)]


def test_common_words_are_looked_up_where_they_cannot_matter(
    uneven: Bm25Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    plain = maxscore._weighted

    def counted(each: maxscore.Postings) -> npt.NDArray[np.float32]:
        read.append(len(each.documents))
        return plain(each)

    monkeypatch.setattr(maxscore, "_weighted", counted)
    query = "w1 w2 w700 w700 w700 w701 w702"  # two words that most passages hold
    lists = [np.diff(uneven._starts)[uneven._place[word]] for word in query.split()]
    assert uneven.search([query], 1) == [uneven.search_plainly(query, 1)]
    assert read and max(lists[:2]) > 1000 > max(read), "a common word was read through"


def test_an_index_of_an_earlier_version_finds_the_same(tmp_path: Path, uneven: Bm25Index) -> None:
    made = zipf(500, 1)
    now = indexed(tmp_path / "i", made)
    for name in ("impacts", "most"):
        (tmp_path / "i" / "bm25" / f"{name}.npy").unlink()
    queries = ["w1 w50 w300", "w2", "w9999"]
    assert Bm25Index(tmp_path / "i" / "bm25").search(queries, 5) == now.search(queries, 5)


def test_threads_do_not_share_their_sums(uneven: Bm25Index) -> None:
    queries = [f"w1 w{n} w{n * 7}" for n in range(2, 60)]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda query: uneven.search([query], 5)[0], queries * 3))
    assert found == [uneven.search_plainly(query, 5) for query in queries] * 3
