"""Conditions on results, for continuous integration: ``--fail-if "stale@1>0.2"``."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fresco.errors import FrescoError
from fresco.metrics.catalog import ALL, SCOPES
from fresco.metrics.measures import Measure, families, notations, parse_measure
from fresco.records import Task

#: How a bound is compared.
OPERATORS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_PREFIX: Final = re.compile(r"(?P<task>[A-Za-z]+)(?:/(?P<kind>[A-Za-z]+))?\s*:\s*")
_BOUND: Final = re.compile(r"\s*(?P<op>>=|<=|>|<)\s*(?P<number>\S+)")
_EXAMPLE: Final = 'write for example "stale@1>0.2" or "EK/implicit:MAP<0.5"'


@dataclass(frozen=True, slots=True)
class Condition:
    """A metric, a bound, and the queries over which the metric is taken.

    Attributes:
        text: As the user wrote it.
        measure: The measure; it must be among those that are computed.
        op: ``>``, ``>=``, ``<`` or ``<=``.
        bound: The number.
        task: EK or NEK; None for EK, or for NEK where the results hold no EK.
        kind: explicit, implicit or all.
    """

    text: str
    measure: Measure
    op: str
    bound: float
    task: str | None = None
    kind: str = ALL

    def holds(self, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """The rows for which the condition holds, one for each re-ranker at most.

        Args:
            rows: ``Evaluation.rows``. A row without a value (an Obsolete Ratio with nothing above the positive) does
                not meet any condition.

        Raises:
            FrescoError: no row speaks of this metric and scope, so the condition could never hold.
        """
        tasks = {row["task"] for row in rows}
        task = self.task or (str(Task.EK) if Task.EK in tasks or Task.NEK not in tasks else str(Task.NEK))
        own = [row for row in rows if (row["task"], row["kind"], row["metric"]) == (task, self.kind, self.measure.name)]
        if not own:
            raise FrescoError(
                f"--fail-if {self.text!r}: the results hold no {self.measure} for {task}/{self.kind}; "
                "choose a metric and queries that were scored"
            )
        meets = OPERATORS[self.op]
        return [row for row in own if row["value"] is not None and meets(row["value"], self.bound)]


def parse_condition(text: str) -> Condition:
    """Read ``[TASK[/KIND]:]METRIC OP NUMBER``.

    Args:
        text: TASK is EK or NEK, KIND explicit, implicit or all, OP one of > >= < <=.

    Raises:
        FrescoError: unknown task, kind or metric, or another syntax.
    """
    rest = text.strip()
    task, kind = None, ALL
    if prefix := _PREFIX.match(rest):
        task, kind = prefix["task"], prefix["kind"] or ALL
        if (task, kind) not in SCOPES:
            scopes = ", ".join(f"{t}/{k}" for t, k in SCOPES)
            raise FrescoError(f"--fail-if {text!r}: no queries {task}/{kind}; choose one of {scopes}, EK, NEK")
        rest = rest[prefix.end() :]
    name = _measure_of(rest)
    if not name:
        unknown = re.split(r"[<>=\s]", rest, maxsplit=1)[0]
        raise FrescoError(
            f"--fail-if {text!r}: unknown metric {unknown!r}; choose one of {', '.join(notations())}; {_EXAMPLE}"
        )
    match = _BOUND.fullmatch(rest[len(name) :])
    if not match:
        raise FrescoError(f"--fail-if {text!r}: expected METRIC, one of > >= < <=, and a number; {_EXAMPLE}")
    try:
        measure = parse_measure(name)
    except FrescoError as error:
        raise FrescoError(f"--fail-if {text!r}: {error}; {_EXAMPLE}") from error
    if task is not None and task not in measure.tasks:
        raise FrescoError(f"--fail-if {text!r}: {measure} is not defined for {task}; {_EXAMPLE}")
    try:
        bound = float(match["number"])
    except ValueError:
        bound = math.nan
    if not math.isfinite(bound):
        raise FrescoError(f"--fail-if {text!r}: {match['number']!r} is not a number; {_EXAMPLE}")
    return Condition(text, measure, match["op"], bound, task, kind)


def _measure_of(text: str) -> str:
    """The notation at the start of the text, or nothing."""
    # Names may hold an operator themselves (current>obsolete), so known ones are matched, longest first.
    names = "|".join(re.escape(name) for name in sorted(families(), key=len, reverse=True))
    found = re.match(rf"(?:{names})(?:\([^()]*\))?(?:@\d+)?(?=[\s<>=]|$)", text)
    return found[0] if found else ""
