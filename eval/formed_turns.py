"""How many of a small instruct model's turns are well formed, by prompt and by what a turn is made to begin with.

    pip install -e ".[test]" && python eval/formed_turns.py URL#MODEL --name "SmolLM2 135M Instruct" --work DIR

lets a served model (``vllm serve``; any server that speaks OpenAI's protocol) work on open questions with a BM25 search
over 2018 Wikipedia, once for each way to ask it, and counts over all its turns those that are one search or one answer
in the tags of the protocol. Beside that share: searches a rollout, and rollouts that end with an answer. Rollouts are
kept in ``--work``, so that a run that was stopped goes on. The figures of each model are added to
``eval/results/formed_turns.{json,md}``; intervals are over questions.
"""

from __future__ import annotations

import lzma
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import study

import ccs
from ccs.agent.trajectory import Trajectory
from ccs.auditing.statistics import Statistics
from ccs.questions import load_questions
from fresco.terminal.arguments import positive

#: Name of each way to ask, and the options of ``ccs rollout`` that it is.
ARMS: Mapping[str, Mapping[str, Any]] = {
    "our prompt": {},
    "few-shot": {"prompt": "few-shot"},
    "few-shot, a started <think>": {"prompt": "few-shot", "begin": "think"},
    "few-shot, a started <search>": {"prompt": "few-shot", "begin": "search"},
    "few-shot as one text, a started <think>": {"prompt": "few-shot", "begin": "think", "api": "completions"},
}


def measure(trajectories: Sequence[Trajectory]) -> dict[str, Any]:
    """The figures of one way to ask; the unit of the first is a turn, of the others a rollout."""
    alive = [each for each in trajectories if each.stop != "error"]
    turns = [(turn, each.question_id) for each in alive for turn in each.turns]
    faults: dict[str, int] = {}
    for turn, _ in turns:
        if turn.fault is not None:
            faults[turn.fault] = faults.get(turn.fault, 0) + 1
    by_turn = Statistics([question for _, question in turns])
    by_rollout = Statistics([each.question_id for each in alive])
    return {
        "rollouts": len(alive),
        "failed": len(trajectories) - len(alive),
        "turns": len(turns),
        "well formed": asdict(by_turn.mean(np.array([turn.fault is None for turn, _ in turns], float))),
        "searches": asdict(by_rollout.mean(np.array([len(each.searches) for each in alive], float))),
        "answered": asdict(by_rollout.mean(np.array([each.answer is not None for each in alive], float))),
        "faults": dict(sorted(faults.items(), key=lambda pair: -pair[1])),
    }


def table(record: Mapping[str, Any]) -> str:
    """All models' figures as Markdown."""
    lines = [
        "# Well-formed turns of small instruct models",
        "",
        "Made by `eval/formed_turns.py`: open questions, BM25 over 2018 Wikipedia. In brackets: 95 % interval over",
        "questions.",
    ]
    for name, row in record.items():
        lines += [
            "",
            f"## {name}",
            "",
            f"{row['environment']}; {row['questions']} questions, at most {row['max_turns']} searching turns of "
            f"{row['max_tokens']} tokens, temperature {row['temperature']:g}.",
            "",
            "| asked by | turns | well formed | searches a rollout | rollouts that answer | commonest faults |",
            "|---|--:|--:|--:|--:|---|",
        ]
        for arm, own in row["arms"].items():
            faults = ", ".join(f"{fault} {count}" for fault, count in islice(own["faults"].items(), 3))
            cells = [_cell(own[each]) for each in ("well formed", "searches", "answered")]
            lines.append(f"| {arm} | {own['turns']} | {' | '.join(cells)} | {faults or '-'} |")
    return "\n".join(lines) + "\n"


def _cell(figure: Mapping[str, Any]) -> str:
    if figure["value"] is None:
        return "-"
    interval = "" if figure["low"] is None else f" [{figure['low']:.2f} {figure['high']:.2f}]"
    return f"{figure['value']:.2f}{interval}"


def _passages(data: Path, work: Path, most: int | None) -> Path:
    """The corpus, or its first passages, as a file of its own."""
    source = data / "qa" / "wiki18_passages.jsonl.xz"
    if most is None:
        return source
    target = work / "passages.jsonl"
    with lzma.open(source, "rt", encoding="utf-8") as lines:
        target.write_text("".join(islice(lines, most)), encoding="utf-8")
    return target


def main() -> None:
    """Ask, and write the table."""
    parser = study.make_parser(__doc__, reads_data=True)
    parser.add_argument("model", metavar="URL#MODEL", help="of a server")
    parser.add_argument("--name", required=True, help="what the model is called in the table")
    parser.add_argument("--arms", metavar="N,N", help=f"numbers of {', '.join(ARMS)}, from 1 (default: all)")
    parser.add_argument("--questions", type=positive, default=24, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--max-turns", type=positive, default=3, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--max-tokens", type=positive, default=120, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--temperature", type=float, default=0.7, metavar="T", help="(default: %(default)s)")
    parser.add_argument("--work", type=Path, metavar="DIR", help="keep index and rollouts here, to go on from")
    options = parser.parse_args()
    questions = 2 if options.smoke else options.questions
    made = study.begin(options)
    names = list(ARMS)
    chosen = names if options.arms is None else [names[int(each) - 1] for each in options.arms.split(",")]
    asked = load_questions(str(options.data / "qa" / "open_questions.jsonl.xz"), limit=questions)
    own = {question.id for question in asked}
    with tempfile.TemporaryDirectory() as scratch:
        work = options.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        index = ccs.index(_passages(options.data, work, 200 if options.smoke else None), work / "index", progress=False)
        arms = {}
        for arm in chosen:
            rollouts = ccs.rollout(
                asked,
                options.model,
                index,
                out=work / f"{options.name}-{names.index(arm) + 1}.jsonl",
                max_turns=options.max_turns,
                max_tokens=options.max_tokens,
                temperature=options.temperature,
                observation_characters=1200,
                progress=False,
                **ARMS[arm],
            )
            # An earlier run of more questions has left those of others there.
            arms[arm] = measure([each for each in rollouts if each.question_id in own])
            print(f"{arm}: {arms[arm]}", flush=True)
    record = study.recorded(options, "formed_turns", {})
    record[options.name] = {
        "environment": study.made_by(made),
        "questions": questions,
        "max_turns": options.max_turns,
        "max_tokens": options.max_tokens,
        "temperature": options.temperature,
        "arms": arms,
    }
    study.record(options, "formed_turns", record, table(record))


if __name__ == "__main__":
    main()
