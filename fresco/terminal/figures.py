"""How a figure with its interval is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def interval(row: Mapping[str, Any] | None) -> str:
    """``0.621 [.58 .66]``, or a dash."""
    if row is None:
        return "-"
    if row["ci_low"] is None:
        return f"{row['value']:.3f}"
    return f"{row['value']:.3f} [{_bound(row['ci_low'])} {_bound(row['ci_high'])}]"


def _bound(value: float) -> str:
    return f"{value:.2f}".removeprefix("0") if 0 <= value < 1 else f"{value:.2f}"
