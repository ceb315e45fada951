"""What can be set of a training run, a section each; :mod:`ccs.training.config` reads them from YAML."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ccs.agent.environment import Limits

LAYOUTS = ("chat", "plain")
CORRECTIONS = ("none", "token_truncate", "token_mask", "sequence_truncate", "sequence_mask")
LOSSES = ("grpo", "dapo", "dr_grpo", "bnpo")
UNSEEN = "unseen reward"
METRICS = (UNSEEN, "reward", "exact match", "f1", "cover match")


def setting(what: str, default: Any) -> Any:
    """A field with what ``--print-config`` says of it."""
    return field(default=default, metadata={"what": what})


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The policy."""

    path: str = setting("folder or Hugging Face id of the model to train", "")
    revision: str | None = setting("of a Hugging Face id: branch, tag or commit", None)
    dtype: str = setting("of the weights in memory: float32 or bfloat16", "float32")
    attention: str | None = setting("transformers' attn_implementation, such as flash_attention_2", None)
    gradient_checkpointing: bool = setting("less memory, a third more time", False)
    lora_rank: int | None = setting("train a low-rank adapter of this rank (needs peft); nothing: all weights", None)
    lora_alpha: int = setting("its scale, over the rank", 32)
    lora_targets: tuple[str, ...] = setting("names of the layers that get one", ("all-linear",))


@dataclass(frozen=True, slots=True)
class DataConfig:
    """Questions. Their gold answers, where known, are watched and never trained on, but by a reward that says so."""

    train: tuple[str, ...] = setting("JSON Lines files, names (nq@train, hotpotqa@train) or hub datasets", ())
    train_limit: int | None = setting("only the first so many of each", None)
    held_out: tuple[str, ...] = setting("likewise: what checkpoints are compared on; never trained on", ())
    held_out_limit: int | None = setting("only the first so many of each", 200)
    retriever: str = setting("URL of a server of /retrieve, or folder of an index of `ccs index`", "")
    retriever_timeout: float = setting("seconds for one request", 60.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentBudget:
    """What an agent in training may do, whoever trains it: TRL's trainer or verl."""

    turns: int = setting("turns that may search; one more may only answer", 4)
    top_k: int = setting("passages that a search returns", 3)
    turn_tokens: int = setting("tokens of one turn of the model", 500)
    observation_characters: int = setting("of the passages of one search", 2400)

    def limits(self) -> Limits:
        """The environment's budget; tokens are cut by the trainer, which knows its model's lengths."""
        return Limits(
            turns=self.turns, top_k=self.top_k, tokens=None, observation_characters=self.observation_characters
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig(AgentBudget):
    """The agent, as in ``ccs rollout``."""

    prompt: str | None = setting("file of another prompt, with {question} in it", None)
    layout: str = setting("chat: the prompt is a user's message in the model's template; plain: text", "chat")
    context_tokens: int = setting("tokens of prompt, turns and observations together; what is longer is cut", 4096)


@dataclass(frozen=True, slots=True)
class GenerationConfig:
    """What generates the rollouts, and how it gets the new weights."""

    engine: str = setting(
        "transformers: the trainer itself; vllm-server: a plain vLLM server, weights through a shared folder; "
        "vllm-nccl: the same, weights by NCCL; vllm-colocate: vLLM in the trainer's process",
        "transformers",
    )
    server: str | None = setting("URL of the server", None)
    folder: str | None = setting("of vllm-server: where weights pass, seen by both; nothing: inside the output", None)
    served_folder: str | None = setting("of vllm-server: the same folder by the server's path, if another", None)
    temperature: float = setting("of sampling; also divides the trainer's logits", 1.0)
    batch: int = setting("of transformers: rollouts that are generated at once", 64)
    concurrency: int = setting("of vllm-server: requests at once", 64)
    timeout: float = setting("seconds for one request", 600.0)
    patience: float = setting("seconds that a server may be away before training stops", 1800.0)
    memory: float = setting("of vllm-colocate: share of a device's memory that vLLM takes", 0.3)
    tensor_parallel: int = setting("of vllm-colocate: devices that share one copy of vLLM's weights", 1)
    sleep: bool = setting("of vllm-colocate: vLLM gives its memory to the update, and takes it back after it", False)
    correction: str = setting(
        "how the loss is corrected for what vLLM samples otherwise than the trainer: none, or TRL's token_truncate, "
        "token_mask, sequence_truncate, sequence_mask",
        "sequence_mask",
    )
    tolerance: float | None = setting("largest difference of log-probabilities; nothing: 1e-3; 0.3 in bfloat16", None)


@dataclass(frozen=True, slots=True)
class OptimizationConfig:
    """GRPO. Defaults: Search-R1's recipe (arXiv 2503.09516), where the paper on CCS says nothing."""

    steps: int = setting("updates of the policy", 300)
    questions_per_step: int = setting("distinct questions of one update", 512)
    group: int = setting("rollouts of each question", 5)
    micro_batch: int = setting("rollouts in one forward and backward pass of a process", 1)
    learning_rate: float = setting("after warm-up, constant", 1e-6)
    warmup: float = setting("share of the steps over which the learning rate rises", 0.285)
    kl: float = setting("weight of the divergence from the first policy; 0 keeps no copy of it", 0.001)
    loss: str = setting("grpo, dapo, dr_grpo or bnpo, as TRL names them", "grpo")
    clip: float = setting("the ratio of new to old probability is clipped at 1 plus and minus this", 0.2)
    max_gradient: float = setting("norm to which gradients are cut", 1.0)
    normalize: bool = setting("divide advantages by the group's standard deviation", True)
    bf16: bool = setting("compute in bfloat16", False)
    seed: int = setting("of the order of questions and of the sampling", 0)


@dataclass(frozen=True, slots=True)
class KeepConfig:
    """Checkpoints, held-out evaluation, and when to stop."""

    save_every: int = setting("steps between checkpoints that training can go on from", 10)
    save_minutes: float = setting("and after so many minutes since the last; 0: by steps alone", 0.0)
    checkpoints: int = setting("how many of them are kept", 2)
    merged: bool = setting("of an adapter (model.lora_rank): best/ and final/ are whole models", False)
    evaluate_every: int = setting("steps between evaluations on the held-out questions", 25)
    metric: str = setting(
        "what best/ and early stopping go by: unseen reward, which the policy was not trained on; reward, which it "
        "was; or exact match, f1, cover match, which read gold answers of the held-out questions, and the card says so",
        UNSEEN,
    )
    unseen: Any = field(
        default=None,
        metadata={
            "what": "keys of `ccs reward --print-config`: the unseen reward; nothing: evidence, or where that is "
            "trained on the question's words in the pages found"
        },
    )
    collapse: float = setting("stop when the metric falls by this share of its best, twice in a row; 0: never", 0.5)
    dead: int = setting("stop after this many steps in a row in which no group's rewards differ; 0: never", 20)
    preflight: int = setting("training questions that are tried before the first step; 0: none", 16)
    audited: int = setting(
        "held-out questions, with four rollouts of each, by which the final policy's reward is audited; 0: none", 50
    )
    most_flat: float = setting("share of the preflight's groups that may be without any difference in reward", 0.9)
    report_to: tuple[str, ...] = setting("TRL's report backends: tensorboard, wandb, trackio", ())


@dataclass(frozen=True, slots=True)
class DemoConfig:
    """A small world of made-up facts, and a model under a million parameters that is warmed up on poor traces."""

    people: int = setting("of the made-up world; each has three facts", 220)
    held_out: int = setting("of them whose questions are never trained on", 60)
    warm_up_steps: int = setting(
        "supervised, on poor traces; four fifths as many teach the reader of demo-reconstruction", 500
    )
    seed: int = setting("of the world and the first weights", 0)
