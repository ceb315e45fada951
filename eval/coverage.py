"""How often the 95 % intervals hold the truth, by simulation: rare events, few subjects, queries of a subject alike.

    pip install -e ".[test]" && python eval/coverage.py
    python eval/coverage.py --kind "one over rank"      # this part anew, the others as they were recorded

draws samples whose mean is known, asks the code behind every table for its interval, and counts; writes
``eval/results/coverage.json`` and ``.md``. A cell is a number of subjects, of queries a subject, how alike these are
(intraclass correlation), and a true mean. Four kinds of values: yes or no (``stale@1``), the share of four pairs won
(``current>obsolete``), one over a rank (``MRR``, whose intervals are by layers), average precision of two relevant
passages among twenty. Rates above one half are those below it turned around. The choices in
:mod:`fresco.stats.shares` were made on other draws of the same kind, never on these.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
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
_METHODS = ("bootstrap", "share", "wider of both")
#: Kinds whose values lie near a floor with rare large ones; intervals by layers are simulated for these alone.
_SKEWED = ("one over rank", "average precision")
_WANTED = 0.93
_NAMES = ("kind", "subjects", "layout", "alike", "rate")


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


def _average_precision(rng: np.random.Generator, chances: FloatArray) -> FloatArray:
    above = np.sort(rng.binomial(18, 1 - chances, size=(2, *chances.shape)), axis=0)
    precision: FloatArray = (1 / (1 + above[0]) + 2 / (2 + above[1])) / 2
    return precision


_KINDS: dict[str, Callable[[np.random.Generator, FloatArray], FloatArray]] = {
    "yes or no": _yes_or_no,
    "share of pairs": _pairs_won,
    "one over rank": _over_rank,
    "average precision": _average_precision,
}


def _truth(rng: np.random.Generator, cell: _Cell) -> float:
    if cell.kind not in _SKEWED:
        return cell.rate
    return float(_KINDS[cell.kind](rng, _chances(rng, cell, (1000, 1000))).mean())


def _cells(smoke: bool, kinds: Sequence[str]) -> Iterator[_Cell]:
    for kind, n, layout, alike, rate in itertools.product(kinds, _SUBJECTS, _LAYOUTS, _ALIKE, _RATES):
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
    bounds = {
        "bootstrap": (by_draws.low, by_draws.high),
        "share": (by_share.low, by_share.high),
        "wider of both": (np.minimum(by_draws.low, by_share.low), np.maximum(by_draws.high, by_share.high)),
    }
    if cell.kind in _SKEWED:
        by_layers = bootstrap.layered(values, ones)
        bounds["layered"] = (by_layers.low, by_layers.high)
    # An exact bound may miss a truth of 0 or 1 by its last bit.
    return {
        name: {
            "covers": float(((low <= truth + 1e-12) & (truth - 1e-12 <= high)).mean()),
            "width": float((high - low).mean()),
        }
        for name, (low, high) in bounds.items()
    }


def _table(kind: str, found: Sequence[Mapping[str, Any]], made: str) -> list[str]:
    """The section of one kind."""
    methods = [*_METHODS, *(["layered"] if "layered" in found[0] else [])]
    lines = ["", f"## {kind.capitalize()}: {len(found)} cells", "", f"{made}.", ""]
    lines += [f"| interval | lowest coverage | where | cells below {_WANTED} | mean width |", "|---|---|---|---|---|"]
    for method in methods:
        covers = [each[method]["covers"] for each in found]
        lowest = int(np.argmin(covers))
        where = _Cell(**{name: found[lowest][name] for name in _NAMES})
        width = np.mean([each[method]["width"] for each in found])
        below = sum(each < _WANTED for each in covers)
        lines.append(f"| {method} | {covers[lowest]:.3f} | {where} | {below} | {width:.3f} |")
    lines += [
        "",
        "| rate | " + " | ".join(f"{m}: lowest, width" for m in methods) + " |",
        "|---" * (1 + len(methods)) + "|",
    ]
    for rate in _RATES:
        here = [each for each in found if each["rate"] == rate]
        if here:
            cells = (
                f"{min(e[m]['covers'] for e in here):.3f}, {np.mean([e[m]['width'] for e in here]):.3f}"
                for m in methods
            )
            lines.append(f"| {rate} | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    """Simulate the cells of the kinds that are asked for and write the table of all."""
    parser = study.make_parser(__doc__)
    parser.add_argument("--kind", choices=_KINDS, action="append", help="only this one anew; repeatable (default: all)")
    options = parser.parse_args()
    made = study.made_by(study.begin(options))
    samples, resamples = (100, 100) if options.smoke else (1000, 400)
    kinds = options.kind or list(_KINDS)
    earlier = study.recorded(options, "coverage", {"made": {}, "cells": []})
    cells = list(_cells(options.smoke, kinds))
    figures: list[dict[str, Any]] = [each for each in earlier["cells"] if each["kind"] not in kinds]
    for place, cell in enumerate(cells):
        figures.append({**vars_of(cell), **_measure(cell, place, samples, resamples)})
        if place % 100 == 99:
            print(f"{place + 1} of {len(cells)} cells", flush=True)
    made_of = {**earlier["made"], **dict.fromkeys(kinds, made)}
    lines = [
        "# Coverage of the 95 % intervals",
        "",
        f"Made by `python eval/coverage.py`; {samples} samples a cell, so a coverage of 0.95 is seen with an error of "
        f"{np.sqrt(0.95 * 0.05 / samples):.3f}; {resamples} resamples.",
        "",
        "The unit is the subject: its queries come and go together. For `one over rank` and `average precision` the "
        "rate is the chance behind the ranks, not the mean. MRR takes `layered`; every other mean between 0 and 1, MAP "
        "among them, takes `share`, which is too short where all but a few values lie at their floor.",
    ]
    for kind in _KINDS:
        if own := [each for each in figures if each["kind"] == kind]:
            lines += _table(kind, own, made_of[kind])
    study.record(options, "coverage", {"made": made_of, "cells": figures}, "\n".join(lines))


def vars_of(cell: _Cell) -> dict[str, Any]:
    """The cell's own columns."""
    return {name: getattr(cell, name) for name in _NAMES}


if __name__ == "__main__":
    main()
