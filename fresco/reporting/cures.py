"""A tuning on the page: the front of EK, NEK and cost, and the card of its cures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fresco.results.rows import bounds
from fresco.tuning.card import BASE, COLUMNS
from fresco.tuning.pipeline import CONTROLS, TuneResult


def tuning_data(tuning: TuneResult) -> dict[str, Any]:
    """What the page draws a tuning from, as plain mappings and lists."""
    content = tuning.content
    priors = {each["name"]: each for each in content["cures"]}
    added = tuning.record["milliseconds"]
    return {
        "title": f"{content['reranker']} on {content['benchmark']}",
        "name": tuning.folder.name,
        "command": tuning.record.get("command"),
        "verdict": content["verdict"],
        "criterion": content["criterion"],
        "exported": content["exported"],
        "warnings": content["warnings"],
        "queries": content["queries"],
        "columns": [title for title, _ in COLUMNS],
        "rows": [
            {
                "name": name,
                "kind": _kind(content, name),
                "on_front": name in content["front"],
                "added": name in priors,
                "ms": added.get(name),
                "cost": _cost(added, name, prior=name in priors),
                "ek": bounds(row["EK"]),
                "nek": bounds(row["NEK"]),
                **{
                    part: [bounds(content[part].get(name, {}).get(key)) for _, key in COLUMNS]
                    for part in ("test", "validation")
                },
            }
            for name, row in content["test"].items()
        ],
        "priors": [
            {
                "name": each["name"],
                "chosen": "the base's own order is best" if each["neutral"] else f"{each['parameter']} {each['value']}",
                "interval": f"{each['ci_low']} to {each['ci_high']}",
            }
            for each in priors.values()
        ],
        "models": [
            {"name": each["name"], **{key: each[key] for key in ("loss", "seed", "steps", "best step")}}
            for each in content["models"]
        ],
        "instructions": [[name, str(text)] for name, text in content["instructions"].items()],
        "gate": [
            [part, *(_share(own.get(task)) for task in ("EK", "NEK"))] for part, own in (content["gate"] or {}).items()
        ],
    }


def _kind(content: Mapping[str, Any], name: str) -> str:
    kinds = {
        "base": [BASE],
        "prior": [each["name"] for each in content["cures"]],
        "model": [each["name"] for each in content["models"]],
        "instruction": content["instructions"],
        "control": CONTROLS,
    }
    return next((kind for kind, names in kinds.items() if name in names), "model")


def _cost(milliseconds: Mapping[str, float], name: str, *, prior: bool) -> float | None:
    """Milliseconds a query of everything that the row runs: a prior stands over the base."""
    own, base = milliseconds.get(name), milliseconds.get(BASE)
    if own is None or not prior:
        return own
    return None if base is None else own + base


def _share(row: Mapping[str, Any] | None) -> list[Any]:
    return [None, 0] if row is None else [row["value"], row["n"]]
