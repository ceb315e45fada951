"""A step of verl's V1 trainer up to the advantages: Ray, TransferQueue, its workers, our buffer; only vLLM is scripted.

In verl's own virtualenv, started by :mod:`tests.ccs.training.test_verl`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("verl", reason="these run in verl's own virtualenv, by tests/ccs/training/test_verl.py")

import numpy as np
import ray
import torch
import transfer_queue as tq
from transformers import AutoTokenizer
from verl.experimental.reward_loop.reward_loop import RewardLoopManager
from verl.trainer.ppo.padding_utils import upsample_batch_to_divisible_size
from verl.trainer.ppo.utils import create_rl_dataset
from verl.trainer.ppo.v1 import AgentLoopManagerTQ
from verl.trainer.ppo.v1.trainer_base import PPOTrainer
from verl.utils import tensordict_utils as tu
from verl.utils.dataset.rl_dataset import collate_fn

from ccs.agent.question import Question
from ccs.training.verl.data import to_rows, write_parquet
from ccs.training.verl.sampler import WatchedReplayBuffer
from ccs.training.verl.settings import RECORD
from fresco.errors import FrescoError
from tests.ccs.training.test_verl_inside import ANSWER, NILE, SEARCH, Engine, base, configure, model, retriever

__all__ = ["base", "configure", "model", "retriever"]  # fixtures
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
SHAKY = Question("q2", "Who leads the club?", ("Lake Tana",), dataset="toy")
DOWN = Question("q3", "What is the tallest tower?", ("Burj",), dataset="toy")
GROUP = 4


class Group(Engine):
    """Sessions of a question differ: NILE answers rightly every other time; SHAKY loses one of four to the retriever,
    DOWN all but one."""

    def __init__(self, folder: Path) -> None:
        super().__init__(None, self._say)
        self._folder = folder
        self._sessions: dict[str, list[str]] = {}

    async def generate(self, request_id: str, **options: Any) -> Any:
        self.tokenizer = self.tokenizer or AutoTokenizer.from_pretrained(self._folder)
        return await super().generate(request_id, **options)

    def _say(self, turn: int, context: str) -> str:
        name = next(each.id for each in (NILE, SHAKY, DOWN) if each.text in context)
        sessions = self._sessions.setdefault(name, [])
        if self.request not in sessions:
            sessions.append(self.request)
        number = sessions.index(self.request)
        if turn:
            return ANSWER if number % 2 else "<answer>Lake Tana</answer>"
        fails = {"q1": (), "q2": (0,), "q3": (0, 1, 2)}[name]
        return SEARCH.replace("source of the Nile", "cursed") if number in fails else SEARCH


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    environment = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ray.init(num_cpus=8, include_dashboard=False, runtime_env={"env_vars": environment}, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.fixture
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "toy.parquet"
    write_parquet(to_rows([NILE, SHAKY, DOWN]), path)
    return path


def test_a_step_up_to_its_advantages(cluster: None, configure: Callable[..., Any], model: Path, retriever: Any) -> None:
    def fail(handler: Any, _: Any) -> None:
        handler.send(400, {"detail": "no index"})

    # Whatever else is asked in the same request: which searches come together depends on the machine.
    retriever.fault_on = lambda body: fail if "cursed" in body["queries"] else None
    config = configure(
        f"actor_rollout_ref.rollout.n={GROUP}",
        "actor_rollout_ref.rollout.agent.num_workers=1",
        "reward.num_workers=1",
        "ccs.rewards=[{reward: f1}]",
        "transfer_queue.backend.SimpleStorage.num_data_storage_units=1",
        "transfer_queue.enable=true",
        "algorithm.rollout_correction=null",
    )
    tokenizer = AutoTokenizer.from_pretrained(model)
    tq.init(config.transfer_queue)
    try:
        rewards = RewardLoopManager(config)
        manager = AgentLoopManagerTQ.create(
            config=config, llm_client=Group(model), reward_loop_worker_handles=rewards.reward_loop_worker_handles
        )
        rows = create_rl_dataset(config.data.train_files, config.data, tokenizer, None, is_train=True)
        batch = collate_fn(list(rows))
        submit(manager, batch, ["a", "b", "c"], step=1)
        buffer = buffer_of(config)
        sampled, metrics = buffer.sample(1, "train", 3)

        # The 3 and 1 that failed are missing, not zeros; the one left of its group has nothing to be compared with.
        kept = sorted(sampled.keys)
        assert [key.split("_")[0] for key in kept] == ["a"] * 4 + ["b"] * 3
        assert metrics["ccs/failed_rollouts"] == pytest.approx(4 / 12)
        assert metrics["ccs/searches/mean"] == 1.0 and metrics["ccs/malformed_turns/mean"] == 0.0
        assert 0 < metrics["ccs/query_overlap/mean"] < 1 and metrics["ccs/spread_in_groups/mean"] > 0
        assert 0 < metrics["ccs/em/mean"] < 1

        sampled = upsample_batch_to_divisible_size(sampled, 8, tokenizer.eos_token_id)
        assert len(sampled.keys) == 8
        PPOTrainer._compute_advantage(SimpleNamespace(config=config), sampled, {})
        read = tq.kv_batch_get(
            keys=kept, partition_id="train", select_fields=["advantages", "response_mask", "rm_scores", "extra_fields"]
        )
        scores = torch.tensor([row.sum() for row in read["rm_scores"]])
        assert all(RECORD in getattr(each, "data", each) for each in read["extra_fields"])
        found = list(zip(kept, read["advantages"], read["response_mask"], scores, strict=True))
        for name in ("a", "b"):
            group = [row for row in found if row[0].startswith(name)]
            earned = torch.stack([row[3] for row in group])
            assert earned.std() > 0
            expected = (earned - earned.mean()) / (earned.std() + 1e-6)
            for (_, advantages, mask, _), value in zip(group, expected, strict=True):
                assert torch.allclose(advantages[mask == 1], value, atol=1e-5)
                assert (advantages[mask == 0] == 0).all() and (mask == 0).any()

        # The same again with a retriever that is down for good: a clear line, not an empty step.
        retriever.fault_on = lambda _: fail
        tq.kv_clear(keys=sampled.keys, partition_id="train")
        submit(manager, batch, ["d", "e", "f"], step=2)
        with pytest.raises(FrescoError, match="step 2: all rollouts of 3 questions failed"):
            buffer.sample(2, "train", 3)
    finally:
        tq.close()


def submit(manager: Any, batch: dict[str, Any], uids: list[str], step: int) -> None:
    """As the trainer does with a batch of its dataloader."""
    prompts = tu.get_tensordict(batch | {"uid": np.array(uids, dtype=object)})
    tu.assign_non_tensor_data(prompts, "global_steps", step)
    tags = [{"is_prompt": True, "status": "pending", "global_steps": step}] * len(uids)
    tq.kv_batch_put(keys=uids, partition_id="train", tags=tags)
    manager.generate_sequences(prompts)


def buffer_of(config: Any) -> WatchedReplayBuffer:
    """As the trainer makes it."""
    stub = SimpleNamespace(config=config, trainer_mode="sync", _add_prompts_to_generate=None)
    made = PPOTrainer._build_replay_buffer(stub)
    assert isinstance(made, WatchedReplayBuffer)
    return made
