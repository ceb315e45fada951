"""What a benchmark can be solved by without reading it: shortcuts, measured.

A benchmark of changing knowledge is worth what its blind rules leave to do. :func:`audit_benchmark` scores each of
them like a re-ranker (:mod:`fresco.auditing.rules`, :mod:`fresco.auditing.probe`), counts what else is known to bend
such benchmarks (:mod:`fresco.auditing.counts`), and says in words what follows.
"""

from fresco.auditing.audit import ESTIMATE, Audit, audit_benchmark
from fresco.auditing.counts import token_counter

__all__ = ["ESTIMATE", "Audit", "audit_benchmark", "token_counter"]
