"""What an audit's figures mean, in words.

Each check compares an interval's bound or a share with a fixed threshold. The thresholds are ours: they say when a
reward is worth a training run, not whether it will succeed. Gains are measured in standard deviations of the reward
over all trajectories, so that rewards of any scale are judged alike.
"""

from __future__ import annotations

from dataclasses import dataclass

from ccs.auditing.audit import Audit
from ccs.auditing.statistics import Figure
from ccs.auditing.variants import VARIANTS

GOOD, WEAK, BAD, UNKNOWN = "good", "weak", "bad", "unknown"
_AUROC = (0.8, 0.65)  # lower bound of the interval
_RANK = (0.5, 0.25)
_LOSS = (0.5, 0.25)  # deviations that a variant that must lose has to lose
_GAIN = (0.05, 0.25)  # deviations that a variant may gain
_OVERLAP = (0.3, 0.6)
_FLAT = (0.2, 0.5)


@dataclass(frozen=True, slots=True)
class Check:
    """One question to the reward and its answer: ``good``, ``weak``, ``bad`` or ``unknown``."""

    name: str
    grade: str
    words: str


def judge(audit: Audit) -> tuple[str, list[Check]]:
    """The verdict in one sentence, and the checks that it rests on."""
    figures = audit.figures
    checks = [
        _at_least(
            "tells right from wrong within a question",
            figures["auroc correct within"],
            _AUROC,
            "among the trajectories of one question, in {value:.0%} of pairs (at least {low:.0%})",
        ),
        _at_least(
            "tells right from wrong",
            figures["auroc correct"],
            _AUROC,
            "a right trajectory is rewarded above a wrong one in {value:.0%} of pairs (at least {low:.0%})",
        ),
        _at_least(
            "follows the evidence",
            figures["spearman recall"],
            _RANK,
            "rank correlation with the gold passages found {value:.2f} (at least {low:.2f})",
        ),
        *(_play(audit, name) for name in VARIANTS),
        _at_most(
            "hides the question in the queries",
            figures["masked query overlap"],
            _OVERLAP,
            "{value:.0%} of the question's content words stand in the masked queries",
        ),
        _at_most(
            "varies within a question",
            figures["flat groups"],
            _FLAT,
            "{value:.0%} of the questions have hardly any spread, where a group's deviation would amplify noise",
        ),
    ]
    return _sentence(audit, checks), checks


def _sentence(audit: Audit, checks: list[Check]) -> str:
    validity = [check.grade for check in checks[:3]]
    fooled = [check.name for check in checks[3:] if check.grade == BAD]
    doubtful = [check.name for check in checks if check.grade == WEAK]
    if all(grade == UNKNOWN for grade in validity):
        words = "Whether it measures what it should is unknown: no gold, or no trajectory is right, or all are"
    elif BAD in validity:
        words = "Do not train on it: it does not tell good trajectories from bad ones well enough"
    elif cheats := [name for name in fooled if name in VARIANTS and VARIANTS[name].should == "not gain"]:
        words = f"Do not train on it: it tells good from bad, but can be cheated: {', '.join(cheats)}"
    elif fooled:
        words = f"It measures what it should, but is blind here: {', '.join(fooled)}"
    elif doubtful:
        words = f"Passes on these trajectories, with an eye on: {', '.join(doubtful)}"
    else:
        words = "Passes every check on these trajectories"
    return (
        f"{words}. ({audit.reward}, {audit.counts['trajectories']} trajectories, {audit.counts['questions']} questions)"
    )


def _at_least(name: str, figure: Figure, limits: tuple[float, float], words: str) -> Check:
    if figure.value is None:
        return Check(name, UNKNOWN, "undefined on these trajectories")
    low = figure.value if figure.low is None else figure.low
    grade = GOOD if low >= limits[0] else WEAK if low >= limits[1] else BAD
    return Check(name, grade, words.format(value=figure.value, low=low))


def _at_most(name: str, figure: Figure, limits: tuple[float, float], words: str) -> Check:
    if figure.value is None:
        return Check(name, UNKNOWN, "undefined on these trajectories")
    grade = GOOD if figure.value <= limits[0] else WEAK if figure.value <= limits[1] else BAD
    return Check(name, grade, words.format(value=figure.value))


def _play(audit: Audit, name: str) -> Check:
    variant, gain = VARIANTS[name], audit.variants[name]["gain"]
    deviation = audit.figures["deviation"].value
    if gain.value is None or not deviation:
        return Check(name, UNKNOWN, f"{variant.what}: undefined, or the reward never varies")
    share = gain.value / deviation
    if variant.should == "lose":
        grade = GOOD if -share >= _LOSS[0] else WEAK if -share >= _LOSS[1] else BAD
    else:
        grade = GOOD if share <= _GAIN[0] else WEAK if share <= _GAIN[1] else BAD
    return Check(name, grade, f"{variant.what}: {gain.value:+.3f}, {share:+.2f} deviations; it should {variant.should}")
