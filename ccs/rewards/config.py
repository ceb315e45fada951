"""One file that says which reward: YAML, every key optional, unknown keys refused.

    reward: cycle                # or likelihood, self-confidence, constitution, majority-vote, exact-match, f1
    mask:
      masker: embedded           # spacy:NAME, hf:MODEL, gazetteer:FILE, joined by +
      blank: false               # blank queries wholly
    reconstruct:
      kind: llm                  # or identity, the stand-in that needs no model
      server: http://127.0.0.1:8000/v1#Qwen/Qwen3-8B
    similarity: cosine:intfloat/e5-base-v2
    gates: {answer: 1.0, search: 1.0}

Paths are relative to the file where they are found there, else to the current folder.
``ccs reward --print-config`` writes all keys with their defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any

from ccs.rewards.base import Reward
from ccs.rewards.bottleneck import CHARACTERS, Bottleneck
from ccs.rewards.cycle import AGGREGATES, CycleReward
from ccs.rewards.evidence import Evidence
from ccs.rewards.gates import Gated, Gates
from fresco.errors import FrescoError
from fresco.io.config_file import beside, beside_in_spec, fill, read_yaml

RECONSTRUCTORS = ("identity", "llm")
EVIDENCE = "evidence"
_BLIND_TO_ANSWERS = ("cycle", "likelihood")


@dataclass(frozen=True, slots=True)
class MaskConfig:
    """Of the queries; see :class:`ccs.rewards.mask.MaskOptions`."""

    masker: str = "embedded"
    numbered: bool = False
    blank: bool = False
    shared_words: bool = False
    propagate: bool = True


@dataclass(frozen=True, slots=True)
class ReconstructConfig:
    """See :class:`ccs.rewards.reconstruct.LlmReconstructor`; ``identity`` reads ``aggregate`` alone."""

    kind: str = "identity"
    server: str | None = None
    prompt: str | None = None
    samples: int = 1
    temperature: float = 0.0
    aggregate: str = "best"


@dataclass(frozen=True, slots=True)
class EvidenceConfig:
    """See :class:`ccs.rewards.evidence.Evidence`."""

    pages: int = 2
    floor: float = 0.3


@dataclass(frozen=True, slots=True)
class RewardConfig:
    """Everything that decides a reward.

    Attributes:
        reward: One of :data:`REWARDS`.
        server: ``URL#MODEL`` for likelihood, self-confidence and constitution.
        mask: For cycle and likelihood.
        reconstruct: For cycle.
        similarity: For cycle: ``evidence``, ``token-f1``, ``cosine:MODEL``, ``judge:URL#MODEL``.
        evidence: For the similarity ``evidence``.
        characters: Of the passages of one search that a model reads.
        prompt: For constitution: file of other rules.
        gates: Their weights. None is the default of :class:`ccs.rewards.gates.Gates` for cycle and likelihood, which do
            not look at the answer, and no gate for the others, which are then as published.
    """

    reward: str = "cycle"
    server: str | None = None
    mask: MaskConfig = field(default_factory=MaskConfig)
    reconstruct: ReconstructConfig = field(default_factory=ReconstructConfig)
    similarity: str = EVIDENCE
    evidence: EvidenceConfig = field(default_factory=EvidenceConfig)
    characters: int = CHARACTERS
    prompt: str | None = None
    gates: Gates | None = None


def read_config(path: Path) -> RewardConfig:
    """A configuration file.

    Raises:
        FrescoError: it cannot be read, is no YAML, or has an unknown key or a value that is not allowed.
    """
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
    """A configuration as YAML, with every key and every gate."""
    import yaml

    return str(yaml.safe_dump(asdict(replace(config, gates=_gates(config))), sort_keys=False, allow_unicode=True))


def open_reward(config: RewardConfig | None = None, *, cache: Path | None = None) -> Reward:
    """Make the reward that a configuration names, behind its gates.

    Args:
        config: Default: the cycle reward with ``identity`` and ``evidence``, which needs no model.
        cache: SQLite file for the answers of language models.

    Raises:
        FrescoError: something it names is missing or cannot be used.
    """
    config = config or RewardConfig()
    return Gated(REWARDS[config.reward](config, cache), _gates(config))


def _gates(config: RewardConfig) -> Gates:
    if config.gates is not None:
        return config.gates
    return Gates() if config.reward in _BLIND_TO_ANSWERS else Gates(answer=0.0, search=0.0)


def _check(config: RewardConfig, where: str) -> None:
    reconstruct, evidence = config.reconstruct, config.evidence
    for path, value, allowed in (
        ("reward", config.reward, tuple(REWARDS)),
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
        **{f"gates.{name}": (weight, 0, 1) for name, weight in asdict(_gates(config)).items()},
    }
    for path, (number, low, high) in ranges.items():
        if not low <= number <= high:
            raise FrescoError(f"{where}: {path} is {number}; {low} to {high} is wanted")
    if config.reward == "cycle":
        _check_cycle(config, where)
    elif config.reward in _SERVED and not config.server:
        raise FrescoError(f"{where}: the reward {config.reward} asks a model; give server: URL#MODEL")


def _check_cycle(config: RewardConfig, where: str) -> None:
    if config.reconstruct.kind == "llm":
        if not config.reconstruct.server:
            raise FrescoError(f"{where}: reconstruct.kind llm asks a model; give reconstruct.server: URL#MODEL")
        if config.similarity == EVIDENCE:
            raise FrescoError(
                f"{where}: similarity evidence compares the trajectory itself; with reconstruct.kind llm give "
                "similarity: cosine:MODEL, token-f1 or judge:URL#MODEL"
            )


def open_bottleneck(config: RewardConfig) -> Bottleneck:
    """The bottleneck with the configured mask."""
    from ccs.rewards.mask import MaskOptions, open_masker

    mask = config.mask
    options = MaskOptions(
        numbered=mask.numbered, blank=mask.blank, shared_words=mask.shared_words, propagate=mask.propagate
    )
    return Bottleneck(None if mask.blank else open_masker(mask.masker), options)


def _cycle(config: RewardConfig, cache: Path | None) -> Reward:
    from ccs.rewards.reconstruct import Identity, LlmReconstructor
    from ccs.rewards.similarity import open_similarity

    chosen = config.reconstruct
    if config.similarity == EVIDENCE:
        # It reads no query, so there is none to mask.
        return CycleReward(Bottleneck(None), Identity(), Evidence(config.evidence.pages, config.evidence.floor))
    similarity = open_similarity(config.similarity, cache=cache)
    if chosen.kind == "identity":
        return CycleReward(open_bottleneck(config), Identity(), similarity, chosen.aggregate)
    assert chosen.server is not None
    reconstructor = LlmReconstructor(
        chosen.server,
        prompt=Path(chosen.prompt) if chosen.prompt else None,
        samples=chosen.samples,
        temperature=chosen.temperature,
        characters=config.characters,
        cache=cache,
    )
    return CycleReward(open_bottleneck(config), reconstructor, similarity, chosen.aggregate)


def _likelihood(config: RewardConfig, cache: Path | None) -> Reward:
    from ccs.rewards.likelihood import LikelihoodReward

    del cache  # an answer holds every token of its prompt
    return LikelihoodReward(open_bottleneck(config), _client(config, None), characters=config.characters)


def _self_confidence(config: RewardConfig, cache: Path | None) -> Reward:
    from ccs.rewards.baselines import SelfConfidence

    del cache
    return SelfConfidence(_client(config, None), characters=config.characters)


def _constitution(config: RewardConfig, cache: Path | None) -> Reward:
    from ccs.rewards.baselines import ConstitutionalJudge

    prompt = Path(config.prompt) if config.prompt else None
    return ConstitutionalJudge(_client(config, cache), prompt=prompt, characters=config.characters)


def _client(config: RewardConfig, cache: Path | None) -> Any:
    from fresco.clients.llm import ChatClient

    assert config.server is not None
    return ChatClient(config.server, cache=cache)


def _plain(name: str) -> Callable[[RewardConfig, Path | None], Reward]:
    def make(_config: RewardConfig, _cache: Path | None) -> Reward:
        from ccs.rewards import baselines

        makers: Mapping[str, Callable[[], Reward]] = {
            "majority-vote": baselines.MajorityVote,
            "exact-match": baselines.exact_match_reward,
            "f1": baselines.f1_reward,
        }
        return makers[name]()

    return make


_SERVED = ("likelihood", "self-confidence", "constitution")
#: Rewards by name, and what makes each.
REWARDS: Mapping[str, Callable[[RewardConfig, Path | None], Reward]] = {
    "cycle": _cycle,
    "likelihood": _likelihood,
    "self-confidence": _self_confidence,
    "constitution": _constitution,
    **{name: _plain(name) for name in ("majority-vote", "exact-match", "f1")},
}
