"""verl's parts: what needs no verl here, the rest in verl's own virtualenv.

The environment variable ``CCS_VERL_PYTHON`` names the ``python`` of that virtualenv.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ccs.agent import protocol
from ccs.agent.question import Question
from ccs.agent.trajectory import Hit, Trajectory, Turn
from ccs.rewards.base import Reward
from ccs.training.scorer import Scorer
from ccs.training.tokens import kept_tokens
from ccs.training.verl import data
from ccs.training.verl.reward import compute_score
from ccs.training.verl.settings import RECORD, read_rewards, read_settings
from fresco.errors import FrescoError
from tests import tiny_models
from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[3]
FOLDER = Path(data.__file__).parent
VARIABLE = "CCS_VERL_PYTHON"
HOW_TO_INSTALL = (
    f"set {VARIABLE} to the python of a virtualenv of its own: python3.11 -m venv verl && verl/bin/pip install "
    "torch==2.13.0 && verl/bin/pip install -e '.[verl]' pytest"
)
QUESTIONS = '{"id": "q1", "question": "Who leads  the <search>club</search>?", "answers": ["Ann"], "dataset": "toy"}\n'


def run_inside(*names: str) -> None:
    python = os.environ.get(VARIABLE)
    if not python:
        pytest.skip(HOW_TO_INSTALL)
    command = [python, "-m", "pytest", "-o", "addopts=", "-p", "no:cacheprovider", "-q", "--disable-warnings"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, *(str(Path(__file__).with_name(name)) for name in names)],
        capture_output=True,
        text=True,
        timeout=6 * PATIENCE,
        cwd=ROOT,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout and "skipped" not in done.stdout, done.stdout[-500:]


def test_the_loop_the_mask_and_the_reward_under_verls_classes() -> None:
    run_inside("test_verl_inside.py", "test_verl_reward_inside.py")


@pytest.mark.slow
def test_a_step_of_verls_trainer_up_to_its_advantages() -> None:
    run_inside("test_verl_ray_inside.py")


def test_questions_become_the_file_that_verl_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "q.jsonl").write_text(QUESTIONS)
    out = tmp_path / "q.parquet"
    assert data.main([str(tmp_path / "q.jsonl"), str(out)]) == 0
    (row,) = pq.read_table(out).to_pylist()
    assert row["agent_name"] == "ccs_search"
    assert row["prompt"] == [
        {"role": "user", "content": protocol.write_prompt("search", "Who leads  the <search>club</search>?")}
    ]
    assert row["reward_model"]["ground_truth"]["target"] == ["Ann"]
    assert row["extra_info"] == {"index": 0, "id": "q1", "question": "Who leads  the <search>club</search>?"}
    data.check_parquet(out)
    first = out.read_bytes()
    assert data.main([str(tmp_path / "q.jsonl"), str(out)]) == 0 and out.read_bytes() == first
    assert data.main([str(tmp_path / "q.jsonl"), str(out), "--drop-gold"]) == 0
    assert b"Ann" not in out.read_bytes()
    assert pq.read_table(out).schema.field("reward_model").type.field("ground_truth").type.field("target").type == (
        pa.list_(pa.string())
    )
    assert data.main([str(tmp_path / "no.jsonl"), str(out)]) == 2
    assert "no.jsonl" in capsys.readouterr().err


def test_data_without_the_agents_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    for table, says in (
        (pa.table({"prompt": ["x"]}), "no column agent_name"),
        (pa.table({"agent_name": ["ccs_search", "single_turn_agent"]}), "single_turn_agent"),
        (pa.table({"agent_name": ["ccs_search", None]}), "None"),
    ):
        pq.write_table(table, path)
        with pytest.raises(FrescoError, match=says):
            data.check_parquet(path)
    path.write_text("{}")
    with pytest.raises(FrescoError, match="cannot be read"):
        data.check_parquet(path)


def test_without_verl_nothing_heavy_is_loaded_and_the_missing_extra_is_named() -> None:
    code = (
        "import sys, ccs.training.verl, ccs.training.verl.data, ccs.training.verl.settings, ccs.training.verl.check\n"
        "heavy = {'torch', 'verl', 'ray', 'hydra', 'transformers', 'omegaconf'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "sys.modules['verl'] = sys.modules['transfer_queue'] = sys.modules['hydra'] = None\n"
        "from fresco.errors import FrescoError\n"
        "for name in ('agent_loop', 'sampler'):\n"
        "    try:\n"
        "        __import__(f'ccs.training.verl.{name}')\n"
        "    except FrescoError as error:\n"
        "        assert \"pip install 'fresco-ccs[verl]'\" in str(error)\n"
        "    else:\n"
        "        raise AssertionError(name)\n"
        "import ccs.training.verl.__main__ as command\n"
        "sys.exit(command.main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2, done.stderr
    assert "pip install 'fresco-ccs[verl]'" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("section", "says"),
    [
        (None, "no section ccs"),
        ({}, "ccs.retriever is missing"),
        ({"retriever": "http://x", "turns": "4"}, "ccs.turns"),
        ({"retriever": "http://x", "retreiver_timeout": 4}, "unknown key ccs.retreiver_timeout"),
        ({"retriever": "http://x", "observation_characters": 100}, "hold no 3 passages"),
        ({"retriever": "http://x", "searches_at_once": 0}, "ccs.searches_at_once"),
    ],
)
def test_settings_are_checked(section: object, says: str) -> None:
    with pytest.raises(FrescoError, match=says):
        read_settings(section)


def test_rewards_are_those_of_training_or_a_file(tmp_path: Path) -> None:
    assert [(weight, config.reward) for weight, config in read_rewards(None)] == [(1.0, "cycle")]
    mixed = read_rewards([{"reward": "cycle", "weight": 0.5}, {"reward": "f1", "weight": 2}])
    assert [(weight, config.reward) for weight, config in mixed] == [(0.5, "cycle"), (2.0, "f1")]
    (tmp_path / "reward.yaml").write_text("reward: majority-vote\n")
    for rewards, says in (
        (str(tmp_path / "reward.yaml"), "majority-vote compares"),
        ([], "at least one"),
        ([{"reward": "cycle", "weigth": 1}], "unknown key"),
        (str(tmp_path / "none.yaml"), "none.yaml: cannot be read"),
    ):
        with pytest.raises(FrescoError, match=says):
            read_rewards(rewards)


class Slow(Reward):
    """Rewards by the question's length, when it is let go; notes how many it was given at once."""

    name, fingerprint, needs_gold, signed = "slow", "slow", False, False

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.go = threading.Event()

    def score(self, batch, questions=None):  # type: ignore[no-untyped-def]
        self.batches.append(len(batch))
        assert self.go.wait(PATIENCE)
        if any(each.question == "boom" for each in batch):
            raise FrescoError("the server is gone")
        return [float(len(each.question)) if each.stop != "error" else None for each in batch]


def trajectory(text: str, stop: str = "answer") -> Trajectory:
    turns = (Turn("s", query="source of Nile", hits=(Hit("1", "c"),)), Turn("a", answer="Ann"))
    return Trajectory(text, text, 0, turns, stop)


def test_one_thread_rewards_what_waits_together() -> None:
    reward = Slow()
    scorer = Scorer([(2.0, reward), (1.0, reward)])

    async def ask(*texts: str) -> list[float | BaseException | None]:
        asked = [asyncio.wrap_future(scorer.submit(trajectory(each), Question(each, each))) for each in texts]
        reward.go.set()
        return await asyncio.gather(*asked, return_exceptions=True)

    texts = ["x" * n for n in range(1, 60)]
    assert asyncio.run(ask(*texts)) == [3.0 * n for n in range(1, 60)]
    assert len(reward.batches) <= 4  # the first that was waiting, and then all others, for each of the two rewards
    (failed,) = asyncio.run(ask("boom"))  # in another event loop
    assert isinstance(failed, FrescoError) and str(failed) == "the server is gone"
    assert asyncio.run(ask("after")) == [15.0]
    missing = trajectory("x", "error")
    assert scorer.submit(missing, Question("x", "x")).result(PATIENCE) is None


def test_the_figures_of_a_rollout() -> None:
    record = trajectory("Where does the Nile flow from?").to_json()
    figures = asyncio.run(compute_score("toy", "<answer>no</answer>", {"target": ["ann"]}, {RECORD: record}))
    assert figures["em"] == figures["f1"] == 1.0
    assert figures["query_overlap"] == 0.5  # of "Nile" and "flow"
    assert (figures["searches"], figures["empty_searches"], figures["malformed_turns"]) == (1.0, 0.0, 0.0)
    assert "em" not in asyncio.run(compute_score("toy", "", {"target": []}, {RECORD: record}))


@pytest.mark.parametrize("tail", ["", "\n", ">\n", "\n<answer>x</answer>", " \U0001f600"])
def test_tokens_are_cut_where_the_tag_closes(tail: str) -> None:
    tokenizer = tiny_models.chat_tokenizer()
    reply = "<think>\u0431\u0430\u0439\u043a\u0430\u043b \U0001f30a</think><search>lake</search>"

    def decode(ids):  # type: ignore[no-untyped-def]
        return tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    for ids in (tokenizer.encode(reply + tail), [t for c in reply + tail for t in tokenizer.encode(c)]):
        count = kept_tokens(ids, reply, decode)
        assert decode(ids[:count]).startswith(reply)
        assert not decode(ids[: count - 1]).startswith(reply)


STUB = """#!/usr/bin/env bash
echo "$(basename "$0") $*" >> "$LOG"
if [[ $1 == - ]]; then cat > /dev/null; fi
"""


def test_the_launch_script(tmp_path: Path) -> None:
    for name in ("ray", "python"):
        (tmp_path / name).write_text(STUB)
        (tmp_path / name).chmod(0o755)
    log = tmp_path / "log"

    def launch(**variables: str) -> tuple[int, list[str], str]:
        log.write_text("")
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "LOG": str(log), **variables}
        done = subprocess.run(
            [str(FOLDER / "launch.sh"), "ccs.retriever=http://r"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return done.returncode, log.read_text().splitlines(), done.stderr

    code, head, _ = launch(NODES="2", NODE="0", HEAD="10.0.0.1", GPUS="4")
    assert code == 0
    assert head[0].startswith("ray start --head --node-ip-address=10.0.0.1 --port=6379 --num-gpus=4")
    assert head[1] == "python - 8 600"
    assert head[2:] == [
        "python -m ccs.training.verl trainer.nnodes=2 trainer.n_gpus_per_node=4 ccs.retriever=http://r",
        "ray stop",
    ]
    code, worker, _ = launch(NODES="2", NODE="1", HEAD="10.0.0.1", GPUS="4")
    assert code == 0 and worker == ["ray start --address=10.0.0.1:6379 --num-gpus=4 --block"]
    code, _, says = launch(NODES="2", NODE="0")
    assert code == 2 and "HEAD is missing" in says
