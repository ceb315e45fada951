"""The plots of an audit, as PNG and SVG; the same figures give the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ccs.auditing.audit import Audit
from fresco.io.names import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_RIGHT, _WRONG, _OTHER = "#0072B2", "#D55E00", "#999999"  # Okabe and Ito


def draw_plots(audit: Audit, folder: Path) -> None:
    """Write ``rewards`` (right against wrong), ``recall`` and ``cheats`` into a folder."""
    import matplotlib as mpl

    folder.mkdir(parents=True, exist_ok=True)
    # Text kept as text, and fixed ids inside SVG files.
    with mpl.rc_context({"svg.hashsalt": "ccs", "svg.fonttype": "none", "font.size": 9, "text.parse_math": False}):
        for name, draw in (("rewards", _rewards), ("recall", _recall), ("cheats", _cheats)):
            figure = draw(audit)
            figure.savefig(folder / f"{name}.png", dpi=150, metadata={"Software": None})
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None, "Creator": None})


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _rewards(audit: Audit) -> Figure:
    figure = _figure(5.5, 3.2)
    axis = figure.subplots()
    known = ~np.isnan(audit.scores)
    edges = np.histogram_bin_edges(audit.scores[known], bins=30).tolist()
    for label, here, colour in (
        ("right", audit.correct > 0, _RIGHT),
        ("wrong", audit.correct <= 0, _WRONG),
        ("no gold known", np.isnan(audit.correct), _OTHER),
    ):
        scores = audit.scores[known & here]
        if len(scores):
            axis.hist(scores, bins=edges, density=True, alpha=0.55, color=colour, label=f"{label} ({len(scores)})")
    axis.set(xlabel=f"reward: {printable(audit.reward)}", ylabel="density")
    axis.legend(fontsize=8)
    return figure


def _recall(audit: Audit) -> Figure:
    figure = _figure(5.5, 3.2)
    axis = figure.subplots()
    known = ~(np.isnan(audit.scores) | np.isnan(audit.recall))
    shares = np.unique(audit.recall[known])
    if len(shares):
        groups = [audit.scores[known & (audit.recall == share)] for share in shares]
        axis.boxplot(groups, positions=range(len(shares)), widths=0.6, showfliers=False)
        labels = (f"{share:.2f}\nn={len(group)}" for share, group in zip(shares, groups, strict=True))
        axis.set_xticks(range(len(shares)), list(labels))
    axis.set(xlabel="share of the gold passages found", ylabel="reward")
    return figure


def _cheats(audit: Audit) -> Figure:
    names = list(audit.variants)
    figure = _figure(7.0, 0.8 + 0.3 * len(names))
    axis = figure.subplots()
    for place, name in enumerate(names):
        gain = audit.variants[name]["gain"]
        if gain.value is None:
            continue
        low, high = (gain.value if bound is None else bound for bound in (gain.low, gain.high))
        errors = [[max(gain.value - low, 0)], [max(high - gain.value, 0)]]
        axis.errorbar(gain.value, place, xerr=errors, fmt="o", capsize=2, color=_RIGHT)
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set_yticks(range(len(names)), names)
    axis.set(xlabel="gain over the trajectory as recorded [95 %]")
    axis.grid(axis="x", alpha=0.3)
    axis.invert_yaxis()
    return figure
