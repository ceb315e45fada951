"""What a run found: figures, per-query values, plots; as a notebook and a program want them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich.console import Console

from fresco.errors import FrescoError
from fresco.io.files import locked
from fresco.metrics.aggregate import select
from fresco.metrics.catalog import ALL, FEWEST_SUBJECTS, PRIMARY, UNITS
from fresco.metrics.compare import compare
from fresco.metrics.evaluate import Evaluation
from fresco.records import Task
from fresco.results.further import Further, further_tables
from fresco.results.html import result_html
from fresco.results.plots import PLOTS, plot_style, plots_of
from fresco.results.table import draw_cells, results_table, table_cells, verdict
from fresco.results.writer import claim, copy_run, write_run
from fresco.scoring.pipeline import Run
from fresco.terminal.console import WIDE, literal

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """What :func:`fresco.score`, :func:`fresco.evaluate` and :func:`fresco.load` give.

    Attributes:
        evaluation: Every figure; see :class:`fresco.metrics.evaluate.Evaluation`.
        record: What ``run.json`` says: benchmark, settings, re-rankers, environment.
        folder: Where it is kept; None where it is in memory only.
        run: The benchmark and the scores themselves; None where the run was loaded from a folder.
    """

    evaluation: Evaluation
    record: Mapping[str, Any]
    folder: Path | None = None
    run: Run | None = None

    @property
    def rerankers(self) -> list[str]:
        """Names, in the order in which they were scored: baselines first."""
        return list(dict.fromkeys(row["reranker"] for row in self.evaluation.rows))

    @property
    def named(self) -> list[str]:
        """The names of the re-rankers that were asked for, without the baselines beside them."""
        return list(self.record.get("named", ()))

    @property
    def title(self) -> str:
        """What was scored, in a few words."""
        benchmark = self.record["benchmark"]
        candidates = benchmark.get("candidates")
        return f"{benchmark['name']}: {benchmark['queries']} queries{f', {candidates}' if candidates else ''}"

    @property
    def unit(self) -> str:
        """What intervals and letters draw as one: ``subject``, or ``relation``."""
        unit = (self.record.get("settings") or {}).get("unit")
        return str(unit) if unit in UNITS else UNITS[0]

    @property
    def legend(self) -> str:
        """What stands under every table."""
        return (
            f"value [95 % interval over {self.unit}s]; re-rankers that share a letter cannot be told apart (paired "
            "randomization, Holm)"
        )

    @property
    def notes(self) -> list[str]:
        """What the benchmark's reader must know."""
        return list(self.record["benchmark"].get("notes", []))

    @property
    def warnings(self) -> list[str]:
        """What must be known before the figures are read, one sentence each."""
        return [*self.evaluation.warnings, *self._remarks()]

    def to_frame(self) -> pd.DataFrame:
        """A row for each figure.

        Returns:
            ``reranker``, ``task``, ``kind``, ``metric``, ``value``, ``ci_low``, ``ci_high`` (95 %), ``n`` (queries);
            ``conflict`` where the benchmark says which kind of conflict an outdated passage is.
        """
        return pd.DataFrame(self.evaluation.rows)

    def per_query(self) -> pd.DataFrame:
        """A row for each re-ranker and query; the columns are those of ``Evaluation.per_query``."""
        return self.evaluation.per_query.copy()

    def plot(self, name: str = "quality") -> Figure:
        """One plot, for a notebook to show or for ``savefig``.

        Args:
            name: ``quality`` (MAP with intervals), or ``stale_by_age`` where the benchmark has answers that changed.

        Raises:
            FrescoError: no such plot here.
        """
        known = plots_of(self.evaluation)
        if name not in known:
            raise FrescoError(f"there is no plot {name!r} of this run; there are {', '.join(known)}")
        with plot_style():
            return PLOTS[name](self.evaluation)

    def compare(
        self,
        other: Result,
        metric: str = PRIMARY,
        *,
        unit: str = "subject",
        seed: int = 0,
        resamples: int = 1000,
    ) -> pd.DataFrame:
        """This run (A) against another one (B) on the same benchmark.

        Args:
            other: Another run.
            metric: One that each query has a value for.
            unit: What is drawn and flipped as one: ``subject``, or the coarser ``relation``.
            seed: Of the randomization test and of resampling.
            resamples: Bootstrap samples for each interval.

        Returns:
            A row for each pair of re-rankers and kind of query: ``value_a``, ``value_b``, ``difference`` (B - A) with
            ``ci_low`` and ``ci_high``, ``p``, ``p_holm``, ``n``; see :func:`fresco.metrics.compare.compare`.

        Raises:
            FrescoError: they were scored on different content, or the metric is unknown.
        """
        self.check_same_content(other)
        a, b = self.evaluation.per_query, other.evaluation.per_query
        return compare(a, b, metric, unit=unit, seed=seed, resamples=resamples)

    def check_same_content(self, other: Result) -> None:
        """Refuse a run on other content.

        Raises:
            FrescoError: names both.
        """
        ours, theirs = self.record["benchmark"], other.record["benchmark"]
        if ours["fingerprint"] != theirs["fingerprint"]:
            raise FrescoError(
                f"{self.folder or 'A'} was scored on {_edition(ours)} and {other.folder or 'B'} on {_edition(theirs)} "
                "with other content; score both on one benchmark"
            )

    def save(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Write the folder that ``fresco score --out`` writes.

        Args:
            folder: New, empty, or of the same run.
            overwrite: Replace whatever the folder holds.

        Returns:
            The folder.

        Raises:
            FrescoError: the folder holds something else, or cannot be written.
        """
        path = Path(folder)
        if self.folder is not None and self.folder.resolve() == path.resolve():
            return path
        with locked(path):
            claim(path, self.record["identity"], overwrite=overwrite)
            if self.run is not None:
                write_run(self.run, path, dict(self.record))
            elif self.folder is not None:
                copy_run(self.folder, path)
        return path

    def table(self, width: int = WIDE) -> Table:
        """The table of ``fresco score`` for a console of ``width`` characters; a narrow one gets no intervals."""
        return results_table(self.evaluation.rows, self.rerankers, self.evaluation.groups, literal(self.title), width)

    def further(self, width: int = WIDE) -> list[Further]:
        """The tables beside it: by kind of conflict, of the measures asked for; see :mod:`fresco.results.further`."""
        return further_tables(self.evaluation.rows, self.rerankers, width)

    def verdict(self, reranker: str) -> list[str]:
        """What the figures say of one re-ranker, in plain words, a line each; where units are few, that they are."""
        evolving = select(self.evaluation.per_query, str(Task.EK), ALL)
        if 0 < (n := evolving[self.unit].nunique()) < FEWEST_SUBJECTS:
            return [f"{reranker}: no verdict below {FEWEST_SUBJECTS} {self.unit}s whose answer changed; there are {n}."]
        return verdict(self.evaluation.rows, reranker, self.evaluation.bias.get(reranker))

    def _remarks(self) -> Iterator[str]:
        for reranker in self.record["rerankers"]:
            yield from (f"{reranker['name']}: {warning}" for warning in reranker.get("warnings") or ())
            if count := reranker.get("truncated"):
                yield (
                    f"{reranker['name']}: {count} pairs were longer than it reads; the end of the text was cut, not "
                    "the date"
                )
            if count := reranker.get("passages_without_score"):
                yield (
                    f"{reranker['name']}: {count} of {reranker['passages']} passages have no score in "
                    f"{reranker['source']} and stand below the others; {reranker['queries_without_score']} queries "
                    "have none at all"
                )

    def __repr__(self) -> str:
        drawn = StringIO()
        console = Console(file=drawn, width=WIDE, highlight=False, color_system=None, force_jupyter=False)
        console.print(self.table())
        for table in self.further():
            console.print(draw_cells(table.cells, self.rerankers, table.title))
        return "\n".join(line.rstrip() for line in drawn.getvalue().rstrip().splitlines())

    def _repr_html_(self) -> str:
        cells = table_cells(self.evaluation.rows, self.rerankers, self.evaluation.groups)
        remarks: Sequence[str] = (
            self.legend,
            *(f"note: {note}" for note in self.notes),
            *(f"warning: {warning}" for warning in self.warnings),
        )
        beside = "".join(
            result_html(table.title, self.rerankers, table.cells, (table.legend,), self.named)
            for table in self.further()
        )
        return result_html(self.title, self.rerankers, cells, remarks, self.named) + beside


def _edition(benchmark: Mapping[str, Any]) -> str:
    edition = benchmark.get("edition")
    return str(benchmark["name"]) if edition is None else f"{benchmark['name']} (edition {edition})"
