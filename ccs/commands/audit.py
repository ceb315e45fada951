"""``ccs audit``: does a reward measure what it should, before any training?"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ccs.commands.reward import add_choice, chosen_config
from fresco.terminal.arguments import positive

if TYPE_CHECKING:
    from ccs.auditing.audit import Audit
    from ccs.auditing.statistics import Figure
    from ccs.auditing.verdict import Check

_SCHEMA_VERSION = 1


def add_audit(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command to the parser."""
    audit = commands.add_parser(
        "audit",
        help="check on recorded trajectories whether a reward measures what it should",
        description="Check a reward on recorded trajectories: does it follow right answers and gold passages, what do "
        "the known ways to cheat gain, does it vary within a question?",
    )
    audit.set_defaults(run=run_audit)
    audit.add_argument("--trajectories", required=True, metavar="FILE", help="of `ccs rollout`, several a question")
    audit.add_argument(
        "--questions", required=True, action="append", metavar="Q", help="as they were rolled out; repeatable"
    )
    add_choice(audit)
    audit.add_argument("--out", metavar="DIR", help="folder of the results: audit.json, plots")
    audit.add_argument(
        "--cheats-on", type=positive, metavar="N", help="play the cheats on the first N questions only (default: all)"
    )
    audit.add_argument("--json", action="store_true", help="print audit.json on standard output, no table")
    audit.add_argument("--seed", type=int, default=0, metavar="S", help="of resampling")
    audit.add_argument(
        "--resamples", type=positive, default=1000, metavar="N", help="bootstrap samples for each interval"
    )


def run_audit(options: argparse.Namespace) -> int:
    """Run the command."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from ccs.auditing.audit import audit
    from ccs.auditing.variants import VARIANTS
    from ccs.auditing.verdict import judge
    from ccs.questions import load_questions
    from ccs.rewards.config import open_bottleneck, open_reward
    from ccs.rollouts.file import read_trajectories
    from fresco.terminal.console import make_console

    config = chosen_config(options)
    trajectories = read_trajectories(Path(options.trajectories))
    questions = load_questions(options.questions)
    reward = open_reward(config, cache=Path(options.cache) if options.cache else None)
    started = time.perf_counter()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=make_console(stderr=True)) as progress:
        task = progress.add_task("audit", total=len(VARIANTS) + 2)

        def on_pass(name: str) -> None:
            progress.update(task, description=name, advance=1)

        found = audit(
            reward,
            trajectories,
            questions,
            open_bottleneck(config),
            variant_questions=options.cheats_on,
            resamples=options.resamples,
            seed=options.seed,
            on_pass=on_pass,
        )
    verdict, checks = judge(found)
    record = _record(options, found, verdict, checks)
    if options.json:
        sys.stdout.write(json.dumps(record, indent=2) + "\n")
    else:
        _print_tables(found, verdict, checks)
    if options.out:
        _write(Path(options.out), found, record | _circumstances(options, config, reward.fingerprint, started))
    return 0


def _record(options: argparse.Namespace, found: Audit, verdict: str, checks: list[Check]) -> dict[str, Any]:
    from ccs.auditing.audit import FIGURES
    from ccs.auditing.variants import VARIANTS

    return {
        "schema_version": _SCHEMA_VERSION,
        "reward": found.reward,
        "verdict": verdict,
        "checks": [asdict(check) for check in checks],
        "figures": {name: {"what": FIGURES[name], **asdict(figure)} for name, figure in found.figures.items()},
        "cheats": {
            name: {
                "what": VARIANTS[name].what,
                "should": VARIANTS[name].should,
                **{kind: asdict(figure) for kind, figure in figures.items()},
            }
            for name, figures in found.variants.items()
        },
        "counts": found.counts,
        "resamples": options.resamples,
        "seed": options.seed,
    }


def _circumstances(options: argparse.Namespace, config: Any, fingerprint: str, started: float) -> dict[str, Any]:
    from fresco.io.provenance import environment

    return {
        "fingerprint": fingerprint,
        "config": asdict(config),
        "trajectories": options.trajectories,
        "questions": options.questions,
        "seconds": round(time.perf_counter() - started, 3),
        "environment": environment(),
    }


def _write(folder: Path, found: Audit, record: dict[str, Any]) -> None:
    from ccs.auditing.plots import draw_plots
    from fresco.errors import FrescoError
    from fresco.io.files import write_atomically

    try:
        draw_plots(found, folder)
    except OSError as error:
        raise FrescoError(f"--out {folder}: cannot be written: {error.strerror or error}") from error
    write_atomically(folder / "audit.json", json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    sys.stdout.write(f"audit.json and plots: {folder}\n")


def _print_tables(found: Audit, verdict: str, checks: list[Check]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from ccs.auditing.audit import FIGURES
    from fresco.terminal.console import make_console

    console = make_console()
    figures = Table(title=escape(found.reward), title_justify="left", title_style="bold")
    for header in ("figure", "value [95 %]", "what it is"):
        figures.add_column(header)
    for name, figure in found.figures.items():
        figures.add_row(name, escape(_shown(figure)), FIGURES[name])
    console.print(figures)
    table = Table(title="checks", title_justify="left", title_style="bold")
    for header in ("check", "", "found"):
        table.add_column(header)
    for check in checks:
        table.add_row(check.name, check.grade, escape(check.words))
    console.print(table)
    console.print(escape(verdict), style="bold", soft_wrap=True)


def _shown(figure: Figure) -> str:
    if figure.value is None:
        return "-"
    if figure.low is None or figure.high is None:
        return f"{figure.value:.3f}"
    return f"{figure.value:.3f} [{figure.low:.2f} {figure.high:.2f}]"
