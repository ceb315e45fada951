"""The file of ``ccs reward``: a line a trajectory, appended as groups are rewarded, so that a killed run goes on.

Each line names the trajectory by question, sample and content, and the reward by its fingerprint: what was rewarded
otherwise, or is another trajectory now, is rewarded again. At the end the lines stand in the trajectories' order, and
the texts that the rewards were made of (traces, reconstructions) move to a Parquet file beside them, which has a row a
trajectory.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ccs.agent.protocol import well_formed
from ccs.agent.trajectory import Trajectory
from ccs.rewards.base import RewardRow
from fresco.errors import FrescoError
from fresco.io.files import locked_file, write_atomically
from fresco.io.jsonlines import parse_json
from fresco.io.parquet import read_parquet

SCHEMA_VERSION = 1
_TEXTS = ("trace", "reconstruction")


def digest(trajectory: Trajectory) -> str:
    """Short hash of a trajectory's content."""
    return hashlib.sha256(trajectory.to_json().encode("utf-8", "surrogatepass")).hexdigest()[:16]


class RewardFile:
    """Rewards on disk, opened with :func:`open_reward_file`.

    Args:
        path: Where; made where absent.
        reward: Name of the reward.
        fingerprint: Of it.

    Attributes:
        torn: Whether the file ended in half a line, which was dropped.

    Raises:
        FrescoError: it holds something else, or cannot be read.
    """

    def __init__(self, path: Path, reward: str, fingerprint: str) -> None:
        self._path = path
        self._reward, self._fingerprint = reward, hashlib.sha256(fingerprint.encode()).hexdigest()[:16]
        self._lines: dict[str, str] = {}
        try:
            content = path.read_bytes() if path.exists() else b""
        except OSError as error:
            raise FrescoError(f"--out {path}: cannot be used: {error.strerror or error}") from error
        whole = content[: content.rfind(b"\n") + 1]
        self.torn = len(whole) < len(content)
        for number, line in enumerate(whole.splitlines(), 1):
            self._read(line, f"{path}:{number}")

    def __contains__(self, trajectory: Trajectory) -> bool:
        return digest(trajectory) in self._lines

    def append(self, batch: Sequence[Trajectory], rewards: Sequence[RewardRow]) -> None:
        """Write the rewards of a batch; those that failed are tried again by the next run, unless refused for good."""
        fresh = {digest(each): self._line(each, value) for each, value in zip(batch, rewards, strict=True)}
        content = "".join(f"{line}\n" for line in fresh.values())
        try:
            if self.torn:
                write_atomically(self._path, "".join(f"{line}\n" for line in self._lines.values()))
                self.torn = False
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(content)
        except OSError as error:
            raise FrescoError(f"--out {self._path}: cannot be written: {error.strerror or error}") from error
        self._lines |= fresh

    def finish(self, trajectories: Sequence[Trajectory]) -> list[float | None]:
        """Put the lines in order, those of other trajectories left out, and write the Parquet file beside them.

        Returns:
            The rewards, in order.
        """
        rows = [json.loads(self._lines[digest(each)]) for each in trajectories]
        self._write_table(trajectories, rows)
        for row in rows:
            row.pop("seen", None)
        write_atomically(self._path, "".join(f"{json.dumps(row)}\n" for row in rows))
        return [row["reward"] for row in rows]

    def _write_table(self, trajectories: Sequence[Trajectory], rows: Sequence[Mapping[str, Any]]) -> None:
        """All that is known of each reward; texts of an earlier run stand in the file that it wrote."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = table_path(self._path)
        kept = read_texts(path)
        parts = dict.fromkeys(name for row in rows for name in row.get("parts", ()))
        table = [
            {
                "question_id": well_formed(trajectory.question_id),
                "sample": trajectory.sample,
                **{name: row.get(name) for name in ("reward", "cause")},
                "question": well_formed(trajectory.question),
                "answer": None if trajectory.answer is None else well_formed(trajectory.answer),
                **{f"part: {name}": value for name, value in row.get("parts", {}).items()},
                **(row.get("seen") or kept.get(text_key(row), {})),
                "of": text_key(row),
            }
            for trajectory, row in zip(trajectories, rows, strict=True)
        ]
        columns = {"question_id": pa.string(), "sample": pa.int64(), "question": pa.string(), "answer": pa.string()}
        columns |= {"reward": pa.float64(), **{f"part: {name}": pa.float64() for name in parts}}
        columns |= {name: pa.string() for name in ("cause", *_TEXTS, "of")}
        content = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(table, schema=pa.schema(list(columns.items()))), content)
        write_atomically(path, content.getvalue())

    def _read(self, line: bytes, where: str) -> None:
        try:
            row = parse_json(line)
        except ValueError:
            row = None
        if not isinstance(row, Mapping) or row.get("schema_version") != SCHEMA_VERSION or not _is_row(row):
            raise FrescoError(f"{where}: no line of `ccs reward`; give another --out")
        if row.get("fingerprint") == self._fingerprint and (row.get("reward") is not None or row.get("final")):
            self._lines[str(row["trajectory"])] = line.decode()

    def _line(self, trajectory: Trajectory, earned: RewardRow) -> str:
        row: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "question_id": trajectory.question_id,
            "sample": trajectory.sample,
            # Embeddings differ by 1e-7 with what else is in their batch, which a killed run changes.
            "reward": None if earned.value is None else round(earned.value, 6),
            "name": self._reward,
            "fingerprint": self._fingerprint,
            "trajectory": digest(trajectory),
        }
        if earned.parts:
            row["parts"] = {name: round(value, 6) for name, value in earned.parts.items()}
        if earned.cause:
            row |= {"cause": earned.cause, "final": earned.final}
        if earned.seen:
            row["seen"] = dict(earned.seen)
        return json.dumps(row)


def _is_row(row: Mapping[str, Any]) -> bool:
    parts, seen = row.get("parts", {}), row.get("seen", {})
    return (
        isinstance(row.get("trajectory"), str)
        and (row.get("reward") is None or _is_number(row["reward"]))
        and isinstance(row.get("cause", ""), str)
        and isinstance(parts, Mapping)
        and all(map(_is_number, parts.values()))
        and isinstance(seen, Mapping)
        and all(seen.get(name) is None or isinstance(seen[name], str) for name in _TEXTS)
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def table_path(path: Path) -> Path:
    """The Parquet file beside a file of rewards: ``rewards.rows.parquet`` beside ``rewards.jsonl``."""
    return path.with_name(f"{path.stem}.rows.parquet")


def text_key(row: Mapping[str, Any]) -> str:
    """What the texts of a line of rewards are kept under: the reward and the trajectory."""
    return f"{row['fingerprint']} {row['trajectory']}"


def read_texts(path: Path) -> dict[str, dict[str, str]]:
    """The traces and reconstructions of a Parquet file beside rewards, by :func:`text_key`.

    None where the file is missing, or is something else: texts are for a reader, and rewards stand without them.
    """
    try:
        rows = [row for _, row in read_parquet(path, ["of", *_TEXTS])]
        return {row["of"]: {name: row[name] for name in _TEXTS} for row in rows if row["of"]}
    except (FrescoError, KeyError):
        return {}


@contextmanager
def open_reward_file(path: Path, reward: str, fingerprint: str) -> Iterator[RewardFile]:
    """Hold the file of a reward, new or begun, against other processes; see :class:`RewardFile`.

    Raises:
        FrescoError: another process writes it, it holds something else, or it cannot be used.
    """
    with locked_file(path):
        yield RewardFile(path, reward, fingerprint)
