"""What several processes of one training run have to know of each other."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from fresco.errors import FrescoError
from fresco.terminal.parser import EXIT_BAD_INPUT

_T = TypeVar("_T")
_LOST = re.compile(r"gloo|nccl|connection (closed|reset) by peer", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Agreed:
    """What all processes know of a turn before any of them generates.

    Attributes:
        contexts: Of the process that has most of them; 0 where all rollouts of all processes ended.
        tokens: The largest budget of any context of any process.
    """

    contexts: int
    tokens: int


def alone(budgets: Sequence[int]) -> Agreed:
    """What a process has whose turns concern no other."""
    return Agreed(len(budgets), max(budgets, default=1))


def together(accelerator: Any, budgets: Sequence[int]) -> Agreed:
    """What all processes have; collective, so that every one asks the same number of times whatever it has left."""
    mine = alone(budgets)
    if accelerator.num_processes == 1:
        return mine
    import torch

    sizes = torch.tensor([[mine.contexts, mine.tokens]], device=accelerator.device)
    contexts, tokens = accelerator.gather(sizes).max(dim=0).values.tolist()
    return Agreed(int(contexts), int(tokens))


def sharded(trainer: Any) -> bool:
    """Whether each of several processes holds only a part of the weights (FSDP, ZeRO-3)."""
    if trainer.accelerator.num_processes == 1:
        return False
    from trl.distributed import DistributedBackend

    backend = DistributedBackend(trainer.accelerator)
    return bool(backend.is_fsdp or backend.is_zero3)


def any_of(accelerator: Any, mine: bool) -> bool:
    """Whether it holds for one of the processes; collective."""
    if accelerator.num_processes == 1:
        return mine
    import torch

    return bool(accelerator.gather(torch.tensor([int(mine)], device=accelerator.device)).any().item())


def on_main(process: Any, work: Callable[[], _T]) -> _T:
    """Have the main process do something, and give all of them what came of it; collective.

    Args:
        process: accelerate's state or accelerator.
        work: What may be sent to the others.

    Raises:
        FrescoError: on the main process, as ``work`` raised it.
        SystemExit: on the others then: one process says what is wrong, and none waits for another.
    """
    if process.num_processes == 1:
        return work()
    from accelerate.utils import broadcast_object_list

    made: Any = None
    error: FrescoError | None = None
    if process.is_main_process:
        try:
            made = work()
        except FrescoError as raised:
            error = raised
    box = [made, error is not None]
    broadcast_object_list(box)
    if error is not None:
        raise error
    if box[1]:
        raise SystemExit(EXIT_BAD_INPUT)
    return made if process.is_main_process else box[0]  # type: ignore[no-any-return]


@contextmanager
def peers_lost() -> Iterator[None]:
    """Within it, what fails because another process of the run is gone is said in a line.

    Raises:
        FrescoError: in the place of the backend's error.
    """
    try:
        yield
    except RuntimeError as error:
        if not _LOST.search(str(error)):
            raise
        raise FrescoError(
            "another process of this run ended, and what it said first tells why; the same command goes on from the "
            f"last checkpoint ({' '.join(str(error).split())[:200]})"
        ) from error
