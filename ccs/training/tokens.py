"""The tokens of a trace: of its prompt, and which of a turn stay where the environment keeps a part of its text."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any

from ccs.agent import protocol


def encode_prompt(tokenizer: Any, layout: str, prompt: str) -> list[int]:
    """Token ids of a prompt.

    Args:
        tokenizer: Of the policy.
        layout: ``chat`` is a user's message in the model's template, and its answer begun; ``plain`` is the text.
        prompt: By :func:`ccs.agent.protocol.write_prompt`.
    """
    if layout == "plain":
        return list(tokenizer.encode(prompt, add_special_tokens=True))
    message = [{"role": "user", "content": prompt}]
    text = tokenizer.apply_chat_template(message, add_generation_prompt=True, tokenize=False)
    return list(tokenizer.encode(text, add_special_tokens=False))


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
