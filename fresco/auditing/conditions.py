"""Conditions on an audit: ``--fail-if "probe>0.6"``."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fresco.errors import FrescoError
from fresco.metrics.threshold import OPERATORS
from fresco.records import Task

if TYPE_CHECKING:
    from fresco.auditing.audit import Audit

_EXAMPLE = 'write for example "probe>0.6", "NEK:newest>0.3", "latest-bm25/current>obsolete>0.8" or "date-auroc>0.9"'
_CONDITION = re.compile(r"(?:(?P<task>[A-Za-z]+)\s*:\s*)?(?P<what>.+?)\s*(?P<op>>=|<=|>|<)\s*(?P<number>[^<>=\s]+)")


@dataclass(frozen=True, slots=True)
class AuditCondition:
    """A figure of an audit and a bound.

    Attributes:
        text: As the user wrote it.
        task: EK or NEK, of a rule.
        what: A name of :attr:`Audit.figures`, or a rule with or without ``/METRIC``.
        op: ``>``, ``>=``, ``<`` or ``<=``.
        bound: The number.
    """

    text: str
    task: str
    what: str
    op: str
    bound: float

    def value(self, audit: Audit) -> float | None:
        """The figure.

        Raises:
            FrescoError: the audit has none of that name.
        """
        if self.what in audit.figures:
            return audit.figures[self.what]
        rule, _, metric = self.what.partition("/")
        known = {row["reranker"] for row in audit.rows}
        metrics = {row["metric"] for row in audit.rows if row["task"] == self.task}
        if rule not in known or (metric or "MAP") not in metrics:
            names = ", ".join((*audit.figures, *dict.fromkeys(row["reranker"] for row in audit.rows)))
            raise FrescoError(f"--fail-if {self.text!r}: the audit has no {self.what} for {self.task}; it has {names}")
        return audit.value(rule, self.task, metric or "MAP")

    def holds(self, audit: Audit) -> bool:
        """Whether it holds; a figure that is undefined meets no condition."""
        value = self.value(audit)
        return value is not None and OPERATORS[self.op](value, self.bound)


def parse_audit_condition(text: str) -> AuditCondition:
    """Read ``[TASK:]RULE[/METRIC] OP NUMBER`` or ``FIGURE OP NUMBER``.

    Raises:
        FrescoError: another syntax, or an unknown task.
    """
    match = _CONDITION.fullmatch(text.strip())
    try:
        bound = float(match["number"]) if match else math.nan
    except ValueError:
        bound = math.nan
    if not match or not math.isfinite(bound):
        raise FrescoError(f"--fail-if {text!r}: expected a figure, one of > >= < <=, and a number; {_EXAMPLE}")
    task = match["task"] or str(Task.EK)
    if task not in list(Task):
        raise FrescoError(f"--fail-if {text!r}: no queries {task}; choose EK or NEK; {_EXAMPLE}")
    return AuditCondition(text, task, match["what"], match["op"], bound)
