"""Does a question ask for the present? A small linear classifier over its words, kept as plain numbers in JSON.

A recency prior helps a question whose answer changes and hurts one whose answer stands. The gate looks at the question
alone, so that static questions can be left to the base re-ranker. Its features are the words and the pairs of
neighbouring words that are written small, and the first word: names are capitalized in the languages that this works
for (English among them), and a name seen in training says nothing about another question.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from fresco.stats.words import words

#: Probability from which on a question counts as asking for the present.
THRESHOLD = 0.5
_PENALTY = 1.0  # of the squared weights, as in the usual logistic regression
_STEPS = 50


@dataclass(frozen=True)
class Gate:
    """A fitted gate.

    Attributes:
        bias: Log-odds of a question without a known feature.
        weights: What each feature adds.
    """

    bias: float
    weights: Mapping[str, float] = field(default_factory=dict)

    def probability(self, question: str) -> float:
        """How likely the question asks for the present, 0 to 1."""
        total = self.bias + sum(self.weights.get(each, 0.0) for each in features(question))
        return 1 / (1 + math.exp(-max(-500.0, min(500.0, total))))

    def opens(self, question: str) -> bool:
        """Whether the recency prior applies."""
        return self.probability(question) >= THRESHOLD


def features(question: str) -> list[str]:
    """The distinct features of a question, sorted."""
    small = [
        token.lower()
        for place, token in enumerate(question.split())
        if place == 0 or not any(letter.isupper() or letter.isdigit() for letter in token)
    ]
    found = words(" ".join(small))
    return sorted({*found, *(f"{one} {other}" for one, other in pairwise(found))})


def fit_gate(questions: Sequence[str], asks: Sequence[bool]) -> Gate:
    """Fit by logistic regression (Newton's method, squared penalty, both kinds of question of equal weight).

    Args:
        questions: Texts without a timestamp line.
        asks: Whether each asks for the present; where all agree, the gate always says that.
    """
    wanted = np.asarray(asks, np.float64)
    if not len(wanted) or wanted.all() or not wanted.any():
        return Gate(50.0 if not len(wanted) or wanted.all() else -50.0)
    own = [features(question) for question in questions]
    names = sorted({name for each in own for name in each})
    place = {name: column for column, name in enumerate(names, start=1)}
    matrix = np.zeros((len(own), len(names) + 1))
    matrix[:, 0] = 1.0
    for row, each in enumerate(own):
        matrix[row, [place[name] for name in each]] = 1.0
    share = wanted.mean()
    weight = np.where(wanted > 0, 0.5 / share, 0.5 / (1 - share))
    # As many unknowns as questions at most: the solution is a combination of the rows (and the bias, hardly held).
    prior = np.full(matrix.shape[1], 1 / _PENALTY)
    prior[0] = 100.0
    kernel = (matrix * prior) @ matrix.T
    dual = np.zeros(len(own))
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(kernel @ dual, -30, 30)))
        slope = np.maximum(weight * chance * (1 - chance), 1e-9)
        target = kernel @ dual + weight * (wanted - chance) / slope
        step = np.linalg.solve(kernel + np.diag(1 / slope), target) - dual
        dual = dual + step
        if np.abs(step).max() < 1e-10:
            break
    found = (prior * (dual @ matrix)).round(9)
    return Gate(float(found[0]), {name: float(found[column]) for name, column in place.items() if found[column]})
