"""Which tokens of a turn stay, where the environment keeps only a part of its text."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence

from ccs.agent import protocol


def kept_tokens(ids: Sequence[int], reply: str, decode: Callable[[Sequence[int]], str]) -> int:
    """How many tokens of a turn spell what the context keeps of it.

    Engines cut text at a stop string, and not token ids: the count goes up to the token that closes the tag, with
    whatever else that token holds. Where the environment cut within a turn (information of the model's own making), the
    token that the cut goes through is left out.

    Args:
        ids: Of the turn.
        reply: What the environment keeps (:attr:`ccs.agent.environment.Step.reply`).
        decode: From ids to text.
    """
    text = decode(ids)
    if text == reply or not text.startswith(reply):
        return len(ids)
    # By the text and not by its length: half a character decodes to more characters than the whole.
    count = bisect_left(range(len(ids)), True, key=lambda n: decode(ids[:n]).startswith(reply))
    closed = reply.endswith(protocol.TURN_ENDS)
    return count if closed or decode(ids[:count]) == reply else count - 1
