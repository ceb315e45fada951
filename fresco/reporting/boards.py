"""The leaderboards of a report: one for all runs over the same content, with letters where all pairs are compared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from fresco.results.front import milliseconds_of
from fresco.results.result import Result
from fresco.results.side_by_side import side_by_side
from fresco.results.table import find, table_cells

#: Rules that know no more than dates, pages and BM25: what they reach is none of reading.
BLIND = ("random", "newest", "oldest", "latest")
#: Pairs of re-rankers times queries up to which all are compared: some seconds of sign flips.
_MOST_WORK = 2_000_000
#: Values of single queries that are kept for it.
_MOST_ROWS = 200_000


@dataclass
class _Row:
    name: str
    run: int
    label: str
    named: bool
    rows: Sequence[Mapping[str, Any]]
    cost: float | None


@dataclass
class Board:
    """Runs over the same content.

    Attributes:
        title: What was scored.
        unit: What their intervals draw as one.
        runs: Their places in the report.
    """

    title: str
    unit: str = "subject"
    runs: list[int] = field(default_factory=list)
    _rows: list[_Row] = field(default_factory=list)
    _results: list[Result] | None = field(default_factory=list)
    _queries: int = 0

    def add(self, place: int, name: str, result: Result) -> None:
        """Take one run in; its values of single queries are kept only while all pairs can be compared."""
        self.runs.append(place)
        self._queries = max(self._queries, int(result.record["benchmark"]["queries"]))
        costs = milliseconds_of(result.record)
        for reranker in result.rerankers:
            own = [row for row in result.evaluation.rows if row["reranker"] == reranker]
            same = [each for each in self._rows if each.name == reranker]
            if (twin := next((each for each in same if _values(each.rows) == _values(own)), None)) is not None:
                # A baseline that several runs share is one row; whichever run computed it knows its cost.
                twin.cost = costs.get(reranker) if twin.cost is None else twin.cost
                continue
            label = f"{reranker} ({name})" if same else reranker
            named = reranker in result.named
            self._rows.append(_Row(reranker, place, label, named, own, costs.get(reranker)))
        if self._results is not None:
            self._results.append(result)
            kept = sum(len(each.evaluation.per_query) for each in self._results)
            pairs = math.comb(len(self._rows), 2)
            if len(self._results) > 1 and (kept > _MOST_ROWS or pairs * self._queries > _MOST_WORK):
                self._results = None

    def to_json(self) -> dict[str, Any]:
        """What the page draws the board from."""
        rows = [{**row, "reranker": each.label} for each in self._rows for row in each.rows]
        labels = [each.label for each in self._rows]
        groups = self._letters()
        cells = table_cells(rows, labels, groups)
        return {
            "title": self.title,
            "runs": self.runs,
            "unit": self.unit,
            "headers": cells.headers,
            "rows": cells.rows,
            "letters": "none" if self._results is None else "all" if len(self.runs) > 1 else "run",
            "rerankers": [
                {
                    "label": each.label,
                    "run": each.run,
                    "named": each.named,
                    "blind": each.name in BLIND,
                    "cost": None if each.cost is None else round(each.cost, 4),
                    **{side.lower(): _interval(rows, each.label, side) for side in ("EK", "NEK")},
                }
                for each in self._rows
            ],
        }

    def _letters(self) -> pd.DataFrame:
        if self._results is None:
            return pd.DataFrame(columns=["reranker", "task", "kind", "metric", "letters"])
        if len(self._results) == 1:
            return self._results[0].evaluation.groups
        joined = side_by_side(
            self._results, unit=self.unit, resamples=2
        )  # letters come of sign flips, not of resampling
        labels = {(each.run, each.name): each.label for each in self._rows}
        places = {name: (self.runs[run], own) for name, (run, own) in joined.origins.items()}
        return joined.groups.assign(
            reranker=[labels.get(places[name], str(name)) for name in joined.groups["reranker"]]
        )


def _values(rows: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    return [tuple(row[key] for key in ("task", "kind", "metric", "value")) for row in rows]


def _interval(rows: Sequence[Mapping[str, Any]], label: str, task: str) -> dict[str, float] | None:
    row = find(rows, label, task, "all", "MAP")
    return None if row is None else {key: row[key] for key in ("value", "ci_low", "ci_high")}
