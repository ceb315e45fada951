"""``ccs evaluate``: trajectories against gold answers and gold passages."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fresco.terminal.arguments import positive

if TYPE_CHECKING:
    from ccs.agent.question import Question
    from ccs.agent.trajectory import Trajectory
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
    evaluate.add_argument("--judge", metavar="URL#MODEL", help="a model that grades the answers, too")
    evaluate.add_argument("--out", metavar="DIR", help="folder of the results: metrics.json, per_question.parquet")
    evaluate.add_argument("--json", action="store_true", help="print one JSON object a figure on standard output")
    evaluate.add_argument("--seed", type=int, default=0, metavar="S", help="of resampling")
    evaluate.add_argument(
        "--resamples", type=positive, default=1000, metavar="N", help="bootstrap samples for each interval"
    )


def run_evaluate(options: argparse.Namespace) -> int:
    """Run the command."""
    from ccs.evaluation.measure import match, measure
    from ccs.questions import load_questions
    from ccs.rollouts.file import read_trajectories

    questions = load_questions(options.questions)
    pairs = match(read_trajectories(Path(options.trajectories)), questions)
    grades, judge_name = _grades(options, pairs) if options.judge else (None, None)
    evaluation = measure(pairs, grades, resamples=options.resamples, seed=options.seed)
    evaluation.counts["questions without a trajectory"] = len({question.id for question in questions}) - len(
        {trajectory.question_id for trajectory, _ in pairs}
    )
    if options.json:
        sys.stdout.writelines(f"{json.dumps(row)}\n" for row in evaluation.rows)
    else:
        _print_table(evaluation)
    left_out = {name: count for name, count in evaluation.counts.items() if name != "trajectories" and count}
    sys.stderr.writelines(f"ccs: {count} {name}\n" for name, count in left_out.items())
    if options.out:
        _write(options, evaluation, judge_name)
    return 0


def _grades(
    options: argparse.Namespace, pairs: Sequence[tuple[Trajectory, Question]]
) -> tuple[Mapping[tuple[str, int], float | None], str]:
    from rich.progress import Progress

    from ccs.evaluation.judge import judge
    from fresco.clients.llm import ChatClient
    from fresco.terminal.console import make_console

    asked = {
        (trajectory.question_id, trajectory.sample): (question.text, question.answers, trajectory.answer)
        for trajectory, question in pairs
        if trajectory.answer is not None and question.answers
    }
    client = ChatClient(options.judge, cache=Path(options.out) / "judge.sqlite" if options.out else None)
    try:
        with Progress(console=make_console(stderr=True)) as progress:
            task = progress.add_task("judge", total=len(set(asked.values())))
            grades = judge(client, list(asked.values()), lambda: progress.advance(task))
        return dict(zip(asked, grades, strict=True)), client.shown
    finally:
        client.close()


def _print_table(evaluation: Evaluation) -> None:
    from rich.markup import escape
    from rich.table import Table

    from fresco.terminal.console import make_console
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
        table.add_row(escape(dataset), str(asked), *map(escape, shown))
    make_console().print(table)


def _write(options: argparse.Namespace, evaluation: Evaluation, judge_name: str | None) -> None:
    import io

    from ccs.evaluation.measure import METRICS
    from fresco.io.files import digest, write_atomically
    from fresco.io.provenance import environment

    folder = Path(options.out)
    parquet = io.BytesIO()
    evaluation.per_trajectory.to_parquet(parquet, index=False)
    write_atomically(folder / "per_question.parquet", parquet.getvalue())
    metrics = {"schema_version": 1, "metrics": METRICS, "counts": evaluation.counts, "rows": evaluation.rows}
    write_atomically(folder / "metrics.json", json.dumps(metrics, indent=2) + "\n")
    record = {
        "trajectories": options.trajectories,
        "trajectories_sha256": digest(Path(options.trajectories)),
        "questions": options.questions,
        "judge": judge_name,
        "seed": options.seed,
        "resamples": options.resamples,
        "environment": environment(),
    }
    write_atomically(folder / "run.json", json.dumps(record, indent=2, ensure_ascii=False) + "\n")
