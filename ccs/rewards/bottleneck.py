"""What the reconstructor may see of a trajectory: ``psi = psi_mask . psi_trace`` (Cycle-Consistent Search).

``psi_trace`` keeps the searches and what they returned, and drops the rest: the final response, which may restate the
question, all that the model thought, and turns that were no search. ``psi_mask`` masks entities in the queries;
observations stay as they are. Both work on the environment's record, so an ``<information>`` block that the model wrote
does not exist here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ccs.agent.protocol import SHORTEST_PASSAGE, one_line, write_information
from ccs.agent.trajectory import Hit, Trajectory
from ccs.rewards.mask import Masker, MaskOptions, mask_trajectories, open_masker
from ccs.rewards.mask.queries import BLANK

_VERSION = 2
#: Characters that the passages of one search may have in the rendered text, as in a rollout.
CHARACTERS = 2400


@dataclass(frozen=True, slots=True)
class Step:
    """One search: its query, masked or not, and what came back, best first."""

    query: str
    hits: tuple[Hit, ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """The searches of one trajectory, in order."""

    steps: tuple[Step, ...]

    @property
    def pages(self) -> tuple[str, ...]:
        """The contents of the distinct passages, in the order they came; one that is returned again adds nothing."""
        return tuple(dict.fromkeys(hit.contents.strip() for step in self.steps for hit in step.hits))

    def render(self, characters: int = CHARACTERS) -> str:
        """The trace as text, for a language model.

        Each search is a ``<search>`` line and an ``<information>`` block with a line for each passage. Queries and
        passages are escaped and stand on one line each: nothing in them can open or close a block.

        Args:
            characters: Of the passages of one search; what is longer is cut, visibly.
        """
        return "".join(
            f"<search>{one_line(step.query)}</search>"
            + write_information(step.hits, max(characters, SHORTEST_PASSAGE * len(step.hits)))
            for step in self.steps
        ).strip()


def psi_trace(trajectory: Trajectory) -> Trace:
    """The searches of a trajectory, without thoughts, faulty turns and the final response."""
    return Trace(tuple(Step(turn.query or "", turn.hits) for turn in trajectory.searches))


def open_bottleneck(mask: MaskOptions) -> Bottleneck:
    """The bottleneck with the masker that the options name.

    Raises:
        FrescoError: the masker cannot be opened.
    """
    return Bottleneck(None if mask.blank else open_masker(mask.masker), mask)


class Bottleneck:
    """``psi``: traces with masked queries.

    Args:
        masker: Finds the entities; None blanks all queries, which needs no masker.
        options: How they are masked; also blanks queries, or masks what they share with the question.
    """

    def __init__(self, masker: Masker | None, options: MaskOptions | None = None) -> None:
        self._options = options or MaskOptions()
        self._masker = None if self._options.blank else masker
        how = f"{self._options.fingerprint}|{self._masker.fingerprint}" if self._masker else "blank"
        self.fingerprint = f"bottleneck-{_VERSION}|{how}"

    def __call__(self, trajectories: Sequence[Trajectory]) -> list[Trace]:
        """The trace of each trajectory; the masker sees the queries of all of them at once."""
        traces = [psi_trace(trajectory) for trajectory in trajectories]
        if self._masker is None:
            return [Trace(tuple(Step(BLANK, step.hits) for step in trace.steps)) for trace in traces]
        asked = [
            ([step.query for step in trace.steps], trajectory.question)
            for trace, trajectory in zip(traces, trajectories, strict=True)
        ]
        return [
            Trace(tuple(Step(query, step.hits) for query, step in zip(queries, trace.steps, strict=True)))
            for queries, trace in zip(mask_trajectories(asked, self._masker, self._options), traces, strict=True)
        ]
