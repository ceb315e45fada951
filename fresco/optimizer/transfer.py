"""``fresco score --instructions``: does a front carry over to another re-ranker, and how much does wording move it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fresco.errors import FrescoError
from fresco.metrics.aggregate import rounded
from fresco.metrics.catalog import ALL, PRIMARY
from fresco.metrics.evaluate import Evaluation
from fresco.optimizer.proposers.file import NamedInstruction, check_instructions, read_instructions, read_seen
from fresco.optimizer.seen import refuse_seen
from fresco.records import Pool, Task
from fresco.rerank.base import Reranker
from fresco.rerank.instructed import Instructed
from fresco.results.table import find


class Transfer:
    """The rows of one run that belong to some instructions.

    Args:
        source: A file, see :func:`fresco.optimizer.proposers.file.read_instructions`; or the instructions themselves.

    Raises:
        FrescoError: the file is none of instructions, or there is none.
    """

    def __init__(self, source: str | Path | Sequence[str]) -> None:
        if isinstance(source, str | Path):
            self.source = str(source)
            self.instructions: Sequence[NamedInstruction] = read_instructions(Path(source))
            self._seen = read_seen(Path(source))
        else:
            self.source = "a list"
            self.instructions = check_instructions(source)
            self._seen = []
        self._rows: dict[str, dict[str, str]] = {}  # re-ranker to instruction id to row

    @property
    def texts(self) -> list[str]:
        """The instructions, for a run's identity."""
        return [each.text for each in self.instructions]

    def check_unseen(self, pools: Sequence[Pool]) -> None:
        """See :func:`fresco.optimizer.seen.refuse_seen`."""
        refuse_seen(pools, self._seen, self.source)

    def expand(self, rerankers: Sequence[Reranker]) -> list[Reranker]:
        """Each re-ranker that takes an instruction, under its default and under each instruction; others as they are.

        Raises:
            FrescoError: none takes an instruction.
        """
        expanded: list[Reranker] = []
        for reranker in rerankers:
            if not reranker.takes_instruction:
                expanded.append(reranker)
                continue
            names = {each.id: f"{reranker.name} [{each.id}]" for each in self.instructions}
            self._rows[reranker.name] = names
            expanded.append(Instructed(reranker, None, reranker.name, last=False))
            expanded += [
                Instructed(reranker, each.text, names[each.id], last=each is self.instructions[-1])
                for each in self.instructions
            ]
        if not self._rows:
            raise FrescoError("--instructions: no re-ranker of this run takes one; `fresco rerankers` lists which do")
        return expanded

    def rows_of(self, names: Sequence[str]) -> list[str]:
        """The names of re-rankers, each followed by those of its rows under the instructions."""
        return [row for name in names for row in (name, *self._rows.get(name, {}).values())]

    def record(self, evaluation: Evaluation) -> dict[str, Any]:
        """For ``run.json``: the legend and, for each re-ranker, what the instructions did.

        ``gain`` is against the re-ranker's default instruction, paired by query. ``sensitivity`` is over the
        instructions alone: the range of MAP and its standard deviation. An instruction carries over where it gains EK
        (95 % interval above zero) while the interval of its NEK gain reaches zero.
        """
        return {
            "file": self.source,
            "legend": {each.id: each.text for each in self.instructions},
            "rerankers": {name: self._effects(evaluation, name) for name in self._rows},
        }

    def _effects(self, evaluation: Evaluation, name: str) -> dict[str, Any]:
        gains = {key: _gains(evaluation, name, row) for key, row in self._rows[name].items()}
        sensitivity = {}
        for task in Task:
            rows = [find(evaluation.rows, row, task, ALL, PRIMARY) for row in self._rows[name].values()]
            values = [row["value"] for row in rows if row is not None]
            if len(values) > 1:
                sensitivity[str(task)] = {
                    "range": rounded(max(values) - min(values)),
                    "sd": rounded(float(np.std(values, ddof=1))),
                }
        return {
            "gain": gains,
            "carries_over": [key for key, gain in gains.items() if _carries_over(gain)],
            "sensitivity": sensitivity,
        }


def _gains(evaluation: Evaluation, default: str, row: str) -> dict[str, dict[str, Any]]:
    frame = evaluation.comparisons
    own = frame[(frame["a"] == default) & (frame["b"] == row) & (frame["kind"] == ALL) & (frame["metric"] == PRIMARY)]
    return {
        record["task"]: {
            "value": rounded(record["difference"]),
            "ci_low": rounded(record["ci_low"]),
            "ci_high": rounded(record["ci_high"]),
            "p_holm": rounded(record["p_holm"]),
        }
        for record in own.to_dict("records")
    }


def _carries_over(gain: Mapping[str, Mapping[str, Any]]) -> bool:
    ek, nek = gain.get(str(Task.EK)), gain.get(str(Task.NEK))
    gains = ek is not None and ek["ci_low"] is not None and ek["ci_low"] > 0
    loses = nek is not None and nek["ci_high"] is not None and nek["ci_high"] < 0
    return gains and not loses
