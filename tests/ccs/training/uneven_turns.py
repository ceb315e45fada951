"""Three processes: rollouts of unlike length over TRL's own ``VLLMGeneration``, with a scripted vLLM.

Only vLLM is scripted here (it is not in this virtualenv); processes, collectives and TRL's side are the real ones.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from accelerate import Accelerator, PartialState
from trl.generation import vllm_generation

from ccs.agent.question import Question
from ccs.training.demo.model import PROMPT, make_model, make_tokenizer
from ccs.training.engines import TrlVllmEngine
from ccs.training.rollout import BatchedRollouts
from ccs.training.run import leave
from ccs.training.settings import AgentConfig, GenerationConfig
from tests.ccs.training.launch import fork
from tests.ccs.training.worlds import small_world

#: Of the work: searches of each rollout of each process.
DIVISIONS = ([[0], [3, 1, 2], [2]], [[3, 0, 3], [1], []], [[], [2, 2], [0]], [[0, 0], [], [3]])
ANSWER = "<answer> plum bread and a good deal more</answer>"


class Client:
    """vLLM's server, as TRL's client shows it: a question of ``after N`` searches N times, and then answers."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.calls: list[tuple[int, int]] = []

    def init_communicator(self, **_: Any) -> None: ...

    def reset_prefix_cache(self) -> None: ...

    def update_named_params(self, _: Any, parameters: Any) -> None:
        assert len(list(parameters)) > 3

    def generate(self, prompts: list[list[int]], max_tokens: int, **_: Any) -> dict[str, Any]:
        self.calls.append((len(prompts), max_tokens))
        ids = [self.reply(prompt)[:max_tokens] for prompt in prompts]
        return {"prompt_ids": prompts, "completion_ids": ids, "logprobs": [[[-1.0] for _ in each] for each in ids]}

    def reply(self, prompt: list[int]) -> list[int]:
        text = self.tokenizer.decode(prompt)
        wanted = re.search(r"after (\d)", text)
        text = ANSWER if not wanted or text.count("plum</search>") >= int(wanted[1]) else "<search> plum</search>"
        return list(self.tokenizer.encode(text, add_special_tokens=False))


class Llm:
    """vLLM in the process, as TRL calls it."""

    def __init__(self, client: Client) -> None:
        self.client = client
        runner = SimpleNamespace(model=SimpleNamespace(load_weights=lambda _: None))
        worker = SimpleNamespace(model_runner=runner)
        self.llm_engine = SimpleNamespace(model_executor=SimpleNamespace(driver_worker=worker))

    def reset_prefix_cache(self) -> None: ...

    def generate(self, prompts: Any, sampling_params: Any, use_tqdm: bool) -> list[Any]:
        made = self.client.generate([each["prompt_token_ids"] for each in prompts], sampling_params.max_tokens)
        rows = []
        for prompt, ids in zip(made["prompt_ids"], made["completion_ids"], strict=True):
            logprobs = [{token: SimpleNamespace(logprob=-1.0, rank=1)} for token in ids]
            output = SimpleNamespace(token_ids=ids, logprobs=logprobs)
            rows.append(SimpleNamespace(prompt_token_ids=prompt, outputs=[output]))
        return rows


def main(folder: Path) -> None:
    """For each mode and division of the work: what each process rolled out."""
    accelerator = Accelerator(cpu=True)
    rank = accelerator.process_index
    world, index = small_world(folder / f"world-{rank}")
    tokenizer = make_tokenizer(world)
    model = make_model(tokenizer, 0)
    found: dict[str, Any] = {"size": PartialState().num_processes, "backend": torch.distributed.get_backend()}
    for mode in ("server", "colocate"):
        client = Client(tokenizer)
        with (
            mock.patch.object(vllm_generation, "is_vllm_available", lambda *_: True),
            mock.patch.object(vllm_generation, "VLLMClient", lambda client=client, **_: client),
            mock.patch.object(vllm_generation, "LLM", lambda client=client, **_: Llm(client), create=True),
            mock.patch.object(vllm_generation, "SamplingParams", SimpleNamespace, create=True),
        ):
            vllm = vllm_generation.VLLMGeneration(model, accelerator, tokenizer, mode=mode)
            trainer = SimpleNamespace(
                accelerator=accelerator,
                model=model,
                model_wrapped=model,
                state=SimpleNamespace(global_step=0),
                vllm_generation=vllm,
                _last_loaded_step=-1,
            )
            config = GenerationConfig(engine="vllm-colocate", tolerance=1e9)  # scripted, so no model's probabilities
            engine = TrlVllmEngine(tokenizer, config, tokenizer.encode("plum bread"))
            agent = AgentConfig(layout="plain", turns=4, top_k=1, turn_tokens=40, context_tokens=900)
            rolling = BatchedRollouts(engine, index, tokenizer, agent, template=PROMPT)
            engine.prepare(trainer)
            for division in DIVISIONS:
                tasks = [(Question(f"{n}", f"after {n}"), 0) for n in division[rank]]
                rollouts = rolling.roll(tasks)
                rows = [(len(each.trajectory.searches), each.trajectory.answer) for each in rollouts]
                found.setdefault(mode, []).append(rows)
        found[f"{mode} calls"] = client.calls
    (folder / f"rank-{rank}.json").write_text(json.dumps({**found, "WORLD_SIZE": os.environ["WORLD_SIZE"]}))
    leave()


if __name__ == "__main__":
    assert fork(3, main, Path(sys.argv[1]))
