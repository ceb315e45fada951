"""``--format search-r1``: turns are written and read as its published checkpoints were trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ccs.agent.environment import Environment, Limits
from ccs.agent.formats import FORMATS, open_format
from ccs.agent.protocol import SHORTEST_PASSAGE, read_reply
from ccs.agent.trajectory import Hit
from ccs.cli import main
from ccs.rollouts.file import read_record, read_trajectories
from ccs.rollouts.one import Sampling
from fresco.clients.llm import ChatClient
from fresco.errors import FrescoError
from tests.ccs.scripted import NILE, Shelf, as_vllm, roll_out
from tests.ccs.test_environment import play
from tests.servers import chat_api

FORM = FORMATS["search-r1"]
PAGES = [Hit("1", '"Nile"\nThe Nile flows\nnorth <b>'), Hit("2", '"Lake Victoria"\nA lake.')]


def test_observations_questions_and_the_last_turn_are_those_of_search_r1() -> None:
    told = FORM.information(PAGES, 2400)
    assert told == (
        '\n\n<information>Doc 1(Title: "Nile") The Nile flows north \u2039b>\n'
        'Doc 2(Title: "Lake Victoria") A lake.</information>\n\n'
    )
    assert FORM.information([], 2400) == "\n\n<information></information>\n\n"
    assert len(FORM.information([Hit("1", '"T"\n' + "word " * 900)] * 2, 2 * SHORTEST_PASSAGE)) < 220
    assert (FORM.question("who ran "), FORM.question("Who ran?")) == ("who ran?", "Who ran?")
    asked = replace(NILE, text="source of the nile")
    turns = ("<think>a</think><search>x</search>", "<think>b</think><answer>Lake Victoria</answer>")
    trajectory, told_ours = play(Environment(Shelf(), Limits(turns=1)), *turns, question=asked)
    _, told_theirs = play(Environment(Shelf(), Limits(turns=1), form="search-r1"), *turns, question=asked)
    assert "source of the nile?" in told_theirs[0] and "source of the nile?" not in told_ours[0]
    assert "No search is left" in told_ours[1] and "No search is left" not in told_theirs[1]
    assert "<information>Doc 1(Title: " in told_theirs[1]
    assert trajectory.question == "source of the nile"


@pytest.mark.parametrize(
    ("said", "ours", "query", "answer"),
    [
        ("<think>a</think><search> the  Nile </search>", None, "the Nile", None),
        ("<think>never closed <search>the Nile</search>", "tags out of place", "the Nile", None),
        ("<search>one</search> and <answer>two</answer>", None, "one", None),
        ("<think>a</think><search>x <answer>Lake Victoria</answer>", "tags out of place", None, "Lake Victoria"),
        ("<think>write <answer>y</answer></think><answer>Lake Victoria</answer>", None, None, "Lake Victoria"),
        ("<think>a</think> the Nile", "no action", None, None),
        ("<think>a</think><search>  </search>", "empty search", None, None),
        ("<information>Doc 1</information><search>x</search>", "own information", None, None),
    ],
)
def test_the_first_whole_action_counts_and_a_quoted_tag_does_not(
    said: str, ours: str | None, query: str | None, answer: str | None
) -> None:
    assert read_reply(said).fault == ours
    reply = FORM.read(said)
    assert (reply.query, reply.answer) == (query, answer)
    assert (reply.fault is None) == (query is not None or answer is not None)


def test_a_rollout_goes_by_the_format_and_its_record_says_so(tmp_path: Path) -> None:
    left = iter(["<think>unclosed <search>Nile</search>", "<answer>Lake Victoria</answer>"])
    with chat_api.serve(lambda body: as_vllm(next(left), body)) as api:
        client = ChatClient(f"{api.url}#tiny/chat", retries=0)
        trajectory = roll_out(client, Shelf(), NILE, 0, sampling=Sampling("continue"), form="search-r1")
        client.close()
        bodies = api.bodies()
    # A stop string in a thought that was never closed ends the turn, as it did when the checkpoint was trained.
    assert len(bodies) == 2 and (trajectory.answer, trajectory.faults) == ("Lake Victoria", 0)
    assert "<information>Doc 1(Title: " in bodies[1]["messages"][-1]["content"]


def test_the_command_takes_it_and_a_file_of_another_format_is_not_gone_on_with(tmp_path, capsys) -> None:
    questions, index, out = tmp_path / "q.jsonl", tmp_path / "index", tmp_path / "rollouts.jsonl"
    questions.write_text('{"id": "a", "question": "source of the nile", "golden_answers": ["Lake Victoria"]}\n')
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text('{"id": "1", "contents": "\\"Nile\\"\\nIts source is Lake Victoria."}\n')
    assert main(["index", "--corpus", str(corpus), "--out", str(index)]) == 0
    said = ("<think>a</think><search>nile</search>", "<answer>Lake Victoria</answer>")
    with chat_api.serve(lambda body: as_vllm(said["Doc 1(Title" in str(body["messages"])], body)) as api:
        arguments = ["rollout", "--questions", str(questions), "--retriever", str(index), "--out", str(out)]
        arguments += ["--model", f"{api.url}#tiny/chat"]
        assert main([*arguments, "--format", "search-r1"]) == 0
        assert "source of the nile?" in str(api.bodies()[0]["messages"])
        capsys.readouterr()
        assert main(arguments) == 2 and "format" in capsys.readouterr().err
    assert read_trajectories(out)[0].answer == "Lake Victoria"
    assert read_record(out)["identity"]["format"] == "search-r1"


def test_what_there_is_not_is_refused() -> None:
    with pytest.raises(FrescoError, match="there is no format 'r2'; choose from ccs, search-r1"):
        open_format("r2")
    with pytest.raises(FrescoError, match="--format search-r1 is for --agent search"):
        open_format("search-r1", "rag")
