"""``ccs rollout``: questions to trajectories, over a served model."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from fresco.terminal.arguments import address, count, number_in, positive, seconds

if TYPE_CHECKING:
    from ccs.rollouts.run import Rollouts

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
    rollout.add_argument(
        "--model", type=address, required=True, metavar="URL#MODEL", help="such as http://127.0.0.1:8000/v1#MODEL"
    )
    rollout.add_argument(
        "--retriever",
        type=address,
        metavar="URL|DIR",
        help="a server of /retrieve, an index of `ccs index`, or module:Class,args",
    )
    rollout.add_argument("--out", required=True, metavar="FILE", help="trajectories, JSON Lines")

    agent = rollout.add_argument_group("agent")
    agent.add_argument(
        "--agent",
        choices=("search", "rag", "cot", "direct"),
        default="search",
        help="search as it likes (default); rag: one search with the question, then answer; cot: think, then answer; "
        "direct: answer at once",
    )
    agent.add_argument(
        "--prompt",
        metavar="FILE|few-shot",
        help="another prompt, with {question} in it; few-shot: ours with examples, for small models",
    )
    agent.add_argument(
        "--begin",
        choices=("think", "search"),
        help="every turn begins with this tag, and the model goes on from there (vLLM; any server with --api "
        "completions)",
    )
    agent.add_argument(
        "--format",
        choices=("ccs", "search-r1"),
        default="ccs",
        help="how turns are written and read: ours, or as published Search-R1 checkpoints were trained (give their "
        "prompt with --prompt, and --api continue)",
    )
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
    sampling.add_argument("--temperature", type=number_in(0, 2), default=1.0, metavar="T")
    sampling.add_argument("--seed", type=count, default=0, metavar="S", help="every rollout derives its own from it")

    server = rollout.add_argument_group("servers")
    server.add_argument("--concurrency", type=positive, default=16, metavar="N", help="rollouts at once (default: 16)")
    server.add_argument("--timeout", type=seconds, default=300.0, metavar="S", help="seconds for one request")
    server.add_argument("--retries", type=count, default=5, metavar="N", help="of a request, before its rollout fails")


def run_rollout(options: argparse.Namespace) -> int:
    """Run the command; exit code 1 where some rollouts failed."""
    import ccs

    given = {name: value for name, value in vars(options).items() if name not in ("run", "command", "questions")}
    rollouts = ccs.rollout(options.questions, **given)
    if rollouts.torn:
        sys.stderr.write(f"ccs: {options.out} ended in half a line, which was dropped; its rollout was done again\n")
    _report(rollouts, options.out)
    return EXIT_SOME_FAILED if rollouts.stops.get("error") else 0


def _report(rollouts: Rollouts, out: str) -> None:
    stops, counts = rollouts.stops, rollouts.counts
    sys.stdout.write(f"{len(rollouts)} trajectories: {out}\n")
    sys.stdout.write(f"  ended by: {', '.join(f'{name} {stops[name]}' for name in sorted(stops))}\n")
    if counts:
        sys.stdout.write(f"  in this run: {', '.join(f'{count} {name}' for name, count in counts.items())}\n")
    if counts.get("searches") and counts["searches"] == counts["searches that found nothing"]:
        sys.stderr.write("ccs: no search found anything; does the retriever serve the right index?\n")
    if stops.get("error"):
        first = f" (the first with: {rollouts.error})" if rollouts.error else ""
        sys.stderr.write(f"ccs: {stops['error']} rollouts failed{first}; the same command tries them again\n")
