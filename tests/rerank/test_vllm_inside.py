"""``vllm:`` against the same weights by transformers, in vLLM's own virtualenv.

:mod:`tests.rerank.test_vllm` starts these there, each in a process of its own: vLLM leaves its process group behind.
"""

from __future__ import annotations

import pytest

pytest.importorskip("vllm", reason="these run in vLLM's own virtualenv, by tests/rerank/test_vllm.py")

from fresco.errors import FrescoError
from fresco.models.settings import Settings
from fresco.rerank.base import describe
from fresco.rerank.local_chat import LocalChat
from fresco.rerank.registry import open_reranker
from fresco.rerank.vllm_chat import VllmChat
from tests import tiny_models
from tests.factories import make_passage, make_query

#: vLLM knows heads of 32 on a CPU.
SHAPE = {"hidden_size": 64, "num_attention_heads": 2}
QUERY = make_query()
PASSAGES = [
    make_passage(f"p{n}", days_old=100 * n, body="The head coach of the club. " * (1 + 3 * n)) for n in range(6)
]
HERE = Settings(dtype="float32")
TOLERANCE = 1e-3


def close_to(ours, theirs):
    assert max(abs(one - other) for one, other in zip(ours, theirs, strict=True)) <= TOLERANCE
    assert max(theirs) - min(theirs) > 10 * TOLERANCE  # so that says something


def test_a_language_models_answers(tmp_path):
    folder = tiny_models.causal_lm(tmp_path / "model")
    theirs = open_reranker(f"causal-lm:{folder}", Settings(device="cpu"))
    ours = open_reranker(f"vllm:{folder}#memory=0.3", HERE)
    for instruction in (None, "Prefer buildings."):
        close_to(ours.score(QUERY, PASSAGES, instruction), theirs.score(QUERY, PASSAGES, instruction))
    assert describe(ours)["tokens_saved_by_sharing"] > 0
    assert describe(ours)["template_source"] == describe(theirs)["template_source"]
    assert ours.fingerprint != theirs.fingerprint
    ours.close()


def test_a_classifier_of_pairs(tmp_path):
    folder = tiny_models.cross_encoder(tmp_path / "model", intermediate_size=96, **SHAPE)
    theirs = open_reranker(f"cross-encoder:{folder}", Settings(device="cpu"))
    ours = open_reranker(f"vllm:{folder}#memory=0.3", HERE)
    close_to(ours.score(QUERY, PASSAGES), theirs.score(QUERY, PASSAGES))
    ours.close()


def test_a_decoder_with_a_scoring_head_and_a_template_of_the_users_own(tmp_path):
    folder = tiny_models.sequence_classifier(tmp_path / "model")
    (tmp_path / "template").write_text("<Instruct>: {instruction}\n<Query>: {query}\n<Document>: {document}")
    own = {"template": str(tmp_path / "template"), "max_length": 140}
    theirs = open_reranker(f"cross-encoder:{folder}", Settings(device="cpu", **own))
    ours = open_reranker(f"vllm:{folder}#memory=0.3", Settings(dtype="float32", **own))
    close_to(ours.score(QUERY, PASSAGES, "Judge."), theirs.score(QUERY, PASSAGES, "Judge."))
    assert ours.truncated == theirs.truncated > 0
    ours.close()


def test_a_likelihood(tmp_path):
    folder = tiny_models.causal_lm(tmp_path / "model")
    theirs = open_reranker(f"likelihood:{folder}", Settings(device="cpu", max_length=130))
    ours = open_reranker(f"vllm:{folder}#as=likelihood&memory=0.3", Settings(dtype="float32", max_length=130))
    for instruction in (None, "Prefer buildings."):
        close_to(ours.score(QUERY, PASSAGES, instruction), theirs.score(QUERY, PASSAGES, instruction))
    assert ours.truncated == theirs.truncated > 0
    assert ours.name.endswith("#as=likelihood")
    assert len({each.fingerprint for each in (ours, theirs, open_reranker(f"vllm:{folder}", HERE))}) == 3
    ours.close()


def test_a_sorting_chat_model(tmp_path):
    folder = tiny_models.chat_model(tmp_path / "model")
    chats = [LocalChat("listwise", str(folder), Settings(device="cpu"))]
    chats.append(VllmChat("vllm", str(folder), HERE, {"memory": 0.3}))
    asked = [([{"role": "user", "content": f"Who is the head coach of club {n}?"}], 3 + n) for n in range(20)]
    plain, batched = (chat.each(lambda own, chat=chat: chat.ask(*own), asked) for chat in chats)
    assert batched == plain
    assert len(set(plain)) > 1
    assert chats[1].totals == chats[0].totals
    with pytest.raises(FrescoError, match="show it fewer passages"):
        chats[1].ask([{"role": "user", "content": "coach " * 9000}], 3)
    chats[1].close()
    ours = open_reranker(f"vllm:{folder}#as=listwise&window=4&stride=2&memory=0.3", HERE)
    assert ours.describe()["window"] == 4
    with pytest.raises(FrescoError, match="ranked nothing"):  # weights of a dice: asked for all pools, it answers prose
        ours.score_pools([(QUERY, PASSAGES)] * 5)
    assert ours.counts["asked"] == 10
    ours.close()


def test_what_does_not_fit_is_one_line(tmp_path):
    lm = tiny_models.causal_lm(tmp_path / "lm")
    for spec, settings, said in (
        (f"vllm:{lm}", Settings(device="cuda:1"), "takes the GPUs that CUDA_VISIBLE_DEVICES names"),
        (f"vllm:{lm}", Settings(dtype="int8"), "--dtype int8: vllm: does not know it"),
        (f"vllm:{lm}#label=1", Settings(), "label= is no option of a Qwen3ForCausalLM"),
        (f"vllm:{lm}#as=likelihood&window=4", Settings(), "window= is no option of a likelihood"),
        (f"vllm:{lm}#as=prose", Settings(), "option as= wants one of likelihood, listwise"),
        (
            f"vllm:{tiny_models.cross_encoder(tmp_path / 'pairs')}#as=listwise",
            Settings(),
            "as=listwise wants a language model",
        ),
        (f"vllm:{lm}#memory=2", Settings(), "option memory= wants a share"),
        (f"vllm:{tiny_models.masked_lm(tmp_path / 'mlm')}", Settings(), "neither a classifier nor a plain language"),
        (
            f"vllm:{tiny_models.sequence_classifier(tmp_path / 'chat', chat_template=tiny_models.CHAT_TEMPLATE)}",
            Settings(),
            "laid out by sentence-transformers",
        ),
    ):
        with pytest.raises(FrescoError, match=said):
            open_reranker(spec, settings)
    with pytest.raises(FrescoError, match=r"--max-length 5000: .* reads 1 to 1024 tokens"):
        open_reranker(f"vllm:{lm}", Settings(max_length=5000)).score(QUERY, PASSAGES)
