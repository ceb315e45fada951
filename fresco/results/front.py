"""Quality against cost: every re-ranker of some runs as a point, and those that no other beats in both.

Cost is what the run itself measured: milliseconds a pair, loading aside. Scores that came out of the store cost
nothing in that run, so a re-ranker has a point only where a run computed its scores.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fresco.errors import FrescoError
from fresco.results.plots import COLOURS, new_figure, plot_style, save_figure, shown_name
from fresco.results.result import Result
from fresco.results.table import find

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Point:
    """A re-ranker.

    Attributes:
        name: Its name.
        milliseconds: Wall time a pair, in the run that computed most of its pairs.
        pairs: That many.
        row: Its figure, with ``value``, ``ci_low`` and ``ci_high``.
        machine: What it was measured on.
        saved: Tokens that sharing saved; None where nothing is shared.
        memory: Bytes at most while it scored: of its GPU, or of the process; None where nobody measured.
    """

    name: str
    milliseconds: float
    pairs: int
    row: Mapping[str, Any]
    machine: str
    saved: int | None
    memory: int | None = None


def milliseconds_of(record: Mapping[str, Any]) -> dict[str, float]:
    """Wall time a pair of the re-rankers whose scores a run computed, by name."""
    return {
        own["name"]: 1000 * own["seconds"] / own["pairs_scored"]
        for own in record["rerankers"]
        if own.get("pairs_scored") and own.get("seconds") is not None
    }


def points_of(results: Sequence[Result], metric: str, task: str, kind: str) -> tuple[list[Point], list[str]]:
    """The points of runs over one benchmark, cheapest first.

    Args:
        results: Of :func:`fresco.score` or :func:`fresco.load`.
        metric: Name of a measure, such as ``MAP``.
        task: ``EK`` or ``NEK``.
        kind: Of query; ``all`` for each of them.

    Returns:
        The points, and the re-rankers whose scores all came out of the store.

    Raises:
        FrescoError: the runs are over different benchmarks, or have no such figure.
    """
    if len({result.record["benchmark"]["fingerprint"] for result in results}) > 1:
        raise FrescoError("the runs were scored on benchmarks of different content; a front needs one for all")
    found: dict[str, Point] = {}
    free: dict[str, None] = {}
    for result in results:
        costs = milliseconds_of(result.record)
        for own in result.record["rerankers"]:
            row = find(result.evaluation.rows, own["name"], task, kind, metric)
            if row is None or row["value"] is None:
                continue
            free[own["name"]] = None
            pairs = int(own["pairs_scored"])
            known = found.get(own["name"])
            if own["name"] in costs and (known is None or pairs > known.pairs):
                machine = str(result.record["environment"].get("cpu")), own.get("device")
                found[own["name"]] = Point(
                    own["name"],
                    costs[own["name"]],
                    pairs,
                    row,
                    ", ".join(str(part) for part in machine if part),
                    own.get("tokens_saved_by_sharing"),
                    own.get("peak_memory"),
                )
    if not free:
        raise FrescoError(f"no run has the figure {task} {kind} {metric}")
    return sorted(found.values(), key=lambda point: point.milliseconds), [name for name in free if name not in found]


def front_of(points: Sequence[Point]) -> list[Point]:
    """The points that no other beats: what is dearer than another must be better."""
    front: list[Point] = []
    for point in sorted(points, key=lambda own: (own.milliseconds, -own.row["value"])):
        if not front or point.row["value"] > front[-1].row["value"]:
            front.append(point)
    return front


def draw_front(points: Sequence[Point], title: str) -> Figure:
    """The points with their intervals over a logarithmic axis of cost, and the front as a line."""
    from matplotlib.ticker import NullFormatter, StrMethodFormatter

    front = front_of(points)
    middle = math.sqrt(min(point.milliseconds for point in points) * max(point.milliseconds for point in points))
    figure = new_figure(7.5, 4.5)
    axis = figure.subplots()
    axis.step(
        [point.milliseconds for point in front],
        [point.row["value"] for point in front],
        where="post",
        color=COLOURS[0],
        alpha=0.4,
    )
    for point in points:
        value, low, high = (point.row[name] for name in ("value", "ci_low", "ci_high"))
        errors = None if low is None else [[max(value - low, 0)], [max(high - value, 0)]]
        colour = COLOURS[0] if point in front else COLOURS[7]
        axis.errorbar(point.milliseconds, value, yerr=errors, fmt="o", capsize=2, color=colour)
        dear = point.milliseconds > middle  # its name stands to the left, where there is room
        axis.annotate(
            shown_name(point.name),
            (point.milliseconds, value),
            xytext=(-4 if dear else 4, 4),
            textcoords="offset points",
            ha="right" if dear else "left",
            fontsize=8,
        )
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))  # the usual one writes formulas, which are off
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set(xlabel="milliseconds a pair", ylabel=f"{title} [95 %]")
    axis.grid(alpha=0.3)
    return figure


def write_front(points: Sequence[Point], title: str, path: Path) -> list[Path]:
    """Draw the front beside ``path``, as PNG and as SVG.

    Raises:
        FrescoError: there are no points, or the files cannot be written.
    """
    if not points:
        raise FrescoError("all scores came out of the store, so no cost is known; score into a new --store")
    stem = path.with_suffix("") if path.suffix in {".png", ".svg"} else path
    try:
        stem.parent.mkdir(parents=True, exist_ok=True)
        with plot_style():
            save_figure(draw_front(points, title), stem)
    except OSError as error:
        raise FrescoError(f"--front {path}: cannot be written ({error.strerror})") from error
    return [stem.parent / f"{stem.name}{end}" for end in (".png", ".svg")]
