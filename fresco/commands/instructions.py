"""What ``fresco score --instructions`` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table

from fresco.metrics.catalog import ALL, PRIMARY
from fresco.records import Task
from fresco.results.table import find
from fresco.terminal.console import literal
from fresco.terminal.figures import interval

if TYPE_CHECKING:
    from rich.console import Console

    from fresco.metrics.evaluate import Evaluation


def print_transfer(console: Console, evaluation: Evaluation, record: Mapping[str, Any]) -> None:
    """What :meth:`fresco.optimizer.transfer.Transfer.record` holds, as one table for each re-ranker."""
    for name, effects in record["rerankers"].items():
        table = Table(title=literal(f"{name} under the instructions of {record['file']}"), title_justify="left")
        table.add_column("instruction", no_wrap=True)
        tasks = [str(task) for task in Task if find(evaluation.rows, name, task, ALL, PRIMARY)]
        for task in tasks:
            table.add_column(f"{task}\n{PRIMARY}", justify="right", no_wrap=True)
            table.add_column(f"{task}\ngain", justify="right", no_wrap=True)
        for key in ("default", *record["legend"]):
            row = name if key == "default" else f"{name} [{key}]"
            cells = []
            for task in tasks:
                gain = effects["gain"].get(key, {}).get(task)
                cells += [interval(find(evaluation.rows, row, task, ALL, PRIMARY)), interval(gain)]
            table.add_row(literal(key), *(literal(cell) for cell in cells))
        console.print()
        console.print(table)
        kept = effects["carries_over"]
        console.print(
            f"{len(kept)} of {len(record['legend'])} instructions carry over to {literal(name)}: they gain EK over its "
            f"default without a loss of NEK beyond the interval{': ' * bool(kept)}{literal(', '.join(kept))}"
        )
        for task, spread in effects["sensitivity"].items():
            console.print(
                f"instruction sensitivity, {task}: {PRIMARY} ranges over {spread['range']:.3f}, SD {spread['sd']:.3f}"
            )
    console.print()
    for key, text in record["legend"].items():
        console.print(literal(f"[{key}] {text}"))
