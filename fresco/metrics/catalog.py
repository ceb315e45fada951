"""What is reported unless something else is asked for: which measures, over which queries, in which columns.

No heavy import here: the command line reads these names before anything is scored. What a measure is stands in its own
file of :mod:`fresco.metrics.measures`.
"""

from __future__ import annotations

from typing import Final

from fresco.errors import FrescoError
from fresco.records import Kind, Task

#: The measures of every run, in the order of its rows.
STANDARD: Final = (
    *("MAP", "MRR@5", "MRR@10", "nDCG@5", "nDCG@10", "Hit@1", "Hit@5", "Hit@10"),
    *("ObsoleteRatio", "ObsoleteBase", "ObsoleteLift", "stale@1", "current>obsolete"),
)
#: The measures that are told apart by kind of conflict where the benchmark says which kind a passage is.
BY_CONFLICT: Final = ("ObsoleteRatio", "ObsoleteBase", "ObsoleteLift", "stale@1", "current>obsolete")
#: The measures that are also taken over superseded passages where the benchmark says which passages are.
OF_SUPERSEDED: Final = ("ObsoleteRatio", "ObsoleteBase", "ObsoleteLift")
#: The measure by which re-rankers are compared unless another one is asked for.
PRIMARY: Final = "MAP"
#: What may be drawn and flipped as one: a page with its queries, or the coarser relation.
UNITS: Final = ("subject", "relation")
#: With fewer subjects (or relations, where these are the unit) no verdict is given, so no letters.
FEWEST_SUBJECTS: Final = 20
#: The columns of the table of results behind those of the primary measure, over all EK queries.
HEADLINES: Final = ("stale@1", "current>obsolete", "ObsoleteLift")

#: The kind that stands for every query of a task.
ALL: Final = "all"
#: Task and kind of every reported value, in the order of tables.
SCOPES: Final = (
    (str(Task.EK), str(Kind.EXPLICIT)),
    (str(Task.EK), str(Kind.IMPLICIT)),
    (str(Task.EK), ALL),
    (str(Task.NEK), ALL),
)


def check_unit(unit: str) -> None:
    """See that it is one of :data:`UNITS`.

    Raises:
        FrescoError: it is none.
    """
    if unit not in UNITS:
        raise FrescoError(f"--unit {unit}: choose {' or '.join(UNITS)}")
