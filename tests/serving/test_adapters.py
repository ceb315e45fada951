"""The adapters with the libraries they are for; each is skipped where its library is not installed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fresco.errors import FrescoError
from fresco.rerank.recency import Recency
from fresco.serving import FreshReranker

QUESTION = "Who is the current president of the European Central Bank?"
OLD = "The current president of the European Central Bank is Mario Draghi."
NEW = "The current president of the European Central Bank is Christine Lagarde."
# The words that both statements share stay rare enough for BM25 to count them.
OFF = ("Ajax play in Amsterdam.", "Rust has no garbage collector.", "Tea grows in Assam.", "Bees see blue.")
TEXTS = (OLD, OFF[0], NEW, *OFF[1:])
# `when`, not `date`: an adapter that ignores the key it was told finds no dates and leaves the old text first.
META = ({"when": "2015-03-01", "n": 0}, {"n": 1}, {"when": "2024-03-01", "n": 2}, {}, {}, {})
ASKED = "2025-01-01"


@pytest.fixture
def fresh() -> FreshReranker:
    return FreshReranker("bm25", Recency("half-life", 365.0))


def expected(fresh: FreshReranker):
    documents = [{"text": text, "date": meta.get("when")} for text, meta in zip(TEXTS, META, strict=True)]
    ranked = fresh.rerank(QUESTION, documents, asked_at=ASKED)
    assert ranked[0].document.text == NEW
    return [(each.document.text, each.score) for each in ranked]


def test_langchain(fresh):
    pytest.importorskip("langchain_core", reason="pip install langchain-core")
    from langchain_core.documents import Document

    from fresco.serving.langchain import FreshCompressor

    documents = [Document(page_content=text, metadata=meta, id=text) for text, meta in zip(TEXTS, META, strict=True)]
    compressor = FreshCompressor(reranker=fresh, date_key="when", asked_at=ASKED)
    ranked = compressor.compress_documents(documents, QUESTION)
    assert [(each.page_content, each.metadata["relevance_score"]) for each in ranked] == expected(fresh)
    assert (ranked[0].id, ranked[0].metadata["n"]) == (NEW, 2)
    assert "relevance_score" not in documents[0].metadata  # the caller's own stay as they are
    one = FreshCompressor(reranker=fresh, date_key="when", top_k=1, asked_at=ASKED)
    assert [each.page_content for each in one.compress_documents(documents, QUESTION)] == [NEW]
    assert list(one.compress_documents([], QUESTION)) == []
    with pytest.raises(FrescoError, match="is no date"):
        FreshCompressor(reranker=fresh, date_key="n").compress_documents(
            [Document(page_content="a", metadata={"n": "soon"})], QUESTION
        )


def test_llama_index(fresh):
    pytest.importorskip("llama_index.core", reason="pip install llama-index-core")
    from llama_index.core.schema import NodeWithScore, TextNode

    from fresco.serving.llama_index import FreshPostprocessor

    nodes = [
        NodeWithScore(node=TextNode(text=text, metadata=meta), score=0.5)
        for text, meta in zip(TEXTS, META, strict=True)
    ]
    ranker = FreshPostprocessor(reranker=fresh, date_key="when", asked_at=ASKED)
    ranked = ranker.postprocess_nodes(nodes, query_str=QUESTION)
    assert [(each.node.text, each.score) for each in ranked] == expected(fresh)
    assert [each.score for each in nodes] == [0.5] * len(TEXTS)
    with pytest.raises(FrescoError, match="query_str"):
        ranker.postprocess_nodes(nodes)


def test_haystack(fresh, tmp_path):
    pytest.importorskip("haystack", reason="pip install haystack-ai")
    from haystack import Document, Pipeline

    from fresco.serving.haystack import FreshRanker

    documents = [Document(content=text, meta=dict(meta)) for text, meta in zip(TEXTS, META, strict=True)]
    Recency("half-life", 365.0).save(tmp_path / "recency.json")
    pipeline = Pipeline()
    ranker = FreshRanker("bm25", str(tmp_path / "recency.json"), date_key="when", asked_at=ASKED)
    pipeline.add_component("ranker", ranker)
    reopened = Pipeline.loads(pipeline.dumps(), allowed_modules=["fresco.serving.haystack"])
    for each in (pipeline, reopened):
        ranked = each.run({"ranker": {"query": QUESTION, "documents": documents}})["ranker"]["documents"]
        assert [(own.content, own.score) for own in ranked] == expected(fresh)
    assert all(each.score is None for each in documents)
    assert len(ranker.run(QUESTION, documents, top_k=1)["documents"]) == 1
    with pytest.raises(FrescoError, match="no text"):
        ranker.run(QUESTION, [Document(meta={"n": 1})])
    with pytest.raises(FrescoError, match="give the base as a spec"):
        FreshRanker(lambda _, passages: [0.0] * len(passages)).to_dict()


@pytest.mark.slow  # the library imports torch and transformers
def test_rerankers(fresh):
    pytest.importorskip("rerankers", reason="pip install rerankers")
    from rerankers import Document

    from fresco.serving.rerankers import FreshRanker

    ranker = FreshRanker(fresh, date_key="when", asked_at=ASKED)
    documents = [Document(text, doc_id=text, metadata=meta) for text, meta in zip(TEXTS, META, strict=True)]
    ranked = ranker.rank(QUESTION, documents)
    assert [(each.text, each.score) for each in ranked] == expected(fresh)
    assert [each.rank for each in ranked] == [1, 2, 3, 4, 5, 6]
    assert ranked.top_k(1)[0].text == NEW
    as_texts = ranker.rank(QUESTION, list(TEXTS), metadata=list(META))
    assert (as_texts[0].text, as_texts[0].doc_id) == (NEW, 2)
    assert ranker.rank(QUESTION, []).results_count() == 0
    assert isinstance(ranker.score(QUESTION, NEW), float)


@pytest.mark.parametrize(
    ("module", "package", "install"),
    [
        ("langchain", "langchain_core", "langchain-core"),
        ("llama_index", "llama_index", "llama-index-core"),
        ("haystack", "haystack", "haystack-ai"),
        ("rerankers", "rerankers", "rerankers"),
    ],
)
def test_a_missing_package_is_answered_with_how_to_install_it(module, package, install, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"fresco.serving.{module}", raising=False)
    with pytest.raises(FrescoError, match=f"pip install {install}$"):
        __import__(f"fresco.serving.{module}")


def test_the_adapters_are_imported_only_when_used():
    code = "import sys, fresco.serving; print(sorted({n.split('.')[0] for n in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not [name for name in ("langchain_core", "llama_index", "haystack", "'rerankers'") if name in loaded]
