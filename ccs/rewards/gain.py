"""``gain``: what the passages tell of the question, beyond what the queries already gave away.

``log P(question | queries and passages) - log P(question | queries alone)``, in nats a token, by the log-probabilities
that a vLLM server gives of a prompt: the masked reconstruction of the question, measured by likelihood. In both terms
the queries are the same, and only what was found is missing from the second: a question pasted into the queries is as
likely without the passages, and a trajectory that found nothing earns exactly 0. Two examples of the layout stand
before every prompt, so that a model that was never instructed knows what to write; a server that keeps prefixes reads
them once.

What the passages tell is only evidence where they belong together. So ``linkage`` takes off a share of the gain, up to
all of it, by what :class:`~ccs.rewards.evidence.Evidence` finds missing: words of the question, and links between the
pages. ``price`` takes off nats for each distinct passage, so that a flood of the topic does not pay.

``sufficiency`` adds, with a weight, what the agent's own answer owes to the passages and to the question, whichever is
less: ``log P(answer | passages, question)`` less ``log P(answer | question)``, and less ``log P(answer | passages)``, a
token, and at least 0. Only both together mean that the answer is what the question asks of these passages: any string
that a passage holds becomes likely by the passages alone, for a model can copy it, and the question itself, given as
an answer, by the question alone. Queries are blank in it, so an answer that was pasted into one gains nothing, and gold
is never read. A trajectory without an answer has none of it. The prompts go on where that of the question ends: with
queries blanked (``mask: {blank: true}``), a server that keeps prefixes reads the passages once.

``agreement`` adds, with a weight, how well an extractive reading of the passages, which needs no model, agrees with
that answer (:mod:`ccs.rewards.extractive`).

Limits: a passage that repeats the question is taken for evidence, and passages of the topic alone earn something.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

from ccs.agent.protocol import one_line
from ccs.agent.question import Question
from ccs.agent.trajectory import Hit, Trajectory
from ccs.rewards.base import NO_ROLLOUT, RewardRow
from ccs.rewards.bottleneck import CHARACTERS, Bottleneck, Step, Trace, open_bottleneck
from ccs.rewards.evidence import Evidence
from ccs.rewards.extractive import VERSION as READING_VERSION
from ccs.rewards.extractive import read_answer
from ccs.rewards.likelihood import BEFORE_QUESTION, PromptScorer, Request, Scored, gain_row
from ccs.rewards.mask.queries import BLANK
from ccs.rewards.registry import REWARDS
from ccs.rewards.settings import RewardConfig
from fresco.clients.llm import ChatClient

_VERSION = 4
_ANSWER = "\n\nThe answer was:\n"
_LONGEST_ANSWER = 2000  # characters


def _of_pages(hits: Iterable[Hit]) -> Trace:
    return Trace(tuple(Step(BLANK, (hit,)) for hit in hits))


def _example(question: str, answer: str, *pages: str) -> str:
    """A whole prompt, worked out; its people and places are made up."""
    trace = _of_pages(Hit("", page) for page in pages).render()
    return f"{BEFORE_QUESTION.replace('{trace}', trace)}{question}{_ANSWER}{answer}\n\n\n"


_EXAMPLES = _example(
    "Who wrote The Quiet Harbour?",
    "Ada Merrin",
    '"The Quiet Harbour"\nThe Quiet Harbour is a novel by Ada Merrin, published in 1931 in Tolvik.',
    '"Harbour"\nA harbour is a sheltered body of water where ships may stay.',
) + _example(
    "when was the village founded that jon sand is mayor of",
    "1874",
    '"Jon Sand"\nJon Sand is a politician of the north. Since 1998 he is the mayor of Tolvik.',
    '"Tolvik"\nTolvik is a village in the north. It was founded in 1874 by whalers.',
)
_BEFORE = _EXAMPLES + BEFORE_QUESTION
_ASKED = _BEFORE + "{question}" + _ANSWER
_UNASKED = _EXAMPLES + BEFORE_QUESTION.replace("The question was:", "The answer was:")


@REWARDS.register(
    "gain",
    "how much likelier the question becomes by the passages, beyond the queries, in nats a token",
    needs="a vLLM server",
    settings="server!, mask, characters, evidence, linkage, price, sufficiency, agreement",
    gates="on",
)
def _open(_arguments: str, config: RewardConfig, cache: Path | None) -> GainReward:
    assert config.server is not None
    weights = GainWeights(config.linkage, config.price, config.sufficiency, config.agreement)
    return GainReward(
        open_bottleneck(config.mask),
        ChatClient(config.server),
        weights,
        evidence=Evidence(config.evidence.pages, config.evidence.floor),
        characters=config.characters,
        cache=cache,
    )


@dataclass(frozen=True, slots=True)
class GainWeights:
    """What the parts count. All are 0 for the bare gain.

    Attributes:
        linkage: Share of a positive gain, from 0 to 1, that is lost where the pages hold nothing of the question and
            do not hang together.
        price: Nats that each distinct passage costs.
        sufficiency: Of what the own answer owes to passages and question; 0 does not ask for it.
        agreement: Nats for an answer that an extractive reading agrees with.
    """

    linkage: float = 0.0
    price: float = 0.0
    sufficiency: float = 0.0
    agreement: float = 0.0

    def total(self, parts: Mapping[str, float]) -> float:
        """The reward that parts of :meth:`GainReward.rows` make; an answer's are missing where there is none."""
        gain = parts["gain"]
        lost = self.linkage * (1 - parts["evidence"]) * max(gain, 0.0)
        answer = self.sufficiency * parts.get("sufficiency", 0.0) + self.agreement * parts.get("agreement", 0.0)
        return gain - lost + answer - self.price * parts["passages"]


class GainReward:
    """Log-probability of the question given queries and passages, minus that given the queries alone; nats a token.

    Args:
        bottleneck: How the queries are masked.
        client: Of a vLLM server with a frozen model.
        weights: Of the parts; None for the bare gain.
        evidence: Finds what the passages lack.
        characters: Of the passages of one search.
        cache: SQLite file of the numbers.
        scorer: Of log-probabilities, in place of the server's.
    """

    needs_gold = False
    signed = True

    def __init__(
        self,
        bottleneck: Bottleneck,
        client: ChatClient,
        weights: GainWeights | None = None,
        *,
        evidence: Evidence | None = None,
        characters: int = CHARACTERS,
        cache: Path | None = None,
        scorer: PromptScorer | None = None,
    ) -> None:
        self._bottleneck, self._characters = bottleneck, characters
        self._blank, self._weights = Bottleneck(None), weights or GainWeights()
        self._evidence = evidence or Evidence()
        self._scorer = scorer or PromptScorer(client, cache=cache)
        self.name = f"gain:{client.model}"
        digest = hashlib.sha256((_ASKED + _UNASKED).encode()).hexdigest()[:16]
        options = f"{characters}|{astuple(self._weights)}|{self._evidence.fingerprint}|reading-{READING_VERSION}"
        self.fingerprint = f"gain-{_VERSION}|{client.identity}|{digest}|{options}|{bottleneck.fingerprint}"

    def score(self, batch: Sequence[Trajectory], questions: Mapping[str, Question] | None = None) -> list[float | None]:
        """See :class:`ccs.rewards.base.Reward`; 0 is a trajectory that found nothing that tells of the question."""
        return [row.value for row in self.rows(batch, questions)]

    def rows(self, batch: Sequence[Trajectory], questions: Mapping[str, Question] | None = None) -> list[RewardRow]:
        """See :func:`ccs.rewards.base.score_rows`: each part for itself, and the log-probabilities behind it."""
        del questions
        alive = [number for number, trajectory in enumerate(batch) if trajectory.stop != "error"]
        traces = dict(zip(alive, self._bottleneck([batch[number] for number in alive]), strict=True))
        pages = dict(zip(alive, self._blank([batch[number] for number in alive]), strict=True))
        asked = {number: _of_question(batch[number], trace) for number, trace in traces.items()}
        answered = {
            number: _of_answer(batch[number], pages[number])
            for number in alive
            if self._weights.sufficiency and _answer(batch[number])
        }
        wanted = [each for each in (*asked.values(), *answered.values()) if each[0].trace.steps]
        found = self._scorer.score((request for each in wanted for request in each), self._characters)
        rows = [RewardRow(None, cause=NO_ROLLOUT)] * len(batch)
        for number, pair in asked.items():
            rows[number] = self._row(
                batch[number], pages[number], gain_row(found, *pair, "with evidence", "without evidence")
            )
            if number in answered and rows[number].value is not None:
                rows[number] = self._with_answer(rows[number], *_answer_rows(found, *answered[number]))
        return rows

    def _row(self, trajectory: Trajectory, pages: Trace, gain: RewardRow) -> RewardRow:
        """The gain and the parts that no model is asked for."""
        if gain.value is None or not gain.parts:
            return gain  # failed, or did not search
        parts = {
            **gain.parts,
            "gain": gain.value,
            "evidence": self._evidence.score_traces([(trajectory.question, pages)])[0],
            "passages": float(len(pages.pages)),
        }
        if answer := _answer(trajectory):
            reading = read_answer(trajectory.question, answer, pages.pages)
            parts |= {"support": reading.support, "agreement": reading.agreement}
        return replace(gain, value=self._weights.total(parts), parts=parts)

    def _with_answer(self, row: RewardRow, by_pages: RewardRow, by_question: RewardRow) -> RewardRow:
        for each in (by_pages, by_question):
            if each.value is None:
                return each
        if not row.parts:
            return row
        assert by_pages.value is not None and by_question.value is not None
        sufficiency = max(0.0, min(by_pages.value, by_question.value))
        answer = {name: value for name, value in {**by_pages.parts, **by_question.parts}.items() if name != "tokens"}
        parts = {**row.parts, **answer, "sufficiency": sufficiency}
        return replace(row, value=self._weights.total(parts), parts=parts)

    def close(self) -> None:
        """End the connections."""
        self._scorer.close()


def answer_prompt(question: str, hits: Sequence[Hit]) -> str:
    """What stands before an answer whose likelihood is asked: a reader that goes on from it gives one of its own."""
    return _asking(question).replace("{trace}", _of_pages(hits).render())


def _asking(question: str) -> str:
    return _ASKED.replace("{question}", one_line(question).replace("{trace}", "{ trace}"))


def _answer(trajectory: Trajectory) -> str:
    return one_line(trajectory.answer or "")[:_LONGEST_ANSWER]


def _answer_rows(
    found: Mapping[Request, Scored], with_both: Request, without_pages: Request, without_question: Request
) -> tuple[RewardRow, RewardRow]:
    return (
        gain_row(found, with_both, without_pages, "answer", "answer without evidence"),
        gain_row(found, with_both, without_question, "answer", "answer without question"),
    )


def _of_question(trajectory: Trajectory, trace: Trace) -> tuple[Request, Request]:
    question = one_line(trajectory.question)
    return Request(_BEFORE, trace, question), Request(_BEFORE, _without_pages(trace), question)


def _of_answer(trajectory: Trajectory, trace: Trace) -> tuple[Request, Request, Request]:
    """The answer given both, without the passages, and without the question."""
    answer = _answer(trajectory)
    asked = _asking(trajectory.question)
    return (
        Request(asked, trace, answer),
        Request(asked, _without_pages(trace), answer),
        Request(_UNASKED, trace, answer),
    )


def _without_pages(trace: Trace) -> Trace:
    """The same queries; one that was asked before gives nothing away that it did not."""
    return Trace(tuple(Step(query, ()) for query in dict.fromkeys(step.query for step in trace.steps)))
