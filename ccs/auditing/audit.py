"""The audit of one reward on recorded trajectories: validity, leakage, spread; a verdict is drawn from its figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ccs.agent.question import Question
from ccs.agent.trajectory import Trajectory
from ccs.auditing.kept import KeptScores
from ccs.auditing.statistics import Figure, Statistics
from ccs.auditing.variants import VARIANTS
from ccs.evaluation.measure import match, measure
from ccs.questions import match_questions
from ccs.rewards.base import Reward
from ccs.rewards.bottleneck import Bottleneck, psi_trace
from ccs.rewards.mask.text import FUNCTION_WORDS, WORD
from fresco.errors import FrescoError
from fresco.terminal.progress import Progress, no_progress

_Floats = npt.NDArray[np.float64]
#: A group is flat where its standard deviation is below this share of that of all rewards.
FLAT = 0.1


@dataclass
class Audit:
    """What was found about one reward.

    Attributes:
        reward: Its name.
        figures: By name; see :data:`FIGURES`.
        variants: By name of the variant: mean reward, and gain over the original, of the trajectories that it changes.
        scores: Of each trajectory; NaN where there is none.
        correct: Exact match of each; NaN where no gold answer is known.
        recall: Share of the gold passages found; NaN where none is known.
        counts: Trajectories, questions, failures.
    """

    reward: str
    figures: dict[str, Figure]
    variants: dict[str, dict[str, Figure]]
    scores: _Floats
    correct: _Floats
    recall: _Floats
    counts: dict[str, int] = field(default_factory=dict)


#: Name of each figure, and what it is.
FIGURES: Mapping[str, str] = {
    "auroc correct within": "chance that of one question's trajectories a right one is rewarded above a wrong one",
    "auroc correct": "the same over all pairs",
    "mean": "mean reward",
    "deviation": "standard deviation of all rewards",
    "spearman recall": "rank correlation with the share of gold passages found",
    "kendall recall within": "tau-b with it, among the trajectories of one question",
    "spearman f1": "rank correlation with the answer's F1",
    "query overlap": "share of the question's content words that stand in the queries",
    "masked query overlap": "the same after masking",
    "spread": "standard deviation within a question, mean over questions",
    "flat groups": f"share of questions whose spread is below {FLAT:g} of the deviation of all rewards",
}


def audit(
    reward: Reward,
    trajectories: Sequence[Trajectory],
    questions: Sequence[Question],
    bottleneck: Bottleneck,
    *,
    variant_questions: int | None = None,
    resamples: int = 1000,
    seed: int = 0,
    progress: Progress = no_progress,
    kept: Path | None = None,
) -> Audit:
    """Audit a reward.

    Args:
        reward: Which.
        trajectories: Several of each question, best from a policy that sometimes fails.
        questions: With gold answers and passages.
        bottleneck: Masks the queries, for their overlap with the question.
        variant_questions: Play the cheats on the first so many questions only; None on all. Each costs another pass.
        resamples: Bootstrap samples for each interval.
        seed: Of them.
        progress: Told the name of each pass, and how many trajectories are rewarded of those that all passes together
            cost; before the first one, so that what is too much can be stopped.
        kept: SQLite file of the scores, from which an audit that was stopped goes on; None keeps them in memory.

    Raises:
        FrescoError: a trajectory's question is missing, or no trajectory could be rewarded.
    """
    measured = measure(match(trajectories, questions), resamples=2).per_trajectory
    rewarded = [each for each in trajectories if each.stop != "error"]
    known = match_questions(trajectories, questions)
    correct, recall, f1 = (measured[name].to_numpy(float) for name in ("exact match", "gold recall", "f1"))
    statistics = Statistics([each.question_id for each in rewarded], resamples=resamples, seed=seed)
    # The cheats are played on whole groups.
    few = list(dict.fromkeys(each.question_id for each in rewarded))[:variant_questions]
    chosen = [number for number, each in enumerate(rewarded) if each.question_id in set(few)]
    part = [rewarded[number] for number in chosen]
    played = {name: variant.make(part, known) for name, variant in VARIANTS.items()}
    passes = _Passes(progress)
    scorer = KeptScores(reward, kept, passes.add)
    passes.total = scorer.cost([rewarded, *played.values()])
    passes.begin("as recorded")
    scores = _floats(scorer.score(rewarded, known))
    if np.isnan(scores).all():
        raise FrescoError(f"the reward {reward.name} rewarded none of the {len(rewarded)} trajectories")
    deviation = float(np.nanstd(scores))
    spread = statistics.spread(scores)
    figures = {
        "auroc correct within": statistics.auroc_within(scores, correct),
        "auroc correct": statistics.auroc(scores, correct),
        "mean": statistics.mean(scores),
        "deviation": Figure(deviation, n=int((~np.isnan(scores)).sum())),
        "spearman recall": statistics.spearman(scores, recall),
        "kendall recall within": statistics.kendall_within(scores, recall),
        "spearman f1": statistics.spearman(scores, f1),
        "query overlap": statistics.mean(_overlaps(rewarded, [_queries(each) for each in rewarded])),
        "masked query overlap": statistics.mean(_overlaps(rewarded, _masked(rewarded, bottleneck))),
        "spread": Figure(float(spread.mean()) if len(spread) else None, n=len(spread)),
        "flat groups": Figure(float((spread < FLAT * deviation).mean()) if len(spread) else None, n=len(spread)),
    }
    of_part = Statistics([each.question_id for each in part], resamples=resamples, seed=seed)
    variants = {}
    for name, made in played.items():
        passes.begin(name)
        changed = np.array([one != other for one, other in zip(made, part, strict=True)])
        earned = np.where(changed, _floats(scorer.score(made, known)), np.nan)
        variants[name] = {"mean": of_part.mean(earned), "gain": of_part.mean(earned - scores[chosen])}
    counts = {
        "trajectories": len(rewarded),
        "questions": len({each.question_id for each in rewarded}),
        "ended with an error": len(trajectories) - len(rewarded),
        "not rewarded": int(np.isnan(scores).sum()),
        "played cheats on": len(part),
    }
    scorer.close()
    return Audit(reward.name, figures, variants, scores, correct, recall, counts)


class _Passes:
    """Adds up what is rewarded, over all passes."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._name, self._done = progress, "", 0
        self.total = 0

    def begin(self, name: str) -> None:
        self._name = name
        self.add(0)

    def add(self, count: int) -> None:
        self._done += count
        self.total = max(self.total, self._done)  # what failed is tried again by the next pass
        self._progress(self._name, self._done, self.total)


def _floats(scores: Sequence[float | None]) -> _Floats:
    return np.array([np.nan if value is None else value for value in scores], float)


def _queries(trajectory: Trajectory) -> list[str]:
    return [step.query for step in psi_trace(trajectory).steps]


def _masked(trajectories: Sequence[Trajectory], bottleneck: Bottleneck) -> list[list[str]]:
    return [[step.query for step in trace.steps] for trace in bottleneck(trajectories)]


def _overlaps(trajectories: Sequence[Trajectory], queries: Sequence[Sequence[str]]) -> _Floats:
    return np.array([overlap(each.question, asked) for each, asked in zip(trajectories, queries, strict=True)], float)


def overlap(question: str, queries: Sequence[str]) -> float:
    """Share of a question's content words that stand in its queries; NaN where it has none or nothing was asked."""
    wanted = _content(question)
    return len(wanted & _content(" ".join(queries))) / len(wanted) if wanted and queries else math.nan


def _content(text: str) -> frozenset[str]:
    return frozenset(word.casefold() for word in WORD.findall(text)) - FUNCTION_WORDS
