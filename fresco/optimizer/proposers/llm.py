"""The proposer ``llm``: mutation and crossover written by a language model (FRESCO, arXiv 2604.14227).

*Mutation* takes two calls. Estimate: the model sees an instruction with errors on a minibatch of training pools, drawn
from all that it makes there, and writes critiques. Apply: for each critique it writes improved instructions.
*Crossover* takes two parents that are best on different queries, with the training examples that each ranks better than
the other and those that both rank badly, and the model merges them. Half of a round is mutation, half crossover; where
no two parents differ all of it is mutation.

Who is a parent is told in :mod:`fresco.optimizer.proposers.parents`. Each prompt also says what reads the instruction,
both scores of the parents, what they rank rightly, and what was tried with which scores
(:mod:`fresco.optimizer.proposers.history`).

The prompts are files in ``prompts/``; how answers are judged is in :mod:`fresco.optimizer.proposers.llm_answers`.
Answers are kept by :mod:`fresco.clients.llm`, so the same state proposes the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from string import Template

import numpy as np
import numpy.typing as npt

from fresco.clients.llm import ChatClient
from fresco.optimizer.demonstrations import own_words
from fresco.optimizer.examples import (
    RankingError,
    Success,
    lost_by_both,
    minibatch,
    quoted,
    ranking_errors,
    successes,
    won_by_first,
)
from fresco.optimizer.proposers.base import ProposedInstruction, ScoredInstruction, SearchState
from fresco.optimizer.proposers.history import scores, tried
from fresco.optimizer.proposers.llm_answers import Outcome, Rejection, Request, ask_for_strings, same_words
from fresco.optimizer.proposers.parents import Pair, complementary, draw_parents
from fresco.optimizer.proposers.registry import PROPOSERS
from fresco.records import Task

#: What a member without a text of its own is shown as: FRESCO's start, and Qwen3-Reranker's default.
DEFAULT_INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"

_MINIBATCH = 24  # training pools that a round looks at
_MINIBATCHES = 8  # looked at for a parent that makes no errors in the ones before
_ERRORS = 4  # shown to the model at once
_SUCCESSES = 2  # likewise
_CONTRASTS = 3  # shown for each parent of a crossover, and of what both lose
_EACH = 2  # instructions for each critique
_CHILDREN = 4  # instructions for each crossover
_PAIRS_TRIED = 6  # pairs that are scored in search of a contrast
_LONGEST_CRITIQUE = 1000


def open_llm_proposer(
    spec: str, *, cache: Path, seed: int, max_length: int = 600, default_instruction: str | None = None
) -> LlmProposer:
    """The proposer of a server.

    Args:
        spec: ``URL#MODEL``, see :mod:`fresco.clients.llm`.
        cache: SQLite file of the model's answers.
        seed: Another one makes the model write other texts in the same state.
        max_length: Most characters of an instruction.
        default_instruction: What the re-ranker's own default says; None for :data:`DEFAULT_INSTRUCTION`.

    Raises:
        FrescoError: the spec is malformed; without a model's name also: no server answers.
    """
    shown = default_instruction or DEFAULT_INSTRUCTION
    return LlmProposer(ChatClient(spec, cache=cache), seed=seed, max_length=max_length, default_instruction=shown)


class LlmProposer:
    """Mutation and crossover by a chat model; see the module's text.

    Args:
        client: Asks the model; its cache makes a round repeatable.
        seed: Of the requests, besides the state's own.
        max_length: Most characters of an instruction.
        max_tokens: Most tokens of an answer.
        default_instruction: What a member without a text of its own is shown as.

    Attributes:
        name: ``llm``.
        client: As given; its ``totals`` say what the rounds cost.
        rejected: How many outputs could not be used, by reason, in all rounds of this process.
        last_rejected: Those of the last round, one by one.
    """

    name = "llm"
    slow = True
    breeds = True

    def __init__(
        self,
        client: ChatClient,
        *,
        seed: int = 0,
        max_length: int = 600,
        max_tokens: int = 2048,
        default_instruction: str = DEFAULT_INSTRUCTION,
    ) -> None:
        self.client = client
        self._seed, self._max_length, self._max_tokens = seed, max_length, max_tokens
        self._default = default_instruction
        self.rejected: Counter[str] = Counter()
        self.last_rejected: list[Rejection] = []

    def propose(self, state: SearchState, count: int) -> list[ProposedInstruction]:
        """See :class:`fresco.optimizer.proposers.base.Proposer`.

        Raises:
            FrescoError: every request of a step failed: the server is down, or the model unknown.
        """
        self.last_rejected = []
        this = _Round(state, self._default, self._max_length, f"{self._seed}:{state.rng.getrandbits(64)}")
        crossovers = this.crossovers(count // 2)
        estimates = this.estimates(count - sum(asked.request.count for asked in crossovers))
        self._ask([*crossovers, *estimates])
        applies = [apply for estimate in estimates for apply in this.applies(estimate)]
        self._ask(applies)
        self._reject(this.skipped)
        kept: dict[str, ProposedInstruction] = {}
        for asked in (*applies, *crossovers):
            for text in asked.outcome.accepted:
                proposal = ProposedInstruction(text, asked.request.operator, asked.request.parents, detail=asked.detail)
                if kept.setdefault(same_words(text), proposal) is not proposal:
                    self._reject([Rejection(proposal.operator, proposal.parents, "seen before", text)])
        return list(kept.values())[:count]

    def close(self) -> None:
        """End the client."""
        self.client.close()

    def _ask(self, asked: Sequence[_Asked]) -> None:
        outcomes = ask_for_strings(self.client, [each.request for each in asked], max_tokens=self._max_tokens)
        for each, outcome in zip(asked, outcomes, strict=True):
            each.outcome = outcome
            self._reject(outcome.rejected)

    def _reject(self, rejections: Iterable[Rejection]) -> None:
        for rejection in rejections:
            self.last_rejected.append(rejection)
            self.rejected[rejection.reason] += 1


class _Asked:
    """A request with what came of it, and what the lineage shows."""

    def __init__(self, request: Request, detail: dict[str, object]) -> None:
        self.request, self.detail = request, detail
        self.outcome = Outcome()


class _Estimate(_Asked):
    """A request for critiques, with how many instructions are to come of it and what is said of the parent."""

    def __init__(self, request: Request, detail: dict[str, object], share: int, known: dict[str, object]) -> None:
        super().__init__(request, detail)
        self.share, self.known = share, known


class _Round:
    """Makes the requests of one round."""

    def __init__(self, state: SearchState, default: str, max_length: int, seed: str) -> None:
        self._state, self._default, self._max_length, self._seed = state, default, max_length, seed
        self._seen = frozenset(
            same_words(text) for text in (*state.seen, *(member.text or default for member in state.population))
        )
        drawn = minibatch(state.training, _MINIBATCH * _MINIBATCHES, state.rng)
        self._batch = drawn[:_MINIBATCH]
        self._further = [drawn[at : at + _MINIBATCH] for at in range(_MINIBATCH, len(drawn), _MINIBATCH)]
        self._scores: dict[int, list[npt.NDArray[np.float64]]] = {}
        self.skipped: list[Rejection] = []

    def estimates(self, count: int) -> list[_Estimate]:
        """For each parent the question for critiques, with its share of ``count`` instructions."""
        asked = []
        parents = draw_parents(self._state, count)
        for member, share in zip(parents, _shares(count, len(parents)), strict=True):
            errors = self._errors(member)
            if not errors:
                self.skipped.append(Rejection("mutation", (member.number,), "no error to learn from"))
                continue
            rightly = successes(self._batch, self._scored(member), _SUCCESSES, self._state.rng)
            critiques = -(-share // _EACH)
            known = {**self._known(member), "successes": _shown_rightly(rightly)}
            prompt = _prompt("estimate").substitute(
                known, kinds=_kinds(errors), examples=_shown(errors), count=critiques
            )
            subjects = _subjects([*errors, *rightly])
            seed = f"{self._seed}:estimate:{member.number}"
            request = Request(
                "mutation", (member.number,), prompt, critiques, _LONGEST_CRITIQUE, seed, subjects=subjects
            )
            asked.append(_Estimate(request, {"errors": _ids(errors)}, share, known))
        return asked

    def _known(self, member: ScoredInstruction) -> dict[str, object]:
        """What the prompts of a mutation say of a parent."""
        return {
            "reader": self._state.reader,
            "instruction": quoted(self._text(member)),
            "scores": scores(member.ek, member.nek),
            "history": tried(self._state.trials, (member.number,), self._default),
        }

    def _text(self, member: ScoredInstruction) -> str:
        """What a prompt shows of a member."""
        return own_words(member.text or self._default, self._default)

    def applies(self, estimate: _Estimate) -> list[_Asked]:
        """For each critique the question for improved instructions."""
        critiques = estimate.outcome.accepted
        asked = []
        for index, (critique, share) in enumerate(zip(critiques, _shares(estimate.share, len(critiques)), strict=True)):
            parents = estimate.request.parents
            prompt = _prompt("apply").substitute(
                estimate.known, critique=quoted(critique), count=share, max_length=self._max_length
            )
            request = self._for_instructions(
                "mutation", parents, prompt, share, f"apply:{parents[0]}:{index}", frozenset(estimate.request.subjects)
            )
            asked.append(_Asked(request, {**estimate.detail, "critique": critique}))
        return asked

    def crossovers(self, count: int) -> list[_Asked]:
        """For each pair of parents the question for children, ``count`` in all."""
        found: list[tuple[Pair, list[RankingError], list[RankingError]]] = []
        for pair in complementary(self._state)[:_PAIRS_TRIED]:
            if len(found) * _CHILDREN >= count:
                break
            ours, theirs = self._scored(pair.first), self._scored(pair.second)
            won_by_a = won_by_first(self._batch, ours, theirs, _CONTRASTS)
            won_by_b = won_by_first(self._batch, theirs, ours, _CONTRASTS)
            if won_by_a or won_by_b:
                found.append((pair, won_by_a, won_by_b))
            else:
                parents = (pair.first.number, pair.second.number)
                self.skipped.append(Rejection("crossover", parents, "no contrast to learn from"))
        return [
            self._crossover(*each, share)
            for each, share in zip(found, _shares(count, len(found)), strict=True)
            if share
        ]

    def _crossover(self, pair: Pair, won_by_a: list[RankingError], won_by_b: list[RankingError], share: int) -> _Asked:
        a, b = pair.first, pair.second
        lost = lost_by_both(self._batch, self._scored(a), self._scored(b), _CONTRASTS, self._state.rng)
        parents = (a.number, b.number)
        prompt = _prompt("crossover").substitute(
            reader=self._state.reader,
            instruction_a=quoted(self._text(a)),
            instruction_b=quoted(self._text(b)),
            scores_a=scores(a.ek, a.nek),
            scores_b=scores(b.ek, b.nek),
            won_by_a=_shown(won_by_a),
            won_by_b=_shown(won_by_b),
            lost_by_both=_shown(lost),
            history=tried(self._state.trials, parents, self._default),
            count=share,
            max_length=self._max_length,
        )
        subjects = _subjects([*won_by_a, *won_by_b, *lost])
        request = self._for_instructions(
            "crossover", parents, prompt, share, f"crossover:{a.number}:{b.number}", subjects
        )
        detail: dict[str, object] = {
            "won_by_first": _ids(won_by_a),
            "won_by_second": _ids(won_by_b),
            "lost_by_both": _ids(lost),
        }
        return _Asked(request, detail)

    def _errors(self, member: ScoredInstruction) -> list[RankingError]:
        """Errors in the round's minibatch, drawn from all, else in the first other one that has any."""
        rng = self._state.rng
        found = ranking_errors(self._batch, self._scored(member), _ERRORS, rng)
        for batch in self._further:
            if found:
                break
            found = ranking_errors(batch, self._state.score_training(member.text, batch), _ERRORS, rng)
        return found

    def _scored(self, member: ScoredInstruction) -> list[npt.NDArray[np.float64]]:
        if member.number not in self._scores:
            self._scores[member.number] = self._state.score_training(member.text, self._batch)
        return self._scores[member.number]

    def _for_instructions(
        self,
        operator: str,
        parents: tuple[int, ...],
        prompt: str,
        count: int,
        key: str,
        subjects: frozenset[str] = frozenset(),
    ) -> Request:
        seed = f"{self._seed}:{key}"
        return Request(operator, parents, prompt, count, self._max_length, seed, self._seen, subjects)


@cache
def _prompt(name: str) -> Template:
    return Template(resources.files(__package__).joinpath("prompts", f"{name}.txt").read_text(encoding="utf-8"))


def _shares(count: int, parts: int) -> list[int]:
    """``count`` in whole parts as equal as can be, the larger first."""
    return [count // parts + (index < count % parts) for index in range(parts)] if parts else []


def _shown(errors: Sequence[RankingError]) -> str:
    return "\n\n".join(f"{number}. {error.shown()}" for number, error in enumerate(errors, 1)) or "(none was found)"


def _shown_rightly(found: Sequence[Success]) -> str:
    return "\n\n".join(f"- {success.shown()}" for success in found) or "(none was found)"


def _kinds(errors: Sequence[RankingError]) -> str:
    changing = sum(error.pool.query.task is Task.EK for error in errors)
    return f"{changing} queries about facts that change and {len(errors) - changing} about facts that do not"


def _ids(errors: Sequence[RankingError]) -> list[str]:
    return [error.pool.query.id for error in errors]


def _subjects(errors: Sequence[RankingError | Success]) -> frozenset[str]:
    return frozenset(error.pool.query.subject for error in errors)


@PROPOSERS.register(
    "llm:URL#MODEL",
    "mutation and crossover by a language model",
    needs="an OpenAI-compatible server; pip install 'fresco-ccs[http]'",
    example="http://HOST:8000/v1#MODEL",
)
def _open(server: str, folder: Path, seed: int) -> LlmProposer:
    return open_llm_proposer(server, cache=folder / "llm.sqlite", seed=seed)
