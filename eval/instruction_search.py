"""The whole instruction search, on a stand-in that reads instructions: from the base to the front on the test split.

    pip install -e ".[test]" && python eval/train_instructed_reranker.py DIR
    python eval/instruction_search.py DIR

runs ``fresco optimize`` as a user would, once with the clauses and once with the LLM operators, and writes
``eval/results/instruction_search.{json,md}`` with the plots of each. ``--proposer`` runs one of them and keeps the
other's results.

The language model is scripted: a local server that speaks the chat API and answers the operators' prompts by rules. It
reads in a prompt which kind of passage was ranked too high and answers with stock sentences against it; a crossover
joins sentences of both parents. It shows that the operators carry errors to a server and better instructions back, not
how well a language model would do.

``mini`` with its pools cut to ``--passages``, so that both searches take minutes; the re-ranker is a stand-in too (see
``train_instructed_reranker.py``). Neither the clauses nor the stock sentences were trained on.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import study
import torch
from optimize_studies import cut_pools, made, write_benchmark

from fresco.benchmarks import open_benchmark
from fresco.cli import main as fresco
from fresco.optimizer.examples import MEANING
from fresco.optimizer.report.proof import gains_without_loss
from fresco.records import Label
from tests.servers.chat_api import serve, words_of

#: Rounds and children of a round. Clauses cost nothing to write; every text of a language model is paid for.
_SIZES = {"clauses": (2, 20), "llm": (5, 8)}
_PLOTS = ("front", "front_by_round", "hypervolume_by_pairs")
#: What the scripted model says against each kind of error; a negative newer than the positive is one of its own.
_STOCK: dict[str, tuple[str, ...]] = {
    Label.OUTDATED: (
        "Put the passage with the latest date above earlier ones.",
        "What used to be true is no longer an answer.",
        "Prefer fresh passages whose facts still hold.",
        "The newest statement about the subject is the right one.",
    ),
    Label.INSUFFICIENT: (
        "A passage has to contain the fact that is asked for.",
        "Mentioning the subject without the answer is not enough.",
        "Look for a sentence that gives the answer.",
    ),
    Label.NEAR_TOPIC: (
        "Passages about another subject are irrelevant, however new.",
        "The passage must be about exactly what the query names.",
        "Make sure of the subject before looking at anything else.",
    ),
    "newer": (
        "If the fact cannot change, its date is unimportant.",
        "Do not reward a new date by itself.",
        "For lasting facts an old page is as good as a new one.",
        "Use dates only for facts that change.",
    ),
}
_DATE = re.compile(r"dated (\S+Z)")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


def scripted(body: dict[str, Any]) -> str:
    """The answer of the scripted model to a prompt of the operators."""
    prompt = words_of(body)
    wanted = re.search(r"JSON array of (\d+) strings", prompt)
    assert wanted, prompt
    count, draw = int(wanted.group(1)), random.Random(body.get("seed"))
    if "Instruction A" in prompt:
        sides = [json.loads(each) for each in re.findall(r'^(".*")$', prompt, re.MULTILINE)[:2]]
        texts = [_merged(sides, draw) for _ in range(count)]
    elif "A criticism of it" in prompt:
        instruction, critique = (json.loads(each) for each in re.findall(r'^(".*")$', prompt, re.MULTILINE)[:2])
        texts = [_mended(instruction, critique, draw) for _ in range(count)]
    else:
        kinds = _kinds(prompt) or list(_STOCK)
        texts = [
            f"Nothing in it helps against errors of the kind {draw.choice(kinds)}, case {i}." for i in range(count)
        ]
    return json.dumps(texts)


def _kinds(prompt: str) -> list[str]:
    """Kinds of the errors that a prompt shows."""
    kinds = []
    for low, above in re.findall(r"^  ranked too low (.*)\n  ranked above it (.*)$", prompt, re.MULTILINE):
        kinds += [str(label) for label in Label if above.startswith(f"({MEANING[label]})")]
        dates = [_DATE.findall(line)[-1:] for line in (low, above)]
        if all(dates) and dates[0] < dates[1]:  # of one format, so they sort as text
            kinds.append("newer")
    return kinds


def _mended(instruction: str, critique: str, draw: random.Random) -> str:
    kind = next((kind for kind in _STOCK if f"of the kind {kind}," in critique), str(Label.OUTDATED))
    sentences = _SENTENCE.split(instruction.rstrip("."))
    if len(sentences) > 3 and draw.random() < 0.5:
        sentences.pop(draw.randrange(len(sentences)))
    return " ".join([_closed(" ".join(sentences)), draw.choice(_STOCK[kind])])


def _merged(sides: list[str], draw: random.Random) -> str:
    sentences = list(dict.fromkeys(sentence for side in sides for sentence in _SENTENCE.split(_closed(side))))
    kept = sorted(draw.sample(range(len(sentences)), min(len(sentences), draw.randint(2, 5))))
    return " ".join(sentences[index] for index in kept)


def _closed(text: str) -> str:
    return text if text[-1] in ".!?" else f"{text}."


@contextmanager
def _proposer(name: str) -> Iterator[str]:
    if name == "clauses":
        yield "clauses"
        return
    with serve(scripted) as server:
        yield f"llm:{server.url}#{server.models[0]}"


def search(
    options: argparse.Namespace, name: str, benchmark: Path, folder: Path, machine: dict[str, Any]
) -> dict[str, Any]:
    """Run ``fresco optimize`` with one proposer and keep its plots."""
    started, load = time.perf_counter(), os.getloadavg()[0]
    out = folder / name
    with _proposer(name) as spec:
        arguments = ["optimize", "--reranker", f"cross-encoder:{options.model}", "--benchmark", str(benchmark)]
        arguments += ["--proposer", spec, "--out", str(out), "--store", str(options.store or folder / "scores.sqlite")]
        for key in ("rounds", "population", "children", "seeds"):
            arguments += [f"--{key}", str(getattr(options, key))]
        if options.limit:
            arguments += ["--limit", str(options.limit)]
        if options.no_baselines:
            arguments.append("--no-baselines")
        if fresco([*arguments, "--device", "cpu"]):
            sys.exit("fresco optimize failed; its message stands above")
    if results := study.folder(options):
        for plot in _PLOTS:
            for suffix in ("png", "svg"):
                target = results / f"instruction_search_{name}_{plot}.{suffix}"
                shutil.copyfile(out / "plots" / f"{plot}.{suffix}", target)
    # Where this machine keeps its files tells nobody anything.
    texts = ((out / f"{each}.json").read_text(encoding="utf-8") for each in ("front", "run"))
    front, run = (json.loads(text.replace(str(options.model), "DIR").replace(f"{folder}/", "")) for text in texts)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "seconds": time.perf_counter() - started,
        "threads": options.threads,
        "load_average": load,
        "settings": {
            key: getattr(options, key)
            for key in ("rounds", "population", "children", "seeds", "limit", "passages", "no_baselines")
        },
        "front": front,
        "pairs_computed": run["pairs_scored"],
        "pairs_from_store": run["pairs_from_store"],
        "rejected": [each["rejected"] for each in run["proposers"]],
        "environment": machine,
    }


def _cells(row: dict[str, Any]) -> str:
    shown = [(part, key) for part in ("validation", "test") for key in ("EK", "NEK", "EK gain", "NEK gain")]
    return " | ".join(_interval(row[part][key]) for part, key in shown)


def _interval(row: dict[str, Any]) -> str:
    return f"{row['value']:.3f} [{row['ci_low']:.3f} {row['ci_high']:.3f}]"


def _verdict(front: dict[str, Any]) -> str:
    """Whether the front dominates the base on test, told by the one instruction that validation would have us take."""
    members = {each["id"]: each for each in front["members"] if each["on_front"]}
    validation, test = ({key: each[part] for key, each in members.items()} for part in ("validation", "test"))
    better = gains_without_loss(validation, list(members))
    if not better:
        return (
            "**The front does not dominate the base instruction**: already on validation no instruction gains EK with "
            "its interval above zero while the interval of its NEK gain reaches zero."
        )
    chosen = max(better, key=lambda key: validation[key]["EK"]["value"])
    holds = bool(gains_without_loss(test, [chosen]))
    claim = "dominates" if holds else "does not dominate"
    also = [key for key in members if key != chosen and gains_without_loss(test, [key])]
    return (
        f"**The front {claim} the base instruction on EK at equal NEK within its interval.** Of its {len(members)} "
        f"instructions {chosen} is the best on EK among those without a loss of NEK on validation; on test it gains "
        f"{_interval(test[chosen]['EK gain'])} EK at {_interval(test[chosen]['NEK gain'])} NEK. So do, chosen by "
        f"nothing: {', '.join(also) or 'no others'}."
    )


def _section(name: str, record: dict[str, Any]) -> list[str]:
    front, settings = record["front"], record["settings"]
    columns = [f"{part} {key}" for part in ("validation", "test") for key in ("EK", "NEK", "EK gain", "NEK gain")]
    shown = [front["base"], *(each for each in front["members"] if each["on_front"])]
    pairs = {key: sum(seed[f"pairs_{key}"] for seed in front["seeds"]) for key in ("scored", "spared")}
    lines = [
        f"## {'The clauses' if name == 'clauses' else 'The LLM operators, on a scripted server'}",
        "",
        made(f"instruction_search.py DIR --proposer {name}", record),
        f"{settings['seeds']} seeds of {settings['rounds']} rounds with {settings['children']} children, population "
        f"{settings['population']}; the searches scored {pairs['scored']} pairs, racing spared {pairs['spared']}; "
        f"rejected: {json.dumps(record['rejected'][0]) if any(record['rejected']) else 'none'}.",
        "",
        _verdict(front),
        "",
        "| | " + " | ".join(columns) + " |",
        "|---" * (len(columns) + 1) + "|",
        *(f"| {each['id']} | {_cells(each)} |" for each in shown),
        *(f"| {each['name']} {each['parameter']}={each['value']} | {_cells(each)} |" for each in front["baselines"]),
        "",
        *(f"- {each['id']}: {each['text'] or each['default_text']}" for each in shown),
        "",
    ]
    for part, area in front["hypervolume"].items():
        lines.append(
            f"- Hypervolume on {part}: {_interval(area['front'])}, base {_interval(area['base'])}, gain "
            f"{_interval(area['front']['gain'])}; over seeds {_interval(area['over_seeds'])}"
            if area["over_seeds"]["ci_low"] is not None
            else f"- Hypervolume on {part}: {_interval(area['front'])}, gain {_interval(area['front']['gain'])}"
        )
    lines += [f"- Warning: {warning}" for warning in front["warnings"]]
    return [*lines, "", f"![front](instruction_search_{name}_front.png)", ""]


def report(records: dict[str, Any]) -> str:
    """The records as Markdown."""
    passages = next(iter(records.values()))["settings"]["passages"]
    lines = [
        "# Instruction search on a stand-in",
        "",
        "How it is measured stands in `eval/instruction_search.py`: the re-ranker and the language model are",
        f"stand-ins, pools of `mini` are cut to {passages} passages. MAP [95 % interval over subjects]; gains are",
        "paired with the base instruction's; the front is that on validation, the test split is used for nothing else.",
        "",
    ]
    return "\n".join([*lines, *(line for name, record in records.items() for line in _section(name, record))])


def main() -> None:
    """Search, record."""
    parser = study.make_parser(__doc__)
    parser.add_argument("model", type=Path, help="folder of a cross-encoder that takes instructions")
    parser.add_argument("--proposer", choices=("clauses", "llm", "both"), default="both")
    parser.add_argument("--rounds", type=int, help="default: 2 with the clauses, 5 with the operators")
    parser.add_argument("--population", type=int, default=4)
    parser.add_argument("--children", type=int, help="default: 20 with the clauses, 8 with the operators")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--limit", type=int, help="select by about so many validation queries")
    parser.add_argument("--passages", type=int, default=8, help="most passages of a pool")
    parser.add_argument("--no-baselines", action="store_true")
    parser.add_argument("--store", type=Path, help="score store to share with other studies (default: a passing one)")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    made = study.begin(options)
    if options.smoke:
        options.rounds, options.children, options.seeds, options.limit, options.no_baselines = 1, 3, 1, 8, True
    torch.set_num_threads(options.threads)
    records = study.recorded(options, "instruction_search", {})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        benchmark = folder / f"mini-{options.passages}"
        write_benchmark(cut_pools(open_benchmark("mini"), options.passages), benchmark)
        for proposer in _SIZES if options.proposer == "both" else (options.proposer,):
            rounds, children = (
                one or other for one, other in zip((options.rounds, options.children), _SIZES[proposer], strict=True)
            )
            own = argparse.Namespace(**{**vars(options), "rounds": rounds, "children": children})
            records[proposer] = search(own, proposer, benchmark, folder, made)
            study.record(options, "instruction_search", records, report(records))


if __name__ == "__main__":
    main()
