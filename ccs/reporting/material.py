"""What a report is made of: each path opened as what it is, whatever its name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ccs.agent.trajectory import Trajectory
from ccs.rewards.reward_file import read_texts, table_path, text_key
from ccs.rollouts.file import read_trajectories
from ccs.training.journal import Journal
from fresco.errors import FrescoError

_AUDIT, _STEPS = "audit.json", "steps.jsonl"
_KNOWN = "a file of `ccs rollout` or `ccs reward`, or a folder of `ccs audit` or `ccs train`"


@dataclass
class Material:
    """What was opened, in the order of the paths.

    Attributes:
        rollouts: File to its trajectories.
        rewards: Lines of ``ccs reward``, each with ``seen``: the trace and the reconstruction that it was made of.
        audits: Folder to what ``audit.json`` holds.
        trainings: Folder to ``steps``, ``evaluations`` (lines each) and ``card`` (text).
    """

    rollouts: dict[str, list[Trajectory]] = field(default_factory=dict)
    rewards: list[Mapping[str, Any]] = field(default_factory=list)
    audits: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    trainings: dict[str, Mapping[str, Any]] = field(default_factory=dict)


def read_material(paths: Sequence[Path]) -> Material:
    """Open what a report is asked of.

    Raises:
        FrescoError: a path is none of the kinds, or is damaged.
    """
    found = Material()
    for path in paths:
        if path.is_dir():
            _read_folder(path, found)
        elif path.name == _AUDIT:
            found.audits[str(path)] = _json_object(path)
        else:
            first = _first_row(path)
            if "turns" in first:
                found.rollouts[str(path)] = read_trajectories(path)
            elif "trajectory" in first and "reward" in first:
                found.rewards += _rewards(path)
            else:
                raise FrescoError(f"{path}: its first line is neither a trajectory nor a reward; give {_KNOWN}")
    return found


def _read_folder(path: Path, found: Material) -> None:
    if (path / _STEPS).exists():
        try:
            rows = {name: Journal(path).rows(f"{name}.jsonl") for name in ("steps", "evaluations")}
        except ValueError as error:
            raise FrescoError(f"{path}: a line of its records is no JSON ({error}); give a whole folder") from None
        card = path / "card.md"
        text = card.read_text(encoding="utf-8", errors="replace") if card.exists() else ""
        found.trainings[str(path)] = {**rows, "card": text}
        for name in ("held_out.jsonl", "sampled.jsonl"):
            if (path / name).exists() and (path / name).stat().st_size:
                found.rollouts[str(path / name)] = read_trajectories(path / name)
    elif (path / _AUDIT).exists():
        found.audits[str(path)] = _json_object(path / _AUDIT)
    else:
        raise FrescoError(f"{path}: holds neither {_STEPS} nor {_AUDIT}; give {_KNOWN}")


def _first_row(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as stream:
            row = json.loads(stream.readline())
    except OSError as error:
        raise FrescoError(f"{path}: cannot be read: {error.strerror or error}; give {_KNOWN}") from error
    except (ValueError, RecursionError):
        row = None
    return row if isinstance(row, Mapping) else {}


def _rewards(path: Path) -> list[Mapping[str, Any]]:
    """The lines of a file, with the texts of the Parquet file beside it."""
    texts = read_texts(table_path(path))
    rows: list[Mapping[str, Any]] = []
    for row in _lines(path):
        seen = row.get("seen") or texts.get(text_key({"fingerprint": "", **row}), {})
        rows.append({**row, "seen": seen if isinstance(seen, Mapping) else {}})
    return rows


def _lines(path: Path) -> list[Mapping[str, Any]]:
    rows = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, Mapping) or "trajectory" not in row:
            raise FrescoError(f"{path}:{number}: no line of `ccs reward`; make the file again")
        rows.append(row)
    return rows


def _json_object(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FrescoError(f"{path}: no record of `ccs audit`: {' '.join(str(error).split())}") from error
    if not isinstance(content, Mapping) or "checks" not in content:
        raise FrescoError(f"{path}: no record of `ccs audit`; make it again")
    return content
