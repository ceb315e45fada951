"""A language model that grades answers by the rubric in ``prompts/judge.txt``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from ccs.agent.protocol import one_line
from ccs.agent.question import Question
from ccs.agent.trajectory import Trajectory
from fresco.clients.llm import ChatClient
from fresco.terminal.progress import Progress, no_progress

_RUBRIC = Path(__file__).parent / "prompts" / "judge.txt"
_THOUGHT = re.compile(r"^.*</think>", re.DOTALL)
_GRADES = {"correct": 1.0, "incorrect": 0.0}
_LONGEST_ANSWER = 2000  # characters; what is longer is no answer, and would bury the rubric
_MAX_TOKENS = 2048  # one word, and what a reasoning model thinks before it


def judge_prompt(question: str, accepted: Sequence[str], answer: str) -> str:
    """What the judge reads; the three texts can spell none of its tags."""
    fields = {
        "{question}": one_line(question),
        "{accepted}": "; ".join(map(one_line, accepted)),
        "{graded}": one_line(answer)[:_LONGEST_ANSWER],
    }
    # One pass: a text that reads "{graded}" stays as it is.
    template = _RUBRIC.read_text(encoding="utf-8")
    return re.sub("|".join(map(re.escape, fields)), lambda match: fields[match.group()], template)


def read_grade(text: str) -> float | None:
    """1 for CORRECT, 0 for INCORRECT, None for all else; a reasoning model's thought before it is skipped."""
    return _GRADES.get(_THOUGHT.sub("", text).strip().strip(".*\"'`").lower())


def grade_all(
    spec: str,
    pairs: Sequence[tuple[Trajectory, Question]],
    *,
    cache: Path | None = None,
    tell: Progress = no_progress,
) -> tuple[dict[tuple[str, int], float | None], str]:
    """Grade every answer whose question has accepted ones.

    Args:
        spec: ``URL#MODEL`` of the judge.
        pairs: Trajectories with their questions.
        cache: SQLite file of its answers.
        tell: Told of each grade.

    Returns:
        Grades by (question id, sample), and how the judge is called.

    Raises:
        FrescoError: the judge cannot be asked.
    """
    asked = {
        (trajectory.question_id, trajectory.sample): (question.text, question.answers, trajectory.answer)
        for trajectory, question in pairs
        if trajectory.answer is not None and question.answers
    }
    done, total = 0, len(set(asked.values()))
    client = ChatClient(spec, cache=cache)

    def on_done() -> None:
        nonlocal done
        done += 1
        tell("judge", done, total)

    try:
        grades = judge(client, list(asked.values()), on_done)
        return dict(zip(asked, grades, strict=True)), client.shown
    finally:
        client.close()


def judge(
    client: ChatClient,
    items: Sequence[tuple[str, Sequence[str], str]],
    on_done: Callable[[], None] | None = None,
) -> list[float | None]:
    """Grade answers.

    Args:
        client: The judge; give it a cache, so that a run that is stopped goes on where it was.
        items: Question, accepted answers, the answer to grade.
        on_done: Told after each.

    Returns:
        A grade for each; None where the judge did not reply with one.

    Raises:
        FrescoError: the judge cannot be asked.
    """
    prompts = [judge_prompt(*item) for item in items]
    distinct = list(dict.fromkeys(prompts))
    asked = [{"messages": prompt, "temperature": 0.0, "max_tokens": _MAX_TOKENS} for prompt in distinct]
    answers = client.map(asked, lambda *_: on_done() if on_done else None)
    grades = {prompt: read_grade(answer.final or "") for prompt, answer in zip(distinct, answers, strict=True)}
    return [grades[prompt] for prompt in prompts]
