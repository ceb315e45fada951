"""Worked examples after the instruction, in the manner of FreshPrompt (https://arxiv.org/abs/2310.03214).

FreshPrompt puts demonstrations with dated evidence before a question to an LLM. A re-ranker has one field for words of
our own, the instruction: the examples stand in it, after its text. Each is a training query with the passage that is
right and one that is wrong, both dated. What comes from the benchmark is quoted on one line
(:func:`fresco.optimizer.examples.quoted`), so no example can forge a field of the re-ranker's template.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from fresco.optimizer.examples import MEANING, minibatch, show_passage, show_query
from fresco.records import Label, Pool

_LONGEST_BODY = 160  # characters shown of a passage: k examples and the passage to score share the model's input


def with_demonstrations(instruction: str, training: Sequence[Pool], k: int, *, seed: int = 0) -> str:
    """The instruction with k worked examples.

    Args:
        instruction: The text that they follow.
        training: Pools of the training split; EK and NEK are drawn in turn as long as there are both.
        k: How many; 0 gives the instruction back. A draw of k holds the draw of every smaller k.
        seed: Of the draw.

    Returns:
        A single line where the instruction is one.
    """
    drawn = minibatch(training, k, random.Random(f"demonstrations:{seed}"))  # noqa: S311
    if not drawn:
        return instruction
    shown = " ".join(f"({number}) {_demonstration(pool, seed)}" for number, pool in enumerate(drawn, 1))
    return f"{instruction.rstrip()} Examples, with all text of others in quotes: {shown}"


def _demonstration(pool: Pool, seed: int) -> str:
    """A query, its positive, and an outdated passage where the pool has one, else any negative."""
    positive = next(pool.labelled(Label.POSITIVE))
    wrong = [label for label in (Label.OUTDATED, Label.INSUFFICIENT, Label.NEAR_TOPIC) if label in pool.labels]
    shown = (
        f"{show_query(pool.query)}: {show_passage(positive, pool.query, _LONGEST_BODY)} is {MEANING[Label.POSITIVE]}"
    )
    if not wrong:
        return f"{shown}."
    rng = random.Random(f"demonstration:{seed}:{pool.query.id}")  # noqa: S311
    negative = rng.choice(list(pool.labelled(wrong[0])))
    return f"{shown}; {show_passage(negative, pool.query, _LONGEST_BODY)} is {MEANING[wrong[0]]}."
