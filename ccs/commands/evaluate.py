"""``ccs evaluate``: trajectories against gold answers and gold passages."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from fresco.terminal.arguments import address
from fresco.terminal.options import add_resamples, add_seed

if TYPE_CHECKING:
    from ccs.evaluation.measure import Evaluation

#: Columns of the table on the console; metrics.json has all.
_SHOWN = ("exact match", "f1", "cover match", "judge", "answered", "searches", "gold recall", "answer found")


def add_evaluate(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command to the parser."""
    evaluate = commands.add_parser(
        "evaluate",
        help="measure trajectories against gold answers and passages",
        description="Measure trajectories: answers, searches, retrieval, tokens; by dataset, with intervals.",
    )
    evaluate.set_defaults(run=run_evaluate)
    evaluate.add_argument("--trajectories", required=True, metavar="FILE", help="of `ccs rollout`")
    evaluate.add_argument(
        "--questions", required=True, action="append", metavar="Q", help="as they were rolled out; repeatable"
    )
    evaluate.add_argument("--judge", type=address, metavar="URL#MODEL", help="a model that grades the answers, too")
    evaluate.add_argument("--out", metavar="DIR", help="folder of the results: metrics.json, per_question.parquet")
    evaluate.add_argument("--json", action="store_true", help="print one JSON object a figure on standard output")
    add_seed(evaluate, "resampling")
    add_resamples(evaluate)


def run_evaluate(options: argparse.Namespace) -> int:
    """Run the command."""
    import ccs

    chosen = {name: getattr(options, name) for name in ("judge", "out", "seed", "resamples")}
    evaluation = ccs.evaluate(options.trajectories, options.questions, **chosen)
    if options.json:
        sys.stdout.writelines(f"{json.dumps(row)}\n" for row in evaluation.rows)
    else:
        _print_table(evaluation)
    left_out = {name: count for name, count in evaluation.counts.items() if name != "trajectories" and count}
    sys.stderr.writelines(f"ccs: {count} {name}\n" for name, count in left_out.items())
    return 0


def _print_table(evaluation: Evaluation) -> None:
    from rich.table import Table

    from fresco.terminal.console import literal, make_console
    from fresco.terminal.figures import interval

    cells = {(row["dataset"], row["metric"]): row for row in evaluation.rows}
    metrics = [name for name in _SHOWN if any(cells[key]["value"] is not None for key in cells if key[1] == name)]
    table = Table(title=f"{evaluation.counts['trajectories']} trajectories", title_justify="left", title_style="bold")
    table.add_column("dataset", overflow="fold")
    table.add_column("questions", justify="right")
    for name in metrics:
        table.add_column(name, justify="right")
    for dataset in dict.fromkeys(row["dataset"] for row in evaluation.rows):
        figures = [cells[dataset, name] for name in metrics]
        asked = cells[dataset, "answered"]["questions"]
        shown = [interval(row if row["value"] is not None else None) for row in figures]
        table.add_row(literal(dataset), str(asked), *map(literal, shown))
    make_console().print(table)
