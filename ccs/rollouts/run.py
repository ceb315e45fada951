"""A run of ``ccs rollout``: many rollouts into a file, what is told of them, and the record of how they were made."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ccs.agent.environment import Limits
from ccs.agent.protocol import write_prompt
from ccs.agent.question import Question
from ccs.agent.trajectory import Trajectory
from ccs.rollouts.file import open_rollouts, read_record, read_trajectories, write_record
from ccs.rollouts.many import roll_out_many
from ccs.rollouts.one import Sampling, roll_out
from ccs.rollouts.searches import GatheredSearches
from fresco.clients.llm import ChatClient
from fresco.io.provenance import environment
from fresco.terminal.progress import Progress, no_progress

if TYPE_CHECKING:
    import pandas as pd

    from ccs.retrieve.base import Retriever


@dataclass(frozen=True, slots=True)
class RolloutPlan:
    """What decides a record besides its question, the model and the retriever.

    Attributes:
        agent: One of :data:`ccs.agent.protocol.AGENTS`.
        samples: Trajectories of each question.
        limits: The budget of each.
        sampling: How turns are generated.
        template: Another prompt, of :func:`ccs.agent.protocol.read_template`.
        form: One of :data:`ccs.agent.formats.FORMATS`.
    """

    agent: str
    samples: int
    limits: Limits
    sampling: Sampling
    template: str | None = None
    form: str = "ccs"

    def identity(self, model: str) -> dict[str, Any]:
        """The same as a mapping, for the record. Addresses are left out: servers move."""
        prompt = hashlib.sha256(write_prompt(self.agent, "", self.template).encode()).hexdigest()
        settings = {"agent": self.agent, "model": model, **asdict(self.limits), **asdict(self.sampling)}
        if not self.sampling.begin:  # files that are older than an option go on
            del settings["begin"]
        own = {} if self.form == "ccs" else {"format": self.form}
        return {**settings, **own, "prompt_sha256": prompt}


class Rollouts:
    """The trajectories of a run, in the order of the questions; a sequence of :class:`Trajectory`.

    Attributes:
        path: The file that holds them; None where the caller wanted none.
        stops: How many ended how, by :data:`ccs.agent.trajectory.STOPS`.
        counts: Of the rollouts of this run alone: searches, searches that found nothing, malformed turns.
        error: The first failure of this run; empty where there was none.
        torn: Whether the file had ended in half a line, which was dropped.
    """

    def __init__(self, path: Path, stops: Mapping[str, int], told: _Tally, *, torn: bool, keep: bool) -> None:
        self._source = path
        self.path = path if keep else None
        self.stops = dict(stops)
        self.counts = dict(told.counts)
        self.error = told.error
        self.torn = torn
        if not keep:
            _ = self.trajectories  # the file goes away with the folder it is in

    @cached_property
    def trajectories(self) -> list[Trajectory]:
        """All of them, read from the file when first asked for."""
        return read_trajectories(self._source)

    def __len__(self) -> int:
        return sum(self.stops.values())

    def __iter__(self) -> Iterator[Trajectory]:
        return iter(self.trajectories)

    def __getitem__(self, number: int) -> Trajectory:
        return self.trajectories[number]

    def to_frame(self) -> pd.DataFrame:
        """A row for each trajectory: ids, question, answer, how it ended, and what it did."""
        import pandas as pd

        return pd.DataFrame(
            {
                "question_id": each.question_id,
                "sample": each.sample,
                "question": each.question,
                "answer": each.answer,
                "stop": each.stop,
                "searches": len(each.searches),
                "malformed turns": each.faults,
                "queries": [turn.query for turn in each.searches],
            }
            for each in self
        )

    def _repr_html_(self) -> str:
        html: str = self.to_frame()._repr_html_()  # type: ignore[operator] # pandas escapes what it shows
        return html


class _Tally:
    """What is counted while rollouts run."""

    def __init__(self, done: int, total: int, progress: Progress) -> None:
        self._done, self._total, self._progress = done, total, progress
        self.counts: Counter[str] = Counter()
        self.error = ""
        progress("rollouts", done, total)

    def add(self, trajectory: Trajectory) -> None:
        searches = trajectory.searches
        self.counts["searches"] += len(searches)
        self.counts["searches that found nothing"] += sum(not turn.hits for turn in searches)
        self.counts["malformed turns"] += trajectory.faults
        self.error = self.error or trajectory.error
        self._done += 1
        self._progress("rollouts", self._done, self._total)


def run_rollouts(
    questions: Sequence[Question],
    client: ChatClient,
    retriever: Retriever | None,
    plan: RolloutPlan,
    path: Path,
    *,
    sources: Sequence[str] = (),
    keep: bool = True,
    progress: Progress = no_progress,
) -> Rollouts:
    """Roll out what the file does not hold yet.

    Args:
        questions: To work on.
        client: The model.
        retriever: None where the agent does not search.
        plan: Everything else that decides a trajectory.
        path: Of the trajectories; its record stands beside it.
        sources: Where the questions came from, for the record.
        keep: False reads the trajectories at once, because the file is about to go.
        progress: Told of each rollout.

    Raises:
        FrescoError: the file is of another run, or the servers are gone; what was done is kept.
    """
    identity = plan.identity(client.identity)

    settings = {name: getattr(plan, name) for name in ("agent", "limits", "sampling", "template", "form")}
    with open_rollouts(path, questions, identity) as file, GatheredSearches(retriever) as searches:

        async def roll(question: Question, sample: int) -> Trajectory:
            return await roll_out(client, searches, question, sample, **settings)

        started = time.perf_counter()
        told = _Tally(len(file.done), len(questions) * plan.samples, progress)
        begun = roll_out_many(questions, plan.samples, roll, client, file, told.add)
        stops = file.finish()
        # The record says how long the work took: a run that had nothing to do must not replace that.
        if begun or read_record(path).get("status") != "complete":
            _write_record(path, identity, client, retriever, sources, stops, time.perf_counter() - started)
        return Rollouts(path, stops, told, torn=file.torn, keep=keep)


def _write_record(
    path: Path,
    identity: Mapping[str, Any],
    client: ChatClient,
    retriever: Retriever | None,
    sources: Sequence[str],
    stops: Mapping[str, int],
    seconds: float,
) -> None:
    record = {
        "identity": identity,
        "status": "incomplete" if stops.get("error") else "complete",
        "questions": list(sources),
        "model": client.shown,
        "retriever": getattr(retriever, "name", None),
        "trajectories": dict(stops),
        "seconds": round(seconds, 3),
        "client": dict(client.totals),
        "environment": environment(),
    }
    write_record(path, record)
