"""How often the 95 % intervals hold the truth, by simulation: rare events, few subjects, queries of a subject alike.

    pip install -e ".[test]" && python eval/coverage.py

draws samples whose mean is known, asks the code behind every table for its interval, and counts; writes
``eval/results/coverage.json`` and ``.md``. A cell is a number of subjects, of queries a subject, how alike these are
(intraclass correlation), and a true mean. Three kinds of values: yes or no (``stale@1``), the share of four pairs won
(``current>obsolete``), one over a rank (``MRR``). Rates above one half are those below it turned around. The choices
in :mod:`fresco.stats.shares` were made on other draws of the same kind, never on these.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import study

from fresco.stats.arrays import FloatArray, IntArray
from fresco.stats.intervals import SubjectBootstrap

_SUBJECTS = (20, 50, 86, 200, 500)
#: Queries of the subjects, in turns.
_LAYOUTS = {"1": (1,), "2": (2,), "4": (4,), "1 to 3": (1, 2, 3), "1, 1, 1, 10": (1, 1, 1, 10)}
_ALIKE = (0.0, 0.2, 0.5, 0.9)
_RATES = (0.0, 0.001, 0.003, 0.01, 0.02, 0.03, 0.05, 0.1, 0.3, 0.5, 0.9, 0.98, 1.0)
_METHODS = ("bootstrap", "share", "layered", "wider of both")
_WANTED = 0.93


@dataclass(frozen=True)
class _Cell:
    kind: str
    subjects: int
    layout: str
    alike: float
    rate: float

    def __str__(self) -> str:
        return f"{self.subjects} subjects of {self.layout}, alike {self.alike}, rate {self.rate}"


def _chances(rng: np.random.Generator, cell: _Cell, size: tuple[int, int]) -> FloatArray:
    """Each subject's own chance, shape (subjects, samples): a beta law with the correlation that the cell wants."""
    if cell.alike == 0 or cell.rate in (0, 1):
        return np.full(size, cell.rate)
    scale = (1 - cell.alike) / cell.alike
    return rng.beta(cell.rate * scale, (1 - cell.rate) * scale, size=size)


def _yes_or_no(rng: np.random.Generator, chances: FloatArray) -> FloatArray:
    return rng.binomial(1, chances).astype(np.float64)


def _pairs_won(rng: np.random.Generator, chances: FloatArray) -> FloatArray:
    return rng.binomial(4, chances) / 4


def _over_rank(rng: np.random.Generator, chances: FloatArray) -> FloatArray:
    return 1 / (1 + rng.binomial(19, 1 - chances))


_KINDS: dict[str, Callable[[np.random.Generator, FloatArray], FloatArray]] = {
    "yes or no": _yes_or_no,
    "share of pairs": _pairs_won,
    "one over rank": _over_rank,
}


def _truth(rng: np.random.Generator, cell: _Cell) -> float:
    if cell.kind != "one over rank":
        return cell.rate
    return float(_over_rank(rng, _chances(rng, cell, (1000, 1000))).mean())


def _cells(smoke: bool) -> Iterator[_Cell]:
    for kind, n, layout, alike, rate in itertools.product(_KINDS, _SUBJECTS, _LAYOUTS, _ALIKE, _RATES):
        if layout == "1" and alike:
            continue
        if kind != "yes or no" and (n not in (20, 86, 500) or layout not in ("1", "4") or rate in (0, 1)):
            continue
        if smoke and (n != 20 or rate not in (0, 0.01, 0.5) or alike not in (0, 0.5)):
            continue
        yield _Cell(kind, n, layout, alike, rate)


def _measure(cell: _Cell, seed: int, samples: int, resamples: int) -> dict[str, dict[str, float]]:
    """Coverage and mean width of each method in one cell."""
    rng = np.random.default_rng([seed, 2026])
    turns = _LAYOUTS[cell.layout]
    sizes = [turns[place % len(turns)] for place in range(cell.subjects)]
    owner: IntArray = np.repeat(np.arange(cell.subjects), sizes)
    values = _KINDS[cell.kind](rng, _chances(rng, cell, (cell.subjects, samples))[owner])
    truth = _truth(rng, cell)
    bootstrap = SubjectBootstrap([f"{place:04}" for place in owner], resamples=resamples, seed=seed)
    ones = np.ones_like(values)
    by_draws, by_share = bootstrap.ratio(values, ones), bootstrap.share(values, ones)
    by_layers = bootstrap.layered(values, ones)
    bounds = {
        "bootstrap": (by_draws.low, by_draws.high),
        "share": (by_share.low, by_share.high),
        "layered": (by_layers.low, by_layers.high),
        "wider of both": (np.minimum(by_draws.low, by_share.low), np.maximum(by_draws.high, by_share.high)),
    }
    # An exact bound may miss a truth of 0 or 1 by its last bit.
    return {
        name: {
            "covers": float(((low <= truth + 1e-12) & (truth - 1e-12 <= high)).mean()),
            "width": float((high - low).mean()),
        }
        for name, (low, high) in bounds.items()
    }


def _table(found: list[tuple[_Cell, dict[str, dict[str, float]]]]) -> list[str]:
    lines = []
    for kind in _KINDS:
        own = [(cell, each) for cell, each in found if cell.kind == kind]
        lines += ["", f"## {kind.capitalize()}: {len(own)} cells", ""]
        lines += [
            f"| interval | lowest coverage | where | cells below {_WANTED} | mean width |",
            "|---|---|---|---|---|",
        ]
        for method in _METHODS:
            covers = [each[method]["covers"] for _, each in own]
            lowest = int(np.argmin(covers))
            width = np.mean([each[method]["width"] for _, each in own])
            below = sum(each < _WANTED for each in covers)
            lines.append(f"| {method} | {covers[lowest]:.3f} | {own[lowest][0]} | {below} | {width:.3f} |")
        lines += [
            "",
            "| true mean | " + " | ".join(f"{m}: lowest, width" for m in _METHODS) + " |",
            "|---|---|---|---|---|",
        ]
        for rate in _RATES:
            here = [each for cell, each in own if cell.rate == rate]
            if here:
                cells = (
                    f"{min(e[m]['covers'] for e in here):.3f}, {np.mean([e[m]['width'] for e in here]):.3f}"
                    for m in _METHODS
                )
                lines.append(f"| {rate} | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    """Simulate every cell and write the table."""
    options = study.make_parser(__doc__).parse_args()
    made = study.begin(options)
    samples, resamples = (100, 100) if options.smoke else (1000, 400)
    cells = list(_cells(options.smoke))
    found = []
    for place, cell in enumerate(cells):
        found.append((cell, _measure(cell, place, samples, resamples)))
        if place % 100 == 99:
            print(f"{place + 1} of {len(cells)} cells", flush=True)
    lines = [
        "# Coverage of the 95 % intervals",
        "",
        f"Made by `python eval/coverage.py`: {study.made_by(made)}; {samples} samples a cell, so a coverage of 0.95 is "
        f"seen with an error of {np.sqrt(0.95 * 0.05 / samples):.3f}; {resamples} resamples.",
        "",
        "The unit is the subject: its queries come and go together. For `one over rank` the rate is the chance behind "
        "the rank, not the mean.",
        *_table(found),
        "",
    ]
    figures: list[dict[str, Any]] = [{**vars_of(cell), **each} for cell, each in found]
    study.record(options, "coverage", {"made": study.made_by(made), "cells": figures}, "\n".join(lines))


def vars_of(cell: _Cell) -> dict[str, Any]:
    """The cell's own columns."""
    return {name: getattr(cell, name) for name in ("kind", "subjects", "layout", "alike", "rate")}


if __name__ == "__main__":
    main()
