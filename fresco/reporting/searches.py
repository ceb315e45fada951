"""A search on the page: its front, and each instruction with its text, its figures and where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fresco.optimizer.report.console import front_rows
from fresco.optimizer.report.result import SearchResult

_FIGURES = ("EK", "NEK", "EK gain", "NEK gain")


def search_data(search: SearchResult, block: str) -> tuple[dict[str, Any], list[list[dict[str, Any]]]]:
    """What the page has of a search from the start, and the lineages, which it unpacks when one is asked for.

    Args:
        search: Of ``fresco optimize``.
        block: Name of the block that the lineages go into.
    """
    front = search.front
    rows = front_rows(front, all_members=True)
    members = [
        {
            "id": name,
            "text": row.get("text"),
            "kind": "base" if row is front["base"] else "baseline" if "text" not in row else "instruction",
            "on_front": bool(row.get("on_front")),
            "standing": row.get("standing"),
            "seeds": row.get("seeds", []),
            **{
                part: {figure: _figure(row[part].get(figure)) for figure in _FIGURES} for part in ("validation", "test")
            },
        }
        for name, row in rows
    ]
    data = {
        "title": f"{front['reranker']['name']} on {front['benchmark']['name']}",
        "name": search.folder.name,
        "command": search.record.get("command"),
        "default": front["base"].get("default_text"),
        "members": members,
        "warnings": list(front["warnings"]),
        "hypervolume": [
            {"seed": own["seed"], "points": [[each["round"], each["hypervolume"]] for each in own["rounds"]]}
            for own in front["seeds"]
        ],
        "pairs": sum(own["pairs_scored"] for own in front["seeds"]),
        "block": block,
    }
    return data, [[_ancestor(each) for each in row.get("lineage", ())] for _, row in rows]


def _figure(row: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: (row or {}).get(key) for key in ("value", "ci_low", "ci_high")}


def _ancestor(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: entry.get(key) for key in ("trial", "seed", "round", "operator", "parents", "text")}
