"""A question with, for evaluation only, its gold answers and gold passages.

Training never reads the gold: the cycle reward sees :attr:`Question.text` and the trajectory alone.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Question:
    """A row of a question file.

    Attributes:
        id: Unique in its file.
        text: The question.
        answers: Accepted answers; empty where unknown.
        gold: Ids or titles of the passages that hold the evidence; empty where unknown.
        dataset: Which set it comes from ("nq", "musique"); results are grouped by it.
    """

    id: str
    text: str
    answers: tuple[str, ...] = ()
    gold: tuple[str, ...] = ()
    dataset: str = ""
