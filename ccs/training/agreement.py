"""Do trainer and engine hold the same weights? Log-probabilities of the same tokens say so.

At the start that would prove nothing, since both hold the same checkpoint: so the output head is changed first, sent,
compared, and put back.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

#: Largest difference of log-probabilities that two implementations may have, by dtype. In bfloat16 SmolLM2 135M is .13
#: from itself in float32 over 64 tokens, and trainer and engine may each be as far.
TOLERANCES = {"float32": 1e-3, "bfloat16": 0.3}
_ARRIVED = 10  # times that an engine must be nearer to the changed head than the unchanged one is
_NUDGE = 0.5  # standard deviation of the change to the head, as a share of each weight: far above any tolerance


def log_probabilities(trainer: Any, ids: Sequence[int], *, temperature: float = 1.0) -> list[float]:
    """The trainer's natural log-probability of each token but the first; collective where weights are sharded."""
    import torch

    model = trainer.model
    training = model.training
    model.eval()
    with torch.no_grad():
        device = trainer.accelerator.device
        rows = torch.tensor([list(ids)], device=device)
        logits = model(input_ids=rows, attention_mask=torch.ones_like(rows)).logits.float() / temperature
    model.train(training)
    found = logits[0, :-1].log_softmax(-1).gather(1, rows[0, 1:, None])
    return [float(value) for value in found[:, 0]]


def largest_difference(mine: Sequence[float], theirs: Sequence[float]) -> float:
    """Of two lists of the same length; infinite where a value is no number."""
    differences = [abs(one - other) for one, other in zip(mine, theirs, strict=True)]
    return max((math.inf if math.isnan(each) else each for each in differences), default=0.0)


def allowed(tolerance: float, changed: Sequence[float], unchanged: Sequence[float]) -> float:
    """Largest difference that an engine with a changed head may have.

    The change is large, and in bfloat16 so is the rounding of what comes of it (.6 nats of 52): what counts here is
    that the change arrived. How close both are is seen with the unchanged head.

    Args:
        tolerance: With the unchanged head.
        changed: The trainer's log-probabilities with the changed head.
        unchanged: Of the same tokens with its own.
    """
    return max(tolerance, largest_difference(changed, unchanged) / _ARRIVED)


@contextmanager
def nudged(model: Any) -> Iterator[None]:
    """The model with another output head for a while."""
    import torch

    head = model.get_output_embeddings().weight
    kept = head.detach().clone()
    noise = torch.randn(head.shape, generator=torch.Generator().manual_seed(0)).to(head)
    with torch.no_grad():
        head.mul_(1 + _NUDGE * noise)
    try:
        yield
    finally:
        with torch.no_grad():
            head.copy_(kept)
