"""Where an agent acts: text of the model in, the text to append to its context out.

The environment owns the record. Queries are run and passages kept here; nothing of a
:class:`~ccs.agent.trajectory.Trajectory` is read back from the context that the model sees. It knows neither who
generates nor how: a served model, TRL's trainer and a scripted agent of a test use it alike::

    environment = Environment(retriever, Limits())
    context = environment.reset(question)
    while not environment.done:
        reply = generate(context)  # stops at protocol.TURN_ENDS
        step = environment.step(reply)
        context += step.reply + step.observation
    environment.trajectory
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ccs.agent import protocol
from ccs.agent.formats import open_format
from ccs.agent.question import Question
from ccs.agent.trajectory import Hit, Trajectory, Turn
from fresco.errors import FrescoError

if TYPE_CHECKING:
    from ccs.retrieve.base import Retriever

# The one fault that is never told: it ends the rollout.
_NO_SEARCH_LEFT = "no search left"


@dataclass(frozen=True, slots=True)
class Limits:
    """The budget of one rollout.

    Attributes:
        turns: In which the agent may search, malformed ones included; one more follows in which only an answer counts.
        top_k: Passages that a search returns.
        tokens: Of the context after any turn (prompt and completion, as the engine counts them); no turn begins beyond.
            None for no limit.
        passages: Over all searches; when they are used up, one more turn follows in which only an answer counts. None
            for no limit.
        observation_characters: Of one information block. 2,400 hold three passages of 100 words.
        query_characters: Of one query; a longer one is malformed.
    """

    turns: int = 4
    top_k: int = 3
    tokens: int | None = 16384
    passages: int | None = None
    observation_characters: int = 2400
    query_characters: int = 1000

    def __post_init__(self) -> None:
        for name in ("top_k", "tokens", "passages", "query_characters"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise FrescoError(f"limits: {name} is {value}; at least 1 is wanted")
        if self.turns < 0:
            raise FrescoError(f"limits: turns is {self.turns}; at least 0 is wanted")
        if self.observation_characters < (least := protocol.SHORTEST_PASSAGE * self.top_k):
            raise FrescoError(
                f"limits: {self.observation_characters} characters hold no {self.top_k} passages; give at least {least}"
            )


@dataclass(frozen=True, slots=True)
class Generation:
    """What the engine says of one turn.

    Attributes:
        prompt_tokens: None where it does not count.
        completion_tokens: Likewise.
        seconds: That it took.
        cut: Whether the engine ended it at its most tokens, so that the model had more to say.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    seconds: float = 0.0
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """What one turn leads to.

    Attributes:
        reply: What the context keeps of the model's text (:attr:`ccs.agent.protocol.Reply.text`).
        observation: To append to it, exactly; empty when the rollout is over.
        done: Whether it is over.
    """

    reply: str
    observation: str
    done: bool


class Environment:
    """One rollout at a time: :meth:`reset`, then :meth:`step` until :attr:`done`.

    Args:
        retriever: Searches; None where the agent is one of :data:`ccs.agent.protocol.UNSEARCHING_AGENTS`.
        limits: The budget.
        agent: One of :data:`ccs.agent.protocol.AGENTS`; ``rag`` searches once for the question, ``cot`` and
            ``direct`` not at all; a reply of theirs without tags is their answer.
        template: Text of another prompt, of :func:`ccs.agent.protocol.read_template`.
        form: One of :data:`ccs.agent.formats.FORMATS`.
    """

    def __init__(
        self,
        retriever: Retriever | None,
        limits: Limits | None = None,
        *,
        agent: str = "search",
        template: str | None = None,
        form: str = "ccs",
    ) -> None:
        protocol.check_agent(agent)
        self._form = open_format(form, agent)
        if retriever is None and agent not in protocol.UNSEARCHING_AGENTS:
            raise FrescoError(f"the {agent} agent needs a retriever")
        limits = limits or Limits()
        self._retriever = retriever
        self._limits = limits if agent == "search" else replace(limits, turns=0)
        self._agent = agent
        self._template = template
        self._question: Question | None = None
        self._stop = ""

    @property
    def done(self) -> bool:
        """Whether the rollout is over."""
        return bool(self._stop)

    @property
    def trajectory(self) -> Trajectory:
        """The record; complete once :attr:`done`."""
        assert self._question is not None and self._stop, "the rollout is not over"
        return Trajectory(
            question_id=self._question.id,
            question=self._question.text,
            sample=self._sample,
            turns=tuple(self._turns),
            stop=self._stop,
            seed=self._seed,
            model=self._model,
            error=self._error,
        )

    def reset(self, question: Question, *, sample: int = 0, seed: int | None = None, model: str = "") -> str:
        """Begin a rollout; ``rag`` alone searches here, for the question.

        Args and what is raised are those of :meth:`begin`, and a retriever's failure, which :meth:`fail` may record.

        Returns:
            The prompt, with what that search found.
        """
        prompt = self.begin(question, sample=sample, seed=seed, model=model)
        return prompt + self._search().observation if self.query is not None else prompt

    def begin(self, question: Question, *, sample: int = 0, seed: int | None = None, model: str = "") -> str:
        """The first half of :meth:`reset`: where :attr:`query` is set then, :meth:`receive` awaits its passages.

        Args:
            question: Only its text reaches the model.
            sample: Which of the question's group; kept in the record.
            seed: Likewise.
            model: Likewise.

        Returns:
            The prompt.

        """
        self._question = replace(question, text=protocol.well_formed(question.text))
        self._sample, self._seed, self._model = sample, seed, model
        self._turns: list[Turn] = []
        self._pending: Turn | None = None
        self._spoken = self._passages = 0
        self._stop = self._error = ""
        if self._agent == "rag":
            self._pending = Turn("", query=protocol.one_line(question.text)[: self._limits.query_characters])
        return protocol.write_prompt(self._agent, self._form.question(question.text), self._template)

    def step(self, text: str, generation: Generation | None = None) -> Step:
        """Act on one turn of the model.

        Args:
            text: What it generated, with its closing tag; what follows that is ignored.
            generation: What the engine counted.

        Raises:
            FrescoError: the retriever failed; :meth:`fail` records it.
        """
        step = self.submit(text, generation)
        return step if step is not None else self._search()

    def submit(self, text: str, generation: Generation | None = None) -> Step | None:
        """The first half of :meth:`step`: None where a search is wanted, :attr:`query`, for :meth:`receive`."""
        assert self._question is not None and not self._stop and self._pending is None, "no turn is awaited"
        generation = generation or Generation()
        reply = self._form.read(text)
        if self._agent in protocol.PLAIN_AGENTS and not generation.cut:
            plain = protocol.plain_answer(reply)
            reply = reply if plain is None else replace(reply, answer=plain, fault=None)
        last = self._is_last()
        turn = Turn(
            reply.text,
            query=reply.query,
            answer=reply.answer,
            fault=reply.fault,
            prompt_tokens=generation.prompt_tokens,
            completion_tokens=generation.completion_tokens,
            generation_seconds=generation.seconds,
        )
        if turn.query is not None and (last or len(turn.query) > self._limits.query_characters):
            turn = replace(turn, query=None, fault=_NO_SEARCH_LEFT if last else "long search")
        self._spoken += 1
        if turn.query is not None and not self._over_tokens(turn):
            self._pending = turn
            return None
        self._turns.append(replace(turn, query=None))
        if turn.answer is not None:
            self._stop = "answer"
        elif self._over_tokens(turn):
            self._stop = "tokens"
        elif last:
            self._stop = "passages" if self._out_of_passages() else "turns"
        return self._told(turn, "" if self._stop else protocol.correction(turn.fault or "no action"))

    @property
    def query(self) -> str | None:
        """What a submitted turn wants to search for."""
        return self._pending.query if self._pending else None

    @property
    def wanted(self) -> int:
        """How many passages that search may return."""
        left = self._limits.top_k if self._limits.passages is None else self._limits.passages - self._passages
        return min(self._limits.top_k, left)

    def receive(self, hits: Sequence[Hit], seconds: float = 0.0) -> Step:
        """The second half of :meth:`step`.

        Args:
            hits: What the search for :attr:`query` found, best first; beyond :attr:`wanted` they are dropped.
            seconds: That it took.
        """
        assert self._pending is not None, "no search is awaited"
        kept = tuple(
            replace(hit, id=protocol.well_formed(hit.id), contents=protocol.well_formed(hit.contents))
            for hit in hits[: self.wanted]
        )
        turn = replace(self._pending, hits=kept, retrieval_seconds=seconds)
        self._pending = None
        self._turns.append(turn)
        self._passages += len(kept)
        return self._told(turn, self._form.information(kept, self._limits.observation_characters))

    def overflow(self) -> None:
        """End the rollout because its context is longer than the engine takes; it ends as at the limit of tokens."""
        assert self._question is not None and self._pending is None, "no turn is awaited"
        self._stop = "tokens"

    def fail(self, error: str) -> None:
        """End the rollout because an engine or the retriever failed: it is recorded, and is no result."""
        assert self._question is not None, "no rollout has begun"
        if self._pending is not None and self._pending.text:
            self._turns.append(replace(self._pending, query=None))
        self._pending = None
        self._stop, self._error = "error", protocol.well_formed(error)

    def _search(self) -> Step:
        assert self._retriever is not None and self.query is not None
        started = time.perf_counter()
        found = search(self._retriever, [self.query], self.wanted)
        return self.receive(found[0], time.perf_counter() - started)

    def _told(self, turn: Turn, observation: str) -> Step:
        note = self._form.last_call if self._agent == "search" and not self.done and self._is_last() else ""
        return Step(turn.text, observation + note if observation else "", self.done)

    def _is_last(self) -> bool:
        return self._spoken >= self._limits.turns or self._out_of_passages()

    def _out_of_passages(self) -> bool:
        # For rag one search is all there is: its turn limit is what ends it.
        return self._agent == "search" and self.wanted < 1

    def _over_tokens(self, turn: Turn) -> bool:
        if self._limits.tokens is None or turn.prompt_tokens is None:
            return False
        return turn.prompt_tokens + (turn.completion_tokens or 0) >= self._limits.tokens


def search(retriever: Retriever, queries: Sequence[str], wanted: int) -> list[list[Hit]]:
    """A list of passages for each query, best first.

    Raises:
        FrescoError: the retriever failed, or answered another number of lists.
    """
    found = retriever.search(queries, wanted)
    if len(found) != len(queries):
        raise FrescoError(f"the retriever answered {len(queries)} queries with {len(found)} lists of passages")
    return found
