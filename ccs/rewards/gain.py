"""``gain``: what the passages tell of the question, beyond what the queries already gave away.

``log P(question | queries and passages) - log P(question | queries alone)``, in nats a token, by the log-probabilities
that a vLLM server gives of a prompt: the masked reconstruction of the question, measured by likelihood. In both terms
the queries, their number and the layout are the same, and only what was found is missing from the second: a question
pasted into the queries is as likely without the passages, and a trajectory that found nothing earns exactly 0.

``sufficiency`` adds, with a weight, what the agent's own answer owes to the passages and to the question, whichever is
less: ``log P(answer | passages, question)`` less ``log P(answer | question)``, and less ``log P(answer | passages)``, a
token, and at least 0. Only both together mean that the answer is what the question asks of these passages: any string
that a passage holds becomes likely by the passages alone, for a model can copy it, and the question itself, given as
an answer, by the question alone. Queries are blank in it, so an answer that was pasted into one gains nothing, and gold
is never read. A trajectory without an answer has none of it. The prompts go on where that of the question ends: with
queries blanked (``mask: {blank: true}``), a server that keeps prefixes reads the passages once.

Limits: a passage that repeats the question is taken for evidence, and passages of the topic alone earn something.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ccs.agent.protocol import one_line
from ccs.agent.question import Question
from ccs.agent.trajectory import Trajectory
from ccs.rewards.base import NO_ROLLOUT, RewardRow
from ccs.rewards.bottleneck import CHARACTERS, Bottleneck, Step, Trace, open_bottleneck, psi_trace
from ccs.rewards.likelihood import BEFORE_QUESTION, PromptScorer, Request, gain_row
from ccs.rewards.mask.queries import BLANK
from ccs.rewards.registry import REWARDS
from ccs.rewards.settings import RewardConfig
from fresco.clients.llm import ChatClient

_VERSION = 3
_ASKED = BEFORE_QUESTION + "{question}\n\nThe answer was:\n"
_UNASKED = BEFORE_QUESTION.replace("The question was:", "The answer was:")
_LONGEST_ANSWER = 2000  # characters


@REWARDS.register(
    "gain",
    "how much likelier the question becomes by the passages, beyond the queries, in nats a token",
    needs="a vLLM server",
    settings="server!, mask, characters, sufficiency",
    gates="on",
)
def _open(_arguments: str, config: RewardConfig, cache: Path | None) -> GainReward:
    assert config.server is not None
    return GainReward(
        open_bottleneck(config.mask),
        ChatClient(config.server),
        characters=config.characters,
        sufficiency=config.sufficiency,
        cache=cache,
    )


class GainReward:
    """Log-probability of the question given queries and passages, minus that given the queries alone; nats a token.

    Args:
        bottleneck: How the queries are masked.
        client: Of a vLLM server with a frozen model.
        characters: Of the passages of one search.
        sufficiency: Weight of what the agent's own answer owes to passages and question; 0 does not ask for it.
        cache: SQLite file of the numbers.
        scorer: Of log-probabilities, in place of the server's.
    """

    needs_gold = False
    signed = True

    def __init__(
        self,
        bottleneck: Bottleneck,
        client: ChatClient,
        *,
        characters: int = CHARACTERS,
        sufficiency: float = 0.0,
        cache: Path | None = None,
        scorer: PromptScorer | None = None,
    ) -> None:
        self._bottleneck, self._characters, self._weight = bottleneck, characters, sufficiency
        self._scorer = scorer or PromptScorer(client, cache=cache)
        self.name = f"gain:{client.model}"
        digest = hashlib.sha256((_ASKED + _UNASKED).encode()).hexdigest()[:16]
        options = f"{characters}|{sufficiency}"
        self.fingerprint = f"gain-{_VERSION}|{client.identity}|{digest}|{options}|{bottleneck.fingerprint}"

    def score(self, batch: Sequence[Trajectory], questions: Mapping[str, Question] | None = None) -> list[float | None]:
        """See :class:`ccs.rewards.base.Reward`; 0 is a trajectory that found nothing that tells of the question."""
        return [row.value for row in self.rows(batch, questions)]

    def rows(self, batch: Sequence[Trajectory], questions: Mapping[str, Question] | None = None) -> list[RewardRow]:
        """See :func:`ccs.rewards.base.score_rows`: with and without evidence, tokens, and the same of the answer."""
        del questions
        alive = [number for number, trajectory in enumerate(batch) if trajectory.stop != "error"]
        traces = dict(zip(alive, self._bottleneck([batch[number] for number in alive]), strict=True))
        asked = {number: _of_question(batch[number], trace) for number, trace in traces.items()}
        answered = {
            number: _of_answer(batch[number])
            for number in alive
            if self._weight and one_line(batch[number].answer or "")
        }
        wanted = [each for each in (*asked.values(), *answered.values()) if each[0].trace.steps]
        found = self._scorer.score((request for each in wanted for request in each), self._characters)
        rows = [RewardRow(None, cause=NO_ROLLOUT)] * len(batch)
        for number, pair in asked.items():
            rows[number] = gain_row(found, *pair, "with evidence", "without evidence")
            if number in answered:
                with_both, without_pages, without_question = answered[number]
                by_pages = gain_row(found, with_both, without_pages, "answer", "answer without evidence")
                by_question = gain_row(found, with_both, without_question, "answer", "answer without question")
                rows[number] = self._sum(rows[number], by_pages, by_question)
        return rows

    def _sum(self, gain: RewardRow, by_pages: RewardRow, by_question: RewardRow) -> RewardRow:
        for each in (gain, by_pages, by_question):
            if each.value is None:
                return each
        assert gain.value is not None and by_pages.value is not None and by_question.value is not None
        sufficiency = max(0.0, min(by_pages.value, by_question.value))
        answer = {name: value for name, value in {**by_pages.parts, **by_question.parts}.items() if name != "tokens"}
        parts = {**gain.parts, "gain": gain.value, **answer, "sufficiency": sufficiency}
        return replace(gain, value=gain.value + self._weight * sufficiency, parts=parts)

    def close(self) -> None:
        """End the connections."""
        self._scorer.close()


def _of_question(trajectory: Trajectory, trace: Trace) -> tuple[Request, Request]:
    question = one_line(trajectory.question)
    return Request(BEFORE_QUESTION, trace, question), Request(BEFORE_QUESTION, _without_pages(trace), question)


def _of_answer(trajectory: Trajectory) -> tuple[Request, Request, Request]:
    """The answer given both, without the passages, and without the question."""
    answer = one_line(trajectory.answer or "")[:_LONGEST_ANSWER]
    trace = Trace(tuple(Step(BLANK, step.hits) for step in psi_trace(trajectory).steps))
    asked = _ASKED.replace("{question}", one_line(trajectory.question).replace("{trace}", "{ trace}"))
    return (
        Request(asked, trace, answer),
        Request(asked, _without_pages(trace), answer),
        Request(_UNASKED, trace, answer),
    )


def _without_pages(trace: Trace) -> Trace:
    return Trace(tuple(Step(step.query, ()) for step in trace.steps))
