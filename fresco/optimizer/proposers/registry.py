"""The proposers: from a spec on the command line to something that writes instructions.

Each is one file of this package that registers itself with :data:`PROPOSERS`; :mod:`fresco.io.registry` says how specs
and classes of the user's own are written. What makes one may ask for ``bank`` (the clauses), ``folder`` (of the search,
for caches) and ``seed``.
"""

from __future__ import annotations

from fresco.io.registry import Registry
from fresco.optimizer.proposers.base import Proposer

PROPOSERS: Registry[Proposer] = Registry(
    "proposer",
    flag="--proposer",
    package="fresco.optimizer.proposers",
    group="fresco.proposers",
    members=("name", "propose"),
)
