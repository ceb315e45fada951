"""The instruction search beside its peers: chance, Optuna's samplers and GEPA, at equal pair scorings.

    pip install -e ".[test]" gepa==0.1.4 && python eval/search_vs_peers.py

The re-ranker is the one of ``clause_reranker.py``, whose values are known for every instruction of the clause bank: so
the best front is known, and a search costs no scoring. It searches on the validation split of ``mini``; errors are read
on the train split. What each has to pay is counted alike: a query-passage pair that an instruction was scored on, on
either split, once.

At each budget four of the instructions that a search had scored on all of validation by then are its result, chosen by
the same rule for all: as ``fresco optimize`` proposes them, those whose front is worth most in the mean over resamples
of the validation queries. What counts is the hypervolume above the base instruction's: on validation as a share of what
the best front has above it, and on the test split, by which nothing was chosen, as a share of what the front that
validation would choose of all instructions has there.

A last table has the test split with the front by point estimates, pruned to four by crowding distance (as in FRESCO).
By two dozen queries such a choice is one of the luckiest: it drops the base instruction for what is no better, and
loses on the test split. The rule above was chosen on worlds 1 and 2, on subsets of 24 and 60 validation queries, from
itself, the front by estimates with and without the base, and estimates shrunk to their mean (empirical Bayes).

- ``random``: instructions of the bank by chance, each scored in full.
- ``random, raced``: the same in our races.
- ``optuna nsga2``, ``optuna tpe``: the samplers with two objectives, each trial in full. NSGA-II breeds from 8, since
  its default of 50 would never end its first generation here.
- ``gepa``: the package, with its parents from the fronts of single queries, its minibatches of three and its tests for
  acceptance. Its proposer is the model by rules of ``clause_reranker.py``: it sees which errors were made and changes
  one clause of a kind that mends one of them.
- ``ours``: ``--proposer clauses`` as it is by default.
- ``ours, edits``: our search with the proposer that GEPA has, and its three queries.
- ``ours, climbing``: the same with ``--climb 8``.

``--reranker SPEC --work DIR`` takes a real re-ranker instead, with a part of the bank, some queries and short pools:
each of its instructions is scored once (scores are kept in DIR, so a run that was stopped goes on), and all searches
and seeds are served from that table. The budgets are then shares of the whole table, and the figures are plain gains in
hypervolume, since the best front of a small bank may gain nothing on test.

The settings of ours were tried out on worlds 1 and 2, those of the climb with seeds from 100 up; world 0 is reported.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import study
from scored_reranker import part_of
from search_methods import KEPT, Edits, Log, World, by_gepa, by_optuna, by_ours

from fresco.optimizer.proposers.clauses import Bank, ClausesProposer, read_bank
from fresco.optimizer.proposers.climb import Climbing
from fresco.optimizer.report.proof import over_seeds, student
from fresco.optimizer.search.selection import select

BUDGETS: tuple[int, ...] = (50_000, 100_000, 200_000, 400_000)
_SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2)  # of a model's table
_PARTS = ("train", "validation", "test")
#: The test split again, with the front that each search would propose by point estimates.
BY_ESTIMATES = "test, chosen by point estimates"
_CLIMB = 8  # changes that a child tries before it races
_GEPA = "pip install gepa==0.1.4"


def methods(world: World) -> dict[str, Callable[[int, int], Log]]:
    """Every search by its name: from the seed and the largest budget to what it did."""

    def clauses(sampler: str) -> Callable[[int, int], Log]:
        return lambda seed, most: by_ours(world, ClausesProposer(world.bank, sampler), seed, most)

    return {
        "random": lambda seed, most: by_optuna(world, "random", seed, most),
        "random, raced": clauses("random"),
        "optuna nsga2": lambda seed, most: by_optuna(world, "nsga2", seed, most),
        "optuna tpe": lambda seed, most: by_optuna(world, "tpe", seed, most),
        "gepa": lambda seed, most: by_gepa(world, seed, most),
        "ours": clauses("model"),
        "ours, edits": lambda seed, most: by_ours(world, Edits(world), seed, most),
        "ours, climbing": lambda seed, most: by_ours(world, Climbing(Edits(world), _CLIMB), seed, most, children=1),
    }


def possible(world: World) -> dict[str, float]:
    """Hypervolume above the base's of the front that validation would choose of all instructions, on each part."""
    base, best = [len(world.reranker.texts) - 1], world.best()
    return {part: world.area(best, part) - world.area(base, part) for part in ("validation", "test")}


def measure(
    world: World, name: str, run: Callable[[int, int], Log], seeds: int, budgets: Sequence[int], *, shares: bool
) -> Any:
    """Gains of one search at each budget, for each seed: shares of what is possible, or plain hypervolume."""
    base = [len(world.reranker.texts) - 1]
    floor = {part: world.area(base, part) for part in ("validation", "test")}
    whole = possible(world) if shares else dict.fromkeys(floor, 1.0)
    rows = []
    for seed in range(seeds):
        log = run(seed, max(budgets))
        print(f"{name}, seed {seed}: {len(log.rows)} instructions in full", file=sys.stderr)
        gains: dict[str, list[float]] = {"validation": [], "test": [], BY_ESTIMATES: []}
        for budget in budgets:
            scored = log.by(budget) or base
            front = world.proposed(scored)
            for part in ("validation", "test"):
                gains[part].append((world.area(front, part) - floor[part]) / whole[part])
            lucky = [member.number for member in select(world.members(scored, "validation"), KEPT)]
            gains[BY_ESTIMATES].append((world.area(lucky, "test") - floor["test"]) / whole["test"])
        rows.append(gains)
    return rows


def versus(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, Any]:
    """Mean difference over seeds, with Welch's standard error and the smaller side's degrees of freedom."""
    spread = sum(np.var(side, ddof=1) / len(side) for side in (ours, theirs)) if len(ours) > 1 else np.nan
    half = student(len(ours) - 1) * float(np.sqrt(spread)) if len(ours) > 1 else np.nan
    value = float(np.mean(ours) - np.mean(theirs))
    return {"value": value, "ci_low": value - half, "ci_high": value + half}


def verdict(found: Mapping[str, Any], budgets: Sequence[int], part: str) -> list[str]:
    """Where ours is the first, where it is inside the interval of the first, and where behind."""
    lines = []
    for place, budget in enumerate(budgets):
        columns = {name: [row[part][place] for row in rows] for name, rows in found.items()}
        first = max(columns, key=lambda name: float(np.mean(columns[name])))
        others = {name: own for name, own in columns.items() if name != "ours"}
        rival = max(others, key=lambda name: float(np.mean(others[name])))
        gap = versus(columns["ours"], columns[rival])
        where = "first" if first == "ours" else "inside the interval of the first" if gap["ci_high"] >= 0 else "BEHIND"
        lines.append(
            f"- {budget:,} pairs, {part}: ours is {where}; against {rival} {gap['value']:+.3f} "
            f"[{gap['ci_low']:+.3f} {gap['ci_high']:+.3f}]"
        )
    return lines


def about(record: Mapping[str, Any]) -> list[str]:
    """What was searched, and in which unit the figures are."""
    if record["reranker"] is None:
        return [
            "How it is measured stands in the script. The re-ranker is a stand-in whose best front is known: "
            f"{record['instructions']:,} instructions, world {record['world']}. Share of the possible gain over the "
            "base instruction, mean over seeds [95 % interval]."
        ]
    best, queries = record["possible"], record["queries"]
    return [
        f"How it is measured stands in the script. The re-ranker is `{record['reranker']}`, all "
        f"{record['instructions']} instructions of {', '.join(record['categories'])} scored on "
        f"{queries['validation']} queries of the validation split, {queries['test']} of the test split and "
        f"{queries['train']} of the train split of `mini`, pools cut to {record['passages']} passages. "
        "Gain of hypervolume over the base instruction, "
        f"mean over seeds [95 % interval]; the front of all of them gains {best['validation']:.4f} on validation and "
        f"{best['test']:.4f} on test.",
        *(["**Few instructions and few queries: a look, no measurement.**"] if record["instructions"] < 40 else []),
    ]


def report(record: Mapping[str, Any]) -> str:
    """The record as Markdown."""
    found, budgets = record["searches"], record["budgets"]
    lines = [
        "# Instruction search beside its peers",
        "",
        f"`python eval/search_vs_peers.py`, {study.made_by(record['environment'])}, GEPA {record['gepa']}, optuna "
        f"{record['environment']['packages']['optuna']}, {record['seeds']} seeds, "
        f"{record['seconds'] / 60:.0f} minutes.",
        *about(record),
        "",
    ]
    for part in ("validation", "test", BY_ESTIMATES):
        lines += [f"## On {part}", "", "| search | " + " | ".join(f"{budget:,} pairs" for budget in budgets) + " |"]
        lines.append("|---" * (len(budgets) + 1) + "|")
        for name, rows in found.items():
            cells = []
            for place in range(len(budgets)):
                row = over_seeds([own[part][place] for own in rows])
                around = "" if row["ci_low"] is None else f" [{row['ci_low']:.3f} {row['ci_high']:.3f}]"
                cells.append(f"{row['value']:.3f}{around}")
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        lines += ["", *verdict(found, budgets, part), ""]
    left = [name for name in ("gepa",) if name not in found]
    lines += [f"Left out: {', '.join(left)} ({_GEPA}).", ""] if left else []
    return "\n".join(lines)


def shown(spec: str) -> str:
    """A re-ranker's spec without the folders of this machine."""
    return ":".join(Path(part).name for part in spec.split(":"))


def main() -> None:
    """Search by every method, record."""
    parser = study.make_parser(__doc__)
    parser.add_argument("--world", type=int, default=0, help="which re-ranker of the kind")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--only", action="append", metavar="NAME", help="these searches only; repeatable")
    parser.add_argument("--without-gepa", action="store_true", help="where it is not installed")
    parser.add_argument("--reranker", metavar="SPEC", help="a real one that takes instructions, in a table")
    parser.add_argument("--work", type=Path, metavar="DIR", help="where its scores are kept")
    parser.add_argument("--name", default="model", help="of the result, behind search_vs_peers_ (default: model)")
    parser.add_argument("--categories", default="recency,evidence,static_guard", help="of the bank, parted by commas")
    parser.add_argument("--wordings", type=int, default=9, help="first ones of each category")
    parser.add_argument("--queries", type=int, default=40, help="about so many of each split")
    parser.add_argument("--passages", type=int, default=8, help="most of a pool")
    parser.add_argument("--dtype", default="float32", help="of its weights")
    options = parser.parse_args()
    if options.reranker and not options.work:
        parser.error("--reranker needs --work DIR: its scores are kept there")
    made = study.begin(options)
    bank, budgets = read_bank(), BUDGETS
    if options.smoke:
        options.seeds, budgets = 2, (20_000, 40_000)
        few = {name: dict(list(wordings.items())[:2]) for name, wordings in bank.categories.items()}
        bank = Bank(few, bank.orders)
    started = time.perf_counter()
    if options.reranker:
        if options.smoke:
            options.wordings, options.queries, options.passages = 1, 8, 3
        options.work.mkdir(parents=True, exist_ok=True)
        bank = part_of(bank, options.categories.split(","), options.wordings)
        store = options.work / "scores.sqlite"
        world = World.of_model(options.reranker, bank, options.passages, options.queries, store, options.dtype)
        table = len(world.reranker.texts) * sum(map(len, world.validation))
        budgets = tuple(round(table * share) for share in _SHARES)
    else:
        world = World.make(options.world, bank)
    chosen = {
        name: run
        for name, run in methods(world).items()
        if name in (options.only or (name,)) and not (name == "gepa" and options.without_gepa)
    }
    if "gepa" in chosen and find_spec("gepa") is None:
        sys.exit(f"GEPA is not installed: {_GEPA}, or leave it out with --without-gepa")
    found = {
        name: measure(world, name, run, options.seeds, budgets, shares=not options.reranker)
        for name, run in chosen.items()
    }
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "seconds": time.perf_counter() - started,
        "load_average": os.getloadavg()[0],
        "world": options.world,
        "reranker": options.reranker and shown(options.reranker),
        "categories": list(bank.categories),
        "passages": options.passages,
        "queries": {part: len(getattr(world, "training" if part == "train" else part)) for part in _PARTS},
        "possible": possible(world),
        "seeds": options.seeds,
        "budgets": list(budgets),
        "instructions": len(world.reranker.texts) - 1,
        "gepa": metadata.version("gepa") if "gepa" in found else "left out",
        "searches": found,
        "environment": made,
    }
    study.record(
        options, f"search_vs_peers_{options.name}" if options.reranker else "search_vs_peers", record, report(record)
    )


if __name__ == "__main__":
    main()
