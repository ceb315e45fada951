"""The file of a rollout: a line a trajectory, appended as they end, so that a killed run goes on where it was.

Beside ``FILE`` stand ``FILE.run.json``, which says how the file was made, and a lock while a run writes. A line is
written with one call, so that a kill tears at most the last one; at the end the file is put in the questions' order.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ccs.agent.question import Question
from ccs.agent.trajectory import Trajectory, parse_trajectory
from fresco.errors import FrescoError
from fresco.io.files import locked_file, replacing
from fresco.io.secrets import redacted
from fresco.io.state import read_state, write_state

Key = tuple[str, int]


def read_trajectories(path: Path) -> list[Trajectory]:
    """The trajectories of a file, in its order; where one was tried again after an error, the result alone.

    Raises:
        FrescoError: no such file, or a line of it is no trajectory.
    """
    found: dict[Key, Trajectory] = {}
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                trajectory = _parse(line, f"{path}:{number}")
                key = (trajectory.question_id, trajectory.sample)
                if key not in found or trajectory.stop != "error":
                    found[key] = trajectory
    except OSError as error:
        raise FrescoError(f"{path}: cannot be read: {error.strerror or error}; name a file of `ccs rollout`") from error
    if not found:
        raise FrescoError(f"{path}: holds no trajectory")
    return list(found.values())


def as_trajectories(value: Any) -> list[Trajectory]:
    """Trajectories from what a caller has: a file of them, or trajectories themselves.

    Raises:
        FrescoError: as :func:`read_trajectories`, or there is none.
    """
    found = read_trajectories(Path(value)) if isinstance(value, str | os.PathLike) else list(value)
    if not found:
        raise FrescoError("there is no trajectory")
    return found


class RolloutFile:
    """Collects trajectories; opened with :func:`open_rollouts`.

    Attributes:
        done: The (question id, sample) that need no further rollout.
        torn: Whether the file ended in half a line, which was dropped.
    """

    def __init__(self, path: Path, questions: Sequence[Question]) -> None:
        self._path = path
        self._order = {question.id: number for number, question in enumerate(questions)}
        self.torn = _drop_torn_line(path)
        texts = {question.id: question.text for question in questions}
        self._stream: IO[bytes] = path.open("ab", buffering=0)
        self.done = {key for key, (_, stop) in _index(path, texts).items() if stop != "error"}

    def append(self, trajectory: Trajectory) -> None:
        """Write one record; threads must take turns."""
        self._stream.write(f"{trajectory.to_json()}\n".encode())

    def finish(self) -> dict[str, int]:
        """Put the file in the questions' order, one record a key.

        Returns:
            How many records have which ``stop``.
        """
        self._stream.close()
        index = _index(self._path, {})
        keys = sorted(index, key=lambda key: (self._order.get(key[0], math.inf), key))
        if [index[key][0] for key in keys] != _offsets(self._path):
            with self._path.open("rb") as source, replacing(self._path) as target:
                for key in keys:
                    source.seek(index[key][0])
                    target.write(source.readline())
        counts: dict[str, int] = {}
        for key in keys:
            counts[index[key][1]] = counts.get(index[key][1], 0) + 1
        return counts

    def close(self) -> None:
        """Close the file as it is."""
        self._stream.close()


@contextmanager
def open_rollouts(path: Path, questions: Sequence[Question], identity: Mapping[str, Any]) -> Iterator[RolloutFile]:
    """Open the file of a run, new or begun.

    Args:
        path: Where.
        questions: Whose records it is to hold, in the final order.
        identity: What decides a record besides the question; a file begun with another is refused.

    Raises:
        FrescoError: made with other settings or other questions, in use by another process, damaged, or not writable.
    """
    try:
        with locked_file(path):
            _check_identity(path, identity)
            file = RolloutFile(path, questions)
            try:
                yield file
            finally:
                file.close()
    except OSError as error:
        raise FrescoError(f"{error.filename or path}: cannot be used: {error.strerror or error}") from error


def record_path(path: Path) -> Path:
    """Where it is written how a file of trajectories was made."""
    return path.with_name(f"{path.name}.run.json")


def read_record(path: Path) -> dict[str, Any]:
    """The record of a file's run.

    Raises:
        FileNotFoundError: there is none.
        FrescoError: it is damaged.
    """
    return read_state(record_path(path), {"identity": dict}, "give another --out")


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Write the record of a file's run."""
    write_state(record_path(path), record)


def _check_identity(path: Path, identity: Mapping[str, Any]) -> None:
    try:
        found = read_record(path)["identity"]
    except FileNotFoundError:
        if path.exists() and path.stat().st_size:
            raise FrescoError(
                f"{path} is there but {record_path(path).name} is not, which says how it was made; give another --out"
            ) from None
        write_record(path, {"identity": dict(identity), "status": "running"})
        return
    identity = redacted(identity)
    for name in sorted({*identity, *found}):
        if found.get(name) != identity.get(name):
            raise FrescoError(
                f"{path} was made with {name} {found.get(name)!r}, this run has {identity.get(name)!r}; give another "
                "--out or the same settings"
            )


def _drop_torn_line(path: Path) -> bool:
    """Cut off what follows the last line break; a kill within a write leaves that."""
    if not path.exists():
        return False
    with path.open("r+b") as stream:
        size = stream.seek(0, os.SEEK_END)
        end = size
        while end > 0:
            start = max(0, end - 65536)
            stream.seek(start)
            at = stream.read(end - start).rfind(b"\n")
            if at >= 0:
                end = start + at + 1
                break
            end = start
        stream.truncate(end)
        return end < size


def _index(path: Path, texts: Mapping[str, str]) -> dict[Key, tuple[int, str]]:
    """The offset of the last record of each key, and how it stopped; a result is never replaced by an error."""
    index: dict[Key, tuple[int, str]] = {}
    with path.open("rb") as stream:
        offset = 0
        for number, line in enumerate(stream, 1):
            where = f"{path}:{number}"
            trajectory = _parse(line, where)
            if texts.get(trajectory.question_id, trajectory.question) != trajectory.question:
                raise FrescoError(
                    f"{where}: question {trajectory.question_id!r} reads otherwise here than in --questions; give "
                    "another --out"
                )
            key = (trajectory.question_id, trajectory.sample)
            if key not in index or trajectory.stop != "error":
                index[key] = (offset, trajectory.stop)
            offset += len(line)
    return index


def _offsets(path: Path) -> list[int]:
    offsets, offset = [], 0
    with path.open("rb") as stream:
        for line in stream:
            offsets.append(offset)
            offset += len(line)
    return offsets


def _parse(line: bytes, where: str) -> Trajectory:
    try:
        return parse_trajectory(line.decode("utf-8"), where)
    except UnicodeDecodeError as error:
        raise FrescoError(f"{where}: no UTF-8 ({error.reason})") from None
