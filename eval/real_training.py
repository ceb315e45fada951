"""Does a real instruct model learn to search real text by a reward that sees no gold? GRPO beside its controls.

    pip install -e ".[test]" && python eval/real_training.py POLICY FROZEN WORK --minutes 30

POLICY and FROZEN are folders or hub ids, such as SmolLM2 135M Instruct and Gemma 3 270M. Questions of NQ and PopQA over
BM25 of 2018 Wikipedia are split by ``--seed``; scripted searchers ask for training questions, the search that gained
most is kept and FROZEN reads its answer, and POLICY imitates the best half (``ccs warmup``); then GRPO with LoRA
(``ccs train``) by ``--reward``: ``gain`` under FROZEN, or a control, ``evidence``, ``exact match`` (gold) and
``shuffled`` (the gain, its values changing places within groups), all from the same warmed-up policy. Rollouts are
sampled by the trainer itself, or with ``--vllm`` by a vLLM server that gets each step's weights. Held-out
questions are answered greedily before and after. Both sets are test sets that are split anew here, so no figure
compares with a paper's.

After ``--minutes`` the run ends after a step, with its state in WORK; the same command goes on. What each reward gave
is added to ``eval/results/real_training.{json,md}`` once its ``--steps`` are made.
"""

from __future__ import annotations

import argparse
import json
import lzma
import math
import random
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import study
import torch
from local_lm import LocalLM, LocalScorer, OutOfTimeError
from open_agents import keywords, read
from real_training_table import APART, FIGURES, SHARES, table
from training_rewards import Shuffled
from transformers import TrainerCallback

import ccs
from ccs.agent.protocol import one_line
from ccs.agent.question import Question
from ccs.agent.trajectory import Trajectory, Turn
from ccs.questions import load_questions
from ccs.retrieve.base import Retriever
from ccs.rewards.base import Reward
from ccs.rewards.bottleneck import Bottleneck
from ccs.rewards.config import open_reward, parse_config
from ccs.rewards.gain import GainReward
from ccs.rewards.gates import Gated
from ccs.training.config import TrainConfig, as_train_config
from ccs.training.journal import Journal
from fresco.io.files import lines, write_atomically
from fresco.stats.intervals import SubjectBootstrap

REWARDS = ("gain", "evidence", "exact match", "shuffled")
_WARMED = ("scripted", "traces", "held_out", "left_out", "loss_before", "loss_after", "plan")
_PROMPT = (
    "Look for the answer with <search>words</search>, then give it, in a few words, with <answer>the answer</answer>.\n"
    "Question: {question}"
)
_AGENT: dict[str, Any] = {
    "turns": 2,
    "top_k": 2,
    "turn_tokens": 40,
    "observation_characters": 600,
    "context_tokens": 768,
}
_LORA = {"lora_rank": 16, "lora_alpha": 32}


class Minutes:
    """The time of one run.

    Args:
        minutes: Of it.
    """

    def __init__(self, minutes: float) -> None:
        self._end = time.monotonic() + 60 * minutes

    def check(self) -> None:
        """Raise where they are over.

        Raises:
            OutOfTimeError: they are.
        """
        if time.monotonic() > self._end:
            raise OutOfTimeError


class Until(TrainerCallback):  # type: ignore[misc]  # transformers is not typed
    """Ends training before a step for which there is no time; each step leaves a checkpoint.

    Args:
        minutes: Of this run.
    """

    def __init__(self, minutes: Minutes) -> None:
        self._minutes = minutes

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Look at the clock."""
        self._minutes.check()


class World:
    """Questions, passages and their index.

    Args:
        folder: Where they are put, once.
        options: Of the study.
    """

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.train, self.held_out, self.prompt = (
            folder / name for name in ("train.jsonl", "held_out.jsonl", "prompt.txt")
        )
        self.index = folder / "index"
        if not self.train.exists():
            rows = list({row["question"].casefold(): row for row in _rows(options, "open_questions")}.values())
            random.Random(options.seed).shuffle(rows)
            write_atomically(self.prompt, _PROMPT)
            write_atomically(self.held_out, lines(rows[: options.held_out]))
            write_atomically(self.train, lines(rows[options.held_out :]))
        passages = options.data / "qa" / "wiki18_passages.jsonl.xz"
        self.retriever: Retriever = ccs.index(passages, self.index, progress=False)

    def config(
        self, policy: str, options: argparse.Namespace, generation: Mapping[str, Any] | None = None
    ) -> TrainConfig:
        """How ``policy`` is trained, and what generates its rollouts (default: transformers, the trainer itself)."""
        return as_train_config(
            {
                "generation": dict(generation or {}),
                # In bfloat16 two implementations differ by more than a step changes.
                "model": {"path": policy, "dtype": "float32" if generation else options.dtype, **_LORA},
                "data": {
                    "train": [str(self.train)],
                    "held_out": [str(self.held_out)],
                    "held_out_limit": None,
                    "retriever": str(self.index),
                },
                "agent": {
                    "prompt": str(self.prompt),
                    "turn_tokens": options.turn_tokens,
                    "context_tokens": 16 * options.turn_tokens,
                    **_AGENT,
                },
                "optimization": {
                    "steps": options.steps,
                    "questions_per_step": options.rollouts // options.group,
                    "group": options.group,
                    "micro_batch": options.group,
                    "learning_rate": options.learning_rate,
                    "warmup": 0.1,
                    "kl": 0.0,
                    "seed": options.seed,
                },
                "keep": {
                    "save_every": 1,
                    "checkpoints": 1,
                    "evaluate_every": 10**6,  # before and after
                    "audited": 0,
                    # Rewards that teach nothing are among those compared: they, too, go to the end.
                    "collapse": 0,
                    "dead": 0,
                    "preflight": 0,
                },
            }
        )


def _rows(options: argparse.Namespace, name: str) -> list[dict[str, Any]]:
    with lzma.open(options.data / "qa" / f"{name}.jsonl.xz", "rt", encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def searches(question: str, draw: random.Random) -> list[list[str]]:
    """What scripted searchers ask: all that is worth asking, halves of it, and one half after the other."""
    whole = keywords(question) or question.split()
    half = sorted(draw.sample(range(len(whole)), math.ceil(len(whole) / 2)))
    one = " ".join(whole[place] for place in half)
    other = " ".join(word for place, word in enumerate(whole) if place not in half) or one
    return [[" ".join(whole)], [one], [other], [one, other]]


def scripted(
    questions: Iterable[Question], world: World, gain: Reward, reader: LocalLM, minutes: Minutes
) -> tuple[list[Trajectory], float]:
    """A group for each question, and the mean gain; the member that gained most is read an answer, and no other.

    Raises:
        OutOfTimeError: the minutes are over; what was computed is kept.
    """
    made: list[Trajectory] = []
    gains: list[float] = []
    for question in questions:
        minutes.check()
        group = [
            Trajectory(question.id, question.text, number, _searched(world.retriever, queries), "turns")
            for number, queries in enumerate(searches(question.text, random.Random(question.id)))
        ]
        values = [value or 0.0 for value in gain.score(group)]
        number = values.index(max(values))
        hits = [hit for turn in group[number].turns for hit in turn.hits]
        answer = one_line(read(reader, question.text, hits, chat=False)) or "unknown"
        said = Turn(f"<answer>{answer}</answer>", answer=answer)
        group[number] = replace(group[number], turns=(*group[number].turns, said), stop="answer")
        made += group
        gains += values
    return made, statistics.fmean(gains)


def _searched(retriever: Retriever, queries: Sequence[str]) -> tuple[Turn, ...]:
    found = retriever.search(queries, _AGENT["top_k"])
    return tuple(
        Turn(f"<search>{query}</search>", query=query, hits=tuple(hits))
        for query, hits in zip(queries, found, strict=True)
    )


def warm(world: World, gain: Reward, reader: LocalLM, options: argparse.Namespace, minutes: Minutes) -> Path:
    """The policy after it imitated the scripted searches that gained more than their mean; all variants begin there."""
    folder = options.work / "warm"
    path, mean = folder / "trajectories.jsonl", folder / "mean.json"
    if not mean.exists():
        # From the end of the file, of which training, whose draw has a seed of its own, takes any.
        questions = load_questions(str(world.train))[-options.warm_questions :]
        made, least = scripted(questions, world, gain, reader, minutes)
        write_atomically(path, "".join(f"{each.to_json()}\n" for each in made))
        write_atomically(mean, json.dumps(least))
    result = ccs.warmup(
        world.config(options.policy, options),
        str(path),
        folder / "run",
        least=json.loads(mean.read_text(encoding="utf-8")),
        epochs=options.warm_epochs,
        learning_rate=options.warm_rate,
        batch=options.group,
        rewards=[(1.0, Gated(gain))],
    )
    minutes.check()
    return result.model


@contextmanager
def sampled_by(options: argparse.Namespace, policy: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """The policy as it is trained, and the section ``generation``: with ``--vllm`` a server of the study's own."""
    if not options.vllm:
        yield policy, {}
        return
    from served_policy import serve, untied

    policy = untied(policy, options.work / "warm" / "untied")
    tokens = 16 * options.turn_tokens
    with serve(options.vllm, policy, options.work / "vllm.log", dtype="float32", tokens=tokens) as generation:
        yield policy, generation


def open_rewards(gain: Reward, seed: int) -> Mapping[str, Callable[[], Reward]]:
    """What each variant is trained by."""
    return {
        "gain": lambda: Gated(gain),
        "evidence": lambda: open_reward(parse_config({"reward": "cycle"})),
        "exact match": lambda: open_reward(parse_config({"reward": "exact-match"})),
        "shuffled": lambda: Shuffled(Gated(gain), seed),
    }


def figures(world: World, run: Journal, steps: int) -> dict[str, Any]:
    """Held-out figures before and after, and what each question gained, with 95 % intervals over questions."""
    frames = [
        ccs.evaluate(str(run.held_out(step)), str(world.held_out)).per_trajectory.set_index("question_id")
        for step in (0, steps)
    ]
    names = sorted(frames[0].index.intersection(frames[1].index))  # without what an error ended
    bootstrap = SubjectBootstrap(names)
    found: dict[str, Any] = {"questions": len(names)}
    before, after = (frame.loc[names, list(FIGURES)].to_numpy(float) for frame in frames)
    ones = np.ones_like(before)
    for key, values in (("before", before), ("after", after), ("gained", after - before)):
        estimate = bootstrap.ratio(values, ones)
        if key != "gained":
            bounded = bootstrap.share(values[:, :SHARES], ones[:, :SHARES])
            estimate.low[:SHARES], estimate.high[:SHARES] = bounded.low, bounded.high
        found[key] = {name: dict(zip(("value", "low", "high"), each, strict=True)) for name, each in _rows_of(estimate)}
    return found


def _rows_of(estimate: Any) -> Iterable[tuple[str, tuple[float, float, float]]]:
    columns = zip(estimate.value.tolist(), estimate.low.tolist(), estimate.high.tolist(), strict=True)
    return zip(FIGURES, columns, strict=True)


def curve(run: Journal) -> dict[str, Any]:
    """Of the training rollouts: the reward in the first and the last fifth of the steps, and seconds of a step."""
    rows = run.rows("steps.jsonl")
    fifth = max(1, len(rows) // 5)
    told = [name for name in APART if name in rows[0]]
    names = ("reward", "searches", "answered", "flat groups", "exact match", "query overlap", *told)
    return {
        "first": {name: _mean(rows[:fifth], name) for name in names},
        "last": {name: _mean(rows[-fifth:], name) for name in names},
        "seconds": statistics.median(row["seconds"] for row in rows),
        "rows": [{name: row.get(name) for name in ("step", *names, "seconds")} for row in rows],
    }


def _mean(rows: Sequence[Mapping[str, Any]], name: str) -> float | None:
    known = [row[name] for row in rows if row.get(name) is not None]
    return statistics.fmean(known) if known else None


def parse() -> argparse.Namespace:
    """The options."""
    parser = study.make_parser(__doc__, reads_data=True)
    parser.add_argument("policy", help="folder or hub id of an instruct model")
    parser.add_argument("frozen", help="folder or hub id of the model whose log-probabilities are the gain")
    parser.add_argument("work", type=Path, help="folder that keeps the state")
    parser.add_argument("--names", nargs=2, metavar=("POLICY", "FROZEN"), help="what they are called in the table")
    parser.add_argument("--reward", choices=REWARDS, default="gain")
    parser.add_argument("--minutes", type=float, default=math.inf, help="of this run (default: to the end)")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rollouts", type=int, default=16, help="of a step (default: %(default)s)")
    parser.add_argument("--group", type=int, default=4, help="of a question (default: %(default)s)")
    parser.add_argument("--turn-tokens", type=int, default=48, help="of a turn at most (default: %(default)s)")
    parser.add_argument("--held-out", type=int, default=64, help="questions (default: %(default)s)")
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--warm-questions", type=int, default=64)
    parser.add_argument("--warm-epochs", type=int, default=3)
    parser.add_argument("--warm-rate", type=float, default=1e-3)
    parser.add_argument("--dtype", default="bfloat16", help="of both models' weights; adapters are float32")
    parser.add_argument(
        "--vllm", metavar="PYTHON", help="of a virtualenv with vLLM, whose server then samples (default: transformers)"
    )
    parser.add_argument("--threads", type=int, default=1, help="more are slower where others work, too")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.names = options.names or [Path(each).name for each in (options.policy, options.frozen)]
    if options.smoke:
        options.steps, options.rollouts, options.group, options.held_out, options.warm_questions = 2, 4, 2, 4, 8
        options.warm_epochs, options.turn_tokens = 1, 400  # a model of the tests spells in bytes
    return options


def main() -> None:
    """Prepare, train, and write the table."""
    options = parse()
    made = study.begin(options)
    torch.set_num_threads(options.threads)
    minutes = Minutes(options.minutes)
    name = f"{options.reward}, sampled by vLLM" if options.vllm else options.reward
    run = Journal(options.work / name.replace(",", "").replace(" ", "-"))
    numbers = options.work / "numbers.sqlite"
    frozen = LocalLM(options.frozen, options.names[1], dtype=options.dtype, cache=numbers, minutes=math.inf)
    client: Any = frozen  # a reward asks it for its names alone
    characters = int(_AGENT["observation_characters"])
    gain = GainReward(Bottleneck(None), client, characters=characters, scorer=LocalScorer(frozen))
    try:
        world = World(options.work / "world", options)
        policy = warm(world, gain, frozen, options, minutes)
        reward = open_rewards(gain, options.seed)[options.reward]()
        with sampled_by(options, policy) as (policy, generation):
            outcome = ccs.train(
                world.config(str(policy), options, generation),
                run.folder,
                rewards=[(1.0, reward)],
                callbacks=[Until(minutes)],
                tell=lambda text: print(text, flush=True),
            )
    except OutOfTimeError:
        done = len(run.rows("steps.jsonl"))
        print(f"{done} of {options.steps} steps are made; the same command goes on", flush=True)
        return
    chosen = {name: getattr(options, name) for name in ("steps", "rollouts", "group", "learning_rate", "dtype", "seed")}
    warmed = json.loads((options.work / "warm" / "run" / "run.json").read_text(encoding="utf-8"))
    warmed["scripted"] = len((options.work / "warm" / "trajectories.jsonl").read_text(encoding="utf-8").splitlines())
    own = {
        "policy": options.names[0],
        "frozen": options.names[1],
        **chosen,
        "warm-up": {name: warmed[name] for name in _WARMED},
        "held-out": figures(world, run, outcome.steps),
        "training": curve(run),
        "sampled by": "vLLM, the policy in float32" if options.vllm else "transformers",
        "environment": study.made_by(made),
    }
    record = {**study.recorded(options, "real_training", {}), name: own}
    study.record(options, "real_training", record, table(record))


if __name__ == "__main__":
    main()
