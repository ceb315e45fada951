"""``recency:BASE,FILE``: a recency prior whose parameters lie in a file, ``recency.json``.

The file is what ``fresco tune`` exports and what production loads::

    {"schema_version": 1, "kind": "recency", "prior": "half-life", "days": 365.0,
     "gate": {"bias": -0.3, "weights": {"most recent": 1.9, "born": -2.1}}, "fitted": {...}}

``prior`` is ``half-life`` or ``mrag`` with ``days`` (``"inf"``: no prior at all), or ``tempralm`` with ``alpha``;
:mod:`fresco.rerank.temporal` says what each does. ``gate`` may be missing: then the prior applies to every question.
``fitted`` says on what the values were chosen; nothing reads it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fresco.errors import FrescoError
from fresco.io.files import write_atomically
from fresco.io.jsonlines import parse_json
from fresco.io.names import short
from fresco.io.packed import Limits, read_text
from fresco.models.settings import Settings
from fresco.records import SCHEMA_VERSION, Passage, Query
from fresco.rerank.base import Reranker, describe
from fresco.rerank.gate import Gate
from fresco.rerank.registry import RERANKERS, open_reranker
from fresco.rerank.temporal import Fusion, HalfLife, Mrag, TempRalm

#: Each prior, the name of its parameter, and the value that leaves the base's order as it is.
PRIORS: Mapping[str, tuple[type[HalfLife] | type[TempRalm] | type[Mrag], str, float]] = {
    "half-life": (HalfLife, "days", math.inf),
    "tempralm": (TempRalm, "alpha", 0.0),
    "mrag": (Mrag, "days", math.inf),
}
_LONGEST = 8 << 20  # bytes of a file
_MOST_WEIGHTS = 200_000


@dataclass(frozen=True)
class Recency:
    """The parameters of a recency prior.

    Attributes:
        prior: One of :data:`PRIORS`.
        value: Of its parameter.
        gate: Which questions it applies to; all where None.
        fitted: On what it was chosen, for readers; plain JSON.
    """

    prior: str
    value: float
    gate: Gate | None = None
    fitted: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.prior not in PRIORS:
            raise FrescoError(f"there is no prior {short(self.prior)}; choose {', '.join(PRIORS)}")
        _, parameter, neutral = PRIORS[self.prior]
        good = self.value == neutral or (0 < self.value < math.inf)
        if not good:
            raise FrescoError(f"{self.prior} with {parameter} {self.value}: give a number above zero")

    @property
    def neutral(self) -> bool:
        """Whether it leaves every order as it is."""
        return self.value == PRIORS[self.prior][2]

    def over(self, base: Reranker) -> RecencyPrior:
        """The prior over a re-ranker."""
        return RecencyPrior(base, self)

    def to_json(self) -> dict[str, Any]:
        """The content of the file."""
        value: Any = self.value if math.isfinite(self.value) else "inf"
        gate = None if self.gate is None else {"bias": self.gate.bias, "weights": dict(self.gate.weights)}
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": "recency",
            "prior": self.prior,
            PRIORS[self.prior][1]: value,
            **({} if gate is None else {"gate": gate}),
            "fitted": dict(self.fitted),
        }

    def save(self, path: str | Path) -> None:
        """Write the file, whole or not at all.

        Raises:
            FrescoError: it cannot be written.
        """
        write_atomically(Path(path), json.dumps(self.to_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def load_recency(path: str | Path) -> Recency:
    """Read a ``recency.json``.

    Raises:
        FrescoError: it cannot be read, is none, or holds a value that is none of its kind.
    """
    text = read_text(Path(path), limits=Limits(file=_LONGEST))
    try:
        content = parse_json(text)
    except ValueError as error:
        raise FrescoError(f"{path}: no valid JSON ({error}); `fresco tune` writes such a file") from None
    if not isinstance(content, Mapping) or content.get("kind") != "recency":
        raise FrescoError(f'{path}: is no recency.json ("kind": "recency" is missing); `fresco tune` writes one')
    if content.get("schema_version") != SCHEMA_VERSION:
        version = short(content.get("schema_version"))
        raise FrescoError(f"{path}: schema version {version}, this fresco reads {SCHEMA_VERSION}; tune again")
    prior = content.get("prior")
    if not isinstance(prior, str) or prior not in PRIORS:
        raise FrescoError(f"{path}: prior is {short(prior)}; choose {', '.join(PRIORS)}")
    parameter = PRIORS[prior][1]
    given = content.get(parameter)
    value = math.inf if given == "inf" else _number(given, path, parameter)
    fitted = content.get("fitted", {})
    gate = _gate(content.get("gate"), path)
    try:
        return Recency(prior, value, gate, fitted if isinstance(fitted, Mapping) else {})
    except FrescoError as error:
        raise FrescoError(f"{path}: {error}") from None


def _gate(given: Any, path: str | Path) -> Gate | None:
    if given is None:
        return None
    weights = given.get("weights") if isinstance(given, Mapping) else None
    if not isinstance(weights, Mapping) or len(weights) > _MOST_WEIGHTS:
        raise FrescoError(f"{path}: gate is {short(given)}; an object with bias and weights is wanted")
    numbers = {name: _number(weight, path, f"gate.weights.{short(name)}") for name, weight in weights.items()}
    return Gate(_number(given.get("bias"), path, "gate.bias"), numbers)


def _number(value: Any, path: str | Path, where: str) -> float:
    try:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:
        number = math.nan
    if not math.isfinite(number):
        raise FrescoError(f"{path}: {where} is {short(value)}; a number is wanted")
    return number


class RecencyPrior(Fusion):
    """A base under the prior, for the questions that the gate lets through; the others keep the base's own scores.

    Args:
        base: Any re-ranker.
        cure: The parameters.
        name: Of the row; made of the base's name and the parameters where None.
    """

    def __init__(self, base: Reranker, cure: Recency, name: str | None = None) -> None:
        super().__init__(base)
        self.cure = cure
        kind, parameter, _ = PRIORS[cure.prior]
        self._fusion: Fusion | None = None if cure.neutral else kind(base, cure.value)
        gated = "" if cure.gate is None else ",gated"
        self.name = name or f"recency:{base.name},{cure.prior},{parameter}={cure.value:g}{gated}"

    def fuse(self, query: Query, passages: Sequence[Passage], base_scores: Sequence[float]) -> npt.NDArray[np.float64]:
        """See :meth:`fresco.rerank.temporal.Fusion.fuse`."""
        if self._fusion is None or (self.cure.gate is not None and not self.cure.gate.opens(query.content)):
            return np.asarray(base_scores, dtype=np.float64)
        return self._fusion.fuse(query, passages, base_scores)

    def describe(self) -> dict[str, Any]:
        """The base's words and the prior's parameters, without the gate's weights."""
        said = {key: value for key, value in self.cure.to_json().items() if key not in ("gate", "fitted", "kind")}
        return {"base": dict(describe(self.base)), **said, "gated": self.cure.gate is not None}


@RERANKERS.register(
    "recency:BASE,FILE",
    "any base under the prior that `fresco tune` fitted",
    needs="what BASE needs",
    example="bm25,recency.json",
    instruction="as BASE",
)
def _recency(arguments: str, settings: Settings) -> Reranker:
    base, _, file = arguments.rpartition(",")
    if not base or not file:
        raise FrescoError(f"--reranker recency:{arguments}: write {RERANKERS.parts()['recency'].usage}")
    cure = load_recency(file)
    return RecencyPrior(open_reranker(base, settings), cure, f"recency:{base},{file}")
