from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ccs.agent.environment import Limits
from ccs.agent.question import Question
from ccs.agent.trajectory import Trajectory
from ccs.rollouts import one
from ccs.rollouts.file import open_rollouts, read_trajectories, record_path
from ccs.rollouts.many import roll_out_many
from ccs.rollouts.one import Sampling
from ccs.rollouts.searches import GatheredSearches
from fresco.clients.llm import ChatClient
from fresco.errors import FrescoError
from tests.ccs.scripted import NILE, Shelf, as_openai, as_vllm, roll_out, wanderer
from tests.servers import chat_api
from tests.servers.rerank_api import status

QUESTIONS = [Question(f"q{n}", f"What is number {n}?", (f"answer {n}",), (), "toy") for n in range(12)]


@contextmanager
def model(script: Callable[[dict[str, Any]], Any]) -> Iterator[tuple[chat_api.ChatApi, ChatClient]]:
    with chat_api.serve(script) as api:
        client = ChatClient(f"{api.url}#tiny/chat", backoff=0.01, retries=2, concurrency=8)
        try:
            yield api, client
        finally:
            client.close()


def turns(*texts: str, wire: Callable[[str, dict[str, Any]], Any] = as_vllm) -> Callable[[dict[str, Any]], Any]:
    """A model that says these one after the other."""
    left = iter(texts)
    return lambda body: wire(next(left), body)


TEXTS = ("<think>t</think>\n<search>Nile</search> more", "hm", "<think>u</think><answer>Lake Victoria</answer> more")


@pytest.mark.parametrize("wire", [as_vllm, as_openai])
@pytest.mark.parametrize("api_name", ["chat", "continue", "completions"])
def test_a_rollout_over_each_wire_format(api_name: str, wire: Any) -> None:
    with model(turns(*TEXTS, wire=wire)) as (api, client):
        trajectory = roll_out(client, Shelf(), NILE, 2, sampling=Sampling(api_name, 50, 0.7, 5))
    assert (trajectory.stop, trajectory.answer, trajectory.error) == ("answer", "Lake Victoria", "")
    assert [turn.text for turn in trajectory.turns] == [
        "<think>t</think>\n<search>Nile</search>",
        "hm",
        "<think>u</think><answer>Lake Victoria</answer>",
    ]
    assert [turn.fault for turn in trajectory.turns] == [None, "no action", None]
    assert [turn.completion_tokens for turn in trajectory.turns] == [1, 1, 2]
    assert all(turn.prompt_tokens and turn.generation_seconds > 0 for turn in trajectory.turns)
    assert (trajectory.sample, trajectory.model) == (2, "tiny/chat")
    for body in api.bodies():
        assert (body["temperature"], body["max_tokens"]) == (0.7, 50)
        assert body["seed"] == trajectory.seed
        assert body["stop"] == ["</search>", "</answer>"]


QUOTING = ("<think>not <answer>yet</answer>", " but a <search>word</search>", " is due</think><search>Nile</search>")


@pytest.mark.parametrize("api_name", ["continue", "completions"])
def test_a_stop_string_that_a_thought_quotes_does_not_end_the_turn(api_name: str) -> None:
    with model(turns(*QUOTING, *TEXTS[2:])) as (api, client):
        trajectory = roll_out(client, Shelf(), NILE, 0, sampling=Sampling(api_name, 50))
    assert trajectory.turns[0].text == "".join(QUOTING)
    assert (trajectory.turns[0].query, trajectory.answer) == ("Nile", "Lake Victoria")
    first, second, begun = api.bodies()[:3]
    assert first["max_tokens"] == 50 > second["max_tokens"] > begun["max_tokens"]
    assert trajectory.turns[0].completion_tokens > 50 - begun["max_tokens"]
    seen = begun["prompt"] if "prompt" in begun else begun["messages"][-1]["content"]
    assert seen.endswith("".join(QUOTING[:2]))


@pytest.mark.parametrize("wire", [as_vllm, as_openai])
@pytest.mark.parametrize("api_name", ["chat", "continue", "completions"])
def test_a_turn_that_is_begun_for_the_model(api_name: str, wire: Any) -> None:
    said = ("Nile</search>", "Lake Victoria</search>", "a</search><answer>Lake Victoria</answer>")
    with model(turns(*said, wire=wire)) as (api, client):
        trajectory = roll_out(client, Shelf(), NILE, 0, sampling=Sampling(api_name, 50, begin="<search>"))
    assert [turn.query for turn in trajectory.turns[:2]] == ["Nile", "Lake Victoria"]
    assert trajectory.turns[0].text == "<search>Nile</search>"
    for body in api.bodies():
        if api_name == "completions":
            assert body["prompt"].endswith("<search>")
            continue
        assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)
        assert (body["messages"][-1]["role"], body["messages"][-1]["content"][-8:]) == ("assistant", "<search>")
    with pytest.raises(FrescoError, match="a turn begins with '<answer>'; it may with <think>, <search>"):
        Sampling(begin="<answer>")


def test_what_the_model_reads() -> None:
    with model(turns(*TEXTS)) as (api, client):
        roll_out(client, Shelf(), NILE, 0)
    messages = api.bodies()[-1]["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user", "assistant", "user"]
    assert messages[2]["content"].startswith("<information>\nDoc 1:")
    assert messages[2]["content"].endswith("</information>")
    with model(turns(*TEXTS)) as (api, client):
        roll_out(client, Shelf(), NILE, 0, sampling=Sampling("continue"))
    first, *_, last = api.bodies()
    assert "continue_final_message" not in first
    assert (last["continue_final_message"], last["add_generation_prompt"]) == (True, False)
    whole = last["messages"][1]["content"]
    with model(turns(*TEXTS)) as (api, client):
        roll_out(client, Shelf(), NILE, 0, sampling=Sampling("completions"))
    assert api.bodies()[-1]["prompt"] == last["messages"][0]["content"] + whole
    assert "<search>Nile</search>\n\n<information>\nDoc 1:" in whole


def test_a_turn_cut_by_its_limit_and_one_that_ends_unclosed() -> None:
    long = f"<search>{'word ' * 30}</search>"
    with model(turns(long, "<search>ended", "<answer>x</answer>")) as (_, client):
        trajectory = roll_out(client, Shelf(), NILE, 0, sampling=Sampling(max_tokens=10))
    assert [turn.fault for turn in trajectory.turns] == ["unclosed search", "unclosed search", None]


def test_the_token_budget_bounds_the_next_turn() -> None:
    with model(turns("<search>a</search>", "<search>b</search>", "<answer>c</answer>")) as (api, client):
        first = roll_out(client, Shelf(), NILE, 0)
        read = [(turn.prompt_tokens or 0) + (turn.completion_tokens or 0) for turn in first.turns]
    budget = read[1] + 5
    with model(turns("<search>a</search>", "<search>b</search>", "<answer>c</answer>")) as (api, client):
        trajectory = roll_out(client, Shelf(), NILE, 0, limits=Limits(tokens=budget))
    assert trajectory.stop == "tokens" or trajectory.answer == "c"
    assert [body["max_tokens"] for body in api.bodies()][1:] == [budget - read[0], 5]


@pytest.mark.parametrize("context", [10, 1800])
def test_a_context_beyond_the_servers_ends_the_rollout_as_its_token_budget_would(context: int) -> None:
    with model(lambda body: as_vllm("<search>Nile</search>", body)) as (api, client):
        api.context = context  # characters stand for tokens
        trajectory = roll_out(client, Shelf("word " * 200), NILE, 0)
    assert (trajectory.stop, trajectory.error) == ("tokens", "")
    assert len(trajectory.turns) in ({0} if context == 10 else {1, 2, 3})


def test_every_rollout_has_a_seed_of_its_own() -> None:
    sampling = Sampling(seed=3)
    seeds = {sampling.seed_of(question, sample) for question in QUESTIONS for sample in range(5)}
    assert len(seeds) == 60
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert Sampling(seed=4).seed_of(NILE, 0) != sampling.seed_of(NILE, 0) == Sampling(seed=3).seed_of(NILE, 0)


def test_a_failing_model_or_retriever_ends_one_rollout_with_its_error() -> None:
    with model(lambda body: as_vllm(wanderer(body), body)) as (api, client):
        api.faults.extend([status(500)] * 3)
        failed = roll_out(client, Shelf(), NILE, 0)
        assert failed.stop == "error"
        assert "500" in failed.error
        assert roll_out(client, Shelf(), NILE, 0).stop != "error"
    with model(turns("<search>Nile</search>")) as (_, client):
        failed = roll_out(client, Shelf(failures=1), NILE, 0)
    assert (failed.stop, failed.searches, failed.turns[0].text) == ("error", (), "<search>Nile</search>")
    assert "out of memory" in failed.error
    failed = roll_out(client, Shelf(failures=1), NILE, 0, agent="rag")  # the retriever fails before the first turn
    assert (failed.stop, failed.turns) == ("error", ())


# -- many, and their file ----------------------------------------------------------------------------------------------


def run(path: Path, client: ChatClient, retriever: Any = None, questions: list[Question] = QUESTIONS) -> dict[str, int]:
    shelf = retriever or Shelf()
    with open_rollouts(path, questions, {"seed": 0}) as file:
        with GatheredSearches(shelf) as searches:
            roll_out_many(questions, 3, partial(one.roll_out, client, searches), client, file)
        return file.finish()


def timeless(path: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        for turn in row["turns"]:
            turn["generation_seconds"] = turn["retrieval_seconds"] = 0
    return rows


@pytest.fixture
def wandering() -> Iterator[tuple[chat_api.ChatApi, ChatClient]]:
    with model(lambda body: as_vllm(wanderer(body), body)) as both:
        yield both


def test_many_at_once_in_the_order_of_the_questions(tmp_path: Path, wandering: Any) -> None:
    api, client = wandering
    api.together = 2
    stops = run(tmp_path / "a.jsonl", client)
    assert sum(stops.values()) == 36
    assert set(stops) <= {"answer", "turns"}
    assert api.most_at_once > 1
    rows = timeless(tmp_path / "a.jsonl")
    assert [(row["question_id"], row["sample"]) for row in rows] == [(f"q{n}", s) for n in range(12) for s in range(3)]
    assert len({json.dumps(row["turns"]) for row in rows}) > 12  # samples differ
    asked = len(api.requests)
    assert run(tmp_path / "a.jsonl", client) == stops  # nothing left to do
    assert len(api.requests) == asked


def test_an_interrupted_run_goes_on_and_ends_the_same(tmp_path: Path, wandering: Any) -> None:
    _, client = wandering
    run(tmp_path / "whole.jsonl", client)
    lines = (tmp_path / "whole.jsonl").read_bytes().splitlines(keepends=True)
    torn = tmp_path / "torn.jsonl"
    # As a kill leaves it: in the order of their ends, the last line half written.
    torn.write_bytes(b"".join(lines[7:3:-1]) + lines[20][: len(lines[20]) // 2])
    record_path(torn).write_text(json.dumps({"identity": {"seed": 0}}))
    with open_rollouts(torn, QUESTIONS, {"seed": 0}) as file:
        assert file.torn
        assert len(file.done) == 4
    run(torn, client)
    assert timeless(torn) == timeless(tmp_path / "whole.jsonl")
    assert {line.split(b'"turns"')[0] for line in torn.read_bytes().splitlines()} == {
        line.split(b'"turns"')[0] for line in lines
    }


def test_failed_rollouts_are_tried_again_by_the_next_run(tmp_path: Path, wandering: Any) -> None:
    api, client = wandering
    run(tmp_path / "whole.jsonl", client)
    api.faults.extend([status(503)] * 30)
    stops = run(tmp_path / "a.jsonl", client)
    assert stops["error"] > 0
    assert sum(stops.values()) == 36
    stops = run(tmp_path / "a.jsonl", client)
    assert "error" not in stops
    assert timeless(tmp_path / "a.jsonl") == timeless(tmp_path / "whole.jsonl")


def test_a_retriever_down_for_a_while_costs_only_its_rollouts(tmp_path: Path, wandering: Any) -> None:
    _, client = wandering
    stops = run(tmp_path / "a.jsonl", client, Shelf(failures=5))
    assert 5 <= stops["error"] < 36  # a request that fails costs the rollouts whose searches it holds
    assert all(
        "out of memory" in trajectory.error
        for trajectory in read_trajectories(tmp_path / "a.jsonl")
        if trajectory.stop == "error"
    )
    assert "error" not in run(tmp_path / "a.jsonl", client)


def test_servers_that_stay_away_end_the_run(tmp_path: Path, wandering: Any) -> None:
    api, client = wandering
    api.faults.extend([status(503)] * 100)
    with pytest.raises(FrescoError, match=r"6 rollouts were begun and all failed, the last with: .*503"):
        run(tmp_path / "a.jsonl", client, questions=QUESTIONS[:2])
    many = [Question(f"m{n}", f"What of {n}?") for n in range(100)]

    async def roll(question: Question, sample: int) -> Trajectory:
        return Trajectory(question.id, question.text, sample, (), "error", error="gone")

    with (
        pytest.raises(FrescoError, match="50 rollouts in a row failed, the last with: gone"),
        open_rollouts(tmp_path / "b.jsonl", many, {}) as file,
    ):
        roll_out_many(many, 1, roll, client, file)
    assert len((tmp_path / "b.jsonl").read_text().splitlines()) >= 50


def test_a_file_of_other_settings_or_questions_is_refused(tmp_path: Path, wandering: Any) -> None:
    _, client = wandering
    path = tmp_path / "a.jsonl"
    run(path, client)
    with pytest.raises(FrescoError, match="was made with seed 0, this run has 1"), open_rollouts(path, [], {"seed": 1}):
        pass
    other = [Question("q3", "Another text?")]
    with pytest.raises(FrescoError, match=r"a\.jsonl:10: question 'q3' reads otherwise"), _opened(path, other):
        pass
    record_path(path).unlink()
    with pytest.raises(FrescoError, match=r"a\.jsonl\.run\.json is not"), _opened(path, QUESTIONS):
        pass
    record_path(path).write_text("[]")
    with pytest.raises(FrescoError, match=r"a\.jsonl\.run\.json: is damaged"), _opened(path, QUESTIONS):
        pass


def test_damage_in_the_middle_is_an_error_with_its_line(tmp_path: Path, wandering: Any) -> None:
    _, client = wandering
    path = tmp_path / "a.jsonl"
    run(path, client)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][:50] + b"\n" + lines[2])
    with pytest.raises(FrescoError, match=r"a\.jsonl:2: no valid JSON"), _opened(path, QUESTIONS):
        pass
    path.write_bytes(lines[0] + b"\xff\n")
    with pytest.raises(FrescoError, match=r"a\.jsonl:2: no UTF-8"):
        read_trajectories(path)


def test_two_processes_cannot_write_one_file(tmp_path: Path) -> None:
    with (
        _opened(tmp_path / "a.jsonl", QUESTIONS),
        pytest.raises(FrescoError, match="another process"),
        _opened(tmp_path / "a.jsonl", QUESTIONS),
    ):
        pass


def test_records_of_questions_no_longer_asked_stay(tmp_path: Path, wandering: Any) -> None:
    _, client = wandering
    path = tmp_path / "a.jsonl"
    run(path, client, questions=QUESTIONS[:4])
    stops = run(path, client, questions=QUESTIONS[2:6])
    assert sum(stops.values()) == 18
    assert [row["question_id"] for row in timeless(path)][::3] == ["q2", "q3", "q4", "q5", "q0", "q1"]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FrescoError, match="cannot be used"), _opened(tmp_path / "file" / "a.jsonl", QUESTIONS):
        pass


def _opened(path: Path, questions: list[Question]) -> Any:
    return open_rollouts(path, questions, {"seed": 0})


def test_a_file_without_trajectories(tmp_path: Path) -> None:
    with pytest.raises(FrescoError, match="cannot be read"):
        read_trajectories(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(FrescoError, match="holds no trajectory"):
        read_trajectories(tmp_path / "empty.jsonl")
