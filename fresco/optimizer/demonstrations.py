"""Worked examples after the instruction, in the manner of FreshPrompt (https://arxiv.org/abs/2310.03214).

FreshPrompt puts demonstrations with dated evidence before a question to an LLM. A re-ranker has one field for words of
our own, the instruction: the examples stand in it, after its text. Each is a training query with the passage that is
right and one that is wrong, both dated. What comes from the benchmark is quoted on one line
(:func:`fresco.optimizer.examples.quoted`), so no example can forge a field of the re-ranker's template.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from fresco.optimizer.examples import MEANING, minibatch, show_passage, show_query
from fresco.records import Label, Pool
from fresco.rerank.layout import read_layout

#: Examples that a search draws, and may put behind one instruction.
MOST = 8
_LONGEST_BODY = 160  # characters shown of a passage: k examples and the passage to score share the model's input
_LEAD = " Examples, with all text of others in quotes: "


@dataclass(frozen=True)
class Demonstration:
    """A worked example.

    Attributes:
        query: Id of its training query.
        text: One line.
    """

    query: str
    text: str


@dataclass(frozen=True)
class Examples:
    """What a search may show.

    Attributes:
        drawn: The examples.
        most: At most so many of them behind one instruction.
    """

    drawn: tuple[Demonstration, ...]
    most: int


NO_EXAMPLES = Examples((), 0)


def draw_demonstrations(training: Sequence[Pool], k: int, *, seed: int = 0) -> list[Demonstration]:
    """Draw k examples, or all there are; EK and NEK in turn as long as there are both.

    Args:
        training: Pools of the training split.
        k: How many. A draw of k begins with the draw of every smaller k.
        seed: Of the draw.
    """
    drawn = minibatch(training, k, random.Random(f"demonstrations:{seed}"))  # noqa: S311
    return [Demonstration(pool.query.id, _shown(pool, seed)) for pool in drawn]


def with_examples(instruction: str, examples: Sequence[Demonstration]) -> str:
    """The instruction with examples; a single line where it is one."""
    if not examples:
        return instruction
    shown = " ".join(f"({number}) {example.text}" for number, example in enumerate(examples, 1))
    return f"{instruction.rstrip()}{_LEAD}{shown}"


def without_examples(text: str) -> str:
    """An instruction without what :func:`with_examples` put behind it."""
    return text.partition(_LEAD)[0]


def own_words(text: str, default: str) -> str:
    """What of a candidate a language model may improve: no worked examples and no mark of a layout."""
    return without_examples(read_layout(text)[1] or default)


def with_demonstrations(instruction: str, training: Sequence[Pool], k: int, *, seed: int = 0) -> str:
    """The instruction with k worked examples; see :func:`draw_demonstrations`."""
    return with_examples(instruction, draw_demonstrations(training, k, seed=seed))


def _shown(pool: Pool, seed: int) -> str:
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
