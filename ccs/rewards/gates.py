"""Gates: what a trajectory must have done to earn its reward in full.

The cycle reward never looks at the final answer, so nothing stops a policy from answering badly or not at all: trained
without a gate, a small agent's reward rose from 0.61 to 0.95 while its exact match fell from 0.34 to 0. Each gate has a
weight from 0 (off) to 1: the share of the reward that is lost where the gate is not passed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from ccs.agent.question import Question
from ccs.agent.trajectory import Trajectory
from ccs.rewards.base import Reward, RewardRow, score_rows
from ccs.rewards.mask.text import WORD

#: An answer of more words than this is an essay, or the question again.
LONGEST_ANSWER = 30


@dataclass(frozen=True, slots=True)
class Gates:
    """The weight of each gate.

    Attributes:
        answer: There is a final answer of 1 to :data:`LONGEST_ANSWER` words.
        search: There was at least one search.
        found: At least one search returned a passage.
        form: No turn was malformed.
    """

    answer: float = 1.0
    search: float = 1.0
    found: float = 0.0
    form: float = 0.0


GATES: Mapping[str, Callable[[Trajectory], bool]] = {
    "answer": lambda trajectory: 1 <= len(WORD.findall(trajectory.answer or "")) <= LONGEST_ANSWER,
    "search": lambda trajectory: bool(trajectory.searches),
    "found": lambda trajectory: any(turn.hits for turn in trajectory.searches),
    "form": lambda trajectory: trajectory.faults == 0,
}


class Gated:
    """A reward behind gates: it is multiplied by ``1 - weight`` for each gate that is not passed.

    Of a signed reward (a difference of log-probabilities) the weight itself is taken off besides: else a policy whose
    searches do harm would gain by not searching.
    """

    def __init__(self, inner: Reward, gates: Gates | None = None) -> None:
        self.inner = inner
        self._weights = {name: weight for name, weight in asdict(gates or Gates()).items() if weight}
        self.name = inner.name
        self.needs_gold = inner.needs_gold
        self.signed = inner.signed
        digest = hashlib.sha256(json.dumps(self._weights, sort_keys=True).encode()).hexdigest()[:16]
        self.fingerprint = f"{inner.fingerprint}|gates-1-{LONGEST_ANSWER}-{digest}"

    def score(self, batch: Sequence[Trajectory], questions: Mapping[str, Question] | None = None) -> list[float | None]:
        """See :class:`ccs.rewards.base.Reward`."""
        return [row.value for row in self.rows(batch, questions)]

    def rows(self, batch: Sequence[Trajectory], questions: Mapping[str, Question] | None = None) -> list[RewardRow]:
        """See :func:`ccs.rewards.base.score_rows`; the parts are those before the gates."""
        return [
            row if row.value is None else replace(row, value=self._through(row.value, trajectory))
            for row, trajectory in zip(score_rows(self.inner, batch, questions), batch, strict=True)
        ]

    def _through(self, value: float, trajectory: Trajectory) -> float:
        for name, weight in self._weights.items():
            if not GATES[name](trajectory):
                value = value - weight * (max(value, 0.0) + 1) if self.signed else value * (1 - weight)
        return value
