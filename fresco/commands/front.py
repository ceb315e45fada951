"""``fresco compare RUN... --front FILE``: quality against cost, drawn and in a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fresco.results.result import Result


def print_front(runs: Sequence[Result], metric: str, target: Path) -> None:
    """Print a row for each re-ranker, cheapest first, and write the plot.

    Raises:
        FrescoError: the runs have no cost or no such figure, or the plot cannot be written.
    """
    from rich.table import Table

    from fresco.results.front import front_of, points_of, write_front
    from fresco.terminal.console import literal, make_console
    from fresco.terminal.figures import interval

    evolves = any(row["task"] == "EK" for row in runs[0].evaluation.rows)
    task, kind = ("EK", "explicit") if evolves else ("NEK", "all")
    points, free = points_of(runs, metric, task, kind)
    title = f"{task} {kind} {metric}" if evolves else f"{task} {metric}"
    paths = write_front(points, title, target)
    front = front_of(points)
    table = Table(
        *("re-ranker", title, "ms a pair", "pairs/s", "peak memory", "tokens saved by sharing", "no other beats it"),
        header_style="bold",
    )
    for point in points:
        saved = "-" if point.saved is None else f"{point.saved:,}"
        memory = "-" if point.memory is None else f"{point.memory / 2**30:.2f} GiB"
        speed = f"{point.milliseconds:.3g}", f"{1000 / point.milliseconds:.3g}", memory
        table.add_row(literal(point.name), literal(interval(point.row)), *speed, saved, "yes" if point in front else "")
    console = make_console()
    console.print(table)
    for name in free:
        console.print(f"note: {literal(name)} is left out: its scores came out of the store, so its cost is unknown")
    machines = sorted({point.machine for point in points if ", " in point.machine})
    if len(machines) > 1:
        console.print(f"[yellow]warning:[/] costs were measured on different machines: {literal('; '.join(machines))}")
    console.print(f"wrote {' and '.join(literal(str(path)) for path in paths)}")
