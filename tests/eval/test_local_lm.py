"""The studies' local model: prompts that go on from one another give the numbers of a pass over each alone."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from ccs.agent.trajectory import Hit
from ccs.rewards.bottleneck import Step, Trace
from ccs.rewards.likelihood import BEFORE_QUESTION, Request
from tests import tiny_models

EVAL = Path(__file__).parents[2] / "eval"


@pytest.fixture
def local_lm(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("transformers", reason="pip install 'fresco-ccs[models]'")
    monkeypatch.syspath_prepend(str(EVAL))
    return importlib.import_module("local_lm")


def alone(model, before: str, text: str) -> list[float]:
    """The slow reference: the whole prompt, all positions, no cache."""
    import torch

    tokenizer, network = model._open()
    tail = tokenizer.encode(text, add_special_tokens=False)
    ids = torch.tensor([[*tokenizer.encode(before), *tail]])
    with torch.inference_mode():
        logprobs = torch.log_softmax(network(input_ids=ids).logits.float()[0], dim=-1)
    at = ids.shape[1] - len(tail)
    return [float(logprobs[at + place - 1, token]) for place, token in enumerate(tail)]


def test_what_prompts_share_is_read_once_and_changes_nothing(local_lm, tmp_path):
    folder = tiny_models.causal_lm(tmp_path / "lm", max_position_embeddings=2048)
    cache = tmp_path / "numbers.sqlite"
    model = local_lm.LocalLM(str(folder), "tiny", dtype="float32", cache=cache, minutes=5)
    pages = [Hit(str(n), f"The club number {n} was founded by workers of the railway.") for n in range(6)]
    traces = [Trace(tuple(Step("[QUERY]", (hit,)) for hit in pages[:n])) for n in (1, 2, 6)]
    requests = [Request(BEFORE_QUESTION, trace, "Who founded the club?") for trace in (*traces, Trace(()))]
    requests += [Request(BEFORE_QUESTION + "Who founded the club?\n", trace, "the company") for trace in traces]
    found = local_lm.LocalScorer(model).score(requests * 2, 2400)
    for each in requests:
        expected = alone(model, local_lm.prompt(each, 2400), each.text)
        assert found[each] == (pytest.approx(sum(expected) / len(expected), abs=1e-4), len(expected))
    assert model.shared > model.read  # less than half of the tokens are computed
    assert len({round(mean, 6) for mean, _ in found.values()}) == len(requests)
    # What is kept is not computed again, and a run without minutes computes nothing.
    late = local_lm.LocalLM("./nowhere", "tiny", dtype="float32", cache=cache, minutes=-1)
    assert local_lm.LocalScorer(late).score(requests, 2400) == found and late.read == 0
    with pytest.raises(local_lm.OutOfTimeError):
        late.logprobs([("something new", "text")])


def test_a_line_is_what_generating_greedily_gives_and_a_rehearsal_computes_nothing(local_lm, tmp_path):
    import torch

    folder = tiny_models.causal_lm(tmp_path / "lm", max_position_embeddings=2048)
    model = local_lm.LocalLM(str(folder), "tiny", dtype="float32", cache=tmp_path / "numbers.sqlite", minutes=5)
    prompts = [f"The club number {n} was founded by" for n in (1, 2)]
    with model.rehearse() as tokens:
        assert model.line(prompts[0], chat=False) == "unknown"
        assert model.logprobs([(prompts[0], " workers"), (prompts[0], " owners")] * 2) == [[0.0]] * 4
        shared, alone_ = len(prompts[0]), len(" workers") + len(" owners")
        assert tokens() == pytest.approx((shared + alone_) / 4, abs=1)  # what they share counts once
    assert model.read == 0
    tokenizer, network = model._open()
    for prompt in prompts:
        ids = torch.tensor([tokenizer.encode(prompt)])
        made = network.generate(ids, max_new_tokens=12, do_sample=False, pad_token_id=0)[0, ids.shape[1] :]
        expected = str(tokenizer.decode(made, skip_special_tokens=True)).lstrip().split("\n")[0].strip()
        assert model.line(prompt, chat=False, tokens=12) == expected
    assert model.shared > 0
