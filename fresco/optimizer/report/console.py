"""What a search says on the console: each round, and at the end one table with what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.table import Table

from fresco.optimizer.search.settings import RoundReport
from fresco.optimizer.search.storage import without_password
from fresco.terminal.console import literal
from fresco.terminal.figures import interval
from fresco.terminal.progress import Progress, no_progress, progress_bars

#: Part of the benchmark and figure of each column.
COLUMNS = tuple((part, name) for part in ("validation", "test") for name in ("EK", "NEK"))
GAINS = (("test", "EK gain"), ("test", "NEK gain"))


class ConsoleWatcher:
    """A line for each round and a progress bar; a context manager, which takes the bar away.

    Args:
        console: Where the lines go; the bar goes to standard error.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._open = ExitStack()
        self._progress: Progress = no_progress

    def scored(self, what: str, done: int, total: int) -> None:
        """See :class:`fresco.optimizer.search.settings.Watcher`."""
        self._progress(what, done, total)

    def round_done(self, seed: int, report: RoundReport) -> None:
        """See :class:`fresco.optimizer.search.settings.Watcher`."""
        best_ek, best_nek = (max(getattr(m, side) for m in report.population) for side in ("ek", "nek"))
        share = 100 * report.pairs_spared / max(report.pairs_scored + report.pairs_spared, 1)
        used = [f"{report.pairs_scored:,} pairs scored"]
        if report.budget:
            of_budget = report.budget.used(report.spent)
            used = [of_budget] if report.budget.kind == "pairs" else [of_budget, *used]
        self._console.print(
            f"seed {seed} round {report.round}: gain over the base {literal(interval(report.gain))}, best EK "
            f"{best_ek:.3f}, best NEK {best_nek:.3f}, front {len(report.population)}; {report.tried} tried, "
            f"{report.dropped} dropped, {sum(report.rejected.values())} rejected; {', '.join(used)}; racing spared "
            f"{report.pairs_spared:,} ({share:.0f} %)"
        )
        if report.round and (report.refilled or not report.tried):
            reasons = ", ".join(f"{count} {reason}" for reason, count in report.rejected.items())
            instead = "; clauses were tried instead" if report.refilled else ""
            self._console.print(
                f"[yellow]warning:[/] seed {seed} round {report.round}: no usable proposal "
                f"({literal(reasons or 'nothing was proposed')}){instead}"
            )

    def __enter__(self) -> Self:
        self._progress = self._open.enter_context(progress_bars(one_bar=True, transient=True))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()


def front_rows(front: Mapping[str, Any], *, all_members: bool = False) -> list[tuple[str, Mapping[str, Any]]]:
    """Names and rows: the base, the instructions on the front (or all), the baselines."""
    kept = [member for member in front["members"] if all_members or member["on_front"]]
    rows = (front["base"], *kept, *front["baselines"])
    return [(row.get("id") or f"{row['name']} {row['parameter']}={row['value']}", row) for row in rows]


def front_table(front: Mapping[str, Any]) -> Table:
    """The front with its proof; ``front`` is the content of ``front.json``."""
    table = Table(
        title=literal(f"{front['reranker']['name']} on {front['benchmark']['name']}: MAP [95 %]"),
        title_justify="left",
        title_style="bold",
        header_style="bold",
    )
    table.add_column("", no_wrap=True)
    for part, name in (*COLUMNS, *GAINS):
        table.add_column(f"{part}\n{name}", justify="right", no_wrap=True)
    for name, row in front_rows(front):
        star = "*" if row.get("on_front") else ""
        cells = [literal(interval(row[part].get(column))) for part, column in (*COLUMNS, *GAINS)]
        table.add_row(literal(f"{name}{star}"), *cells)
    return table


def print_result(console: Console, front: Mapping[str, Any], folder: Path, storage: str | None) -> None:
    """The front with its proof.

    Args:
        console: Where to.
        front: The content of ``front.json``.
        folder: Where it lies.
        storage: As the user gave it.
    """
    kept = [member for member in front["members"] if member["on_front"]]
    console.print(front_table(front))
    console.print(
        "[dim]* on the front of validation, or not surely off it; gains are paired with the base instruction's[/]"
    )
    for member in kept:
        console.print(f"{member['id']}: {literal(member['text'])}")
    for part, area in front["hypervolume"].items():
        seeds = area["over_seeds"]
        console.print(
            f"hypervolume on {part}: {interval(area['front'])} against {interval(area['base'])} of the base, gain "
            f"{interval(area['front']['gain'])}".replace("[", "\\[")
            + (f"; {seeds['n']} seeds: {interval(seeds)}".replace("[", "\\[") if seeds["n"] > 1 else "")
        )
    scored, spared = (sum(seed[f"pairs_{what}"] for seed in front["seeds"]) for what in ("scored", "spared"))
    console.print(f"the searches scored {scored:,} pairs; racing spared {spared:,}")
    for warning in front["warnings"]:
        console.print(f"[yellow]warning:[/] {literal(warning)}")
    console.print(f"\nresults: {literal(str(folder))}  (front.json, proposals.jsonl, plots/, run.json)")
    url = without_password(storage or f"sqlite:///{folder / 'study.db'}")
    console.print(f"next: fresco score --instructions {literal(str(folder / 'front.json'))} --reranker ANOTHER")
    console.print(f"      optuna-dashboard {literal(url)}")
