"""What is reported: the names of the metrics as users write them, and the scopes over which they are averaged.

No heavy import here: the command line reads these names before anything is scored.
"""

from __future__ import annotations

from typing import Final

from fresco.records import Kind, Task

#: Measures of relevance, on both tasks.
RANKING: Final = ("MAP", "MRR@5", "MRR@10", "nDCG@5", "nDCG@10", "Hit@1", "Hit@5", "Hit@10")
#: Measures of staleness, on EK alone; see :mod:`fresco.metrics.staleness`.
STALENESS: Final = ("ObsoleteRatio", "ObsoleteBase", "ObsoleteLift", "stale@1", "current>obsolete")
#: Every metric name.
METRICS: Final = (*RANKING, *STALENESS)
#: The metrics that each query has a value for. A lift is a ratio of means and belongs to a set of queries.
PER_QUERY: Final = tuple(name for name in METRICS if name != "ObsoleteLift")
#: Where a smaller value is the better one.
LOWER_IS_BETTER: Final = frozenset({"ObsoleteRatio", "ObsoleteLift", "stale@1"})
#: The metric by which re-rankers are compared unless another one is asked for.
PRIMARY: Final = "MAP"

#: The kind that stands for every query of a task.
ALL: Final = "all"
#: Task and kind of every reported value, in the order of tables.
SCOPES: Final = (
    (str(Task.EK), str(Kind.EXPLICIT)),
    (str(Task.EK), str(Kind.IMPLICIT)),
    (str(Task.EK), ALL),
    (str(Task.NEK), ALL),
)


def metrics_of(task: str) -> tuple[str, ...]:
    """The metrics that are defined for the queries of a task."""
    return METRICS if task == Task.EK else RANKING
