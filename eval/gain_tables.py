"""The tables of `eval/gain_audit.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_LEVELS = ("paper", "masked", "blanked")


def table(record: Mapping[str, Any]) -> str:
    """All models' figures as Markdown."""
    lines = [
        "# Rewards of a real language model on agents of known quality",
        "",
        "Made by `eval/gain_audit.py`. Within-question AUROC, 95 % intervals over questions; nats a token but for the",
        "paper's (cosine) and `evidence`, `support` and `agreement` (0 to 1). The answers of the scripted agents are",
        "scripted, too: `sufficiency`, `support` and `agreement` are there of the right answer (perfect), a half-way",
        "one (half) or a title (the others).",
        "",
    ]
    for name, row in record.items():
        lines += [f"## {name}", "", f"{row['environment']}; trunk in {row['dtype']}, seed {row['seed']}.", ""]
        levels = {name: each for part in _LEVELS for name, each in (row.get(part) or {}).items()}
        if levels:
            lines += _levels(levels)
        if row.get("plays"):
            lines += _plays(row["plays"])
        if row.get("retrieval"):
            lines += _retrieval(row["retrieval"])
    return "\n".join(lines)


def _levels(rows: Mapping[str, Any]) -> list[str]:
    first = next(iter(rows.values()))
    means, others = list(first["means"]), list(first["perfect over"])
    lines = [
        "Mean reward of each level:",
        "",
        _row("reward", "questions", *means),
        _row("---", *("--:" for _ in range(len(means) + 1))),
        *(
            _row(name, str(row["questions"]), *(f"{row['means'][each]:.2f}" for each in means))
            for name, row in rows.items()
        ),
    ]
    for key, title in (
        ("perfect over", "The perfect agent told from others:"),
        (
            "perfect over, later",
            "The same without the first 18 questions, on which the default was chosen:",
        ),
        ("perfect over, musique", "Of MuSiQue alone:"),
        ("perfect over, hotpotqa", "Of HotpotQA alone:"),
        ("perfect over, 2wikimultihopqa", "Of 2WikiMultihopQA alone:"),
    ):
        known = {name: row[key] for name, row in rows.items() if row.get(key)}
        if not known:
            continue
        lines += [
            "",
            title,
            "",
            _row("reward", *others),
            _row("---", *("--:" for _ in others)),
            *(_row(name, *(_cell(row[each]) for each in others)) for name, row in known.items()),
        ]
    return [*lines, ""]


def _plays(found: Mapping[str, Any]) -> list[str]:
    forms = list(found["gains"])
    return [
        f"What each cheat gains on {found['questions']} questions, in standard deviations of the reward (the first",
        "four must lose, no other may gain more than .25):",
        "",
        _row("cheat", *forms),
        _row("---", *("--:" for _ in forms)),
        *(
            _row(name, *(_cell(found["gains"][form][name], sign="+") for form in forms))
            for name in found["gains"][forms[0]]
        ),
        "",
    ]


def _retrieval(found: Mapping[str, Any]) -> list[str]:
    return [
        f"Real BM25 retrieval, {found['questions']} open questions: trajectories whose passages hold an accepted",
        "answer told from those of the same question that do not; the model answers out of what was found. None of",
        "these questions was looked at while the parts were chosen. The control is BM25's ranks, which no reward sees:",
        "",
        _row("reward", "AUROC"),
        _row("---", "--:"),
        *(_row(name, _cell(each)) for name, each in found["told"].items()),
        "",
    ]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(figure: Mapping[str, Any], sign: str = "") -> str:
    if figure["value"] is None:
        return "-"
    if figure["low"] is None:
        return f"{figure['value']:{sign}.2f}"
    return f"{figure['value']:{sign}.2f} [{figure['low']:{sign}.2f} {figure['high']:{sign}.2f}]"
