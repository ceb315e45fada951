"""A turn as an engine gives it: token ids with their log-probabilities, and how a vLLM server says them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fresco.errors import FrescoError


@dataclass(frozen=True, slots=True)
class Generated:
    """One turn.

    Attributes:
        ids: Tokens, as generated.
        logprobs: Of each; None where the trainer itself generated.
    """

    ids: list[int]
    logprobs: list[float] | None = None


def read_completion(raw: Any, shown: str) -> Generated:
    """Token ids and log-probabilities of a vLLM completion.

    Raises:
        FrescoError: they are not there: no vLLM, or one before 0.10.
    """
    choice = raw["choices"][0]
    ids = choice.get("token_ids")
    found = choice.get("logprobs")
    logprobs = found.get("token_logprobs") if isinstance(found, dict) else None
    if not isinstance(ids, list) or not isinstance(logprobs, list) or len(ids) != len(logprobs):
        raise FrescoError(f"{shown} answers no token ids with log-probabilities; training needs a vLLM server")
    return Generated(ids, [float("nan") if value is None else float(value) for value in logprobs])
