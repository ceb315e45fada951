"""How much memory a model takes at most while it scores: of its GPU, or of this process where it computes on a CPU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_PROCESS = Path("/proc/self")  # Linux's; elsewhere nothing is said


def forget_peak(device: torch.device | None) -> None:
    """Begin to measure."""
    if device is not None and device.type == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        (_PROCESS / "clear_refs").write_text("5")  # 5: the peak is what is resident now (proc(5))
    except OSError:
        return


def peak(device: torch.device | None) -> int | None:
    """Bytes at most since :func:`forget_peak`; None where the system does not say."""
    if device is not None and device.type == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    return _peak_of(_PROCESS)


def peak_of_children() -> int | None:
    """Bytes at most of any one process that this one has started and that still runs; None where there is none.

    Each is asked for its own. What the system keeps of children that have ended (``getrusage``) is at least what their
    parent held when it started them.
    """
    try:
        listed = [path.read_text().split() for path in _PROCESS.glob("task/*/children")]
    except OSError:
        return None
    found = [own for pids in listed for pid in pids if (own := _peak_of(Path("/proc", pid))) is not None]
    return max(found, default=None)


def _peak_of(process: Path) -> int | None:
    try:
        lines = (process / "status").read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(found[0]) * 1024 if found else None
