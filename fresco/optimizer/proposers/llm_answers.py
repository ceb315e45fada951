"""Ask a language model for a list of strings and take only what keeps to the form.

The form is a JSON array of strings, bare or in a fence; a server that can is held to it by a JSON schema. What is
written otherwise is a :class:`Rejection` with its reason; when nothing of an answer is usable the model is asked again
with another seed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from fresco.clients.chat_answer import ChatAnswer
from fresco.clients.llm import ChatClient
from fresco.errors import FrescoError

_ATTEMPTS = 3
_TEMPERATURE = 0.8
_SHORTEST = 10  # characters; an echo of the form's "..." is shorter
_SHOWN = 200  # characters of a rejected text that are kept
_FENCED = re.compile(r"```\w*[ \t]*\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Rejection:
    """Something that a round of proposals could not use.

    Attributes:
        operator: ``mutation`` or ``crossover``.
        parents: Trial numbers.
        reason: Why, in words that are the same for the same cause.
        text: The beginning of what was written; empty where nothing was.
    """

    operator: str
    parents: tuple[int, ...]
    reason: str
    text: str = ""


@dataclass(frozen=True)
class Request:
    """A question for a list of strings.

    Attributes:
        operator: For rejections.
        parents: For rejections.
        prompt: The user's turn.
        count: Strings asked for; more are rejected.
        longest: Characters that one may have.
        seed: Any text; the request's seed is made of it and of the attempt.
        seen: Texts by :func:`same_words` that are not new.
        subjects: Names that no string may hold: it would speak of the examples instead of what they teach.
    """

    operator: str
    parents: tuple[int, ...]
    prompt: str
    count: int
    longest: int
    seed: str
    seen: Collection[str] = ()
    subjects: Collection[str] = ()

    @property
    def schema(self) -> dict[str, object]:
        """The form of the answer, for servers that see to it."""
        return {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": self.count}


@dataclass
class Outcome:
    """The strings that a request brought (single lines), what was rejected, and why the server gave no answer."""

    accepted: list[str] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)
    failure: FrescoError | None = None


def ask_for_strings(client: ChatClient, requests: Sequence[Request], *, max_tokens: int) -> list[Outcome]:
    """Ask all requests, as many at a time as the client allows.

    Raises:
        FrescoError: every request failed: the server is down or the address wrong, not one answer unlucky.
    """
    outcomes = client.each(partial(_ask, client, max_tokens), requests)
    failures = [outcome.failure for outcome in outcomes if outcome.failure]
    if failures and len(failures) == len(outcomes):
        raise failures[-1]
    return outcomes


def parse_list(answer: str) -> list[str] | None:
    """The strings of an answer; None where it is anything but a JSON array of strings.

    Thoughts before ``</think>`` are passed over, and one that does not end is no answer; of several fences the last
    counts; a remark before or after a bare array is allowed as long as it holds no bracket.
    """
    text = ChatAnswer(answer).final
    if text is None:
        return None
    fenced = _FENCED.findall(text)
    text = fenced[-1] if fenced else text
    start, end = text.find("["), text.rfind("]")
    try:
        strings = json.loads(text[start : end + 1]) if 0 <= start < end else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(strings, list) or not strings or not all(isinstance(each, str) for each in strings):
        return None
    return strings


def one_line(text: str) -> str:
    """The text on a single line, stripped."""
    return " ".join(text.split())


def same_words(text: str) -> str:
    """What two texts share that say the same: spaces, case and a last full stop make no other instruction."""
    return one_line(text).casefold().rstrip(". ")


def is_plain(text: str) -> bool:
    """Whether a text can be printed and holds no mark of a chat template or of a fence."""
    return text.isprintable() and "<|" not in text and "```" not in text


def _ask(client: ChatClient, max_tokens: int, request: Request) -> Outcome:
    outcome = Outcome()
    for attempt in range(_ATTEMPTS):
        seed = int.from_bytes(hashlib.sha256(f"{request.seed}:{attempt}".encode()).digest()[:4]) >> 1
        try:
            answer = client.chat(
                request.prompt, temperature=_TEMPERATURE, max_tokens=max_tokens, seed=seed, schema=request.schema
            )
        except FrescoError as error:  # has been tried again by the client
            outcome.failure = error
            outcome.rejected.append(_rejection(request, "request failed", str(error)))
            break
        if reason := _unfinished(answer):
            outcome.rejected.append(_rejection(request, reason, answer.text))
            continue
        for text, problem in _judged(answer.text, request):
            if problem:
                outcome.rejected.append(_rejection(request, problem, text))
            else:
                outcome.accepted.append(text)
        if outcome.accepted:
            break
    return outcome


def _unfinished(answer: ChatAnswer) -> str | None:
    """Why an answer is none yet: what the server cut may end in a list that the model meant to go on with."""
    if answer.finish_reason == "length":
        return "cut by the token limit"
    return "a thought without an answer" if answer.final is None else None


def _judged(answer: str, request: Request) -> Iterator[tuple[str, str | None]]:
    strings = parse_list(answer)
    if strings is None:
        yield answer, "not a JSON array of strings"
        return
    own: set[str] = set()
    for text in map(one_line, strings):
        problem = _problem(text, request)
        if not problem and same_words(text) in own:
            problem = "seen before"
        elif not problem and len(own) >= request.count:
            problem = "more than asked"
        if not problem:
            own.add(same_words(text))
        yield text, problem


def _problem(text: str, request: Request) -> str | None:
    if len(text) < _SHORTEST:
        return "too short"
    if len(text) > request.longest:
        return "too long"
    if not is_plain(text):
        return "control characters"
    if same_words(text) in request.seen:
        return "seen before"
    folded = text.casefold()
    if any(re.search(rf"\b{re.escape(subject.casefold())}\b", folded) for subject in request.subjects if subject):
        return "names an example"
    return None


def _rejection(request: Request, reason: str, text: str) -> Rejection:
    # Half a surrogate pair, which JSON may spell, cannot be written to any file or database.
    shown = one_line(text)[:_SHOWN].encode("utf-8", "backslashreplace").decode("utf-8")
    return Rejection(request.operator, request.parents, reason, shown)
