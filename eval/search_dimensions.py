"""Do written clauses, worked examples and layouts improve what a search finds, at the same budget?

    pip install -e ".[test]" && python eval/train_instructed_reranker.py DIR
    python eval/search_dimensions.py DIR --work WORK

Each arm is ``--proposer clauses`` with the same bank, seeds, queries and budget of charged pairs (worked examples are
charged by the characters that they add), and with one dimension more. Each dimension stands beside a control that has
the same size and says nothing:

- ``written``: ten sentences that are in no bank, proposed as an LLM's are and then combined by the clauses' model;
  control ``idle sentences``: as many that have nothing to do with ranking.
- ``examples``: a worked example of the train split, one of eight; control ``false examples``: the same with the
  verdicts on the two passages exchanged.
- ``layouts``: where the dates stand.

A dimension is worth its budget where its arm is ahead of ``clauses``, and it is the dimension that did it where it is
ahead of its control, too. What counts is the hypervolume above the base instruction's of the four instructions that
each search proposes, on the test split; differences are paired by seed, with Student's interval.

Scores are kept in WORK: a run that was stopped goes on.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import study
from optimize_studies import cut_pools
from scored_reranker import part_of

from fresco.benchmarks import limit_queries, open_benchmark, select_split
from fresco.models.settings import Settings
from fresco.optimizer.demonstrations import MOST, NO_EXAMPLES, Demonstration, Examples, draw_demonstrations
from fresco.optimizer.examples import MEANING
from fresco.optimizer.proposers.base import ProposedInstruction, Proposer, SearchState
from fresco.optimizer.proposers.clauses import Bank, ClausesProposer, read_bank
from fresco.optimizer.report.proof import over_seeds
from fresco.optimizer.search.budget import Budget
from fresco.optimizer.search.gain import hypervolume_row
from fresco.optimizer.search.objective import Objective
from fresco.optimizer.search.rounds import Search, members_of
from fresco.optimizer.search.settings import SearchSettings
from fresco.optimizer.search.storage import import_optuna
from fresco.optimizer.search.study import SearchStudy
from fresco.optimizer.search.worker import Worker
from fresco.records import Label, Pool
from fresco.rerank.registry import open_reranker
from fresco.scoring.store import ScoreStore
from fresco.terminal.figures import interval

#: Arms, and what each is to be set against beside ``clauses``.
CONTROLS: Mapping[str, str | None] = {
    "clauses": None,
    "written": "idle sentences",
    "idle sentences": None,
    "examples": "false examples",
    "false examples": None,
    "layouts": None,
}
_PROPOSED = 4
_EXAMPLES = 1
_TOKENS = 512  # of the model's input: a worked example takes some 200
_WRITTEN = (
    "Among passages about the same fact, rank the one that holds at the time of the question first.",
    "A statement that a later passage contradicts is no answer.",
    "Compare the dates of the passages before you rank them.",
    "If the fact never changes, judge by the words alone.",
    "A passage written after the question was asked may still be right.",
    "Former office holders, former names and former figures are wrong answers.",
    "Do not prefer a passage because it is long.",
    "The passage must name what the question asks about.",
    "Of two passages that say the same, their dates do not matter.",
    "A passage about another subject is never relevant.",
)
_IDLE = (
    "Bread rises in a warm place and falls where it is cold.",
    "The river is wide where it meets the sea.",
    "Wool is washed by hand and dried in the shade.",
    "Seven bridges cross the canal in the old town.",
    "The piano in the hall has been out of tune for years.",
    "Apples keep longer than pears in a cellar.",
    "A kite needs a tail when the wind is strong.",
    "Chalk breaks where it is pressed too hard.",
    "The last train leaves from the northern platform.",
    "Ink dries slowly on smooth paper.",
)


class Sentences:
    """Proposes one sentence of a list after the other, each for a text of its own, as an LLM would write it."""

    name = "sentences"

    def __init__(self, sentences: Sequence[str]) -> None:
        self._sentences = sentences

    def propose(self, state: SearchState, count: int) -> list[ProposedInstruction]:
        """See :class:`fresco.optimizer.proposers.base.Proposer`."""
        left = [text for text in self._sentences if text not in state.seen]
        return [ProposedInstruction(text, "mutation") for text in left[:count]]


def exchanged(drawn: Sequence[Demonstration]) -> list[Demonstration]:
    """Worked examples with the verdicts on their two passages exchanged."""
    found = []
    for each in drawn:
        wrong = next(
            (MEANING[label] for label in Label if label is not Label.POSITIVE and MEANING[label] in each.text), ""
        )
        text = each.text
        if wrong:
            right = MEANING[Label.POSITIVE]
            text = text.replace(right, "\0").replace(wrong, right).replace("\0", wrong)
        found.append(dataclasses.replace(each, text=text))
    return found


def proposers_of(arm: str, bank: Bank, training: Sequence[Pool], seed: int) -> list[Proposer]:
    """The proposers of an arm."""
    examples = NO_EXAMPLES
    if arm in ("examples", "false examples"):
        drawn = draw_demonstrations(training, MOST, seed=seed)
        examples = Examples(tuple(exchanged(drawn) if arm == "false examples" else drawn), _EXAMPLES)
    clauses = ClausesProposer(bank, examples=examples, layouts=arm == "layouts")
    others = {"written": _WRITTEN, "idle sentences": _IDLE}
    return [Sentences(others[arm]), clauses] if arm in others else [clauses]


def search(
    arm: str, objective: Objective, parts: Mapping[str, Sequence[Pool]], bank: Bank, budget: int, seed: int
) -> dict[str, Any]:
    """One search, and what its result is worth."""
    found = SearchStudy(import_optuna().storages.InMemoryStorage(), "s", {}, Worker())
    settings = SearchSettings(budget, children=2, seed=seed, budget=Budget("pairs", budget))
    proposers = proposers_of(arm, bank, parts["train"], seed)
    run = Search(found, objective, parts["validation"], parts["train"], proposers, settings, None, bank.choices)
    reports = run.run()
    proposed = run.proposed(_PROPOSED)
    gains = {}
    for part in ("validation", "test"):
        base, *columns = (
            objective.average_precisions(text, parts[part]) for text in (None, *(each.text for each in proposed))
        )
        gains[part] = hypervolume_row(np.stack(columns, axis=1), base, parts[part], seed=seed)["gain"]["value"]
    details = {trial.number: trial.user_attrs["detail"] for trial in found.trials()}
    used = [bool({"written", "demonstrations", "layout"} & details[each.number].keys()) for each in proposed]
    return {
        "seed": seed,
        "tried": sum(report.tried for report in reports),
        "in_full": len(members_of(found.trials())),
        "proposed": [each.text for each in proposed],
        "with_dimension": sum(used),
        **gains,
    }


def differences(rows: Mapping[str, Sequence[Mapping[str, Any]]], arm: str, other: str | None, part: str) -> str:
    """The mean difference of two arms, paired by seed."""
    if other is None or other not in rows or other == arm:
        return "-"
    row = over_seeds([own[part] - its[part] for own, its in zip(rows[arm], rows[other], strict=True)])
    return interval(row)


def report(record: Mapping[str, Any]) -> str:
    """The record as Markdown."""
    rows = record["arms"]
    lines = [
        "# Dimensions of the instruction search, at the same budget",
        "",
        f"`python eval/search_dimensions.py DIR --work WORK`, {study.made_by(record['environment'])}, "
        f"{record['seconds'] / 60:.0f} minutes.",
        f"How it is measured stands in the script. {record['seeds']} seeds, {record['budget']:,} charged pairs a "
        f"search, {record['queries']['validation']} queries to search by and {record['queries']['test']} to prove on, "
        f"pools cut to {record['passages']} passages. Hypervolume above the base instruction's, mean over seeds "
        "[95 %].",
        "",
        "| arm | tried | validation | test | test, above clauses | test, above its control | proposed with it |",
        "|---" * 7 + "|",
    ]
    for arm, own in rows.items():
        cells = [interval(over_seeds([row[part] for row in own])) for part in ("validation", "test")]
        tried = np.mean([row["tried"] for row in own])
        used, proposed = sum(row["with_dimension"] for row in own), sum(len(row["proposed"]) for row in own)
        against = [differences(rows, arm, other, "test") for other in ("clauses", CONTROLS[arm])]
        lines.append(f"| {arm} | {tried:.1f} | {' | '.join([*cells, *against])} | {used} of {proposed} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Search by every arm, record."""
    parser = study.make_parser(__doc__)
    parser.add_argument("model", type=Path, help="folder of a cross-encoder that takes instructions")
    parser.add_argument("--work", type=Path, required=True, metavar="DIR", help="where scores are kept")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--evaluations", type=int, default=12, help="budget, in instructions scored in full")
    parser.add_argument("--queries", type=int, default=40, help="about so many of each split")
    parser.add_argument("--passages", type=int, default=6, help="most of a pool")
    parser.add_argument("--wordings", type=int, default=4, help="first ones of each category of the bank")
    options = parser.parse_args()
    made = study.begin(options)
    if options.smoke:
        options.seeds, options.evaluations, options.queries, options.passages = 2, 3, 8, 3
    started = time.perf_counter()
    options.work.mkdir(parents=True, exist_ok=True)
    mini = cut_pools(open_benchmark("mini"), options.passages)
    splits = {name: select_split(mini, name) for name in ("train", "validation", "test")}
    parts = {name: limit_queries(part, options.queries).pools for name, part in splits.items()}
    bank = part_of(read_bank(), ["recency", "evidence", "static_guard"], options.wordings)
    budget = options.evaluations * sum(map(len, parts["validation"]))
    with ScoreStore(options.work / "scores.sqlite") as store:
        objective = Objective(
            open_reranker(f"cross-encoder:{options.model}", Settings(device="cpu", max_length=_TOKENS)), mini, store
        )
        rows: dict[str, list[dict[str, Any]]] = {}
        for arm in CONTROLS:
            rows[arm] = []
            for seed in range(options.seeds):
                rows[arm].append(search(arm, objective, parts, bank, budget, seed))
                print(f"{arm}, seed {seed}: {objective.computed:,} pairs scored so far", file=sys.stderr)
    record = {
        "seconds": time.perf_counter() - started,
        "seeds": options.seeds,
        "budget": budget,
        "passages": options.passages,
        "queries": {name: len(pools) for name, pools in parts.items()},
        "pairs_computed": objective.computed,
        "pairs_from_store": objective.reused,
        "arms": rows,
        "environment": made,
    }
    study.record(options, "search_dimensions", record, report(record))


if __name__ == "__main__":
    main()
