"""A reward, a masker and a retriever, each one file in a folder of the user's own, used by the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import ccs
from ccs.agent.question import Question
from ccs.cli import main
from ccs.retrieve.registry import RETRIEVERS
from ccs.rewards.mask import MASKERS, open_masker
from ccs.rewards.registry import REWARDS
from ccs.testing import ConformanceError, check_masker, check_retriever, check_reward
from fresco.errors import FrescoError
from tests.ccs.rewards.trails import OFF_TOPIC, perfect, trail
from tests.ccs.scripted import Shelf, as_vllm, wanderer
from tests.servers import chat_api

REWARD = """
class Searches:
    needs_gold = signed = False

    def __init__(self, weight=1.0):
        self.weight = weight
        self.name = "searches"
        self.fingerprint = f"searches|{weight}"

    def score(self, batch, questions=None):
        print("a plug-in that speaks")
        return [None if each.stop == "error" else self.weight * len(each.searches) for each in batch]
"""
MASKER = """
import re
from ccs.rewards.mask import Span

class Capitals:
    name = fingerprint = "capitals"

    def spans(self, texts):
        return [[Span(*found.span(), "MISC") for found in re.finditer(r"[A-Z]+[a-z]*", text)] for text in texts]
"""
RETRIEVER = """
from ccs.agent.trajectory import Hit

class Echo:
    def __init__(self, prefix="on"):
        self.name, self.prefix = "echo", prefix

    def search(self, queries, k):
        return [[Hit(f"{query}-{n}", f"{self.prefix} {query} {n}") for n in range(k)] for query in queries]
"""
REGISTERED = """
from ccs.rewards.registry import REWARDS

@REWARDS.register("one[:VALUE]", "the same for all", settings="", gates="off")
def _open(arguments):
    from my_reward import Searches
    reward = Searches(float(arguments or 1))
    return reward
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in (("my_reward", REWARD), ("my_masker", MASKER), ("my_retriever", RETRIEVER)):
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "rollouts.jsonl").write_text("".join(f"{each.to_json()}\n" for each in (perfect(), trail(sample=1))))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rewards(path: Path) -> list[float | None]:
    return [json.loads(line)["reward"] for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    ("spec", "first"),
    [("my_reward.py:Searches", 3.0), ("my_reward.py:Searches,2", 6.0), ("my_reward:Searches,weight=3", 9)],
)
def test_a_reward(folder: Path, spec: str, first: float, capfd: pytest.CaptureFixture[str]) -> None:
    command = ["reward", "--trajectories", "rollouts.jsonl", "--out", "out.jsonl", "--reward", spec]
    assert main(command) == 0
    assert rewards(folder / "out.jsonl") == [first, 0.0]
    said = capfd.readouterr()
    assert "2 rewards by searches" in said.out and "speaks" not in said.out and "speaks" in said.err
    (folder / "conf").mkdir()
    (folder / "conf" / "reward.yaml").write_text(f"reward: {spec}\ngates: {{answer: 1}}\n")
    assert main(["reward", "--trajectories", "rollouts.jsonl", "--out", "2.jsonl", "--config", "conf/reward.yaml"]) == 0
    assert rewards(folder / "2.jsonl") == [first, 0.0]


def test_a_masker(folder: Path) -> None:
    (folder / "r.yaml").write_text(
        "similarity: token-f1\nmask: {masker: 'my_masker.py:Capitals+patterns', propagate: false}\n"
    )
    assert main(["reward", "--trajectories", "rollouts.jsonl", "--out", "out.jsonl", "--config", "r.yaml"]) == 0
    assert open_masker("my_masker.py:Capitals").spans(["ask Ada"])[0][0].start == 4
    check_masker(open_masker("my_masker.py:Capitals"))


def test_a_retriever(folder: Path) -> None:
    (folder / "q.jsonl").write_text(json.dumps({"id": "q1", "question": "Who?"}) + "\n")
    with chat_api.serve(lambda body: as_vllm(wanderer(body), body)) as model:
        command = ["rollout", "--questions", "q.jsonl", "--model", f"{model.url}#tiny/chat", "--samples", "4"]
        assert main([*command, "--out", "r.jsonl", "--retriever", "my_retriever.py:Echo,about"]) == 0
        rolled = [json.loads(line) for line in (folder / "r.jsonl").read_text().splitlines()]
        hits = [hit for each in rolled for turn in each["turns"] for hit in turn["hits"]]
        assert hits and all(hit["contents"].startswith("about query") for hit in hits)
        assert main([*command, "--out", "s.jsonl", "--retriever", "my_retriever.py:Absent"]) == 2


def test_a_file_that_registers_itself(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(REWARDS, "_parts", {})
    monkeypatch.setattr(REWARDS, "_discovered", False)
    (folder / "parts").mkdir()
    (folder / "parts" / "added.py").write_text(REGISTERED)
    monkeypatch.setenv("FRESCO_PARTS", str(folder / "parts"))
    assert main(["reward", "--trajectories", "rollouts.jsonl", "--out", "o.jsonl", "--reward", "one:5"]) == 0
    assert rewards(folder / "o.jsonl") == [15.0, 0.0]
    assert main(["parts", "rewards", "--json"]) == 0
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert "one[:VALUE]" in {row["spec"] for row in listed}


BAD_REWARDS = {
    "lacks signed": (REWARD.replace("needs_gold = signed", "needs_gold"), "it lacks signed"),
    "a name that is no text": (REWARD.replace('"searches"\n', "7\n"), "its name is 7"),
    "another signature": (REWARD.replace("batch, questions=None", "batch"), "does not take (batch, questions)"),
    "too few": (REWARD.replace("for each in batch]", "for each in batch[1:]]"), "for 2 trajectories"),
    "not finite": (REWARD.replace("self.weight * len", "float('inf') * len"), "a finite number or None is wanted"),
    "texts": (REWARD.replace("self.weight * len(each.searches)", "'1'"), "score 0 is '1'"),
    "no list": (REWARD.replace("return [None", "return 1.0 or [None"), "score gave 1.0; a list is wanted"),
    "raises": (REWARD.replace("print(", "raise KeyError("), "KeyError"),
    "exits": (REWARD.replace("print(", "raise SystemExit(0) or ("), "SystemExit"),
    "fails at import": ("raise OSError('no disk')", "importing it failed: OSError: no disk"),
}


@pytest.mark.parametrize("fault", list(BAD_REWARDS))
def test_kit_and_command_refuse_the_same_rewards(folder: Path, fault: str, capsys: pytest.CaptureFixture[str]) -> None:
    text, said = BAD_REWARDS[fault]
    (folder / "bad.py").write_text(text)
    command = ["reward", "--trajectories", "rollouts.jsonl", "--out", "o.jsonl", "--reward", "bad.py:Searches"]
    assert main(command) == 2
    err = capsys.readouterr().err
    assert said in err and "Traceback" not in err and err.strip().splitlines()[-1].startswith("ccs: ")
    if "import" not in fault:
        space: dict[str, type] = {}
        exec(compile(text.replace("raise SystemExit(0) or", "raise ValueError"), "bad", "exec"), space)
        with pytest.raises(ConformanceError):
            check_reward(space["Searches"]())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('"MISC"', '"NAME"'), "the tag of"),
        (("*found.span()", "found.start(), 10**6"), "reaches past"),
        (("*found.span()", "found.start(), found.start()"), "is empty"),
        (("for text in texts]", "for text in texts[1:]]"), "texts"),
        (("spans(self", "find(self"), "it lacks spans"),
    ],
)
def test_kit_and_command_refuse_the_same_maskers(folder: Path, change: tuple[str, str], said: str, capsys) -> None:
    (folder / "bad.py").write_text(MASKER.replace(*change))
    (folder / "r.yaml").write_text("similarity: token-f1\nmask: {masker: 'bad.py:Capitals'}\n")
    assert main(["reward", "--trajectories", "rollouts.jsonl", "--out", "out.jsonl", "--config", "r.yaml"]) == 2
    assert said in capsys.readouterr().err
    space: dict[str, type] = {}
    exec(compile(MASKER.replace(*change), "bad", "exec"), space)
    with pytest.raises(ConformanceError, match=said):
        check_masker(space["Capitals"]())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("range(k)", "range(k + 1)"), "were wanted"),
        (("for query in queries]", "for query in queries[1:]]"), "queries"),
        (('f"{self.prefix} {query} {n}"', "None"), "must be text"),
        (("return [[", "return 1 / 0, [["), "ZeroDivisionError"),
        (("search(self", "find(self"), "it lacks search"),
    ],
)
def test_kit_and_command_refuse_the_same_retrievers(folder: Path, change: tuple[str, str], said: str) -> None:
    from ccs.retrieve import open_retriever

    (folder / "bad.py").write_text(RETRIEVER.replace(*change))
    with pytest.raises(FrescoError, match=said):
        open_retriever("bad.py:Echo").search(["a", "b"], 2)
    space: dict[str, type] = {}
    exec(compile(RETRIEVER.replace(*change), "bad", "exec"), space)
    with pytest.raises(ConformanceError, match=said):
        check_retriever(space["Echo"]())


def test_the_kits_accept_the_built_in_parts(tmp_path: Path) -> None:
    from ccs.rewards.config import open_reward, parse_config

    for content in ({}, {"similarity": "token-f1", "mask": {"masker": "patterns"}}, {"reward": "majority-vote"}):
        check_reward(open_reward(parse_config(content)))
    for name in ("exact-match", "f1"):
        check_reward(open_reward(parse_config({"reward": name})))
    for name in ("patterns", "words", "ner", "embedded"):
        check_masker(MASKERS.open(name))
    corpus = tmp_path / "c.jsonl"
    corpus.write_text("".join(json.dumps({"id": n, "contents": f"the word of river {n}"}) + "\n" for n in range(9)))
    check_retriever(ccs.index(corpus, tmp_path / "index", progress=False))
    check_retriever(Shelf())
    assert "http:URL" in {part.spec for part in RETRIEVERS.parts().values()}


def test_objects_in_python_are_checked_as_specs_are() -> None:
    class Broken:
        name = fingerprint = "broken"
        needs_gold = signed = False

        def score(self, batch, questions=None):
            return [float("nan") for _ in batch]

    group = [perfect(), trail(("x", [OFF_TOPIC]), sample=1)]
    with pytest.raises(FrescoError, match="reward Broken: score 0 is nan"):
        ccs.reward(group, Broken(), progress=False)
    with pytest.raises(FrescoError, match="it lacks name"):
        ccs.reward(group, object(), progress=False)
    with pytest.raises(FrescoError, match="it lacks search"):
        ccs.rollout([Question("q", "Who?")], "http://127.0.0.1:9/v1#m", object(), progress=False)
