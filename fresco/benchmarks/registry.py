"""The benchmarks that a name stands for: embedded ones, those of installed packages, and ``module:function``.

What makes one gives a :class:`fresco.records.Benchmark`; it may ask for ``seed``. Folders and dataset ids are not
parts: :func:`fresco.benchmarks.open_benchmark` tells them apart.
"""

from __future__ import annotations

from fresco.io.registry import Registry
from fresco.records import Benchmark

BENCHMARKS: Registry[Benchmark] = Registry(
    "benchmark",
    flag="--benchmark",
    package="fresco.benchmarks",
    group="fresco.benchmarks",
    members=("name", "pools", "fingerprint"),
)
