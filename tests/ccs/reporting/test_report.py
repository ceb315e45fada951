"""The page of `ccs report`: what it opens, what it holds, what it refuses, and what a browser makes of it."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

import ccs
from ccs.agent.trajectory import Hit, Trajectory, Turn
from ccs.cli import main
from ccs.reporting.page import CHUNK
from ccs.rewards.base import RewardRow
from ccs.rewards.reward_file import open_reward_file
from ccs.training.journal import Journal
from tests.browser import opened
from tests.waiting import PATIENCE

HOSTILE = "</script><script>document.title='owned'</script> \x1b[31mred \u202egnorw"


def made(number: int, sample: int) -> Trajectory:
    turns = (
        Turn(
            text="I think. <search>who wrote Anna Karenina</search>",
            query="who wrote Anna Karenina",
            hits=(Hit("d1", '"Anna Karenina"\nA novel by Leo Tolstoy. ' + HOSTILE, 0.5),),
            completion_tokens=9,
        ),
        Turn(text="nothing", fault="no action"),
        Turn(text="<answer>Leo Tolstoy</answer>", answer=f"Leo Tolstoy {sample}"),
    )
    return Trajectory(f"q{number}", f"Who wrote the novel Anna Karenina ({number})?", sample, turns, "answer")


@pytest.fixture
def rollouts(tmp_path: Path) -> Path:
    path = tmp_path / "rollouts.jsonl"
    lines = [made(number, sample).to_json() for number in range(CHUNK // 2 + 5) for sample in range(2)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    journal = Journal(tmp_path / "run")
    for step in range(1, 4):
        journal.add("steps.jsonl", {"step": step, "reward": step / 10, "kl": float("nan"), "asked": ["a"]})
        journal.add("evaluations.jsonl", {"step": step, "exact match": step / 5, "reward": 0.5})
    return journal.folder


def block(page: str, name: str) -> Any:
    packed = re.search(f'id="block-{name}">([^<]*)<', page)
    assert packed, name
    return json.loads(gzip.decompress(base64.b64decode(packed[1])))


def test_trajectories_stand_beside_what_a_reward_reads_and_gave(rollouts: Path, tmp_path: Path) -> None:
    rewards = tmp_path / "rewards.jsonl"
    given = ccs.reward(rollouts, out=rewards, progress=False)
    out = ccs.report(rollouts, rewards, out=tmp_path / "page.html")
    page = out.read_text(encoding="utf-8")
    rows = block(page, "main")["rollouts"][0]["rows"]
    assert [[each["value"] for each in row["rewards"]] for row in rows] == [
        [None if value is None else round(value, 6)] for value in given.values
    ]
    assert len(rows) > CHUNK
    traces = [text for chunk in (0, 1) for (text,) in block(page, f"seen-0-{chunk}")]
    assert len(traces) == len(rows)
    assert all("A novel by Leo Tolstoy" in each["trace"] and "Anna Karenina (" not in each["trace"] for each in traces)
    last = block(page, "turns-0-1")[len(rows) - CHUNK - 1]
    assert last[-1]["answer"] == "Leo Tolstoy 1"
    assert last[0]["query"] == "who wrote Anna Karenina"
    assert "Anna" not in last[0]["masked"]
    assert last[1]["masked"] is None
    assert last[0]["hits"][0]["text"].startswith('"Anna Karenina"')


def test_reconstructions_and_log_probabilities_stand_with_their_rows(tmp_path: Path) -> None:
    """Two rewards of the same trajectories: one that writes the question anew, one of log-probabilities."""
    path = tmp_path / "two.jsonl"
    pair = [made(1, 0), made(2, 0)]
    path.write_text("".join(f"{each.to_json()}\n" for each in pair), encoding="utf-8")
    written = [f"Who wrote {HOSTILE}?\nWhose novel is it?", ""]
    parts: dict[str, float] = {"with evidence": -1.25, "without evidence": -2.5, "tokens": 9}
    for name, rows in (
        ("cycle", [RewardRow(0.5, seen={"trace": "t", "reconstruction": text}) for text in written]),
        ("gain:m", [RewardRow(1.25, parts=parts, seen={}) for _ in pair]),
    ):
        with open_reward_file(tmp_path / f"{name[:4]}.jsonl", name, name) as file:
            file.append(pair, rows)
            file.finish(pair)
    out = ccs.report(path, tmp_path / "cycl.jsonl", tmp_path / "gain.jsonl", out=tmp_path / "page.html")
    page = out.read_text(encoding="utf-8")
    (first, second) = block(page, "main")["rollouts"][0]["rows"]
    assert [each["name"] for each in first["rewards"]] == ["cycle", "gain:m"]
    assert first["rewards"][1]["parts"] == second["rewards"][1]["parts"] == parts
    assert block(page, "seen-0-0") == [[{"trace": "t", "reconstruction": written[0]}, {}], [{"trace": "t"}, {}]]
    # Without the Parquet file the numbers stand alone.
    for each in tmp_path.glob("*.rows.parquet"):
        each.unlink()
    page = ccs.report(path, tmp_path / "cycl.jsonl", out=tmp_path / "page.html").read_text(encoding="utf-8")
    assert block(page, "seen-0-0") == [[{}], [{}]]
    assert block(page, "main")["rollouts"][0]["rows"][0]["rewards"][0]["value"] == 0.5


@pytest.mark.slow
def test_reconstruction_and_parts_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    path.write_text(made(1, 0).to_json() + "\n", encoding="utf-8")
    row = RewardRow(
        0.5,
        parts={"with evidence": -1.25, "without evidence": -2.5},
        seen={"trace": "looked for " + HOSTILE, "reconstruction": f"Who wrote it? {HOSTILE}"},
    )
    with open_reward_file(tmp_path / "rewards.jsonl", "cycle", "cycle") as file:
        file.append([made(1, 0)], [row])
        file.finish([made(1, 0)])
    page = ccs.report(path, tmp_path / "rewards.jsonl", out=tmp_path / "page.html")
    with opened(page) as browser:
        item = browser.find_element("css selector", ".item")
        item.find_element("tag name", "button").click()
        browser.implicitly_wait(PATIENCE)
        reward = item.find_element("css selector", ".turn.reward")
        assert [each.text for each in reward.find_elements("css selector", ".parts tbody tr")] == [
            "with evidence -1.250",
            "without evidence -2.500",
        ]
        assert reward.find_elements("css selector", ".reconstruction ins")
        assert "owned" not in browser.title
        text = reward.get_attribute("textContent")
        assert "<script>document.title" in text
        assert "\x1b" not in text and "\u202e" not in text


def test_rewards_of_other_trajectories_are_not_shown(rollouts: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text(made(7, 5).to_json() + "\n", encoding="utf-8")
    ccs.reward(other, out=tmp_path / "rewards.jsonl", progress=False)
    page = ccs.report(rollouts, tmp_path / "rewards.jsonl", out=tmp_path / "page.html").read_text(encoding="utf-8")
    assert not any(row["rewards"] for row in block(page, "main")["rollouts"][0]["rows"])


def test_curves_of_a_training_run(trained: Path, tmp_path: Path) -> None:
    page = ccs.report(trained, out=tmp_path / "page.html").read_text(encoding="utf-8")
    (training,) = block(page, "main")["trainings"]
    assert list(training["curves"]) == ["reward", "exact match"]  # NaN has no point, a list is no curve
    assert training["curves"]["reward"] == {
        "steps": [[1.0, 0.1], [2.0, 0.2], [3.0, 0.3]],
        "evaluations": [[1.0, 0.5], [2.0, 0.5], [3.0, 0.5]],
    }


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "neither a trajectory nor a reward"),
        ('{"turns": 3}', "schema_version"),
        ('{"trajectory": "x", "reward": 1}\n[]\n', ":2: no line of `ccs reward`"),
        (None, "cannot be read"),
    ],
)
def test_what_it_is_not_is_said_in_one_line(
    content: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "what.jsonl"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    assert main(["report", str(path), "--out", str(tmp_path / "page.html")]) == 2
    message = capsys.readouterr().err
    assert said in message
    assert message.count("\n") == 1
    assert not (tmp_path / "page.html").exists()


def test_a_folder_of_neither_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path)]) == 2
    assert "holds neither steps.jsonl nor audit.json" in capsys.readouterr().err
    (tmp_path / "audit.json").write_text("{}", encoding="utf-8")
    assert main(["report", str(tmp_path)]) == 2
    assert "no record of `ccs audit`" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1200])
def test_it_is_clicked_through(rollouts: Path, trained: Path, tmp_path: Path, width: int) -> None:
    rewards = tmp_path / "rewards.jsonl"
    ccs.reward(rollouts, out=rewards, progress=False)
    page = ccs.report(trained, rollouts, rewards, out=tmp_path / "page.html")
    with opened(page, width=width) as browser:

        def all_of(css: str) -> list:
            return browser.find_elements("css selector", css)

        assert [each.get_attribute("id") for each in all_of("section")] == ["training", "trajectories"]
        assert len(all_of("#training polyline")) == 2
        assert len(all_of(".item")) == 25
        all_of("button.more")[0].click()
        assert len(all_of(".item")) == 50
        first = all_of(".item")[0]
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", first)
        first.find_element("tag name", "button").click()
        browser.implicitly_wait(PATIENCE)  # the turns are unpacked when they are asked for
        assert first.find_element("css selector", ".turn.reward")
        assert len(first.find_elements("css selector", ".turn.agent")) == 3
        assert first.find_element("css selector", ".masked").text
        assert "owned" not in browser.title
        assert "<script>document.title" in first.get_attribute("textContent")
        browser.find_element("css selector", "input[type=search]").send_keys("(3)")
        assert len(all_of(".item")) == 2
        assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
