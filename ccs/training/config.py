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

from ccs.rewards.config import RewardConfig, anchored, parse_config
from ccs.training.registry import ENGINES
from ccs.training.settings import (
    CORRECTIONS,
    LAYOUTS,
    LOSSES,
    METRICS,
    AgentConfig,
    DataConfig,
    DemoConfig,
    GenerationConfig,
    KeepConfig,
    ModelConfig,
    OptimizationConfig,
    setting,
)
from fresco.errors import FrescoError
from fresco.io.config_file import beside, beside_in_spec, fill, load_yaml, read_yaml
from fresco.io.secrets import redacted

PRESETS = Path(__file__).parent / "presets"


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Everything that decides a training run."""

    model: ModelConfig = field(default_factory=ModelConfig, metadata={"what": "the policy"})
    data: DataConfig = field(default_factory=DataConfig, metadata={"what": "questions and where to search"})
    agent: AgentConfig = field(default_factory=AgentConfig, metadata={"what": "the agent, as in `ccs rollout`"})
    rewards: tuple[Any, ...] = setting(
        "a list; each has the keys of `ccs reward --print-config` and a weight; their weighted sum is the reward",
        ({"weight": 1.0, "reward": "cycle"},),
    )
    reward_timeout: float = setting("seconds for the rewards of one step, after its last rollout", 900.0)
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
    "generation": (
        "server",
        "folder",
        "served_folder",
        "batch",
        "concurrency",
        "timeout",
        "patience",
        "tolerance",
        "memory",
        "tensor_parallel",
        "sleep",
    ),
    "keep": (
        "save_every",
        "save_minutes",
        "checkpoints",
        "merged",
        "report_to",
        "collapse",
        "dead",
        "preflight",
        "audited",
        "most_flat",
    ),
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
        ("generation.correction", generation.correction, CORRECTIONS),
        ("keep.metric", keep.metric, METRICS),
    ):
        if choice not in allowed:
            raise FrescoError(f"{where}: {path} is {choice!r}; it is one of {', '.join(allowed)}")
    for path, number, low, high in (
        ("agent.turn_tokens", agent.turn_tokens, 1, 10**6),
        ("agent.context_tokens", agent.context_tokens, 16, 10**7),
        ("generation.temperature", generation.temperature, 0.01, 10),
        ("generation.batch", generation.batch, 1, 10**5),
        ("generation.memory", generation.memory, 0.01, 1),
        ("generation.tensor_parallel", generation.tensor_parallel, 1, 1024),
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
        ("keep.save_minutes", keep.save_minutes, 0, 10**6),
        ("keep.checkpoints", keep.checkpoints, 1, 10**4),
        ("keep.evaluate_every", keep.evaluate_every, 1, 10**7),
        ("keep.collapse", keep.collapse, 0, 1),
        ("keep.dead", keep.dead, 0, 10**7),
        ("keep.preflight", keep.preflight, 0, 10**5),
        ("keep.audited", keep.audited, 0, 10**6),
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
