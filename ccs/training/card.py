"""The card of a run: what was trained on what, how it went, and what the final policy and its reward are worth."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ccs.agent.question import Question
from ccs.agent.trajectory import Trajectory
from ccs.rewards.base import Reward
from ccs.training.config import TrainConfig, dump_train_config
from ccs.training.journal import Journal
from ccs.training.settings import UNSEEN
from fresco.errors import FrescoError
from fresco.io.files import write_atomically, write_record

if TYPE_CHECKING:
    from ccs.training.outcome import Outcome

_SHOWN = (
    "reward",
    UNSEEN,
    "exact match",
    "f1",
    "answered",
    "searches",
    "malformed turns",
    "query overlap",
    "tokens generated",
    "contexts cut",
)


def write_card(
    config: TrainConfig,
    journal: Journal,
    outcome: Outcome,
    greedy: Sequence[Trajectory],
    sampled: Sequence[Trajectory],
    questions: Sequence[Question],
    rewards: Sequence[tuple[float, Reward]],
    unseen: Reward | None = None,
) -> None:
    """Write ``card.md``, ``curves.png``, ``curves.svg``, ``held_out.jsonl``, ``sampled.jsonl`` and ``run.json``.

    Args:
        config: The run's.
        journal: Its folder.
        outcome: What it ended with.
        greedy: Trajectories of the final policy on the held-out questions.
        sampled: Groups of them at the training's temperature.
        questions: The held-out questions.
        rewards: Weights and rewards; the first is audited on ``sampled``.
        unseen: What checkpoints were chosen by, where that is a reward of its own.
    """
    from fresco.io.provenance import environment

    steps = journal.rows("steps.jsonl")
    made = environment()
    for name, trajectories in (("held_out", greedy), ("sampled", sampled)):
        lines = "".join(f"{trajectory.to_json()}\n" for trajectory in trajectories)
        write_atomically(journal.folder / f"{name}.jsonl", lines)
    _draw(steps, outcome.evaluations, journal.folder)
    verdict = _audit(rewards[0][1], sampled, questions)
    record = {
        "schema_version": 1,
        "steps": outcome.steps,
        "stopped": outcome.stopped,
        "best": outcome.best,
        "rewards": [
            {"weight": weight, "name": reward.name, "needs_gold": reward.needs_gold} for weight, reward in rewards
        ],
        "unseen": unseen.name if unseen else None,
        "seconds": _phases(steps),
        "audit": verdict,
        "evaluations": outcome.evaluations,
        "config": json.loads(json.dumps(asdict(config))),
        "environment": made,
    }
    write_record(journal.folder / "run.json", record)
    write_atomically(journal.folder / "card.md", _card(config, outcome, steps, questions, record))


def _card(
    config: TrainConfig,
    outcome: Outcome,
    steps: Sequence[Mapping[str, Any]],
    questions: Sequence[Question],
    record: Mapping[str, Any],
) -> str:
    made = record["environment"]
    git = made["git"] or {}
    first, last = outcome.evaluations[0], outcome.evaluations[-1]
    best = next(row for row in outcome.evaluations if row["step"] == outcome.best)
    table = [
        f"| {name} | {_number(first.get(name))} | {_number(best.get(name))} | {_number(last.get(name))} |"
        for name in _SHOWN
        if name in last
    ]
    phases = ", ".join(f"{name} {value:.2f}" for name, value in record["seconds"].items())
    names = " + ".join(f"{weight:g} x {each['name']}" for each in record["rewards"] for weight in [each["weight"]])
    return f"""# {_title(config, record)}

Policy: `{config.model.path}`, {outcome.steps} steps{f" (stopped early: {outcome.stopped})" if outcome.stopped else ""}.
Reward: {names}. Training questions: {", ".join(f"`{each}`" for each in config.data.train)}; held out: {len(questions)}
questions. {_gold(config, record)}

## Held-out questions, greedy

| | step {first["step"]} | step {best["step"]} (best) | step {last["step"]} (last) |
|---|---|---|---|
{chr(10).join(table)}

![curves](curves.png)

## The reward on the final policy

Audited as by `ccs audit` on rollouts that were sampled as in training (`sampled.jsonl`).

{record["audit"]}

## Made with

Mean seconds of a step: {phases}. {made["cpu"]}, {made["cpu_count"]} cores{_gpus(made)}; commit
{str(git.get("commit", "unknown"))[:12]}{" (changed)" if git.get("dirty") else ""}; {_versions(made)}.

    ccs train --config config.yaml --out DIR

```yaml
{dump_train_config(config)}```
"""


def _title(config: TrainConfig, record: Mapping[str, Any]) -> str:
    if any(each["needs_gold"] for each in record["rewards"]):
        return "A search agent trained with gold answers"
    if config.keep.metric not in (UNSEEN, "reward"):
        return "A search agent trained without gold answers, and chosen with them"
    return "A search agent trained without gold answers"


def _gold(config: TrainConfig, record: Mapping[str, Any]) -> str:
    """Where gold answers took part, in a sentence for each."""
    gold = [each["name"] for each in record["rewards"] if each["needs_gold"]]
    trained = (
        f"Gold answers of the training questions were trained on ({', '.join(gold)})."
        if gold
        else "No gold answer was trained on."
    )
    if record["unseen"]:
        return (
            f"{trained} `best/` and early stopping went by {record['unseen']} on the held-out questions, a reward that "
            "the policy was not trained on (`unseen reward` below)."
        )
    if config.keep.metric == "reward":
        return f"{trained} `best/` and early stopping went by the trained reward itself on the held-out questions."
    return (
        f"{trained} `best/` and early stopping went by {config.keep.metric} with the gold answers of the held-out "
        f"questions (`keep.metric: {config.keep.metric}`): their figures are no test."
    )


def _audit(reward: Reward, trajectories: Sequence[Trajectory], questions: Sequence[Question]) -> str:
    """A verdict in words; the card is written even where there is none."""
    from ccs.auditing.audit import audit
    from ccs.auditing.verdict import judge
    from ccs.rewards.config import RewardConfig, open_bottleneck

    if not trajectories:
        return "Not audited: there are no trajectories."
    try:
        found = audit(reward, trajectories, questions, open_bottleneck(RewardConfig()))
    except FrescoError as error:
        return f"Not audited: {error}."
    verdict, checks = judge(found)
    return f"{verdict}\n\n" + "\n".join(f"- {check.name}: {check.grade}. {check.words}" for check in checks)


def _phases(steps: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Mean seconds of a step by phase; what is left of it is the update: forward, backward, optimizer."""
    names = dict.fromkeys(name for row in steps for name in row if name.startswith("seconds"))
    means = {name: _mean([row[name] for row in steps if row.get(name) is not None]) for name in names}
    whole = means.pop("seconds", math.nan)
    short = {name.removeprefix("seconds of "): value for name, value in means.items()}
    return {**short, "update": whole - sum(short.values()), "whole step": whole}


def _draw(steps: Sequence[Mapping[str, Any]], evaluations: Sequence[Mapping[str, Any]], folder: Path) -> None:
    from matplotlib.figure import Figure

    panels = (("reward", "exact match"), ("searches", "answered"), ("query overlap", "malformed turns"))
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    for axes, names in zip(figure.subplots(1, len(panels)), panels, strict=True):
        for name, colour in zip(names, ("#1b6ca8", "#c8553d"), strict=True):
            axes.plot(*_points(steps, name), color=colour, alpha=0.35, linewidth=1)
            axes.plot(*_points(evaluations, name), color=colour, marker="o", markersize=3, label=name)
        axes.set_xlabel("step")
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle("Thick: held-out questions, greedy. Thin: training rollouts.", fontsize=9)
    for kind in ("png", "svg"):
        figure.savefig(folder / f"curves.{kind}", dpi=150)


def _points(rows: Sequence[Mapping[str, Any]], name: str) -> tuple[list[int], list[float]]:
    known = [(row["step"], row[name]) for row in rows if row.get(name) is not None]
    return [step for step, _ in known], [value for _, value in known]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _gpus(made: Mapping[str, Any]) -> str:
    return f", {made['gpus']}" if made.get("gpus") else ""


def _versions(made: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {made['packages'][name]}" for name in ("torch", "transformers") if name in made["packages"]
    )
