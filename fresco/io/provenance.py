"""Where and how a run was made: what ``run.json`` says of versions, machine, commit and device."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import fresco
from fresco.io.secrets import command_line
from fresco.records import SCHEMA_VERSION, format_timestamp

#: Packages whose version can change a result.
_PACKAGES = (
    "datasets",
    "ir-measures",
    "numpy",
    "optuna",
    "pandas",
    "pyarrow",
    "pytrec-eval-terrier",
    "rank-bm25",
    "sentence-transformers",
    "tokenizers",
    "torch",
    "transformers",
    "trl",
)


def run_header(identity: str, started: datetime) -> dict[str, Any]:
    """How the record of a run that has just ended begins.

    Args:
        identity: Of everything that decides its result.
        started: When it began.
    """
    finished = datetime.now(UTC)
    return {
        "schema_version": SCHEMA_VERSION,
        "identity": identity,
        "command": command_line(),
        "started": format_timestamp(started),
        "finished": format_timestamp(finished),
        "seconds": (finished - started).total_seconds(),
    }


def environment() -> dict[str, Any]:
    """Versions, machine, commit: everything of a run that its arguments do not say."""
    return {
        "fresco": fresco.__version__,
        "git": git_state(Path(fresco.__file__).resolve().parent.parent),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES if _version(name)},
        "platform": platform.platform(),
        "cpu": _cpu_model(),
        "cpu_count": os.cpu_count(),
        "gpus": _gpus(),
    }


def git_state(checkout: Path) -> dict[str, Any] | None:
    """Commit and dirty flag of a checkout; None when ``checkout`` is not the root of one (an installed wheel)."""

    def git(*arguments: str) -> str:
        return subprocess.run(  # noqa: S603 - our own arguments
            ["git", "-C", str(checkout), *arguments],  # noqa: S607 - whichever git the user has
            check=True,
            capture_output=True,
            text=True,
            timeout=10,
        ).stdout.strip()

    try:
        # A virtual environment may lie inside somebody else's repository: its commit is not ours.
        if Path(git("rev-parse", "--show-toplevel")).resolve() != checkout.resolve():
            return None
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _gpus() -> list[str]:
    torch = sys.modules.get("torch")  # asked only where a backend loaded it: importing it takes seconds
    if torch is None or not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
