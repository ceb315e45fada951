"""One file that says which reward: YAML, every key optional, unknown keys refused.

    reward: cycle                # or gain, likelihood, self-confidence, constitution, majority-vote, exact-match, f1
    mask:
      masker: embedded           # spacy:NAME, hf:MODEL, gazetteer:FILE, joined by +
      blank: false               # blank queries wholly
    reconstruct:
      kind: llm                  # or identity, the stand-in that needs no model
      server: http://127.0.0.1:8000/v1#Qwen/Qwen3-8B
    similarity: cosine:intfloat/e5-base-v2
    gates: {answer: 1.0, search: 1.0}

``ccs parts`` lists what can stand at ``reward``, ``mask.masker`` and ``similarity``; each may also be one's own,
``module:Class,args``. Paths are relative to the file where they are found there, else to the current folder. A setting
that the reward does not read is refused. ``ccs reward --print-config`` writes all keys with their defaults.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

from ccs.rewards.base import Reward
from ccs.rewards.bottleneck import Bottleneck
from ccs.rewards.bottleneck import open_bottleneck as open_masked
from ccs.rewards.gates import Gated, Gates
from ccs.rewards.registry import NARROWED, REWARDS
from ccs.rewards.settings import EVIDENCE, EvidenceConfig, ReconstructConfig, RewardConfig
from fresco.errors import FrescoError
from fresco.io.config_file import beside, beside_in_spec, fill, read_yaml
from fresco.io.registry import Part
from fresco.io.secrets import redacted

__all__ = ["EvidenceConfig", "ReconstructConfig", "RewardConfig", "open_reward", "parse_config", "read_config"]

RECONSTRUCTORS = ("identity", "llm")
AGGREGATES = ("best", "mean")
PRESETS = Path(__file__).parent / "presets"


def read_config(path: Path) -> RewardConfig:
    """A configuration file, or one that is shipped, by its name: ``paper`` is the method as it was published.

    Raises:
        FrescoError: it cannot be read, is no YAML, or has an unknown key or a value that is not allowed.
    """
    shipped = PRESETS / f"{path}.yaml"
    if not path.exists() and path.parent == Path() and shipped.is_file():
        path = shipped
    return parse_config(anchored(read_yaml(path), path.parent), str(path))


def anchored(content: Any, folder: Path) -> Any:
    """The content of a configuration with its paths relative to the folder of the file; see :func:`beside`."""
    if not isinstance(content, Mapping):
        return content
    found = dict(content)
    for key in ("reward", "similarity"):
        if isinstance(found.get(key), str):
            found[key] = beside_in_spec(folder, found[key])
    if isinstance(found.get("prompt"), str):
        found["prompt"] = beside(folder, found["prompt"])
    for section, key, find in (("reconstruct", "prompt", beside), ("mask", "masker", beside_in_spec)):
        inner = found.get(section)
        if isinstance(inner, Mapping) and isinstance(inner.get(key), str):
            found[section] = {**inner, key: find(folder, inner[key])}
    return found


def parse_config(content: Any, where: str = "the reward's configuration") -> RewardConfig:
    """A configuration as a mapping; see :func:`read_config`."""
    config: RewardConfig = fill(RewardConfig, content, where)
    _check(config, where)
    return config


def as_config(value: Any, where: str = "the reward's configuration") -> RewardConfig:
    """A configuration from what a caller has: one, a mapping, the path of a file, or None for the default.

    Raises:
        FrescoError: as :func:`read_config`.
    """
    if isinstance(value, RewardConfig):
        return value
    if isinstance(value, str | PathLike):
        return read_config(Path(value))
    return RewardConfig() if value is None else parse_config(value, where)


def dump_config(config: RewardConfig) -> str:
    """A configuration as YAML, with every key and every gate, addresses without their secrets."""
    import yaml

    content = redacted(asdict(replace(config, gates=_gates(config))))
    return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def open_reward(config: RewardConfig | None = None, *, cache: Path | None = None) -> Reward:
    """Make the reward that a configuration names, behind its gates.

    Args:
        config: Default: the cycle reward with ``identity`` and ``evidence``, which needs no model.
        cache: SQLite file for the answers of language models.

    Raises:
        FrescoError: something it names is missing or cannot be used.
    """
    config = config or RewardConfig()
    if _part(config):
        return Gated(REWARDS.open(config.reward, config=config, cache=cache), _gates(config))
    from ccs.foreign import ForeignReward

    return Gated(ForeignReward(REWARDS.open(config.reward, cache=cache), config.reward), _gates(config))


def open_bottleneck(config: RewardConfig) -> Bottleneck:
    """The bottleneck with the configured mask."""
    return open_masked(config.mask)


def _part(config: RewardConfig) -> Part[Reward] | None:
    return REWARDS.parts().get(config.reward.partition(":")[0])


def _gates(config: RewardConfig) -> Gates:
    if config.gates is not None:
        return config.gates
    part = _part(config)
    return Gates() if part and part.columns["gates"] == "on" else Gates(answer=0.0, search=0.0)


def _check(config: RewardConfig, where: str) -> None:
    _check_name(config.reward, where)
    reconstruct, evidence = config.reconstruct, config.evidence
    for path, value, allowed in (
        ("reconstruct.kind", reconstruct.kind, RECONSTRUCTORS),
        ("reconstruct.aggregate", reconstruct.aggregate, AGGREGATES),
    ):
        if value not in allowed:
            raise FrescoError(f"{where}: {path} is {value!r}; it is one of {', '.join(allowed)}")
    ranges = {
        "reconstruct.samples": (reconstruct.samples, 1, 64),
        "reconstruct.temperature": (reconstruct.temperature, 0, 2),
        "evidence.pages": (evidence.pages, 1, 16),
        "evidence.floor": (evidence.floor, 0, 1),
        "characters": (config.characters, 80, 10**6),
        "linkage": (config.linkage, 0, 1),
        "price": (config.price, 0, 100),
        "sufficiency": (config.sufficiency, 0, 100),
        "agreement": (config.agreement, 0, 100),
        **{f"gates.{name}": (weight, 0, 1) for name, weight in asdict(_gates(config)).items()},
    }
    for path, (number, low, high) in ranges.items():
        if not low <= number <= high:
            raise FrescoError(f"{where}: {path} is {number}; {low} to {high} is wanted")
    part = _part(config)
    settings = [each.strip() for each in part.columns["settings"].split(",")] if part else []
    if "server!" in settings and not config.server:
        raise FrescoError(f"{where}: the reward {config.reward} asks a model; give server: URL#MODEL")
    if config.reward == "cycle":
        _check_cycle(config, where)
    _refuse_unread(config, [each.rstrip("!") for each in settings], where)


def _check_name(spec: str, where: str) -> None:
    name = spec.partition(":")[0]
    parts, plug_ins = REWARDS.parts(), REWARDS.plug_ins()
    if name in parts or ":" in spec or spec.partition(",")[0] in plug_ins:
        return
    blind_first = sorted(parts.values(), key=lambda part: (part.columns["gates"] != "on", part.name))
    known = ", ".join([*(part.name for part in blind_first), *plug_ins])
    raise FrescoError(f"{where}: reward is {spec!r}; it is one of {known}, or module:Class for your own")


def _check_cycle(config: RewardConfig, where: str) -> None:
    if config.reconstruct.kind == "llm":
        if not config.reconstruct.server:
            raise FrescoError(f"{where}: reconstruct.kind llm asks a model; give reconstruct.server: URL#MODEL")
        if config.similarity == EVIDENCE:
            raise FrescoError(
                f"{where}: similarity evidence compares the trajectory itself; with reconstruct.kind llm give "
                "similarity: cosine:MODEL, token-f1 or judge:URL#MODEL"
            )


def _refuse_unread(config: RewardConfig, settings: list[str], where: str) -> None:
    narrow = NARROWED.get(config.reward)
    read = {"reward", "gates", *(narrow(config) if narrow else settings)}
    read = _without_blanked(config, read)
    for path in _changed(config, RewardConfig()):
        if not any(path == each or path.startswith(f"{each}.") for each in read):
            what = config.reward if narrow is None else f"{config.reward} as it is set here"
            raise FrescoError(
                f"{where}: the reward {what} does not read {path}; take it out "
                f"(it reads {', '.join(sorted(filter(None, read)))})"
            )


def _without_blanked(config: RewardConfig, read: set[str]) -> set[str]:
    """Blanked queries are masked by nothing else."""
    return (read - {"mask"}) | {"mask.blank"} if "mask" in read and config.mask.blank else read


def _changed(section: Any, default: Any, path: str = "") -> Iterator[str]:
    """The dotted keys whose value is not the default."""
    for each in fields(section):
        value, usual = getattr(section, each.name), getattr(default, each.name)
        if is_dataclass(value) and is_dataclass(usual):
            yield from _changed(value, usual, f"{path}{each.name}.")
        elif value != usual:
            yield f"{path}{each.name}"
