"""Trajectories by hand."""

from __future__ import annotations

from collections.abc import Sequence

from ccs.agent.question import Question
from ccs.agent.trajectory import Hit, Trajectory, Turn

QUESTION = "Which county is the birthplace of the director of Hollow Lantern in?"
FILM = '"Hollow Lantern"\nHollow Lantern is a 1987 drama. Its director was Ada Quillfeather.'
DIRECTOR = '"Ada Quillfeather"\nAda Quillfeather was born in Brindlemoor. She made nine films.'
TOWN = '"Brindlemoor"\nBrindlemoor is a market town in the county of Wexmere.'
TOPICAL = '"Paper Moonrise"\nPaper Moonrise is a 1988 drama. Its director grew up in another county.'
TOPICAL_TOO = '"Silver Alder"\nSilver Alder is a film whose director has a birthplace museum.'
OFF_TOPIC = '"Basalt"\nBasalt is a dark rock that forms when lava cools. Gabbro has the same minerals.'
OFF_TOPIC_TOO = '"Gabbro"\nGabbro is coarse, and chemically the same as Basalt.'

Search = tuple[str, Sequence[str]]


def trail(
    *searches: Search, answer: str | None = "Wexmere", question: str = QUESTION, name: str = "q1", sample: int = 0
) -> Trajectory:
    """A trajectory of well-formed turns: searches with what they found, then an answer."""
    turns = [
        Turn(
            f"<think>hm</think><search>{query}</search>",
            query=query,
            hits=tuple(Hit(page[:20], page) for page in pages),
        )
        for query, pages in searches
    ]
    if answer is not None:
        turns.append(Turn(f"<answer>{answer}</answer>", answer=answer))
    return Trajectory(name, question, sample, tuple(turns), "turns" if answer is None else "answer")


def perfect(**changes: object) -> Trajectory:
    return trail(
        ("director of Hollow Lantern", [FILM]),
        ("Ada Quillfeather birthplace", [DIRECTOR]),
        ("Brindlemoor county", [TOWN]),
        **changes,  # type: ignore[arg-type]
    )


def gold() -> dict[str, Question]:
    return {"q1": Question("q1", QUESTION, ("Wexmere",), ("Hollow Lantern", "Ada Quillfeather", "Brindlemoor"), "toy")}
