"""What can be set of a reward; :mod:`ccs.rewards.config` reads it from YAML."""

from __future__ import annotations

from dataclasses import dataclass, field

from ccs.rewards.bottleneck import CHARACTERS
from ccs.rewards.gates import Gates
from ccs.rewards.mask.queries import MaskOptions

EVIDENCE = "evidence"


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
    """Everything that decides a reward. What the chosen reward does not read must stay as it is by default.

    Attributes:
        reward: A name of ``ccs parts rewards``, or one's own: ``module:Class,args``.
        server: ``URL#MODEL`` for gain, likelihood, self-confidence and constitution.
        mask: For cycle, gain and likelihood.
        reconstruct: For cycle.
        similarity: For cycle: a name of ``ccs parts similarities``, or one's own.
        evidence: For the similarity ``evidence``, and for gain.
        characters: Of the passages of one search that a model reads.
        prompt: For constitution: file of other rules.
        linkage: For gain: share of it that is lost where the pages hold nothing of the question, nor hang together.
        price: For gain: nats that each distinct passage costs.
        sufficiency: For gain: weight of what the own answer owes to passages and question.
        agreement: For gain: nats for an answer that an extractive reading of the passages agrees with.
        gates: Their weights. None is the default of :class:`ccs.rewards.gates.Gates` for cycle, gain and likelihood,
            which do not look at the answer, and no gate for the others, which are then as published.
    """

    reward: str = "cycle"
    server: str | None = None
    mask: MaskOptions = field(default_factory=MaskOptions)
    reconstruct: ReconstructConfig = field(default_factory=ReconstructConfig)
    similarity: str = EVIDENCE
    evidence: EvidenceConfig = field(default_factory=EvidenceConfig)
    characters: int = CHARACTERS
    prompt: str | None = None
    linkage: float = 1.0
    price: float = 0.02
    sufficiency: float = 0.0
    agreement: float = 0.0
    gates: Gates | None = None
