"""One row of figures for each trajectory, and their means by dataset with intervals.

Questions are what is resampled: the samples of one question are no independent draws. Trajectories that a server's
failure ended are left out and counted.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ccs.agent.question import Question
from ccs.agent.trajectory import Trajectory
from ccs.evaluation.answers import cover_match, exact_match, token_f1
from ccs.questions import match_questions
from fresco.errors import FrescoError
from fresco.io.files import write_atomically, write_record
from fresco.io.provenance import environment
from fresco.stats.intervals import SubjectBootstrap, divide, percentile_interval

#: Name of each figure, and what it is.
METRICS = {
    "exact match": "share of answers that equal an accepted one (SQuAD's normalization)",
    "f1": "words in common with the accepted answer",
    "cover match": "share of answers that hold an accepted one",
    "judge": "share of answers that the judge grades correct",
    "answered": "share of rollouts that ended with an answer",
    "searches": "searches of a rollout",
    "gold recall": "share of the gold passages that were retrieved",
    "answer found": "share of rollouts that retrieved a passage with an accepted answer in it",
    "malformed turns": "of a rollout",
    "generated tokens": "that the model wrote in a rollout",
    "context tokens": "of a rollout's last turn, prompt and completion",
}
# Those between 0 and 1, whose intervals must hold where nothing or everything counts.
_SHARES = frozenset(METRICS) - {"searches", "malformed turns", "generated tokens", "context tokens"}
#: Where several datasets are evaluated: the mean of their means, as papers report it.
AVERAGE = "average"


@dataclass
class Evaluation:
    """What an evaluation found.

    Attributes:
        per_trajectory: A row a trajectory: ids, answer, and a column a metric; NaN where it is undefined (no gold
            known, tokens not counted).
        rows: A row for each dataset and metric: ``value``, ``ci_low``, ``ci_high`` (None where undefined),
            ``questions`` (that it is defined for).
        counts: Of what was left out.
    """

    per_trajectory: pd.DataFrame
    rows: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def to_frame(self) -> pd.DataFrame:
        """:attr:`rows` as a frame: ``dataset, metric, value, ci_low, ci_high, questions``."""
        return pd.DataFrame(self.rows)

    def save(self, folder: Path, record: Mapping[str, Any] | None = None) -> None:
        """Write ``metrics.json``, ``per_question.parquet`` and ``run.json``.

        Args:
            folder: Made where absent.
            record: What ``run.json`` says besides the environment: where trajectories and questions came from.

        Raises:
            FrescoError: it cannot be written.
        """
        parquet = io.BytesIO()
        self.per_trajectory.to_parquet(parquet, index=False)
        metrics = {"schema_version": 1, "metrics": METRICS, "counts": self.counts, "rows": self.rows}
        run = {**(record or {}), "environment": environment()}
        write_atomically(folder / "per_question.parquet", parquet.getvalue())
        write_atomically(folder / "metrics.json", json.dumps(metrics, indent=2) + "\n")
        write_record(folder / "run.json", run)

    def _repr_html_(self) -> str:
        frame = self.to_frame().pivot_table(index="dataset", columns="metric", values="value", sort=False)
        html: str = frame._repr_html_()  # type: ignore[operator] # pandas escapes what it shows
        return html


def match(trajectories: Iterable[Trajectory], questions: Sequence[Question]) -> list[tuple[Trajectory, Question]]:
    """Each trajectory with its question; see :func:`ccs.questions.match_questions`.

    Raises:
        FrescoError: a trajectory's question is not among them, or reads otherwise.
    """
    trajectories = list(trajectories)
    known = match_questions(trajectories, questions)
    names = {question.id for question in questions}
    pairs = []
    for trajectory in trajectories:
        question = known.get(trajectory.question_id)
        if question is None:
            why = "reads otherwise in" if trajectory.question_id in names else "is not among"
            raise FrescoError(
                f"trajectory of question {trajectory.question_id!r}, sample {trajectory.sample}: the question {why} "
                "the questions; give --questions as they were rolled out"
            )
        pairs.append((trajectory, question))
    return pairs


def measure(
    pairs: Sequence[tuple[Trajectory, Question]],
    grades: Mapping[tuple[str, int], float | None] | None = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Measure trajectories.

    Args:
        pairs: Trajectories with their questions.
        grades: A judge's, by (question id, sample).
        resamples: Bootstrap samples for each interval.
        seed: Of them.

    Raises:
        FrescoError: no trajectory is left.
    """
    kept = [pair for pair in pairs if pair[0].stop != "error"]
    if not kept:
        raise FrescoError("every trajectory ended with a server's error; roll out again")
    frame = pd.DataFrame([_row(trajectory, question, grades) for trajectory, question in kept])
    counts = {"trajectories": len(kept), "ended with an error": len(pairs) - len(kept)}
    if grades is not None:
        counts["not graded by the judge"] = sum(
            grades.get((trajectory.question_id, trajectory.sample), 0.0) is None for trajectory, _ in kept
        )
    return Evaluation(frame, _summary(frame, resamples, seed), counts)


def _row(
    trajectory: Trajectory, question: Question, grades: Mapping[tuple[str, int], float | None] | None
) -> dict[str, Any]:
    answer, accepted = trajectory.answer, question.answers
    row: dict[str, Any] = {
        "question_id": question.id,
        "sample": trajectory.sample,
        "dataset": question.dataset,
        "stop": trajectory.stop,
        "answer": answer,
    }
    for name, score in (("exact match", exact_match), ("f1", token_f1), ("cover match", cover_match)):
        row[name] = score(answer, accepted, question.dataset) if accepted else math.nan
    if grades is not None:
        grade = grades.get((question.id, trajectory.sample), 0.0 if answer is None else None)
        row["judge"] = math.nan if grade is None or not accepted else grade
    contents = [hit.contents for turn in trajectory.turns for hit in turn.hits]
    row |= {
        "answered": float(answer is not None),
        "searches": float(len(trajectory.searches)),
        "gold recall": _gold_recall(trajectory, question.gold),
        "answer found": max((cover_match(text, accepted, question.dataset) for text in contents), default=0.0)
        if accepted
        else math.nan,
        "malformed turns": float(trajectory.faults),
    }
    spoken = [turn for turn in trajectory.turns if turn.text]
    written = [turn.completion_tokens for turn in spoken]
    row["generated tokens"] = math.nan if None in written else float(sum(count or 0 for count in written))
    read = spoken[-1].prompt_tokens if spoken else None
    row["context tokens"] = math.nan if read is None else float(read + (written[-1] or 0))
    return row


def _gold_recall(trajectory: Trajectory, gold: Sequence[str]) -> float:
    if not gold:
        return math.nan
    hits = [hit for turn in trajectory.turns for hit in turn.hits]
    found = {hit.id for hit in hits} | {_title(hit.contents) for hit in hits}
    return sum(name in found or name.strip().casefold() in found for name in gold) / len(gold)


def _title(contents: str) -> str:
    """Search-R1's passages begin with their title, in quotes, on a line of its own."""
    return contents.partition("\n")[0].strip().removeprefix('"').removesuffix('"').strip().casefold()


def _summary(frame: pd.DataFrame, resamples: int, seed: int) -> list[dict[str, Any]]:
    names = [name for name in METRICS if name in frame]
    rows, means, replicates = [], [], []
    for number, (dataset, part) in enumerate(frame.groupby("dataset", sort=True)):
        values = part[names].to_numpy(float)
        defined = ~np.isnan(values)
        numerator, denominator = np.where(defined, values, 0.0), defined.astype(float)
        bootstrap = SubjectBootstrap(part["question_id"].tolist(), resamples=resamples, seed=seed + number)
        estimate = bootstrap.ratio(numerator, denominator)
        shares = np.isin(names, list(_SHARES))
        bounded = bootstrap.share(numerator[:, shares], denominator[:, shares])
        estimate.low[shares], estimate.high[shares] = bounded.low, bounded.high
        questions = (bootstrap.sums(denominator) > 0).sum(axis=0)
        rows += _rows(str(dataset), names, estimate.value, estimate.low, estimate.high, questions)
        means.append(estimate.value)
        replicates.append(divide(bootstrap.replicate(numerator), bootstrap.replicate(denominator)))
    if len(means) > 1:
        # The datasets are drawn each for itself (strata); a metric that one of them lacks has no average.
        low, high = percentile_interval(np.mean(replicates, axis=0))
        asked = frame["question_id"].nunique()
        rows += _rows(AVERAGE, names, np.mean(means, axis=0), low, high, [asked] * len(names))
    return rows


def _rows(
    dataset: str, names: Sequence[str], values: Any, lows: Any, highs: Any, questions: Any
) -> list[dict[str, Any]]:
    return [
        {
            "dataset": dataset,
            "metric": name,
            "value": _number(value),
            "ci_low": _number(low),
            "ci_high": _number(high),
            "questions": int(count),
        }
        for name, value, low, high, count in zip(names, values, lows, highs, questions, strict=True)
    ]


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
