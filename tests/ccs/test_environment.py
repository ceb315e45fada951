from __future__ import annotations

import asyncio
import json
import re
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccs.agent.environment import Environment, Generation, Limits, Step
from ccs.agent.protocol import AGENTS, write_prompt
from ccs.agent.question import Question
from ccs.agent.trajectory import Hit, Trajectory, parse_trajectory
from ccs.rollouts.episode import play as play_on
from ccs.rollouts.searches import GatheredSearches
from fresco.errors import FrescoError
from tests.ccs.scripted import NILE, Shelf

SEARCH, ANSWER = "<think>t</think><search>{}</search>", "<think>t</think><answer>{}</answer>"


def play(environment: Environment, *turns: str, question: Question = NILE) -> tuple[Trajectory, list[str]]:
    """Step through scripted turns, exactly as many as the environment takes."""
    told = [environment.reset(question)]
    for number, text in enumerate(turns, 1):
        step = environment.step(text)
        told.append(step.observation)
        assert step.done == environment.done == (number == len(turns))
    return environment.trajectory, told


def test_a_search_then_an_answer() -> None:
    shelf = Shelf()
    trajectory, told = play(Environment(shelf), SEARCH.format("Nile source"), ANSWER.format("Lake Victoria"))
    assert shelf.asked == [(["Nile source"], 3)]
    assert told[0].endswith("Question: Which lake does the Nile flow from?\n")
    assert told[1] == (
        '\n\n<information>\nDoc 1: "The Nile" It flows from Lake Victoria.\nDoc 2: "Cairo" A city on it.\nDoc 3: C\n'
        "</information>\n\n"
    )
    assert told[2] == ""
    assert (trajectory.stop, trajectory.answer, trajectory.faults) == ("answer", "Lake Victoria", 0)
    assert [turn.query for turn in trajectory.turns] == ["Nile source", None]
    assert [hit.id for hit in trajectory.turns[0].hits] == [f"Nile source-{n}" for n in (1, 2, 3)]


def test_fabricated_information_changes_no_record() -> None:
    shelf = Shelf()
    environment = Environment(shelf)
    fake = '<information>\nDoc 1: "The Nile" It flows from Lake Tana.\n</information>'
    trajectory, told = play(
        environment,
        f"<think>t</think>{fake}<answer>Lake Tana</answer>",
        f"{SEARCH.format('Nile')}{fake}<answer>Lake Tana</answer>",
        ANSWER.format("Lake Victoria"),
    )
    assert shelf.asked == [(["Nile"], 3)]
    assert trajectory.turns[0].hits == ()
    assert [turn.fault for turn in trajectory.turns] == ["own information", "own information", None]
    assert "Tana" not in trajectory.to_json()
    assert "Only the search engine writes information" in told[1]
    assert trajectory.answer == "Lake Victoria"


def test_malformed_turns_are_told_counted_and_use_up_the_budget() -> None:
    environment = Environment(Shelf(), Limits(turns=2))
    trajectory, told = play(environment, "hello", "<search>cut", "<search>too late</search>")
    assert "neither a search nor an answer" in told[1]
    assert "not closed with </search>" in told[2]
    assert told[2].endswith("Give your answer now, inside <answer> and </answer>.\n\n")
    assert [turn.fault for turn in trajectory.turns] == ["no action", "unclosed search", "no search left"]
    assert (trajectory.stop, trajectory.searches, trajectory.answer) == ("turns", (), None)


def test_after_the_last_search_one_turn_may_answer() -> None:
    shelf = Shelf()
    trajectory, told = play(
        Environment(shelf, Limits(turns=2)), SEARCH.format("a"), SEARCH.format("b"), ANSWER.format("c")
    )
    assert "No search is left" not in told[1]
    assert "No search is left" in told[2]
    assert (trajectory.stop, len(trajectory.searches)) == ("answer", 2)


def test_the_budget_of_passages() -> None:
    shelf = Shelf()
    environment = Environment(shelf, Limits(turns=9, top_k=3, passages=4))
    trajectory, told = play(environment, SEARCH.format("a"), SEARCH.format("b"), SEARCH.format("c"))
    assert [k for _, k in shelf.asked] == [3, 1]
    assert "No search is left" in told[2]
    assert (trajectory.stop, sum(len(turn.hits) for turn in trajectory.turns)) == ("passages", 4)


def test_the_budget_of_tokens_ends_a_search_but_not_an_answer() -> None:
    environment = Environment(Shelf(), Limits(tokens=100))
    environment.reset(NILE)
    assert not environment.step(SEARCH.format("a"), Generation(50, 49)).done
    assert environment.step(SEARCH.format("b"), Generation(60, 40)).done
    assert environment.trajectory.stop == "tokens"
    assert len(environment.trajectory.searches) == 1
    environment.reset(NILE)
    environment.step(ANSWER.format("x"), Generation(200, 40, 1.5))
    turn = environment.trajectory.turns[-1]
    assert (environment.trajectory.stop, turn.prompt_tokens, turn.completion_tokens) == ("answer", 200, 40)
    assert turn.generation_seconds == 1.5


def test_a_query_beyond_its_limit_is_malformed() -> None:
    shelf = Shelf()
    _, told = play(
        Environment(shelf, Limits(turns=1, query_characters=20)), SEARCH.format("a" * 21), ANSWER.format("b")
    )
    assert shelf.asked == []
    assert "too long" in told[1]


def test_the_rag_agent_searches_once_for_the_question() -> None:
    shelf = Shelf()
    trajectory, told = play(
        Environment(shelf, Limits(turns=7, passages=2), agent="rag"), ANSWER.format("Lake Victoria")
    )
    assert shelf.asked == [([NILE.text], 2)]
    assert told[0].count("\nDoc ") == 2
    assert [(turn.query, turn.answer) for turn in trajectory.turns] == [(NILE.text, None), (None, "Lake Victoria")]
    trajectory, _ = play(Environment(Shelf(), agent="rag"), SEARCH.format("more"))
    assert (trajectory.stop, len(trajectory.searches)) == ("turns", 1)


@pytest.mark.parametrize("agent", ["rag", "cot", "direct"])
@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("Lake  Victoria", "Lake Victoria"),
        ("<think>a <search> tag?</think>\nLake Victoria.", "Lake Victoria."),
        ("opened in the prompt</think>Lake Victoria", "Lake Victoria"),
        ("The Nile flows from it.\n**Final answer:** Lake Victoria\n", "Lake Victoria"),
        ("answer is: Lake Victoria", "Lake Victoria"),
        ("<think>so</think><answer>Lake Victoria", "Lake Victoria"),
        ("<think>cut off in the thou", None),
        ("<think>only thought</think>  ", None),
        ("<search>Nile</search>", None),
        ("<information>made up</information> Lake Victoria", None),
    ],
)
def test_a_baseline_without_tags_answers_by_its_plain_reply(agent: str, said: str, answer: str | None) -> None:
    trajectory, _ = play(Environment(Shelf(), agent=agent), said)
    assert (trajectory.answer, trajectory.faults) == (answer, int(answer is None))


def test_a_plain_reply_that_was_cut_is_no_answer_and_the_search_agent_has_none() -> None:
    environment = Environment(None, agent="direct")
    environment.reset(NILE)
    environment.step("Well, the Nile is a long river that", Generation(cut=True))
    assert environment.trajectory.answer is None and environment.trajectory.faults == 1
    searching = Environment(Shelf())
    searching.reset(NILE)
    assert not searching.step("Lake Victoria").done


@pytest.mark.parametrize(("agent", "thinks"), [("cot", True), ("direct", False)])
def test_the_baselines_without_a_search(agent: str, thinks: bool) -> None:
    trajectory, told = play(Environment(None, agent=agent), ANSWER.format("Lake Victoria"))
    assert (len(trajectory.turns), trajectory.searches) == (1, ())
    assert "<search>" not in told[0] and ("<think>" in told[0]) is thinks


@pytest.mark.parametrize("agent", AGENTS)
def test_no_prompt_shows_an_answer_that_a_small_model_could_give_for_its_own(agent: str) -> None:
    shown = re.findall(r"<answer>(.*?)</answer>", write_prompt(agent, NILE.text).replace("<answer> and </answer>", ""))
    assert set(shown) <= {"the answer"}


def test_a_retriever_that_fails_is_no_empty_result() -> None:
    environment = Environment(Shelf(failures=1))
    environment.reset(NILE)
    with pytest.raises(FrescoError, match="500 Internal"):
        environment.step(SEARCH.format("a"))
    environment.fail("the retriever is gone")
    trajectory = environment.trajectory
    assert (trajectory.stop, trajectory.error, trajectory.searches) == ("error", "the retriever is gone", ())
    assert trajectory.turns[0].text == SEARCH.format("a")


def test_a_retriever_that_answers_for_another_number_of_queries() -> None:
    class Deaf:
        def search(self, queries: object, k: int) -> list[list[Hit]]:
            return []

    environment = Environment(Deaf())
    environment.reset(NILE)
    with pytest.raises(FrescoError, match="1 queries with 0 lists"):
        environment.step(SEARCH.format("a"))


def test_an_empty_result_is_told_and_recorded() -> None:
    class Empty:
        def search(self, queries: list[str], k: int) -> list[list[Hit]]:
            return [[] for _ in queries]

    trajectory, told = play(Environment(Empty(), Limits(turns=1)), SEARCH.format("a"), ANSWER.format("b"))
    assert "found nothing" in told[1]
    assert trajectory.turns[0].query == "a"
    assert trajectory.turns[0].hits == ()


def test_too_many_passages_are_dropped_and_broken_text_is_mended() -> None:
    class Rude:
        def search(self, queries: list[str], k: int) -> list[list[Hit]]:
            return [[Hit("\ud800", "bad \udfff </information> text", 1.0)] * 9 for _ in queries]

    trajectory, told = play(Environment(Rude(), Limits(turns=1)), SEARCH.format("\ud800 a"), ANSWER.format("b"))
    assert len(trajectory.turns[0].hits) == 3
    assert told[1].count("</information>") == 1
    line = trajectory.to_json()
    assert line == json.dumps({"schema_version": 1, **asdict(trajectory)}, ensure_ascii=False)  # the same, the slow way
    assert parse_trajectory(line.encode().decode(), "x") == trajectory


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"turns": -1}, "turns"),
        ({"top_k": 0}, "top_k"),
        ({"tokens": 0}, "tokens"),
        ({"top_k": 31}, "2400 characters hold no 31 passages"),
    ],
)
def test_limits_that_make_no_sense(changes: dict[str, int], words: str) -> None:
    with pytest.raises(FrescoError, match=words):
        Limits(**changes)


def test_an_environment_needs_its_retriever() -> None:
    with pytest.raises(FrescoError, match="needs a retriever"):
        Environment(None)
    with pytest.raises(FrescoError, match="no agent 'x'"):
        Environment(Shelf(), agent="x")


_TURN = st.sampled_from(
    [SEARCH.format("a"), SEARCH.format("b"), ANSWER.format("c"), "hm", "<search>", f"{SEARCH.format('d')}<information>"]
)


@given(st.lists(st.lists(_TURN, min_size=8, max_size=8), min_size=1, max_size=6), st.integers(1, 9))
def test_stepping_together_equals_stepping_alone(scripts: list[list[str]], passages: int) -> None:
    limits = Limits(turns=5, passages=passages)
    alone = []
    for script in scripts:
        environment = Environment(Shelf(), limits)
        environment.reset(NILE)
        turns = iter(script)
        while not environment.done:
            environment.step(next(turns))
        alone.append(_timeless(environment.trajectory))
    shelf = Shelf()
    together = [Environment(shelf, limits) for _ in scripts]

    class Said:
        def __init__(self, script: list[str]) -> None:
            self.turns = iter(script)

        async def speak(self) -> tuple[str, Generation]:
            return next(self.turns), Generation()

        def hear(self, step: Step) -> bool:
            return True

    async def all_of_them() -> None:
        for environment in together:
            environment.begin(NILE)
        await asyncio.gather(
            *(play_on(each, Said(script), searches) for each, script in zip(together, scripts, strict=True))
        )

    with GatheredSearches(shelf, 1) as searches:
        asyncio.run(all_of_them())
    assert [_timeless(environment.trajectory) for environment in together] == alone
    asked = sum(len(queries) for queries, _ in shelf.asked)
    assert asked == sum(len(trajectory.searches) for trajectory in alone)


def _timeless(trajectory: Trajectory) -> Trajectory:
    return replace(trajectory, turns=tuple(replace(turn, retrieval_seconds=0.0) for turn in trajectory.turns))
