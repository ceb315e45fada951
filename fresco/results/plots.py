"""The plots of a run: quality with intervals, and staleness against age gap; PNG and SVG, the same bytes every time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fresco.io.names import printable
from fresco.metrics.catalog import PRIMARY
from fresco.metrics.evaluate import Evaluation
from fresco.metrics.measures import parse_measure
from fresco.metrics.measures.stale import Stale
from fresco.results.table import find

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PANELS = (("EK explicit", "EK", "explicit"), ("EK implicit", "EK", "implicit"), ("NEK", "NEK", "all"))
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")  # Okabe and Ito
MARKS = "os^Dv<>p"


def draw_plots(evaluation: Evaluation, folder: Path) -> None:
    """Write ``quality`` and, where the benchmark evolves, ``stale_by_age`` into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    with plot_style():
        for name in plots_of(evaluation):
            save_figure(PLOTS[name](evaluation), folder / name)


def plots_of(evaluation: Evaluation) -> list[str]:
    """The names of the plots that the benchmark gives reason for; see :data:`PLOTS`."""
    evolves = bool((evaluation.age_gap["n"] > 0).any())
    return [name for name in PLOTS if evolves or name != "stale_by_age"]


def plot_style() -> AbstractContextManager[None]:
    """What every plot is drawn under: fixed ids inside SVG files, text kept as text, and no name read as a formula."""
    import matplotlib as mpl

    # svg.hashsalt is what makes two files the same bytes.
    return mpl.rc_context({"svg.hashsalt": "fresco", "svg.fonttype": "none", "font.size": 9, "text.parse_math": False})


def save_figure(figure: Figure, stem: Path) -> None:
    """Write a figure as ``stem.png`` and ``stem.svg``."""
    figure.savefig(stem.with_suffix(".png"), dpi=150, metadata={"Software": None})
    figure.savefig(stem.with_suffix(".svg"), metadata={"Date": None, "Creator": None})


def shown_name(name: str) -> str:
    """A foreign name as a plot shows it; matplotlib leaves what begins with an underscore out of legends."""
    shown = printable(name)
    return f" {shown}" if shown.startswith("_") else shown


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches."""
    from fresco.results.figure import NotebookFigure

    return NotebookFigure(figsize=(width, height), layout="constrained")


def _quality(evaluation: Evaluation) -> Figure:
    names = _names(evaluation)
    panels = [panel for panel in _PANELS if any(find(evaluation.rows, name, *panel[1:], PRIMARY) for name in names)]
    figure = new_figure(1.5 + 2.8 * len(panels), 1.2 + 0.35 * len(names))
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, (title, task, kind) in zip(axes, panels, strict=True):
        for place, name in enumerate(names):
            _point(axis, find(evaluation.rows, name, task, kind, PRIMARY), place, horizontal=True)
        axis.set(title=title, xlabel=f"{PRIMARY} [95 %]", xlim=parse_measure(PRIMARY).bounds)
        axis.set_yticks(range(len(names)), [shown_name(name) for name in names])
        axis.grid(axis="x", alpha=0.3)
    axes[0].invert_yaxis()
    return figure


def _stale_by_age(evaluation: Evaluation) -> Figure:
    stale, gaps = Stale(), evaluation.age_gap
    frame = gaps[(gaps["metric"] == stale.name) & (gaps["n"] > 0)]
    bins = list(frame["bin"].unique())
    figure = new_figure(7.5, 4.0)
    axis = figure.subplots()
    names = _names(evaluation)
    for index, name in enumerate(names):
        rows = {row["bin"]: row for row in frame[frame["reranker"] == name].to_dict("records")}
        shift = (index - (len(names) - 1) / 2) * 0.7 / max(len(names), 1)
        colour, mark = COLOURS[index % len(COLOURS)], MARKS[index % len(MARKS)]
        places = [place + shift for place, label in enumerate(bins) if label in rows]
        axis.plot(places, [rows[label]["value"] for label in bins if label in rows], alpha=0.35, color=colour)
        for place, label in enumerate(bins):
            _point(
                axis,
                rows.get(label),
                place + shift,
                fmt=mark,
                color=colour,
                label=shown_name(name) if place == 0 else None,
            )
    axis.set_xticks(range(len(bins)), bins)
    axis.set(
        xlabel="age gap between the current passage and the newest outdated one",
        ylabel=f"{stale}: an outdated passage on top",
        ylim=(-0.02, 1.02),
    )
    axis.grid(axis="y", alpha=0.3)
    figure.legend(loc="outside right upper", fontsize=8)
    return figure


def _point(axis: Any, row: Any, place: float, *, horizontal: bool = False, **style: Any) -> None:
    if row is None or row["value"] is None:
        return
    value, low, high = row["value"], row["ci_low"], row["ci_high"]
    errors = [[max(value - low, 0)], [max(high - value, 0)]] if low is not None else None
    style = {"fmt": "o", "capsize": 2, "color": COLOURS[0], **style}
    if horizontal:
        axis.errorbar(value, place, xerr=errors, **style)
    else:
        axis.errorbar(place, value, yerr=errors, **style)


#: How each plot is drawn, by the name of its files.
PLOTS: Mapping[str, Callable[[Evaluation], Figure]] = {"quality": _quality, "stale_by_age": _stale_by_age}


def _names(evaluation: Evaluation) -> Sequence[str]:
    return list(dict.fromkeys(row["reranker"] for row in evaluation.rows))
