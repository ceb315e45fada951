"""``ccs rollout``: questions to trajectories, over a served model."""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fresco.errors import FrescoError
from fresco.terminal.arguments import positive

if TYPE_CHECKING:
    from ccs.agent.environment import Limits
    from ccs.agent.question import Question
    from ccs.agent.trajectory import Trajectory
    from ccs.rollouts.one import Sampling

EXIT_SOME_FAILED = 1


def add_rollout(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command to the parser."""
    rollout = commands.add_parser(
        "rollout",
        help="let an agent work on questions and record its trajectories",
        description="Let an agent work on questions over an OpenAI-compatible server (vLLM) and record its "
        "trajectories. Interrupted at any point, the same command goes on where it stopped.",
    )
    rollout.set_defaults(run=run_rollout)
    rollout.add_argument(
        "--questions",
        required=True,
        action="append",
        metavar="Q",
        help="JSON Lines, a set by name (nq, triviaqa, popqa, hotpotqa, 2wikimultihopqa, musique, bamboogle), or a "
        "Hugging Face dataset user/name:config@split; repeatable",
    )
    rollout.add_argument("--limit", type=positive, metavar="N", help="only the first N questions of each")
    rollout.add_argument("--model", required=True, metavar="URL#MODEL", help="such as http://127.0.0.1:8000/v1#MODEL")
    rollout.add_argument("--retriever", metavar="URL|DIR", help="a server of /retrieve, or an index of `ccs index`")
    rollout.add_argument("--out", required=True, metavar="FILE", help="trajectories, JSON Lines")

    agent = rollout.add_argument_group("agent")
    agent.add_argument(
        "--agent",
        choices=("search", "rag", "direct"),
        default="search",
        help="search as it likes (default); one search with the question, then answer; no search",
    )
    agent.add_argument("--prompt", metavar="FILE", help="another prompt, with {question} in it")
    agent.add_argument("--samples", type=positive, default=1, metavar="G", help="trajectories of each question")
    agent.add_argument(
        "--max-turns", type=positive, default=4, metavar="N", help="turns that may search; one more may only answer"
    )
    agent.add_argument("--top-k", type=positive, default=3, metavar="N", help="passages that a search returns")
    agent.add_argument("--max-passages", type=positive, metavar="N", help="passages over all searches")
    agent.add_argument("--max-tokens", type=positive, default=500, metavar="N", help="tokens of one turn")
    agent.add_argument(
        "--token-budget", type=positive, default=16384, metavar="N", help="tokens of the whole context after a turn"
    )
    agent.add_argument(
        "--observation-characters", type=positive, default=2400, metavar="N", help="of the passages of one search"
    )

    sampling = rollout.add_argument_group("sampling")
    sampling.add_argument(
        "--api",
        choices=("chat", "continue", "completions"),
        default="chat",
        help="chat: observations are the user's turns; continue: one assistant message that vLLM goes on with, as in "
        "training; completions: plain text, for base models",
    )
    sampling.add_argument("--temperature", type=_temperature, default=1.0, metavar="T")
    sampling.add_argument("--seed", type=int, default=0, metavar="S", help="every rollout derives its own from it")

    server = rollout.add_argument_group("servers")
    server.add_argument("--concurrency", type=positive, default=16, metavar="N", help="rollouts at once (default: 16)")
    server.add_argument("--timeout", type=_seconds, default=300.0, metavar="S", help="seconds for one request")
    server.add_argument("--retries", type=_count, default=5, metavar="N", help="of a request, before its rollout fails")


def run_rollout(options: argparse.Namespace) -> int:
    """Run the command; exit code 1 where some rollouts failed."""
    from ccs.agent.environment import Limits
    from ccs.questions import load_questions
    from ccs.rollouts.file import open_rollouts
    from ccs.rollouts.one import Sampling
    from fresco.clients.llm import ChatClient

    limits = Limits(
        turns=options.max_turns,
        top_k=options.top_k,
        tokens=options.token_budget,
        passages=options.max_passages,
        observation_characters=options.observation_characters,
    )
    sampling = Sampling(options.api, options.max_tokens, options.temperature, options.seed)
    questions = load_questions(options.questions, limit=options.limit)
    client = ChatClient(
        options.model, concurrency=options.concurrency, timeout=options.timeout, retries=options.retries
    )
    try:
        identity = _identity(options, client.model, limits, sampling)
        with open_rollouts(Path(options.out), questions, identity) as file:
            return _collect(options, questions, client, limits, sampling, file, identity)
    finally:
        client.close()


def _collect(
    options: argparse.Namespace,
    questions: Sequence[Question],
    client: Any,
    limits: Limits,
    sampling: Sampling,
    file: Any,
    identity: dict[str, Any],
) -> int:
    from ccs.rollouts.file import read_record, write_record
    from ccs.rollouts.many import collect
    from ccs.rollouts.one import roll_out
    from fresco.io.provenance import environment

    template = _template(options)
    if file.torn:
        sys.stderr.write(f"ccs: {options.out} ended in half a line, which was dropped; its rollout is done again\n")
    retriever = _open_retriever(options)

    def roll(question: Question, sample: int) -> Trajectory:
        return roll_out(
            client,
            retriever,
            question,
            sample,
            agent=options.agent,
            limits=limits,
            sampling=sampling,
            template=template,
        )

    started = time.perf_counter()
    tally = _Tally(len(questions) * options.samples)
    with tally.bar(len(file.done)):
        begun = collect(questions, options.samples, roll, client, file, tally.add)
    stops = file.finish()
    tally.report(Path(options.out), stops)
    if not begun and read_record(Path(options.out)).get("status") == "complete":
        return 0  # the record says how long the work took: a run that had nothing to do must not replace that
    record = {
        "identity": identity,
        "status": "incomplete" if stops.get("error") else "complete",
        "questions": options.questions,
        "model": client.shown,
        "retriever": getattr(retriever, "name", None),
        "trajectories": stops,
        "seconds": round(time.perf_counter() - started, 3),
        "client": dict(client.totals),
        "environment": environment(),
    }
    write_record(Path(options.out), record)
    return EXIT_SOME_FAILED if stops.get("error") else 0


class _Tally:
    """What the user is told while and after rollouts run."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._counts: Counter[str] = Counter()
        self._error = ""
        self._progress: Any = None

    def bar(self, done: int) -> Any:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        from fresco.terminal.console import make_console

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=make_console(stderr=True))
        self._task = self._progress.add_task("rollouts", total=self._total, completed=done)
        return self._progress

    def add(self, trajectory: Trajectory) -> None:
        searches = trajectory.searches
        self._counts["searches"] += len(searches)
        self._counts["searches that found nothing"] += sum(not turn.hits for turn in searches)
        self._counts["malformed turns"] += trajectory.faults
        self._error = self._error or trajectory.error
        self._progress.advance(self._task)

    def report(self, out: Path, stops: dict[str, int]) -> None:
        sys.stdout.write(f"{sum(stops.values())} trajectories: {out}\n")
        sys.stdout.write(f"  ended by: {', '.join(f'{name} {stops[name]}' for name in sorted(stops))}\n")
        if self._counts:
            sys.stdout.write(f"  in this run: {', '.join(f'{count} {name}' for name, count in self._counts.items())}\n")
        if self._counts["searches"] and self._counts["searches"] == self._counts["searches that found nothing"]:
            sys.stderr.write("ccs: no search found anything; does the retriever serve the right index?\n")
        if stops.get("error"):
            first = f" (the first with: {self._error})" if self._error else ""
            sys.stderr.write(f"ccs: {stops['error']} rollouts failed{first}; the same command tries them again\n")


def _identity(options: argparse.Namespace, model: str, limits: Limits, sampling: Sampling) -> dict[str, Any]:
    """What decides a record besides its question. Addresses are left out: servers move."""
    from ccs.agent.protocol import write_prompt

    prompt = hashlib.sha256(write_prompt(options.agent, "", _template(options)).encode()).hexdigest()
    return {"agent": options.agent, "model": model, **asdict(limits), **asdict(sampling), "prompt_sha256": prompt}


def _template(options: argparse.Namespace) -> str | None:
    from ccs.agent.protocol import read_template

    return read_template(Path(options.prompt)) if options.prompt else None


def _open_retriever(options: argparse.Namespace) -> Any:
    if options.agent == "direct":
        return None
    if not options.retriever:
        raise FrescoError(f"the {options.agent} agent needs --retriever URL or DIR; --agent direct needs none")
    from ccs.retrieve import open_retriever

    return open_retriever(options.retriever, timeout=options.timeout)


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is below zero")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds above zero")
    return number


def _temperature(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 2:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 2")
    return number
