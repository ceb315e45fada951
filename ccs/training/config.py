"""One file that says how a search agent is trained: YAML, every key optional but data and model, unknown keys refused.

Paths are relative to the file where they are found there, else to the current folder.
``ccs train --print-config`` writes every key with what it means and its default; the presets are such files.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from ccs.agent.environment import Limits
from ccs.rewards.config import RewardConfig, anchored, parse_config
from ccs.training.registry import ENGINES
from fresco.errors import FrescoError
from fresco.io.config_file import beside, beside_in_spec, fill, load_yaml, read_yaml
from fresco.io.secrets import redacted

PRESETS = Path(__file__).parent / "presets"
LAYOUTS = ("chat", "plain")
LOSSES = ("grpo", "dapo", "dr_grpo", "bnpo")
UNSEEN = "unseen reward"
METRICS = (UNSEEN, "reward", "exact match", "f1", "cover match")


def _key(what: str, default: Any) -> Any:
    """A field with what ``--print-config`` says of it."""
    return field(default=default, metadata={"what": what})


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The policy."""

    path: str = _key("folder or Hugging Face id of the model to train", "")
    revision: str | None = _key("of a Hugging Face id: branch, tag or commit", None)
    dtype: str = _key("of the weights in memory: float32 or bfloat16", "float32")
    attention: str | None = _key("transformers' attn_implementation, such as flash_attention_2", None)
    gradient_checkpointing: bool = _key("less memory, a third more time", False)
    lora_rank: int | None = _key("train a low-rank adapter of this rank (needs peft); nothing: all weights", None)
    lora_alpha: int = _key("its scale, over the rank", 32)
    lora_targets: tuple[str, ...] = _key("names of the layers that get one", ("all-linear",))


@dataclass(frozen=True, slots=True)
class DataConfig:
    """Questions. Their gold answers, where known, are watched and never trained on, but by a reward that says so."""

    train: tuple[str, ...] = _key("JSON Lines files, names (nq@train, hotpotqa@train) or hub datasets", ())
    train_limit: int | None = _key("only the first so many of each", None)
    held_out: tuple[str, ...] = _key("likewise: what checkpoints are compared on; never trained on", ())
    held_out_limit: int | None = _key("only the first so many of each", 200)
    retriever: str = _key("URL of a server of /retrieve, or folder of an index of `ccs index`", "")
    retriever_timeout: float = _key("seconds for one request", 60.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentBudget:
    """What an agent in training may do, whoever trains it: TRL's trainer or verl."""

    turns: int = _key("turns that may search; one more may only answer", 4)
    top_k: int = _key("passages that a search returns", 3)
    turn_tokens: int = _key("tokens of one turn of the model", 500)
    observation_characters: int = _key("of the passages of one search", 2400)

    def limits(self) -> Limits:
        """The environment's budget; tokens are cut by the trainer, which knows its model's lengths."""
        return Limits(
            turns=self.turns, top_k=self.top_k, tokens=None, observation_characters=self.observation_characters
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig(AgentBudget):
    """The agent, as in ``ccs rollout``."""

    prompt: str | None = _key("file of another prompt, with {question} in it", None)
    layout: str = _key("chat: the prompt is a user's message in the model's template; plain: text", "chat")
    context_tokens: int = _key("tokens of prompt, turns and observations together; what is longer is cut", 4096)


@dataclass(frozen=True, slots=True)
class GenerationConfig:
    """What generates the rollouts, and how it gets the new weights."""

    engine: str = _key(
        "transformers: the trainer itself; vllm-server: a plain vLLM server, weights through a shared folder; "
        "trl-vllm-serve: a server of `trl vllm-serve`, weights by NCCL; vllm-colocate: vLLM in the trainer's process",
        "transformers",
    )
    server: str | None = _key("URL of the server", None)
    folder: str | None = _key("of vllm-server: where weights pass, seen by both; nothing: inside the output", None)
    served_folder: str | None = _key("of vllm-server: the same folder as the server sees it, if by another path", None)
    temperature: float = _key("of sampling; also divides the trainer's logits", 1.0)
    batch: int = _key("of transformers: rollouts that are generated at once", 64)
    concurrency: int = _key("of vllm-server: requests at once", 64)
    timeout: float = _key("seconds for one request", 600.0)
    patience: float = _key("seconds that a server may be away before training stops", 1800.0)
    tolerance: float | None = _key("largest difference of log-probabilities; nothing: 1e-3, or 0.15 in bfloat16", None)


@dataclass(frozen=True, slots=True)
class OptimizationConfig:
    """GRPO. Defaults: Search-R1's recipe (arXiv 2503.09516), where the paper on CCS says nothing."""

    steps: int = _key("updates of the policy", 300)
    questions_per_step: int = _key("distinct questions of one update", 512)
    group: int = _key("rollouts of each question", 5)
    micro_batch: int = _key("rollouts in one forward and backward pass of a process", 1)
    learning_rate: float = _key("after warm-up, constant", 1e-6)
    warmup: float = _key("share of the steps over which the learning rate rises", 0.285)
    kl: float = _key("weight of the divergence from the first policy; 0 keeps no copy of it", 0.001)
    loss: str = _key("grpo, dapo, dr_grpo or bnpo, as TRL names them", "grpo")
    clip: float = _key("the ratio of new to old probability is clipped at 1 plus and minus this", 0.2)
    max_gradient: float = _key("norm to which gradients are cut", 1.0)
    normalize: bool = _key("divide advantages by the group's standard deviation", True)
    bf16: bool = _key("compute in bfloat16", False)
    seed: int = _key("of the order of questions and of the sampling", 0)


@dataclass(frozen=True, slots=True)
class KeepConfig:
    """Checkpoints, held-out evaluation, and when to stop."""

    save_every: int = _key("steps between checkpoints that training can go on from", 10)
    checkpoints: int = _key("how many of them are kept", 2)
    evaluate_every: int = _key("steps between evaluations on the held-out questions", 25)
    metric: str = _key(
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
    collapse: float = _key("stop when the metric falls by this share of its best value, twice in a row; 0: never", 0.5)
    dead: int = _key("stop after this many steps in a row in which no group's rewards differ; 0: never", 20)
    preflight: int = _key("training questions that are tried before the first step; 0: none", 16)
    most_flat: float = _key("share of the preflight's groups that may be without any difference in reward", 0.9)
    report_to: tuple[str, ...] = _key("TRL's report backends: tensorboard, wandb, trackio", ())


@dataclass(frozen=True, slots=True)
class DemoConfig:
    """A small world of made-up facts, and a model under a million parameters that is warmed up on poor traces."""

    people: int = _key("of the made-up world; each has three facts", 220)
    held_out: int = _key("of them whose questions are never trained on", 60)
    warm_up_steps: int = _key("supervised, on poor traces", 500)
    seed: int = _key("of the world and the first weights", 0)


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Everything that decides a training run."""

    model: ModelConfig = field(default_factory=ModelConfig, metadata={"what": "the policy"})
    data: DataConfig = field(default_factory=DataConfig, metadata={"what": "questions and where to search"})
    agent: AgentConfig = field(default_factory=AgentConfig, metadata={"what": "the agent, as in `ccs rollout`"})
    rewards: tuple[Any, ...] = _key(
        "a list; each has the keys of `ccs reward --print-config` and a weight; their weighted sum is the reward",
        ({"weight": 1.0, "reward": "cycle"},),
    )
    reward_timeout: float = _key("seconds for the rewards of one step, after its last rollout", 900.0)
    generation: GenerationConfig = field(
        default_factory=GenerationConfig, metadata={"what": "what generates the rollouts"}
    )
    optimization: OptimizationConfig = field(default_factory=OptimizationConfig, metadata={"what": "GRPO"})
    keep: KeepConfig = field(default_factory=KeepConfig, metadata={"what": "checkpoints and held-out evaluation"})
    demo: DemoConfig | None = field(
        default=None, metadata={"what": "make the demo's world and model, in place of data and model"}
    )

    @property
    def reward_terms(self) -> list[tuple[float, RewardConfig]]:
        """Weight and configuration of each reward."""
        return [_term(each, "rewards", number) for number, each in enumerate(self.rewards)]

    @property
    def fingerprint_fields(self) -> dict[str, Any]:
        """What must not change between a start and going on; where servers are, and how long to wait, may."""
        content = asdict(self)
        for section, free in _FREE.items():
            for name in free:
                content[section].pop(name)
        content.pop("reward_timeout")
        content["optimization"].pop("steps")
        return content


_FREE: Mapping[str, Sequence[str]] = {
    "data": ("retriever", "retriever_timeout"),
    "generation": ("server", "folder", "served_folder", "batch", "concurrency", "timeout", "patience", "tolerance"),
    "keep": ("save_every", "checkpoints", "report_to", "collapse", "dead", "preflight", "most_flat"),
}


def read_train_config(spec: str, changes: Sequence[str] = ()) -> TrainConfig:
    """A configuration.

    Args:
        spec: A file, or the name of a preset.
        changes: ``section.key=value``, values as YAML; they go before the file.

    Raises:
        FrescoError: no such file or preset, an unknown key, a value that is not allowed.
    """
    path = Path(spec)
    if not path.is_file():
        path = PRESETS / f"{spec}.yaml"
        if not path.is_file():
            raise FrescoError(f"--config {spec}: no such file, nor a preset; presets are {', '.join(presets())}")
    return _read(_anchored(read_yaml(path), path.parent), spec, changes)


def _anchored(content: Any, folder: Path) -> Any:
    """The content with its paths relative to the folder of the file, where they are found there."""
    if not isinstance(content, dict):
        return content
    found = dict(content)
    for section, key in (("model", "path"), ("agent", "prompt"), ("data", "retriever")):
        inner = found.get(section)
        if isinstance(inner, dict) and isinstance(inner.get(key), str):
            found[section] = {**inner, key: beside_in_spec(folder, inner[key])}
    for key in ("train", "held_out"):
        inner = found.get("data")
        if isinstance(inner, dict) and isinstance(inner.get(key), list):
            names = [beside(folder, each) if isinstance(each, str) else each for each in inner[key]]
            found["data"] = {**inner, key: names}
    keep = found.get("keep")
    if isinstance(keep, dict) and keep.get("unseen") is not None:
        found["keep"] = {**keep, "unseen": anchored(keep["unseen"], folder)}
    if isinstance(found.get("rewards"), list):
        found["rewards"] = [anchored(each, folder) for each in found["rewards"]]
    return found


def _read(content: Any, where: str, changes: Sequence[str]) -> TrainConfig:
    for change in changes:
        _apply(content, change)
    _check_rewards(content, where)
    config: TrainConfig = fill(TrainConfig, content, where)
    _check(config, where)
    return config


def as_train_config(value: Any, changes: Sequence[str] = ()) -> TrainConfig:
    """A configuration from what a caller has: one, a mapping, a file or the name of a preset.

    Raises:
        FrescoError: as :func:`read_train_config`, or changes to a configuration that is made already.
    """
    if isinstance(value, TrainConfig):
        if changes:
            raise FrescoError("changes are for a file, a preset or a mapping; use dataclasses.replace on a TrainConfig")
        return value
    if isinstance(value, str | PathLike):
        return read_train_config(str(value), changes)
    return _read(copy.deepcopy(dict(value)), "the configuration", changes)


def presets() -> list[str]:
    """Names of the shipped configurations."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def dump_train_config(config: TrainConfig) -> str:
    """A configuration as YAML, every key with what it means, addresses without their secrets."""
    return str(redacted("\n".join(_lines(config, "")) + "\n"))


def _lines(section: Any, indent: str) -> Iterator[str]:
    for each in fields(section):
        value = getattr(section, each.name)
        yield f"{indent}# {each.metadata['what']}"
        if is_dataclass(value):
            yield f"{indent}{each.name}:"
            yield from _lines(value, f"{indent}  ")
        else:
            plain = list(value) if isinstance(value, tuple) else value
            yield f"{indent}{each.name}: {json.dumps(plain, ensure_ascii=False)}"  # JSON is YAML


def _check_rewards(content: Any, where: str) -> None:
    """``rewards`` holds mappings of another kind: they are checked here, while the file's name is at hand."""
    if not isinstance(content, Mapping) or "rewards" not in content:
        return
    rewards = content["rewards"]
    if not isinstance(rewards, list) or not rewards:
        raise FrescoError(f"{where}: rewards is {rewards!r:.60}; a list of at least one reward is wanted")
    for number, each in enumerate(rewards):
        _term(each, where, number)


def _term(content: Any, where: str, number: int) -> tuple[float, RewardConfig]:
    place = f"{where}: rewards[{number}]"
    if not isinstance(content, Mapping):
        raise FrescoError(f"{place} is {content!r:.60}; keys with values are wanted")
    weight = content.get("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < float("inf"):
        raise FrescoError(f"{place}.weight is {weight!r:.60}; a number above 0 is wanted")
    return float(weight), parse_config({key: value for key, value in content.items() if key != "weight"}, place)


def _apply(content: Any, change: str) -> None:
    import yaml

    name, mark, text = change.partition("=")
    if not mark or not isinstance(content, dict):
        raise FrescoError(f"--set {change}: section.key=value is wanted")
    *sections, key = name.split(".")
    for section in sections:
        content = content.setdefault(section, {})
        if not isinstance(content, dict):
            raise FrescoError(f"--set {change}: {section} holds no keys")
    try:
        content[key] = load_yaml(text, f"--set {change}")
    except yaml.YAMLError:
        raise FrescoError(f"--set {change}: the value is no YAML") from None


def _check_engine(generation: GenerationConfig, where: str) -> None:
    parts, name = ENGINES.parts(), generation.engine
    if name in parts:
        if parts[name].columns["server"] == "needed" and not generation.server:
            raise FrescoError(f"{where}: generation.engine {name} needs generation.server: URL")
    elif ":" not in name and name.partition(",")[0] not in ENGINES.plug_ins():
        known = ", ".join([*parts, *ENGINES.plug_ins()])
        raise FrescoError(f"{where}: generation.engine is {name!r}; it is one of {known}, or module:Class for your own")


def _check(config: TrainConfig, where: str) -> None:
    model, agent, generation, optimization, keep = (
        config.model,
        config.agent,
        config.generation,
        config.optimization,
        config.keep,
    )
    for path, choice, allowed in (
        ("model.dtype", model.dtype, ("float32", "bfloat16")),
        ("agent.layout", agent.layout, LAYOUTS),
        ("optimization.loss", optimization.loss, LOSSES),
        ("keep.metric", keep.metric, METRICS),
    ):
        if choice not in allowed:
            raise FrescoError(f"{where}: {path} is {choice!r}; it is one of {', '.join(allowed)}")
    for path, number, low, high in (
        ("agent.turn_tokens", agent.turn_tokens, 1, 10**6),
        ("agent.context_tokens", agent.context_tokens, 16, 10**7),
        ("generation.temperature", generation.temperature, 0.01, 10),
        ("generation.batch", generation.batch, 1, 10**5),
        ("generation.concurrency", generation.concurrency, 1, 10**4),
        ("optimization.steps", optimization.steps, 1, 10**7),
        ("optimization.questions_per_step", optimization.questions_per_step, 1, 10**6),
        ("optimization.group", optimization.group, 2, 1024),
        ("optimization.micro_batch", optimization.micro_batch, 1, 10**5),
        ("optimization.learning_rate", optimization.learning_rate, 0, 1),
        ("optimization.warmup", optimization.warmup, 0, 1),
        ("optimization.kl", optimization.kl, 0, 100),
        ("optimization.clip", optimization.clip, 0, 1),
        ("optimization.max_gradient", optimization.max_gradient, 0, 10**6),
        ("keep.save_every", keep.save_every, 1, 10**7),
        ("keep.checkpoints", keep.checkpoints, 1, 10**4),
        ("keep.evaluate_every", keep.evaluate_every, 1, 10**7),
        ("keep.collapse", keep.collapse, 0, 1),
        ("keep.dead", keep.dead, 0, 10**7),
        ("keep.preflight", keep.preflight, 0, 10**5),
        ("keep.most_flat", keep.most_flat, 0, 1),
    ):
        if not low <= number <= high:
            raise FrescoError(f"{where}: {path} is {number}; {low} to {high} is wanted")
    if keep.unseen is not None:
        parse_config(keep.unseen, f"{where}: keep.unseen")
    agent.limits()
    _check_engine(generation, where)
    if config.demo is None:
        for path, value in (
            ("model.path", model.path),
            ("data.train", config.data.train),
            ("data.held_out", config.data.held_out),
            ("data.retriever", config.data.retriever),
        ):
            if not value:
                raise FrescoError(f"{where}: {path} is missing")
