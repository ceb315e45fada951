"""Mutated files before every reader, and nasty words behind every option: no traceback, no hang, one line each."""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from tests.campaign import how_many, seed
from tests.campaign.material import REFERENCE, make, run
from tests.campaign.mutation import NASTY, mutated
from tests.test_canaries import BASES, subcommands

_SECONDS = 60  # that one case may take; each takes well below one

_SMALL = "--resamples 2 --no-baselines --store {at}/s.sqlite --out {at}/out --overwrite"
_SCORE = f"fresco score {_SMALL} --reranker random --benchmark"
_OTHERS = f"fresco score {_SMALL} --benchmark {{at}}/own --reranker"
_BUILD = f"--workers 1 --reference {REFERENCE} --mirror {{at}}"
_INDEX = "ccs index --corpus {file} --out {at}/out"
_ROLLOUT = "ccs rollout --model http://127.0.0.1:9/v1#m --retries 0 --timeout 1 --agent direct --out {at}/out.jsonl"
_SEARCH = "ccs rollout --model http://127.0.0.1:9/v1#m --retries 0 --out {at}/o.jsonl --retriever {at}/index"
_OWN = [f"{_SCORE} {{at}}/own", "fresco audit {at}/own --resamples 2"]
_RUNS = [
    "fresco compare {at}/run {at}/other",
    "fresco compare {at}/run {at}/other --json --front {at}/front.svg",
    "fresco report {at}/run --out {at}/page.html",
]
_FACTS = f"fresco build --out {{at}}/out {_BUILD}/dump.jsonl --relations {{at}}/relations --facts"
_PAGE = "ccs report {file} --out {at}/page.html"
_WARMUP = "ccs warmup --config {at}/train.yaml --out {at}/warm --trajectories"
_GOLD = "--questions {at}/questions.jsonl --resamples 2"
#: Files by their path in the material, and the commands that read each.
READERS: dict[str, list[str]] = {
    "beir/corpus.jsonl": [f"{_SCORE} {{at}}/beir", _INDEX],
    "beir/queries.jsonl": [f"{_SCORE} {{at}}/beir"],
    "beir/qrels/test.tsv": [f"{_SCORE} {{at}}/beir", f"{_SCORE} {{at}}/beir --strict"],
    "beir/candidates.trec": [f"{_SCORE} {{at}}/beir", f"{_OTHERS} run:{{file}}"],
    "own/corpus.jsonl": _OWN,
    "own/queries.jsonl": _OWN,
    "own/pools.jsonl": _OWN,
    "parquet/corpus.parquet": [f"{_SCORE} {{at}}/parquet"],
    "parquet/queries.parquet": [f"{_SCORE} {{at}}/parquet"],
    "parquet/pools.parquet": [f"{_SCORE} {{at}}/parquet"],
    "instructions.txt": [f"{_OTHERS} random --instructions {{file}}", f"{_OTHERS} random --instruction @{{file}}"],
    "instructions.json": [
        f"{_OTHERS} random --instructions {{file}}",
        "fresco tune --reranker bm25 --benchmark {at}/own --resamples 2 --store {at}/s.sqlite --out {at}/out "
        "--instructions {file}",
    ],
    "facts.csv": [f"{_FACTS} {{file}}"],
    "facts.jsonl": [f"{_FACTS} {{file}}"],
    "facts.parquet": [f"{_FACTS} {{file}}"],
    "relations/own_chief.toml": [f"{_FACTS} {{at}}/facts.csv"],
    "values.jsonl": [
        f"fresco answer {_SMALL} --reranker random --benchmark {{at}}/own --facts {{file}} "
        "--reader http://127.0.0.1:9/v1#m&retries=0"
    ],
    "clauses.toml": ["fresco optimize --reranker bm25 --benchmark {at}/own --clauses {file} --out {at}/out"],
    "template.txt": [f"{_OTHERS} causal-lm:{{at}}/none --template {{file}}"],
    "cure.json": [f"{_OTHERS} recency:bm25,{{file}}"],
    "dump.jsonl": [f"fresco build --out {{at}}/out {_BUILD}/dump.jsonl"],
    "dump.xml": [f"fresco build --out {{at}}/out {_BUILD}/dump.xml"],
    "titles.txt": [f"fresco build --out {{at}}/out {_BUILD}/dump.jsonl --titles {{file}}"],
    "built/manifest.jsonl": [f"fresco build --out {{at}}/out {_BUILD}/dump.jsonl --manifest {{file}}"],
    "built/benchmark.json": [f"{_SCORE} {{at}}/built"],
    "built/stages/state.json": [
        "fresco build --out {at}/built --status",
        f"fresco build --out {{at}}/built {_BUILD}/dump.jsonl",
    ],
    "run/run.json": _RUNS,
    "run/metrics.json": _RUNS,
    "run/per_query.parquet": _RUNS,
    "scores.sqlite": [f"{_OTHERS} bm25".replace("{at}/s.sqlite", "{file}")],
    "questions.jsonl": [
        f"{_ROLLOUT} --questions {{file}}",
        "ccs evaluate --trajectories {at}/rollouts.jsonl --questions {file} --resamples 2",
    ],
    "questions.parquet": [f"{_ROLLOUT} --questions {{file}}"],
    "passages.jsonl": [_INDEX],
    "passages.tsv": [_INDEX],
    "passages.parquet": [_INDEX],
    "rollouts.jsonl": [
        "ccs reward --trajectories {file} --out {at}/out.jsonl",
        f"ccs evaluate --trajectories {{file}} {_GOLD}",
        f"ccs audit --trajectories {{file}} {_GOLD}",
        _PAGE,
        f"{_WARMUP} {{file}}",
    ],
    "rewards.jsonl": ["ccs reward --trajectories {at}/rollouts.jsonl --out {file}", _PAGE],
    "rewards.rows.parquet": ["ccs report {at}/rewards.jsonl {at}/rollouts.jsonl --out {at}/page.html"],
    "reward.yaml": [
        "ccs reward --config {file} --print-config",
        "ccs reward --trajectories {at}/rollouts.jsonl --out {at}/out.jsonl --config {file}",
    ],
    "train.yaml": ["ccs train --config {file} --print-config", f"{_WARMUP} {{at}}/rollouts.jsonl"],
    "prompt.txt": [f"{_ROLLOUT} --questions {{at}}/questions.jsonl --prompt {{file}}"],
    "index/manifest.json": [f"{_SEARCH} --questions {{at}}/questions.jsonl"],
    "index/passages.json": [f"{_SEARCH} --questions {{at}}/questions.jsonl"],
    "index/.claim.json": ["ccs index --corpus {at}/passages.jsonl --out {at}/index"],
    "index/passages.npy": [f"{_SEARCH} --questions {{at}}/questions.jsonl"],
    "index/passages.jsonl": [f"{_SEARCH} --questions {{at}}/questions.jsonl"],
    "index/bm25/words.json": [f"{_SEARCH} --questions {{at}}/questions.jsonl"],
}


class HungError(Exception):
    """A command that did not end."""


@contextmanager
def bounded(seconds: int) -> Iterator[None]:
    def ring(_number: int, _frame: FrameType | None) -> None:
        raise HungError

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("material")
    make(folder)
    return folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of their own, where the commands stand and write; nothing of a case is a path outside it."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("FRESCO_LOGS", str(tmp_path / "logs"))
    monkeypatch.setenv("FRESCO_STORE", str(tmp_path / "default.sqlite"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("FRESCO_DEBUG", raising=False)
    return tmp_path


def fault_of(command: list[str], place: Path, capfd: pytest.CaptureFixture[str]) -> str:
    """What is wrong with how a command ended; empty where nothing is."""
    try:
        with bounded(_SECONDS):
            code = run(command[0], *command[1:])
    except HungError:
        return "hung"
    finally:
        printed = capfd.readouterr()
    logs = sorted((place / "logs").glob("*")) if (place / "logs").exists() else []
    if logs:
        text = logs[-1].read_text()
        shutil.rmtree(place / "logs")
        return f"crashed: {text[-1500:]}"
    if code not in (0, 1, 2):
        return f"code {code}: {printed.err[-500:]}"
    if "Traceback" in printed.err or "\x1b[31m" in printed.err + printed.out:
        return f"showed what it should not: {printed.err[-500:]}"
    if code == 2 and not printed.err.strip():
        return "refused without a word"
    last = printed.err.rstrip().rpartition("\n")[2] if code == 2 else ""
    return f"a line of {len(last)} characters" if len(last) > 1700 else ""


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_no_mutated_file_crashes_its_readers(
    name: str, material: Path, place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    draw = random.Random(f"{seed()} {name}")
    faults = []
    for number in range(how_many(6)):
        at = place / "at"
        shutil.copytree(material, at)
        target = at / name
        change, content = mutated(target.read_bytes(), draw)
        target.write_bytes(content)
        for reader in READERS[name]:
            command = reader.format(at=at, file=target).split()
            if fault := fault_of(command, place, capfd):
                faults.append(f"case {number} ({change}), {' '.join(command[:2])}: {fault}\n{content[:300]!r}")
        shutil.rmtree(at)
    assert not faults, f"{len(faults)}\n" + "\n\n".join(faults[:12])


def words() -> list[tuple[str, str, str]]:
    drawn = random.Random(seed())
    cases = [
        (command, action.option_strings[0], str(word))
        for command, parser in subcommands()
        for action in parser._actions
        if action.option_strings and action.nargs != 0
        for word in NASTY
        if "/dev/" not in str(word)
    ]
    drawn.shuffle(cases)
    return cases


@pytest.mark.slow
@pytest.mark.parametrize("command", BASES)
def test_no_word_behind_an_option_crashes(command: str, place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    mine = [case for case in words() if case[0] == command][: how_many(10)]
    faults = []
    for _, option, word in mine:
        at = place / "at"
        at.mkdir()
        # As a shell gives it: bytes that are no UTF-8 arrive as half surrogates, and no argument holds a null byte.
        text = word.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape").replace("\0", "")
        given = [*command.split(), *BASES[command].format(out=at).split(), option, text]
        if command in ("fresco optimize", "fresco tune"):
            given += ["--resamples", "0"]  # ends at the parser: the work would take minutes
        elif command.endswith("serve"):
            given += ["--port", "70000"]
        if fault := fault_of(given, place, capfd):
            faults.append(f"{command} {option} {word[:80]!r}: {fault}")
        shutil.rmtree(at)
        for left in (place / "here").iterdir():
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink()
    assert not faults, f"{len(faults)} of {len(mine)}\n" + "\n\n".join(faults[:12])
