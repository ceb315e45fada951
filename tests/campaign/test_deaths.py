"""Every command that writes: killed, interrupted, on a disk that fails; run again, it ends in the same bytes."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import pytest

from fresco.terminal.parser import run_command
from tests.campaign import how_many, seed
from tests.campaign.disk import BROKEN, FULL, KILL, SHORT, Disk
from tests.campaign.material import REFERENCE, make, run
from tests.ccs.scripted import as_vllm, wanderer
from tests.servers import chat_api, retrieve_api
from tests.waiting import PATIENCE

_SMALL = "--resamples 20 --no-baselines --store {at}/s.sqlite"
#: Commands that write; what they leave lies below ``out``.
WRITERS = {
    "score": f"fresco score {_SMALL} --benchmark {{in}}/own --reranker bm25 --reranker newest --out {{at}}/out",
    "build": f"fresco build --workers 1 --reference {REFERENCE} --mirror {{in}}/dump.jsonl --out {{at}}/out",
    "hydrate": "fresco build --workers 1 --mirror {in}/dump.jsonl --manifest {in}/built/manifest.jsonl --out {at}/out",
    "audit": "fresco audit {in}/own --resamples 5 --out {at}/out/audit.json",
    "report": "fresco report {in}/run {in}/other --out {at}/out/page.html",
    "index": "ccs index --corpus {in}/passages.jsonl --out {at}/out",
    "rollout": "ccs rollout --questions {in}/questions.jsonl --model {model}#tiny/chat --retriever {retriever} "
    "--samples 3 --concurrency 2 --retries 1 --out {at}/out/r.jsonl",
    "reward": "ccs reward --trajectories {in}/rollouts.jsonl --out {at}/out/rewards.jsonl --cache {at}/c.sqlite",
    "evaluate": "ccs evaluate --trajectories {in}/rollouts.jsonl --questions {in}/questions.jsonl --resamples 5 "
    "--out {at}/out",
    "ccs audit": "ccs audit --trajectories {in}/rollouts.jsonl --questions {in}/questions.jsonl --resamples 5 "
    "--out {at}/out",
}
_VOLATILE = ("run.json", ".lock", ".claim.json", "audit.json")  # times, versions and where it ran


@dataclass(frozen=True)
class Ground:
    """Where the commands of the module run: their inputs, and servers that answer the same to the same."""

    inputs: Path
    model: str
    retriever: str

    def command(self, name: str, at: Path) -> list[str]:
        places = {"in": self.inputs, "at": at, "model": self.model, "retriever": self.retriever}
        return WRITERS[name].format(**places).split()


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    folder = tmp_path_factory.mktemp("ground")
    make(folder)
    with ExitStack() as stack:
        model = stack.enter_context(chat_api.serve(lambda body: as_vllm(wanderer(body), body)))
        found = stack.enter_context(retrieve_api.serve(lambda query, k: [f'"T{n}"\nOn {query}.' for n in range(k)]))
        yield Ground(folder, model.url, found.url)


def _only_at_work(_number: int, frame: FrameType | None) -> None:
    """Ctrl-C that meets a command at its work; the instants around it, which are the test's as well, let it pass."""
    while frame is not None and frame.f_back is not None:
        caller = frame.f_back
        if caller.f_code is run_command.__code__ and frame.f_code is caller.f_locals["run"].__code__:
            raise KeyboardInterrupt
        frame = caller


@contextmanager
def child(command: list[str], log: Path, disk: Disk | None = None) -> Iterator[int]:
    """The command in a forked child, whose libraries are loaded: what happens to it falls into its work.

    It has begun when the block does.
    """
    reader, writer = os.pipe()
    own = os.fork()
    if not own:
        signal.signal(signal.SIGINT, _only_at_work)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        sys.stdout = os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", closefd=False)
        for name in ("FRESCO_DEBUG",):
            os.environ.pop(name, None)
        os.close(writer)
        if disk:
            disk.install()
        try:
            code = run(command[0], *command[1:])
            sys.stdout.flush()
        except BaseException as error:
            os.write(2, f"uncaught {type(error).__name__}: {error}".encode())
            code = 99
        os._exit(code)
    os.close(writer)
    os.read(reader, 1)  # until the child has closed its end
    os.close(reader)
    yield own


def ended(own: int) -> int:
    """The status of a child, which must not hang."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found, status = os.waitpid(own, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(own, signal.SIGKILL)
            os.waitpid(own, 0)
            pytest.fail("hung")
        time.sleep(0.005)


def left(at: Path) -> dict[str, bytes]:
    """Every file below ``out`` that must be the same bytes; nothing unfinished may lie there."""
    files = [
        path for path in sorted((at / "out").rglob("*")) if path.is_file() and path.suffix not in (".sqlite", ".lock")
    ]
    assert not [path for path in files if path.name.endswith((".tmp", ".tmp.npz")) or ".writing-" in str(path)]
    return {
        str(path.relative_to(at)): b"" if path.name.endswith("r.jsonl") else path.read_bytes()
        for path in files
        if not path.name.endswith(_VOLATILE)
    }


def whole(name: str, ground: Ground, at: Path) -> float:
    """Run it undisturbed; the seconds it took."""
    at.mkdir()
    started = time.monotonic()
    with child(ground.command(name, at), at / "log") as own:
        assert ended(own) == 0, (at / "log").read_text()[-2000:]
    return time.monotonic() - started


def operations(name: str, ground: Ground, at: Path) -> int:
    """How many operations on files it needs."""
    at.mkdir()
    reader, writer = os.pipe()
    disk = Disk(0, KILL)
    if not (own := os.fork()):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        disk.install()
        command = ground.command(name, at)
        run(command[0], *command[1:])
        os.write(writer, str(disk.done).encode())
        os._exit(0)
    os.close(writer)
    assert ended(own) == 0
    with os.fdopen(reader) as stream:
        return int(stream.read())


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
def test_killed_it_goes_on_and_ends_in_the_same_bytes(name: str, ground: Ground, tmp_path: Path) -> None:
    draw = random.Random(f"{seed()} {name}")
    seconds = whole(name, ground, tmp_path / "whole")
    wanted = left(tmp_path / "whole")
    count = operations(name, ground, tmp_path / "counted")
    kills = 0
    for number in range(how_many(2)):
        at = tmp_path / f"killed{number}"
        at.mkdir()
        command = ground.command(name, at)
        for death in range(3):  # a round: three deaths of one run, the first for certain
            if death == 0 or draw.random() < 0.7:
                with child(command, at / "log", Disk(draw.randint(1, count), KILL)) as own:
                    kills += ended(own) == -signal.SIGKILL
            else:
                with child(command, at / "log") as own:
                    time.sleep(draw.uniform(0.05, 1) * seconds)
                    os.kill(own, draw.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGINT)))
                    code = ended(own)
                    kills += code != 0
                    assert code in (0, 130, -signal.SIGKILL, -signal.SIGTERM), (at / "log").read_text()[-2000:]
        with child(command, at / "log") as own:
            assert ended(own) == 0, (at / "log").read_text()[-2000:]
        assert left(at) == wanted
        shutil.rmtree(at)
    assert kills > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
def test_a_disk_that_fails_costs_nothing_that_was_there(name: str, ground: Ground, tmp_path: Path) -> None:
    draw = random.Random(f"{seed()} disk {name}")
    whole(name, ground, tmp_path / "whole")
    wanted = left(tmp_path / "whole")
    count = operations(name, ground, tmp_path / "counted")
    for number in range(how_many(4)):
        at = tmp_path / f"disk{number}"
        at.mkdir()
        command = ground.command(name, at)
        what = draw.choice((FULL, BROKEN, SHORT))
        with child(command, at / "log", Disk(draw.randint(1, count), what)) as own:
            code = ended(own)
        said = (at / "log").read_text()
        assert code in (0, 1, 2), f"{what}: {said[-2500:]}"  # 1: of a rollout or reward that may be tried again
        assert "Traceback" not in said
        with child(command, at / "log") as own:
            assert ended(own) == 0, (at / "log").read_text()[-2000:]
        assert left(at) == wanted, what
        shutil.rmtree(at)
