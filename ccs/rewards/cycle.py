"""The reward of Cycle-Consistent Search: ``similarity(question, reconstruct(mask(strip_answer(trajectory))))``.

Nothing but the question and the environment's record goes in: no gold answer, no final response, no thought.
Source: arXiv 2604.12967, section on the method; what the paper leaves open is a setting of :mod:`ccs.rewards.config`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ccs.agent.question import Question
from ccs.agent.trajectory import Trajectory
from ccs.rewards.base import NO_ROLLOUT, RewardRow, is_final
from ccs.rewards.bottleneck import Bottleneck, Trace, open_bottleneck
from ccs.rewards.evidence import Evidence
from ccs.rewards.reconstruct import Identity, LlmReconstructor, Reconstructor
from ccs.rewards.registry import NARROWED, REWARDS
from ccs.rewards.settings import EVIDENCE, RewardConfig
from ccs.rewards.similarity import Similarity, open_similarity
from fresco.errors import FrescoError

_MOST_KNOWN = 500_000  # pairs whose similarity is kept


@REWARDS.register(
    "cycle",
    "how well the question can be told from the trajectory (Cycle-Consistent Search)",
    needs="what its masker, reconstruct and similarity need; nothing by default",
    settings="mask, reconstruct, similarity, evidence, characters",
    gates="on",
)
def _open(_arguments: str, config: RewardConfig, cache: Path | None) -> CycleReward:
    chosen = config.reconstruct
    if config.similarity == EVIDENCE:
        # It reads no query, so there is none to mask.
        return CycleReward(Bottleneck(None), Identity(), Evidence(config.evidence.pages, config.evidence.floor))
    similarity = open_similarity(config.similarity, cache=cache)
    if chosen.kind == "identity":
        return CycleReward(open_bottleneck(config.mask), Identity(), similarity, chosen.aggregate)
    assert chosen.server is not None
    reconstructor = LlmReconstructor(
        chosen.server,
        prompt=Path(chosen.prompt) if chosen.prompt else None,
        samples=chosen.samples,
        temperature=chosen.temperature,
        characters=config.characters,
        cache=cache,
    )
    return CycleReward(open_bottleneck(config.mask), reconstructor, similarity, chosen.aggregate)


def _reads(config: RewardConfig) -> list[str]:
    if config.similarity == EVIDENCE:
        return ["similarity", "evidence", "reconstruct.kind"]
    if config.reconstruct.kind == "identity":
        return ["similarity", "mask", "reconstruct.kind", "reconstruct.aggregate"]
    return ["similarity", "mask", "reconstruct", "characters"]


NARROWED["cycle"] = _reads


class CycleReward:
    """How well the question can be told from a trajectory.

    Args:
        bottleneck: What of the trajectory is seen.
        reconstructor: Writes candidates.
        similarity: Compares a candidate with the question; :class:`~ccs.rewards.evidence.Evidence` compares the trace
            as a whole, so it stands with :class:`~ccs.rewards.reconstruct.Identity` alone.
        aggregate: ``best`` or ``mean`` of a trace's candidates.
    """

    needs_gold = False
    signed = False

    def __init__(
        self,
        bottleneck: Bottleneck,
        reconstructor: Reconstructor,
        similarity: Similarity | Evidence,
        aggregate: str = "best",
    ) -> None:
        if isinstance(similarity, Evidence) and not isinstance(reconstructor, Identity):
            raise FrescoError("the similarity evidence compares the trace itself, so it stands with identity alone")
        self._bottleneck, self._reconstructor, self._similarity = bottleneck, reconstructor, similarity
        self._aggregate = aggregate
        self._known: dict[tuple[str, str], float | None] = {}
        self.name = f"cycle: {reconstructor.name}, {similarity.name}"
        parts = (bottleneck.fingerprint, reconstructor.fingerprint, similarity.fingerprint, aggregate)
        self.fingerprint = "cycle-1|" + "|".join(parts)

    def score(self, batch: Sequence[Trajectory], questions: Mapping[str, Question] | None = None) -> list[float | None]:
        """See :class:`ccs.rewards.base.Reward`; a trajectory that found nothing to compare earns 0."""
        return [row.value for row in self.rows(batch, questions)]

    def rows(self, batch: Sequence[Trajectory], questions: Mapping[str, Question] | None = None) -> list[RewardRow]:
        """See :func:`ccs.rewards.base.score_rows`; the reconstructions are those of a model."""
        del questions
        alive = [number for number, trajectory in enumerate(batch) if trajectory.stop != "error"]
        traces = self._bottleneck([batch[number] for number in alive])
        rows = [RewardRow(None, cause=NO_ROLLOUT)] * len(batch)
        for number, row in zip(alive, self._compare([batch[number].question for number in alive], traces), strict=True):
            rows[number] = row
        return rows

    def _compare(self, questions: Sequence[str], traces: Sequence[Trace]) -> list[RewardRow]:
        seen = [{"trace": trace.render()} for trace in traces]
        if isinstance(self._similarity, Evidence):
            values = self._similarity.score_traces(list(zip(questions, traces, strict=True)))
            return [RewardRow(value, seen=own) for value, own in zip(values, seen, strict=True)]
        candidates = self._reconstructor.reconstruct(traces)
        pairs = [
            (question, text)
            for question, texts in zip(questions, candidates, strict=True)
            if not isinstance(texts, FrescoError)
            for text in texts
        ]
        compared = iter(self._similar(pairs, self._similarity))
        rows = []
        for texts, own in zip(candidates, seen, strict=True):
            if isinstance(texts, FrescoError):
                rows.append(RewardRow(None, cause=str(texts), final=is_final(texts), seen=own))
                continue
            value = self._one([next(compared) for _ in texts])
            cause = "" if value is not None else "the similarity could not compare it"
            written = {} if isinstance(self._reconstructor, Identity) else {"reconstruction": "\n".join(texts)}
            rows.append(RewardRow(value, cause=cause, seen={**own, **written}))
        return rows

    def _similar(self, pairs: Sequence[tuple[str, str]], similarity: Similarity) -> list[float | None]:
        # A group's members read the same pages, and an audit compares every page a dozen times.
        fresh = [pair for pair in dict.fromkeys(pairs) if pair not in self._known]
        if len(self._known) + len(fresh) > _MOST_KNOWN:
            self._known.clear()
            fresh = list(dict.fromkeys(pairs))
        self._known.update(zip(fresh, similarity.score(fresh), strict=True))
        return [self._known[pair] for pair in pairs]

    def _one(self, values: Sequence[float | None]) -> float | None:
        if not values:
            return 0.0
        had = [value for value in values if value is not None]
        if not had:
            return None
        return max(had) if self._aggregate == "best" else sum(had) / len(had)
