"""What an instruction search must be compared with: time priors and demonstrations, tuned as fairly as the search is.

Each baseline has one hyper-parameter. It is chosen on the validation split, on which the search chooses too, from a
stated grid: the value with the best harmonic mean of EK and NEK MAP (:func:`balance`). A baseline is one point, a front
is many; the harmonic mean picks the point that gives neither side up, since a prior that buys EK with a ruined NEK is
no rival to any front. Every grid holds the value that leaves the re-ranker as it is, so tuning never makes one worse
than the base on validation. The whole grid is kept: drawn as a curve beside the front it shows the trade-off without
any criterion.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import harmonic_mean
from typing import Any

import numpy as np
import numpy.typing as npt

from fresco.errors import FrescoError
from fresco.optimizer.demonstrations import with_demonstrations
from fresco.optimizer.examples import average_precision
from fresco.optimizer.proposers.llm import DEFAULT_INSTRUCTION
from fresco.records import Candidates, Pool, Task
from fresco.rerank.base import Reranker, describe
from fresco.rerank.temporal import Fusion, Mrag, TempRalm
from fresco.scoring.runner import score
from fresco.scoring.store import ScoreStore

#: Weights of TempRALM's temporal score, in deviations of the base's; 0 is the base itself.
ALPHAS = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)
#: Days at which MRAG's temporal score is a half; infinity is the base itself.
DAYS = (math.inf, 36500.0, 14600.0, 7300.0, 3650.0, 1825.0, 1095.0, 730.0, 365.0, 180.0, 90.0, 30.0, 7.0)
#: Demonstrations; 0 is the base itself. Each asks for scores of its own, so the grid is short.
EXAMPLES = (0, 1, 2, 4, 8)

_FUSIONS: Mapping[str, tuple[str, Callable[[Reranker, float], Fusion], Sequence[float]]] = {
    "tempralm": ("alpha", TempRalm, ALPHAS),
    "mrag": ("days", Mrag, DAYS),
}


@dataclass(frozen=True)
class GridPoint:
    """A value of the hyper-parameter with its MAP on the validation queries of each side; NaN for an empty side."""

    value: float
    ek: float
    nek: float


@dataclass(frozen=True)
class TunedBaseline:
    """A baseline at its chosen value.

    Other pools are scored with ``score(baseline.reranker, pools, store, instruction=baseline.instruction)``; a fusion
    costs no model call where the base is scored.

    Attributes:
        name: ``tempralm``, ``mrag`` or ``demonstrations``.
        parameter: ``alpha``, ``days`` or ``k``.
        value: The chosen one.
        grid: Every value tried, the one that leaves the base as it is first.
        reranker: The re-ranker to score with.
        instruction: The instruction to give it.
        stopped: Why the grid ends early (demonstrations that the model's input has no room for); empty where it does
            not.
    """

    name: str
    parameter: str
    value: float
    grid: tuple[GridPoint, ...]
    reranker: Reranker
    instruction: str | None
    stopped: str = ""

    @property
    def chosen(self) -> GridPoint:
        """The grid's point at the chosen value."""
        return next(point for point in self.grid if point.value == self.value)

    def record(self) -> dict[str, Any]:
        """For JSON, where an infinite value has no number: it is written as the text ``inf``."""

        def number(value: float) -> float | str | None:
            return None if math.isnan(value) else value if math.isfinite(value) else "inf"

        return {
            "name": self.name,
            "parameter": self.parameter,
            "value": number(self.value),
            "reranker": self.reranker.name,
            "instruction": self.instruction,
            "stopped": self.stopped,
            "criterion": "harmonic mean of EK and NEK MAP on validation",
            "grid": [{"value": number(p.value), "ek": number(p.ek), "nek": number(p.nek)} for p in self.grid],
        }


def tuned_baselines(
    reranker: Reranker,
    train: Sequence[Pool],
    validation: Sequence[Pool],
    store: ScoreStore,
    instruction: str | None,
    *,
    seed: int = 0,
    watch: Callable[[str, int, int], None] | None = None,
) -> list[TunedBaseline]:
    """TempRALM, MRAG and, where the model takes an instruction, demonstrations, each tuned on validation.

    Args:
        reranker: Fitted where it wants to be.
        train: Pools that demonstrations are drawn from.
        validation: Pools that the hyper-parameters are chosen on.
        store: The base's scores are taken from it and added to it; the fusions ask for no more than those.
        instruction: What the base is given, and what demonstrations are put after; None for the model's default.
        seed: Of the demonstrations' draw.
        watch: Told a name, the pairs done and the pairs in all.

    Raises:
        FrescoError: no validation pools, or the re-ranker failed without demonstrations.
    """
    if not validation:
        raise FrescoError("the baselines' parameters are chosen on the validation split, and it is empty")
    pools: list[Candidates] = [(pool.query, pool.passages) for pool in validation]

    def scored(name: str, text: str | None) -> list[npt.NDArray[np.float64]]:
        def progress(done: int, total: int) -> None:
            if watch:
                watch(name, done, total)

        return score(reranker, pools, store, instruction=text, progress=progress).scores

    base = scored("base", instruction)
    tuned = []
    for name, (parameter, make, values) in _FUSIONS.items():
        fusions = {value: make(reranker, value) for value in values}
        grid = [_point(value, validation, _fused(fusion, pools, base)) for value, fusion in fusions.items()]
        best = _best(grid)
        tuned.append(TunedBaseline(name, parameter, best, tuple(grid), fusions[best], instruction))
    if reranker.takes_instruction:
        texts = _demonstrated(reranker, train, instruction, seed)
        grid, stopped = [_point(0, validation, base)], ""
        for k in list(texts)[1:]:
            try:
                grid.append(_point(k, validation, scored(f"demonstrations k={k}", texts[k])))
            except FrescoError as error:  # an input that is too long with k examples is so with more
                stopped = f"k={k}: {error}"
                break
        best = _best(grid)
        tuned.append(TunedBaseline("demonstrations", "k", best, tuple(grid), reranker, texts[int(best)], stopped))
    return tuned


def balance(point: GridPoint) -> float:
    """Harmonic mean of EK and NEK MAP; of one side alone, that side's."""
    sides = [value for value in (point.ek, point.nek) if not math.isnan(value)]
    return harmonic_mean(sides) if sides else 0.0


def _best(grid: Sequence[GridPoint]) -> float:
    """The value with the best balance; of equal ones the first, which is nearest to the base."""
    return max(grid, key=balance).value


def _point(value: float, pools: Sequence[Pool], scores: Sequence[npt.NDArray[np.float64]]) -> GridPoint:
    values: dict[Task, list[float]] = {task: [] for task in Task}
    for pool, own in zip(pools, scores, strict=True):
        values[pool.query.task].append(average_precision(pool, own))
    ek, nek = (float(np.mean(side)) if side else math.nan for side in (values[Task.EK], values[Task.NEK]))
    return GridPoint(value, ek, nek)


def _fused(
    fusion: Fusion, pools: Sequence[Candidates], base: Sequence[npt.NDArray[np.float64]]
) -> list[npt.NDArray[np.float64]]:
    # What score() would do with the fusion, without finding the base's scores in the store for each value again.
    return [fusion.fuse(query, passages, own.tolist()) for (query, passages), own in zip(pools, base, strict=True)]


def _demonstrated(
    reranker: Reranker, train: Sequence[Pool], instruction: str | None, seed: int
) -> dict[int, str | None]:
    """The instruction for each k; where there are fewer training pools, a larger k would be the same text again."""
    text = instruction or str(describe(reranker).get("default_instruction") or DEFAULT_INSTRUCTION)
    texts: dict[int, str | None] = {0: instruction}
    for k in EXAMPLES[1:]:
        if k <= len(train):
            texts[k] = with_demonstrations(text, train, k, seed=seed)
    return texts
