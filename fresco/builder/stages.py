"""The builder's files: written whole or not at all, one build at a time in a folder, stages that know their inputs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fresco.errors import FrescoError
from fresco.io.files import digest, write_atomically
from fresco.io.state import read_state, write_state

#: The stages, in order, with the file that each leaves.
STAGES = {
    "facts": "1-facts.jsonl",
    "revisions": "2-revisions.jsonl",
    "align": "3-align.jsonl",
    "queries": "4-queries.jsonl",
    "pools": "5-pools.jsonl",
}
_STATE = "state.json"


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
                found = read_state(self._state_path, {}, "")
                self._state = {stage: own for stage, own in found.items() if _is_stage(own)}
            except FrescoError:
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
        write_state(self._state_path, self._state)
        return counts

    def done(self) -> dict[str, Mapping[str, Any]]:
        """The counts of the stages whose files are there as they were left."""
        return {
            stage: state["counts"]
            for stage in STAGES
            if (state := self._state.get(stage)) and state["sha256"][:1] == _digests(self.path(stage))
        }


def _is_stage(own: Any) -> bool:
    if not isinstance(own, dict):
        return False
    sums, counts = own.get("sha256"), own.get("counts")
    return isinstance(own.get("key"), str) and isinstance(sums, list) and isinstance(counts, dict)


def _digests(*paths: Path) -> list[str]:
    return [digest(path) if path.exists() else "" for path in paths]
