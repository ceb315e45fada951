"""Cycle-Consistent Search: train search agents on questions alone (arXiv 2604.12967).

``question -> rollout -> trajectory -> bottleneck -> reconstruction -> reward``: an agent searches, its trajectory is
stripped of the answer and its queries' named entities are masked, a frozen model reconstructs the question from what
is left, and the similarity to the real question is the reward. See
:mod:`ccs.agent.trajectory` for what a rollout leaves,
:mod:`ccs.rewards` for the reward and its audit, :mod:`ccs.retrieve` for the search engine.

A function for each command stands here: :func:`index`, :func:`serve`, :func:`rollout`, :func:`reward`, :func:`audit`,
:func:`evaluate`, :func:`report`, :func:`warmup`, :func:`train`; see :mod:`ccs.api`, which is loaded when one of
them is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ccs.api import audit, evaluate, index, reward, rollout, serve, train, warmup
    from ccs.reporting.run import report

__all__ = ["audit", "evaluate", "index", "report", "reward", "rollout", "serve", "train", "warmup"]


def __getattr__(name: str) -> Any:
    if name == "report":
        from ccs.reporting.run import report

        return report
    if name in __all__:
        from ccs import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
