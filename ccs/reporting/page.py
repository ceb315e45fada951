"""The page of ``ccs report``: trajectories turn by turn with what a reward sees of them, audits, curves of training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ccs.agent.trajectory import Trajectory
from ccs.reporting.material import Material
from ccs.rewards.bottleneck import Bottleneck
from ccs.rewards.reward_file import digest
from fresco.io.page.document import render_page
from fresco.io.secrets import command_line

#: Trajectories whose turns are unpacked together when one of them is opened.
CHUNK = 100
# Curves that say most, in their order; further numbers of the steps can be chosen on the page.
_FIRST = ("reward", "exact match", "cover match", "searches", "flat groups", "kl", "entropy")


def render_report(material: Material, bottleneck: Bottleneck | None) -> str:
    """The page as text.

    Args:
        material: What was opened.
        bottleneck: Masks the queries as the reward's reader sees them; None shows them as they were asked.
    """
    rewards: dict[str, list[Mapping[str, Any]]] = {}
    for row in material.rewards:
        rewards.setdefault(str(row["trajectory"]), []).append(row)
    blocks: dict[str, Any] = {}
    rollouts = []
    for place, (name, trajectories) in enumerate(material.rollouts.items()):
        masked = _masked(trajectories, bottleneck)
        rows = []
        for start in range(0, len(trajectories), CHUNK):
            part = trajectories[start : start + CHUNK]
            blocks[f"turns-{place}-{start // CHUNK}"] = [
                _turns(each, queries) for each, queries in zip(part, masked[start : start + CHUNK], strict=True)
            ]
            blocks[f"seen-{place}-{start // CHUNK}"] = [
                [_seen(row) for row in rewards.get(digest(each), ())] for each in part
            ]
        for each in trajectories:
            rows.append({**_summary(each), "rewards": [_earned(row) for row in rewards.get(digest(each), ())]})
        rollouts.append({"name": name, "rows": rows, "chunk": CHUNK})
    main = {
        "title": "ccs report",
        "command": command_line(),
        "masked": bottleneck is not None,
        "rollouts": rollouts,
        "audits": [{"name": name, **_audit(record)} for name, record in material.audits.items()],
        "trainings": [{"name": name, **_training(record)} for name, record in material.trainings.items()],
        "rewards": len(material.rewards),
    }
    return render_page("ccs report", main, script="ccs.reporting", blocks=blocks)


def _masked(trajectories: Sequence[Trajectory], bottleneck: Bottleneck | None) -> list[list[str] | None]:
    if bottleneck is None:
        return [None] * len(trajectories)
    return [[step.query for step in trace.steps] for trace in bottleneck(trajectories)]


def _summary(trajectory: Trajectory) -> dict[str, Any]:
    return {
        "id": trajectory.question_id,
        "question": trajectory.question,
        "sample": trajectory.sample,
        "answer": trajectory.answer,
        "stop": trajectory.stop,
        "error": trajectory.error,
        "searches": len(trajectory.searches),
        "faults": trajectory.faults,
    }


def _turns(trajectory: Trajectory, masked: Sequence[str] | None) -> list[dict[str, Any]]:
    seen = iter(masked or ())
    return [
        {
            "text": turn.text,
            "query": turn.query,
            "masked": next(seen, None) if turn.query is not None else None,
            "hits": [{"id": hit.id, "text": hit.contents, "score": _number(hit.score)} for hit in turn.hits],
            "answer": turn.answer,
            "fault": turn.fault,
            "tokens": [turn.prompt_tokens, turn.completion_tokens],
            "seconds": [_number(turn.generation_seconds), _number(turn.retrieval_seconds)],
        }
        for turn in trajectory.turns
    ]


def _earned(row: Mapping[str, Any]) -> dict[str, Any]:
    parts = row.get("parts")
    return {
        "name": str(row.get("name", "reward")),
        "value": _number(row.get("reward")),
        "parts": {str(key): _number(value) for key, value in parts.items()} if isinstance(parts, Mapping) else {},
        "cause": str(row.get("cause") or ""),
    }


def _seen(row: Mapping[str, Any]) -> dict[str, str]:
    """What a reward was made of; a reconstruction may be several, a line each."""
    seen = row["seen"]
    return {name: str(seen[name]) for name in ("trace", "reconstruction") if seen.get(name)}


def _audit(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "reward": str(record.get("reward", "")),
        "verdict": str(record.get("verdict", "")),
        "checks": [
            {key: str(check.get(key, "")) for key in ("name", "grade", "words")} for check in record.get("checks") or ()
        ],
        "figures": [_figure(name, own) for name, own in (record.get("figures") or {}).items()],
        "cheats": [
            {"what": str(own.get("what", "")), **_figure(name, own.get("gain") or {})}
            for name, own in (record.get("cheats") or {}).items()
        ],
    }


def _figure(name: str, own: Mapping[str, Any]) -> dict[str, Any]:
    numbers = {key: _number(own.get(key)) for key in ("value", "low", "high")}
    return {"name": name, "what": str(own.get("what", "")), "n": own.get("n"), **numbers}


def _training(record: Mapping[str, Any]) -> dict[str, Any]:
    curves: dict[str, dict[str, list[list[float]]]] = {}
    for source in ("steps", "evaluations"):
        for row in record[source]:
            for name, value in row.items():
                if name != "step" and (number := _number(value)) is not None:
                    curves.setdefault(name, {}).setdefault(source, []).append([float(row["step"]), number])
    order = [name for name in _FIRST if name in curves] + sorted(name for name in curves if name not in _FIRST)
    return {"curves": {name: curves[name] for name in order}, "card": record["card"]}


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return round(float(value), 6)
