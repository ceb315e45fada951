"""What is asked of a served policy, and what is believed of its answers, over a scripted server with a real model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs torch: pip install -e '.[test]'")

import torch

from ccs.agent.protocol import TURN_ENDS
from ccs.training.agreement import TOLERANCES, allowed, largest_difference
from ccs.training.config import read_train_config
from ccs.training.demo.model import make_model, make_tokenizer
from ccs.training.demo.world import make_world
from ccs.training.engines import SERVED_BY_NCCL, UNBENT, VllmServerEngine
from ccs.training.registry import ENGINES
from ccs.training.settings import GenerationConfig
from ccs.training.sync import FolderSync
from ccs.training.trainer import longest_wait
from fresco.errors import FrescoError
from tests.servers import chat_api

Script = Callable[[dict[str, Any]], dict[str, Any]]
TEMPERATURE = 0.6


@pytest.fixture(scope="module")
def policy() -> tuple[Any, Any]:
    tokenizer = make_tokenizer(make_world(4, 1, 0))
    return make_model(tokenizer, 0).eval(), tokenizer


def vllm(model: Any, tokenizer: Any, *, processed: bool) -> Script:
    """A vLLM of this model, as it answers ``/completions``: tokens sampled at a temperature, their log-probabilities
    at the same one (``processed_logprobs``) or as the model has them."""

    def answer(body: dict[str, Any]) -> dict[str, Any]:
        ids, drawn, logprobs = list(body["prompt"]), [], []
        generator = torch.Generator().manual_seed(body["seed"])
        for _ in range(min(body["max_tokens"], 16)):
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([ids])).logits[0, -1]
            bent = (logits / body["temperature"]).log_softmax(-1)
            token = int(torch.multinomial(bent.exp(), 1, generator=generator))
            drawn.append(token)
            logprobs.append(float((bent if processed else logits.log_softmax(-1))[token]))
            ids.append(token)
        choice = {"index": 0, "text": tokenizer.decode(drawn), "finish_reason": "length", "token_ids": drawn}
        return {"choices": [choice | {"logprobs": {"token_logprobs": logprobs}}]}

    return answer


def test_every_request_names_what_a_models_own_settings_would_bend(policy: tuple[Any, Any]) -> None:
    """Qwen2.5 comes with top_p .8, top_k 20 and a repetition penalty; a server takes them where nothing is sent."""
    model, tokenizer = policy
    with chat_api.serve(vllm(model, tokenizer, processed=True)) as api:
        engine = VllmServerEngine(tokenizer, GenerationConfig(server=f"{api.url}#tiny/chat", temperature=TEMPERATURE))

        async def ask() -> None:
            async with engine.connected():
                for greedy in (False, True):
                    await engine.turn(tokenizer.encode("plum"), 3, 5, greedy=greedy)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(api, "script", lambda body: vllm(model, tokenizer, processed=True)(body | {"temperature": 1}))
            asyncio.run(ask())
        engine.client.close()
    sampled, greedy = api.bodies()
    neutral = {"top_p": 1, "top_k": 0, "min_p": 0, "repetition_penalty": 1, "presence_penalty": 0}
    neutral["frequency_penalty"] = 0
    assert neutral == UNBENT
    for body, temperature in ((sampled, TEMPERATURE), (greedy, 0.0)):
        assert {name: body[name] for name in neutral} == neutral
        assert (body["temperature"], body["seed"], body["max_tokens"]) == (temperature, 5, 3)
        assert body["stop"] == list(TURN_ENDS)


@pytest.mark.parametrize("processed", [True, False])
def test_the_probe_is_sampled_at_the_training_temperature(
    policy: tuple[Any, Any], tmp_path: Any, processed: bool
) -> None:
    model, tokenizer = policy
    trainer = SimpleNamespace(model=model, accelerator=SimpleNamespace(device="cpu"))
    with chat_api.serve(vllm(model, tokenizer, processed=processed)) as api:
        config = GenerationConfig(server=f"{api.url}#tiny/chat", temperature=TEMPERATURE)
        sync = FolderSync(config, tmp_path, tokenizer.encode("plum bread soup"))
        try:
            if processed:
                sync._compare_sampled(trainer)
            else:
                with pytest.raises(FrescoError, match="start vLLM with --logprobs-mode processed_logprobs"):
                    sync._compare_sampled(trainer)
        finally:
            sync.close()
    [body] = api.bodies()
    assert body["temperature"] == TEMPERATURE
    assert {name: body[name] for name in UNBENT} == UNBENT


def test_both_names_of_the_served_engine_are_one() -> None:
    assert set(SERVED_BY_NCCL) <= set(ENGINES.parts())
    assert SERVED_BY_NCCL[0] == "vllm-nccl"
    assert {ENGINES.parts()[name].columns["server"] for name in SERVED_BY_NCCL} == {"needed"}


def test_processes_wait_longer_for_each_other_than_any_server_or_reward_may_take() -> None:
    config = read_train_config("demo", ["reward_timeout=4000", "generation.patience=5000"])
    assert longest_wait(config) > 9000
    assert isinstance(longest_wait(config), int)  # whole seconds, as torch wants them


def test_what_bfloat16_rounds_is_no_other_weights_and_a_head_that_stayed_is() -> None:
    """Figures of SmolLM2 135M, which an engine in bfloat16 could not have passed within the tolerance alone."""
    unchanged, changed, engine = [-8.1, -2.0, -0.3], [-60.5, -1.2, -14.0], [-59.9, -1.2, -14.1]
    most = allowed(TOLERANCES["bfloat16"], changed, unchanged)
    assert TOLERANCES["bfloat16"] < largest_difference(changed, engine) < most < largest_difference(changed, unchanged)
    assert allowed(1e-3, changed, changed) == 1e-3
