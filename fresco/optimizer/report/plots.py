"""The plots of a search: the front where it was chosen and where it is proved, by round, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fresco.results.plots import COLOURS, MARKS, new_figure, plot_style, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_search(front: Mapping[str, Any], folder: Path) -> None:
    """Write ``front``, ``front_by_round`` and ``hypervolume_by_pairs``, PNG and SVG, the same bytes every time.

    Args:
        front: The content of ``front.json``.
        folder: Made where it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with plot_style():
        save_figure(_front(front), folder / "front")
        save_figure(_by_round(front), folder / "front_by_round")
        save_figure(_by_pairs(front), folder / "hypervolume_by_pairs")


def _front(front: Mapping[str, Any]) -> Figure:
    figure = new_figure(10.5, 4.5)
    axes = figure.subplots(1, 2)
    members = [member for member in front["members"] if member["on_front"]]
    for axis, part in zip(axes, ("validation", "test"), strict=True):
        ordered = sorted(members, key=lambda member: member[part]["EK"]["value"])
        axis.plot(
            [member[part]["EK"]["value"] for member in ordered],
            [member[part]["NEK"]["value"] for member in ordered],
            color=COLOURS[0],
            alpha=0.35,
        )
        for member in ordered:
            _point(axis, member[part], "o", COLOURS[0], "front" if member is ordered[0] else None)
            point = (member[part]["EK"]["value"], member[part]["NEK"]["value"])
            axis.annotate(member["id"], point, xytext=(4, 4), textcoords="offset points", fontsize=8)
        _point(axis, front["base"][part], "*", COLOURS[6], "base instruction")
        for place, baseline in enumerate(front["baselines"], start=1):
            label = f"{baseline['name']} {baseline['parameter']}={baseline['value']}"
            _point(axis, baseline[part], MARKS[place], COLOURS[place], label)
            if part == "validation" and baseline["parameter"] != "k":
                curve = [(point["ek"], point["nek"]) for point in baseline["grid"]]
                axis.plot(*zip(*curve, strict=True), color=COLOURS[place], alpha=0.35, linestyle=":")
        axis.set(title=part, xlabel="EK, MAP [95 %]", ylabel="NEK, MAP [95 %]")
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    return figure


def _point(axis: Any, rows: Mapping[str, Any], mark: str, colour: str, label: str | None) -> None:
    errors = {}
    for side, name in (("xerr", "EK"), ("yerr", "NEK")):
        row = rows[name]
        if row["ci_low"] is not None:
            errors[side] = [[max(row["value"] - row["ci_low"], 0)], [max(row["ci_high"] - row["value"], 0)]]
    axis.errorbar(
        rows["EK"]["value"],
        rows["NEK"]["value"],
        **errors,
        fmt=mark,
        color=colour,
        label=label,
        elinewidth=0.7,
        markersize=8 if mark == "*" else 5,
    )


def _by_round(front: Mapping[str, Any]) -> Figure:
    from matplotlib import colormaps

    seeds = front["seeds"]
    figure = new_figure(1 + 3.6 * len(seeds), 3.8)
    axes = figure.subplots(1, len(seeds), sharex=True, sharey=True, squeeze=False)[0]
    for axis, seed in zip(axes, seeds, strict=True):
        last = max(seed["rounds"][-1]["round"], 1)
        for entry in seed["rounds"]:
            points = sorted((member["EK"], member["NEK"]) for member in entry["population"])
            colour = colormaps["viridis_r"](entry["round"] / last)
            axis.plot(*zip(*points, strict=True), marker="o", markersize=4, color=colour, label=str(entry["round"]))
        axis.set(title=f"seed {seed['seed']}", xlabel="EK, MAP")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("NEK, MAP (queries of the search)")
    axes[-1].legend(title="round", fontsize=7)
    return figure


def _by_pairs(front: Mapping[str, Any]) -> Figure:
    figure = new_figure(6.0, 4.0)
    axis = figure.subplots()
    for place, seed in enumerate(front["seeds"]):
        colour = COLOURS[place % len(COLOURS)]
        pairs = [entry["pairs_scored"] for entry in seed["rounds"]]
        gains = [entry["gain"] for entry in seed["rounds"]]
        low, high = ([own["value"] if own[key] is None else own[key] for own in gains] for key in ("ci_low", "ci_high"))
        axis.fill_between(pairs, low, high, color=colour, alpha=0.12, linewidth=0)
        axis.plot(
            pairs,
            [own["value"] for own in gains],
            marker=MARKS[place % len(MARKS)],
            markersize=3,
            color=colour,
            label=f"seed {seed['seed']}",
        )
    axis.axhline(0, color="grey", linewidth=0.7)
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.set(
        xlabel="query-passage pairs scored by the search",
        ylabel="hypervolume above the base's [95 %]\n(queries of the search)",
    )
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    return figure
