"""What several processes of one training run have to know of each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


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
