"""From a bottlenecked trajectory back to its question.

``llm`` asks a frozen language model over an OpenAI-compatible server, as the paper does. ``identity`` is a stand-in
that needs none: the trajectory's own sentences are the candidates, and the similarity finds out how close one comes.
Figures of ``identity`` say how much of the question lies open in the text, not what a model would make of it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeAlias, runtime_checkable

from ccs.agent.protocol import one_line
from ccs.rewards.base import ask_or_fail
from ccs.rewards.bottleneck import CHARACTERS, Trace
from fresco.clients.llm import ChatClient
from fresco.errors import FrescoError

PROMPT = Path(__file__).parent / "prompts" / "reconstruct.txt"
_PLACE = "{trace}"
_MAX_TOKENS = 2048  # one sentence, and what a reasoning model thinks before it
_LONGEST = 600  # characters of a reconstruction; a model that copies passages must not be matched on all of them
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]?[A-Z0-9])")

#: What the question may have been, or why nothing was written.
Candidates: TypeAlias = "list[str] | FrescoError"


@runtime_checkable
class Reconstructor(Protocol):
    """Writes candidates for the question."""

    @property
    def name(self) -> str:
        """The spec that opens it."""
        ...

    @property
    def fingerprint(self) -> str:
        """Identity of everything that can change a candidate."""
        ...

    def reconstruct(self, traces: Sequence[Trace]) -> list[Candidates]:
        """Candidates for each trace; none for one without a search, the error where it failed."""
        ...


class Identity:
    """The trace itself, sentence by sentence: each masked query, and the sentences of each distinct passage."""

    name = "identity (stand-in)"
    fingerprint = "identity-1"

    def reconstruct(self, traces: Sequence[Trace]) -> list[Candidates]:
        """See :class:`Reconstructor`."""
        return [
            list(
                dict.fromkeys(
                    [step.query for step in trace.steps] + [each for page in trace.pages for each in sentences(page)]
                )
            )
            for trace in traces
        ]


class LlmReconstructor:
    """A frozen language model.

    Args:
        spec: ``URL#MODEL``; see :mod:`fresco.clients.llm`.
        prompt: File of another prompt; ``{trace}`` stands for the trajectory.
        samples: Candidates for each trace.
        temperature: 0 for the likeliest; several samples want more.
        characters: Of the passages of one search.
        cache: SQLite file of answers, by the content of what was asked.
        seed: Of the first sample; the next has the next.

    Raises:
        FrescoError: bad spec, or a prompt that cannot be read or has no place for the trajectory.
    """

    def __init__(
        self,
        spec: str,
        *,
        prompt: Path | None = None,
        samples: int = 1,
        temperature: float = 0.0,
        characters: int = CHARACTERS,
        cache: Path | None = None,
        seed: int = 0,
    ) -> None:
        self._template = read_prompt(prompt or PROMPT, _PLACE)
        self._client = ChatClient(spec, cache=cache)
        self._samples, self._temperature, self._characters, self._seed = samples, temperature, characters, seed
        self.name = f"llm:{self._client.model}"
        digest = hashlib.sha256(self._template.encode()).hexdigest()[:16]
        options = f"{samples}|{temperature}|{characters}|{seed}"
        self.fingerprint = f"llm-1|{self._client.identity}|{digest}|{options}"

    def reconstruct(self, traces: Sequence[Trace]) -> list[Candidates]:
        """See :class:`Reconstructor`; a trace that several trajectories share is asked for once.

        Raises:
            FrescoError: the server answered nothing.
        """
        rendered = [trace.render(self._characters) if trace.steps else "" for trace in traces]
        asked = [(text, sample) for text in dict.fromkeys(rendered) if text for sample in range(self._samples)]
        answers = dict(zip(asked, ask_or_fail(self._client, self._ask, asked), strict=True))
        return [self._collect([answers[text, n] for n in range(self._samples)]) if text else [] for text in rendered]

    @staticmethod
    def _collect(written: Sequence[str | FrescoError]) -> Candidates:
        found = [each for each in written if isinstance(each, str)]
        failed = next((each for each in written if isinstance(each, FrescoError)), None)
        return failed if failed is not None and not found else found

    def _ask(self, item: tuple[str, int]) -> str:
        text, sample = item
        prompt = self._template.replace(_PLACE, text)
        answer = self._client.chat(
            prompt, temperature=self._temperature, max_tokens=_MAX_TOKENS, seed=self._seed + sample
        )
        if answer.final is None:
            raise FrescoError(
                f"{self._client.shown} was cut after {_MAX_TOKENS} tokens, before it had written the question; switch "
                "its thoughts off (URL#MODEL&enable_thinking=false), or choose another model or prompt"
            )
        return one_line(answer.final)[:_LONGEST]

    def close(self) -> None:
        """End the connections."""
        self._client.close()


def sentences(page: str) -> list[str]:
    """The sentences of a passage, its quoted title whole; a split at ". A" is good enough to compare."""
    found: list[str] = []
    for number, line in enumerate(page.splitlines()):
        title = number == 0 and line.startswith('"') and line.endswith('"')
        found += [line] if title else _SENTENCE_END.split(line.strip())
    return [each for each in found if each]


def read_prompt(path: Path, *places: str) -> str:
    """A prompt's text.

    Raises:
        FrescoError: it cannot be read, or lacks one of its places.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FrescoError(f"{path}: the prompt cannot be read ({error})") from error
    for place in places:
        if place not in text:
            raise FrescoError(f"{path}: the prompt has no {place}")
    return text
