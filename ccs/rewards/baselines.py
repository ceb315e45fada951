"""The rewards that the paper compares with: gold answers, the group's majority, confidence, a judge with rules.

All of them look at the final answer; a trajectory without one earns 0.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ccs.agent.protocol import one_line
from ccs.agent.question import Question
from ccs.agent.trajectory import Trajectory
from ccs.evaluation.answers import exact_match, squad_words, token_f1
from ccs.rewards.base import ask_each
from ccs.rewards.bottleneck import CHARACTERS, psi_trace
from ccs.rewards.likelihood import PromptScorer
from ccs.rewards.reconstruct import read_prompt
from ccs.rewards.registry import REWARDS
from ccs.rewards.settings import RewardConfig
from fresco.clients.llm import ChatClient
from fresco.errors import FrescoError

CONSTITUTION = Path(__file__).parent / "prompts" / "constitution.txt"
_GRADE = re.compile(r"score\W{0,6}(\d+(?:\.\d+)?)\s*(?:/\s*10)?\W*$", re.IGNORECASE)
_HIGHEST_GRADE = 10
_ATTEMPTS = 3  # a grade that cannot be read is asked for again, with another seed
_MAX_TOKENS = 2048  # a sentence, and what a reasoning model thinks before it
_LONGEST_ANSWER = 2000  # characters; what is longer would bury the rules
_ANSWERING = "{trace}\n\nQuestion: {question}\nAnswer:\n"


@REWARDS.register("exact-match", "1 for a right answer (Search-R1)", needs="gold answers", settings="", gates="off")
def exact_match_reward(_arguments: str = "") -> GoldReward:
    """1 for a right answer."""
    return GoldReward("exact-match", exact_match)


@REWARDS.register("f1", "words in common with a right answer", needs="gold answers", settings="", gates="off")
def f1_reward(_arguments: str = "") -> GoldReward:
    """Words in common with a right answer."""
    return GoldReward("f1", token_f1)


@REWARDS.register("majority-vote", "1 for the answer that most of the group gave (TTRL)", settings="", gates="off")
def _open_majority(_arguments: str) -> MajorityVote:
    return MajorityVote()


@REWARDS.register(
    "self-confidence",
    "the policy's own confidence in its answer (RLIF)",
    needs="the policy's vLLM server",
    settings="server!, characters",
    gates="off",
)
def _open_confidence(_arguments: str, config: RewardConfig) -> SelfConfidence:
    assert config.server is not None
    return SelfConfidence(ChatClient(config.server), characters=config.characters)


@REWARDS.register(
    "constitution",
    "a language model's grade of the work by rules",
    needs="a server that chats",
    settings="server!, prompt, characters",
    gates="off",
)
def _open_constitution(_arguments: str, config: RewardConfig, cache: Path | None) -> ConstitutionalJudge:
    assert config.server is not None
    prompt = Path(config.prompt) if config.prompt else None
    client = ChatClient(config.server, cache=cache)
    return ConstitutionalJudge(client, prompt=prompt, characters=config.characters)


class GoldReward:
    """The answer against the gold ones: exact match is Search-R1's reward (arXiv 2503.09516), F1 its softer kin."""

    needs_gold = True
    signed = False

    def __init__(self, name: str, measure: Callable[[str | None, Sequence[str]], float]) -> None:
        self.name = name
        self.fingerprint = f"{name}-1"
        self._measure = measure

    def score(self, batch: Sequence[Trajectory], questions: Mapping[str, Question] | None = None) -> list[float | None]:
        """See :class:`ccs.rewards.base.Reward`; None where a question has no gold answer."""
        if questions is None:
            raise FrescoError(f"the reward {self.name} needs gold answers; give --questions")
        scores: list[float | None] = []
        for trajectory in batch:
            question = questions.get(trajectory.question_id)
            if question is None:
                raise FrescoError(
                    f"trajectory of question {trajectory.question_id!r}: the question is not among the questions; give "
                    "--questions as they were rolled out"
                )
            known = trajectory.stop != "error" and question.answers
            scores.append(self._measure(trajectory.answer, question.answers) if known else None)
        return scores


class MajorityVote:
    """1 for the answer that most of the group gave (TTRL), 0 for others.

    Answers are compared by their words as SQuAD's evaluation counts them. Answers that are tied for the majority share
    it: each earns one over their number, which is what a coin would give on average.
    """

    name, fingerprint = "majority-vote", "majority-vote-1"
    needs_gold = False
    signed = False

    def score(self, batch: Sequence[Trajectory], questions: Mapping[str, Question] | None = None) -> list[float | None]:
        """See :class:`ccs.rewards.base.Reward`; the batch holds whole groups."""
        del questions
        votes: dict[str, Counter[str]] = {}
        said = [" ".join(squad_words(trajectory.answer or "")) for trajectory in batch]
        for trajectory, answer in zip(batch, said, strict=True):
            if answer:
                votes.setdefault(trajectory.question_id, Counter())[answer] += 1
        scores: list[float | None] = []
        for trajectory, answer in zip(batch, said, strict=True):
            counts = votes.get(trajectory.question_id, Counter[str]())
            most = max(counts.values(), default=0)
            winners = [each for each, count in counts.items() if count == most]
            won = 1 / len(winners) if answer in winners else 0.0
            scores.append(None if trajectory.stop == "error" else won)
        return scores


class SelfConfidence:
    """The policy's own confidence in its answer (RLIF): the mean probability of a token of it, after what was found.

    Rollouts record no log-probabilities, so the policy's server is asked again, by ``prompt_logprobs``: the answer's
    tokens, given the question and the observations. The geometric mean over the tokens, from 0 to 1.

    Args:
        client: Of the policy's vLLM server.
        characters: Of the passages of one search.
    """

    needs_gold = False
    signed = False

    def __init__(self, client: ChatClient, *, characters: int = CHARACTERS) -> None:
        self._scorer = PromptScorer(client)
        self._characters = characters
        self.name = f"self-confidence:{client.model}"
        digest = hashlib.sha256(_ANSWERING.encode()).hexdigest()[:16]
        self.fingerprint = f"self-confidence-2|{client.identity}|{digest}|{characters}"

    def score(self, batch: Sequence[Trajectory], questions: Mapping[str, Question] | None = None) -> list[float | None]:
        """See :class:`ccs.rewards.base.Reward`."""
        del questions
        return _score_answered(self._scorer.client, batch, self._confidence)

    def _confidence(self, trajectory: Trajectory) -> float:
        parts = {"{trace}": psi_trace(trajectory).render(self._characters), "{question}": one_line(trajectory.question)}
        answer = one_line(trajectory.answer or "")[:_LONGEST_ANSWER]
        return math.exp(self._scorer.mean_logprob(_fill(_ANSWERING, parts), answer))

    def close(self) -> None:
        """End the connections."""
        self._scorer.client.close()


class ConstitutionalJudge:
    """A language model's grade of the work by rules, without a gold answer; from 0 to 1.

    Args:
        client: Of any server that chats.
        prompt: File of other rules; ``{question}``, ``{trace}`` and ``{answer}`` stand for the work.
        characters: Of the passages of one search.

    Raises:
        FrescoError: a prompt that cannot be read or lacks a place.
    """

    needs_gold = False
    signed = False

    def __init__(self, client: ChatClient, *, prompt: Path | None = None, characters: int = CHARACTERS) -> None:
        self._client = client
        self._template = read_prompt(prompt or CONSTITUTION, "{question}", "{trace}", "{answer}")
        self._characters = characters
        self.name = f"constitution:{client.model}"
        digest = hashlib.sha256(self._template.encode()).hexdigest()[:16]
        self.fingerprint = f"constitution-2|{client.identity}|{digest}|{characters}"

    def score(self, batch: Sequence[Trajectory], questions: Mapping[str, Question] | None = None) -> list[float | None]:
        """See :class:`ccs.rewards.base.Reward`; None where no answer of the judge held a grade."""
        del questions
        return _score_answered(self._client, batch, self._grade)

    def _grade(self, trajectory: Trajectory) -> float | None:
        parts = {
            "{question}": one_line(trajectory.question),
            "{trace}": psi_trace(trajectory).render(self._characters),
            "{answer}": one_line(trajectory.answer or "")[:_LONGEST_ANSWER],
        }
        prompt = _fill(self._template, parts)
        for attempt in range(_ATTEMPTS):
            reply = self._client.chat(prompt, temperature=0.7 if attempt else 0.0, max_tokens=_MAX_TOKENS, seed=attempt)
            found = _GRADE.search((reply.final or "").strip())
            if found and float(found.group(1)) <= _HIGHEST_GRADE:
                return float(found.group(1)) / _HIGHEST_GRADE
        return None

    def close(self) -> None:
        """End the connections."""
        self._client.close()


def _score_answered(
    client: ChatClient, batch: Sequence[Trajectory], work: Callable[[Trajectory], float | None]
) -> list[float | None]:
    scores: list[float | None] = [None if trajectory.stop == "error" else 0.0 for trajectory in batch]
    answered = [
        number
        for number, trajectory in enumerate(batch)
        if trajectory.stop != "error" and one_line(trajectory.answer or "")
    ]
    for number, value in zip(answered, ask_each(client, lambda number: work(batch[number]), answered), strict=True):
        scores[number] = value
    return scores


def _fill(template: str, parts: Mapping[str, str]) -> str:
    """The template with its places filled, in one pass: a text that reads "{answer}" stays as it is."""
    return re.sub("|".join(map(re.escape, parts)), lambda match: parts[match.group()], template)
