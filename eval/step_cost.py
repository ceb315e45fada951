"""Where the seconds of a training step go, and what our own code adds to generation, forward and backward.

    pip install -e ".[test]" && python eval/step_cost.py DIR

trains the demo of ``ccs train`` for some steps and writes ``eval/results/step_cost.json`` and ``.md``: medians over the
steps, the first left out. Ours is what is neither the engine's generation nor TRL's update: the environment, decoding
and encoding, searches, waiting for rewards, sending weights. Run nothing beside it. A small model makes our share look
large: it is an upper bound for larger ones.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import study
import torch

from ccs.training.config import read_train_config
from ccs.training.run import train

_OURS = ("the rest of rolling out", "retrieval", "waiting for rewards", "weights")


def main() -> None:
    """Measure and write."""
    parser = study.make_parser(__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=21)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    made = study.begin(options)
    steps, warm_up = (3, 5) if options.smoke else (options.steps, 400)
    torch.set_num_threads(options.threads)
    changes = [f"optimization.steps={steps}", "keep.evaluate_every=1000", "keep.preflight=0"]
    if options.smoke:
        changes += ["demo.people=12", "demo.held_out=2", "optimization.questions_per_step=2", "optimization.group=4"]
        changes += ["optimization.micro_batch=8"]
    config = read_train_config("demo", changes)
    assert config.demo is not None
    train(replace(config, demo=replace(config.demo, warm_up_steps=warm_up)), options.folder, tell=print)
    lines = (options.folder / "steps.jsonl").read_text(encoding="utf-8").splitlines()[1:]
    rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
    phases = {name: statistics.median(row[f"seconds of {name}"] for row in rows) for name in ("generation", *_OURS)}
    whole = statistics.median(row["seconds"] for row in rows)
    updates = [row["seconds"] - sum(row[f"seconds of {name}"] for name in phases) for row in rows]
    phases["update (TRL: forward, backward, optimizer)"] = statistics.median(updates)
    ours = [sum(row[f"seconds of {name}"] for name in _OURS) for row in rows]
    share = statistics.median(own / (row["seconds"] - own) for own, row in zip(ours, rows, strict=True))
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "steps": len(rows),
        "threads": options.threads,
        "seconds": {**phases, "whole step": whole},
        "added": share,
        "environment": made,
    }
    commit = (made["git"] or {}).get("commit", "unknown")[:12]
    table = [f"| {name} | {seconds:.4f} |" for name, seconds in record["seconds"].items()]
    text = f"""# Seconds of a training step

Written by `eval/step_cost.py`, which says what is measured. The demo of `ccs train`, 64 rollouts a step, medians of
{len(rows)} steps; {record["date"]}, {made["cpu"]}, {options.threads} thread(s), commit {commit}.

| phase | seconds |
|---|---|
{chr(10).join(table)}

Our code adds {share:.1%} to generation and update.
"""
    study.record(options, "step_cost", record, text)


if __name__ == "__main__":
    main()
