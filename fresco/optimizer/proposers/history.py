"""What a language model is told of a search: what reads the instructions, their scores, and what was tried."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from fresco.optimizer.demonstrations import own_words
from fresco.optimizer.examples import quoted
from fresco.optimizer.proposers.base import known_values
from fresco.rerank.base import Reranker, describe

_TRIED = 8  # texts shown
_OF_PARENTS = 4  # of them, children of the parents
_LONGEST_TEMPLATE = 800  # characters


def reader_of(reranker: Reranker) -> str:
    """What kind of re-ranker reads the instruction, in a few sentences of a prompt.

    From what it says of itself: its model, how a passage gets its score, and the text that it is given for a pair.
    """
    said = describe(reranker)
    lines = []
    if isinstance(model := said.get("model"), str) and model:
        lines.append(f"Its model is {quoted(PurePath(model).name)}.")
    if getattr(reranker, "pointwise", True):
        lines.append("It reads one passage at a time, without the others.")
    else:
        lines.append("It reads several passages of a query at a time and puts them in order.")
    if isinstance(score := said.get("score"), str):
        lines.append(f"A passage's score is {quoted(score)}.")
    if isinstance(template := said.get("template"), str) and any(mark in template for mark in "{<\n"):
        lines.append(f"Around instruction, query and passage it is given {quoted(template[:_LONGEST_TEMPLATE])}.")
    return " ".join(lines)


def scores(ek: float, nek: float) -> str:
    """Both means, as a prompt shows them."""
    return f"EK {ek:.3f}, NEK {nek:.3f}"


def tried(trials: Sequence[Any], parents: Sequence[int], default: str) -> str:
    """Texts that were tried with their scores, worst first: the parents' children, then the best of all.

    Args:
        trials: Finished ones, as Optuna's ``FrozenTrial``.
        parents: Numbers of the trials whose children are of most interest; they are not shown themselves.
        default: What a trial without a text is shown as.
    """
    found = {
        trial.number: values for trial in trials if (values := known_values(trial)) and trial.number not in parents
    }
    by_number = {trial.number: trial for trial in trials}
    worth = sorted(found, key=lambda number: (-sum(found[number]), number))
    children = [number for number in worth if {*parents} & {*by_number[number].user_attrs["parents"]}][:_OF_PARENTS]
    shown = [*children, *(number for number in worth if number not in children)][:_TRIED]
    lines = []
    for number in sorted(shown, key=lambda number: (sum(found[number]), number)):
        trial = by_number[number]
        early = "" if trial.values else ", estimated on some of the queries"
        lines.append(
            f"- {scores(*found[number])}{early}: {quoted(own_words(trial.user_attrs['text'] or default, default))}"
        )
    return "\n".join(lines) or "(nothing yet)"
