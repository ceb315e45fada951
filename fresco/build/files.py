"""The builder's files: written whole or not at all, one build at a time in a folder, stages that know their inputs."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fresco.errors import FrescoError

#: The stages, in order, with the file that each leaves.
STAGES = {
    "facts": "1-facts.jsonl",
    "revisions": "2-revisions.jsonl",
    "align": "3-align.jsonl",
    "queries": "4-queries.jsonl",
    "pools": "5-pools.jsonl",
}
_STATE = "state.json"


def write_atomically(path: Path, text: str | bytes) -> None:
    """Write a file so that it holds the old or the new content, whenever the process dies.

    Raises:
        FrescoError: it cannot be written (disk full, no right).
    """
    data = text.encode() if isinstance(text, str) else text
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        raise FrescoError(f"{path}: cannot be written: {error.strerror or error}") from error


def lines(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as JSON Lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON Lines file of our own."""
    with path.open(encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for one build; the system gives it back when the process ends, however it ends.

    Raises:
        FrescoError: another process holds it, or it cannot be made.
    """
    with _held(folder / ".lock", f"{folder}", "another process is at work in this folder"):
        yield


@contextmanager
def locked_file(path: Path) -> Iterator[None]:
    """Hold a file that is written piece by piece; otherwise as :func:`locked`.

    Raises:
        FrescoError: another process writes it, or its folder cannot be made.
    """
    with _held(path.with_name(f".{path.name}.lock"), f"{path}", "another process writes this file"):
        yield


@contextmanager
def _held(lock: Path, what: str, busy: str) -> Iterator[None]:
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        stream = lock.open("a")
    except OSError as error:
        raise FrescoError(f"{what}: cannot be used: {error.strerror or error}") from error
    with stream:
        if not _lock(stream.fileno()):
            raise FrescoError(f"{what}: {busy}; wait for it or give another --out")
        yield


def _lock(descriptor: int) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError:
            return False
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


class Stages:
    """The stages of a build: each file is made once for the same inputs.

    A stage is done when its file is there with the hash noted in ``state.json``, made from the same options and the
    same files of earlier stages; else it is made again.

    Args:
        folder: ``stages/`` of the benchmark's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._state_path = folder / _STATE
        self._state: dict[str, dict[str, Any]] = {}
        if self._state_path.exists():
            try:
                self._state = json.loads(self._state_path.read_text(encoding="utf-8"))
            except ValueError:
                self._state = {}  # not ours, or of a file system that lost it: all stages are made again

    def path(self, stage: str) -> Path:
        """The file that a stage leaves."""
        return self.folder / STAGES[stage]

    def run(
        self,
        stage: str,
        options: Sequence[Any],
        after: Sequence[str],
        make: Callable[[], tuple[str, Mapping[str, Any]]],
        outputs: Sequence[Path] = (),
    ) -> Mapping[str, Any]:
        """Make a stage's file unless it is there already.

        Args:
            stage: Its name.
            options: What of the configuration decides its content.
            after: Stages whose files go in.
            make: Gives the text of the file and the counts for the funnel.
            outputs: Other files that ``make`` writes.

        Returns:
            The counts, of now or of then.
        """
        parts = [stage, [str(option) for option in options], [digest(self.path(each)) for each in after]]
        key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
        done = self._state.get(stage)
        path = self.path(stage)
        if done and done["key"] == key and done["sha256"] == _digests(path, *outputs):
            return dict(done["counts"])
        text, counts = make()
        write_atomically(path, text)
        self._state[stage] = {"key": key, "sha256": _digests(path, *outputs), "counts": dict(counts)}
        write_atomically(self._state_path, json.dumps(self._state, indent=1, ensure_ascii=False) + "\n")
        return counts

    def done(self) -> dict[str, Mapping[str, Any]]:
        """The counts of the stages whose files are there as they were left."""
        return {
            stage: state["counts"]
            for stage in STAGES
            if (state := self._state.get(stage)) and state["sha256"][:1] == _digests(self.path(stage))
        }


def _digests(*paths: Path) -> list[str]:
    return [digest(path) if path.exists() else "" for path in paths]
