"""What the reconstructor may see of a trajectory: ``psi = psi_mask . psi_trace`` (Cycle-Consistent Search).

``psi_trace`` keeps the searches and what they returned, and drops the rest: the final response, which may restate the
question, all that the model thought, and turns that were no search. ``psi_mask`` masks entities in the queries;
observations stay as they are. Both work on the environment's record, so an ``<information>`` block that the model wrote
does not exist here, and a passage that only repeats what the agent asked is no observation.

Where the queries are blank, how a trajectory searched is nothing to read: it is its distinct passages, in the order
they came. To search again, in vain, or the same page twice changes no number then, and costs a model nothing to read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ccs.agent.protocol import SHORTEST_PASSAGE, one_line, write_information
from ccs.agent.trajectory import Hit, Trajectory, Turn
from ccs.rewards.mask import Masker, MaskOptions, mask_trajectories, open_masker
from ccs.rewards.mask.queries import BLANK
from ccs.rewards.mask.text import FUNCTION_WORDS, WORD

_VERSION = 3
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
        return tuple(self.hits)

    @property
    def hits(self) -> dict[str, Hit]:
        """The first hit of each of :attr:`pages`."""
        found: dict[str, Hit] = {}
        for step in self.steps:
            for hit in step.hits:
                found.setdefault(hit.contents.strip(), hit)
        return found

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
    """The searches of a trajectory, without thoughts, faulty turns, the final response, and echoes of the queries.

    An echo is a passage whose words all stand in its own query, words of grammar aside.
    """
    return Trace(tuple(Step(turn.query or "", _without_echoes(turn)) for turn in trajectory.searches))


def _without_echoes(turn: Turn) -> tuple[Hit, ...]:
    asked = _words(turn.query or "")
    return tuple(hit for hit in turn.hits if not (found := _words(hit.contents)) or not found <= asked)


def _words(text: str) -> set[str]:
    return {word.casefold() for word in WORD.findall(text)} - FUNCTION_WORDS


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
            return [Trace(tuple(Step(BLANK, (hit,)) for hit in trace.hits.values())) for trace in traces]
        asked = [
            ([step.query for step in trace.steps], trajectory.question)
            for trace, trajectory in zip(traces, trajectories, strict=True)
        ]
        return [
            Trace(tuple(Step(query, step.hits) for query, step in zip(queries, trace.steps, strict=True)))
            for queries, trace in zip(mask_trajectories(asked, self._masker, self._options), traces, strict=True)
        ]
