"""The gate of a benchmark, and how far it can be trusted beyond the questions that it was fitted on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from fresco.metrics.aggregate import rounded
from fresco.records import Pool, Task
from fresco.rerank.gate import Gate, fit_gate

_FOLDS = 5


def gate_of(pools: Sequence[Pool]) -> Gate:
    """A gate fitted on the questions of a split: EK asks for the present, NEK does not."""
    return fit_gate([pool.query.content for pool in pools], [pool.query.task is Task.EK for pool in pools])


def accuracy(gate: Gate, pools: Sequence[Pool]) -> dict[str, Any]:
    """The share of questions that the gate tells right, by task."""
    rows: dict[str, Any] = {}
    for task in Task:
        own = [gate.opens(pool.query.content) is (task is Task.EK) for pool in pools if pool.query.task is task]
        rows[str(task)] = {"value": rounded(sum(own) / len(own)) if own else None, "n": len(own)}
    return rows


def accuracy_on_new_relations(pools: Sequence[Pool]) -> dict[str, Any]:
    """The same for questions of relations that the gate has not seen: what a user's own questions are to it."""
    right: dict[Task, list[bool]] = {task: [] for task in Task}
    for fold in range(_FOLDS):
        kept = [pool for pool in pools if _fold(pool) != fold]
        if len({pool.query.task for pool in kept}) < len(Task):
            continue
        gate = gate_of(kept)
        for pool in pools:
            if _fold(pool) == fold:
                task = pool.query.task
                right[task].append(gate.opens(pool.query.content) is (task is Task.EK))
    return {
        str(task): {"value": rounded(sum(own) / len(own)) if own else None, "n": len(own)}
        for task, own in right.items()
    }


def _fold(pool: Pool) -> int:
    relation = pool.query.relation or pool.query.subject
    return hashlib.sha256(f"relation:{relation}".encode()).digest()[0] % _FOLDS
