"""The table of ``eval/real_training.py``."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from ccs.evaluation.measure import METRICS

#: Of a held-out question's rollout; the first :data:`SHARES` of them are shares.
FIGURES = ("exact match", "f1", "answered", "answer found", "searches", "malformed turns")
SHARES = 4
#: What is told of the log-probabilities of trainer and vLLM, by its name in the journal.
APART = {
    "weights apart": "of a fixed text after a renewal of the weights, at most",
    "sampling/sampling_logp_difference/mean": "of the sampled tokens, mean of a step",
    "sampling/sampling_logp_difference/max": "of the sampled tokens, largest of a step",
}


def table(record: Mapping[str, Any]) -> str:
    """All variants so far as Markdown."""
    text = """# A real instruct model trained on real text, by reward

Written by `eval/real_training.py`, which says what is measured; all variants begin with the same warmed-up policy.
Value [95 % interval over questions], greedy; "gained" is paired by question.
"""
    for name, each in record.items():
        first, last = each["training"]["first"]["reward"], each["training"]["last"]["reward"]
        text += f"""
## {name}

{each["policy"]}, gain under {each["frozen"]}; {each["steps"]} steps of {each["rollouts"]} rollouts, of which a
question has {each["group"]}; {each["held-out"]["questions"]} held-out questions. Training reward {_shown(first)} in
the first fifth of the steps, {_shown(last)} in the last; median step {each["training"]["seconds"]:.0f} s.
{each["environment"]}.{_apart(each["training"]["rows"])}

| | before | after | gained |
|---|---|---|---|
"""
        for figure in FIGURES:
            cells = [_cell(each["held-out"][key][figure]) for key in ("before", "after", "gained")]
            text += f"| {figure}: {METRICS[figure]} | {' | '.join(cells)} |\n"
    return text


def _apart(rows: Sequence[Mapping[str, Any]]) -> str:
    """How far trainer and vLLM were apart, in nats; nothing where the trainer itself sampled."""
    text = ""
    for name, what in APART.items():
        values = [row[name] for row in rows if row.get(name) is not None]
        if values:
            text += f"\nLog-probabilities of trainer and vLLM apart, {what}: median {statistics.median(values):.2g}, "
            text += f"largest {max(values):.2g} nats over {len(values)} steps."
    return text


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _cell(row: Mapping[str, float]) -> str:
    return f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
