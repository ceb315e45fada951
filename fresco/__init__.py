"""Score re-rankers for retrieval-augmented generation on knowledge that changes.

The front door is :mod:`fresco.api`, each of its functions reached as ``fresco.NAME``: ``score``, ``evaluate``,
``optimize``, ``tune``, ``answer``, ``parity``, ``build``, ``audit``, ``open_benchmark``, ``load``,
``report``.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fresco.api import (
        Result,
        SearchResult,
        answer,
        audit,
        build,
        evaluate,
        load,
        open_benchmark,
        optimize,
        parity,
        report,
        score,
        tune,
    )
    from fresco.errors import FrescoError

try:
    __version__ = version("fresco-ccs")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = [
    "FrescoError",
    "Result",
    "SearchResult",
    "__version__",
    "answer",
    "audit",
    "build",
    "evaluate",
    "load",
    "open_benchmark",
    "optimize",
    "parity",
    "report",
    "score",
    "tune",
]


def __getattr__(name: str) -> Any:
    # PEP 562: `import fresco`, and with it every `fresco --help`, does not wait for pandas.
    if name in __all__:
        from fresco import api

        value = getattr(api, name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
