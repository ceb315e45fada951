"""The text in which a model is asked about a pair, and the tokens that answer it.

A form is a sequence of segments that are tokenized one by one, as the published code of each model does: where two
segments meet, a tokenizer may not merge. Foreign text is put in once, so that a passage which says ``{query}`` keeps
its words.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fresco.errors import FrescoError

_FIELD = re.compile(r"\{(instruction|query|document)\}")


@dataclass(frozen=True)
class PromptForm:
    """How a model is asked.

    Attributes:
        source: Where the form comes from, in words for the record.
        segments: Texts with ``{instruction}``, ``{query}`` and ``{document}``.
        yes: What the model says of a relevant passage; of several spellings the first that is one token.
        no: What it says of another; empty where the published score is the logit of ``yes`` alone.
        instruction: The model's own default; None where it has none.
        lead: How an instruction is written where there is one.
        names: Field names of the form, which foreign text may not forge.
        begins: Whether the tokenizer's token for the beginning of a text comes first: None asks the tokenizer.
        max_length: Longest input in tokens that was published; None for the model's own limit.
    """

    source: str
    segments: tuple[str, ...]
    yes: tuple[str, ...] = ("yes",)
    no: tuple[str, ...] = ("no",)
    instruction: str | None = None
    lead: str = "{instruction}"
    names: tuple[str, ...] = ()
    begins: bool | None = None
    max_length: int | None = None

    @property
    def text(self) -> str:
        """All segments as one text, for records and fingerprints."""
        return "".join(self.segments)

    @property
    def takes_instruction(self) -> bool:
        """Whether there is a place for an instruction."""
        return "{instruction}" in self.text

    @property
    def answers(self) -> str:
        """``yes/no`` in the form's own words."""
        return "/".join(spellings[0] for spellings in (self.yes, self.no) if spellings).strip()

    @property
    def digest(self) -> str:
        """SHA-256 over what of the form can change a score; the instruction is the caller's."""
        text = "\0".join([*self.segments, *self.yes, *self.no, self.lead, str(self.begins)])
        return hashlib.sha256(text.encode()).hexdigest()

    def filled(self, instruction: str | None, query: str, document: str) -> list[str]:
        """The segments with their texts put in, the empty ones left out."""
        return [text for text, _ in self.located(instruction, query, document)]

    def located(
        self, instruction: str | None, query: str, document: str
    ) -> list[tuple[str, list[tuple[str, int, int]]]]:
        """Each segment of :meth:`filled`, with the fields in it: name, start and end in characters."""
        told = _FIELD.sub(lambda _: instruction or "", self.lead) if instruction else ""
        texts = {"instruction": told, "query": query, "document": document}
        segments = []
        for segment in self.segments:
            text, places, seen = "", [], 0
            for match in _FIELD.finditer(segment):
                text += segment[seen : match.start()]
                own = texts[match.group(1)]
                places.append((match.group(1), len(text), len(text) + len(own)))
                text, seen = text + own, match.end()
            text += segment[seen:]
            if text:
                segments.append((text, places))
        return segments

    def encode(self, tokenizer: Any, instruction: str | None, texts: Sequence[tuple[str, str]]) -> list[list[int]]:
        """Token ids of each (query, document), however long."""
        opening = self.opens(tokenizer)
        rows = [self.filled(instruction, query, document) for query, document in texts]
        flat = [segment for row in rows for segment in row]
        encoded = iter(
            tokenizer(flat, add_special_tokens=False, return_attention_mask=False, verbose=False)["input_ids"]
            if flat
            else ()
        )
        return [[*opening, *(token for _ in row for token in next(encoded))] for row in rows]

    def answer_ids(self, spec: str, tokenizer: Any) -> tuple[int, ...]:
        """Token ids of ``yes`` and, where there is one, of ``no``.

        Raises:
            FrescoError: no spelling of an answer is a single token, or both are the same one.
        """
        ids = tuple(_single(spec, tokenizer, spellings) for spellings in (self.yes, self.no) if spellings)
        if len(set(ids)) < len(ids):
            raise FrescoError(f"{spec}: its tokenizer has one token for both answers {self.answers!r}; name others")
        return ids

    def opens(self, tokenizer: Any) -> list[int]:
        """The token for the beginning of a text, where one comes first."""
        first = tokenizer.bos_token_id
        if first is None or self.begins is False or self.segments[0].startswith(tokenizer.bos_token):
            return []
        own = tokenizer("", return_attention_mask=False)["input_ids"] if self.begins is None else [first]
        return [first] if own[:1] == [first] else []


def _single(spec: str, tokenizer: Any, spellings: Sequence[str]) -> int:
    cut = 0
    for word in spellings:
        ids: list[int] = tokenizer(word, add_special_tokens=False)["input_ids"]
        if len(ids) == 1 and ids[0] != tokenizer.unk_token_id:
            return ids[0]
        cut = cut or len(ids)
    raise FrescoError(
        f"{spec}: its tokenizer cuts {spellings[0]!r} into {cut} tokens; it must be a single one: name answers that "
        "are with --answers YES,NO"
    )


def read_form(path: str | Path, answers: Sequence[str]) -> PromptForm:
    """The form of a file of the user's own.

    Args:
        path: UTF-8 text with ``{query}``, ``{document}`` and, where the model takes one, ``{instruction}``. Taken as it
            is but for one line break at the end; control tokens in it count as such.
        answers: For relevant and not; empty for yes and no.

    Raises:
        FrescoError: no such file, or a field is missing.
    """
    try:
        text = Path(path).read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise FrescoError(f"--template {path}: cannot read it as UTF-8 text ({type(error).__name__})") from error
    missing = [name for name in ("{query}", "{document}") if name not in text]
    if missing:
        raise FrescoError(f"--template {path}: it has no {' and no '.join(missing)}; write them where the texts go")
    return PromptForm(f"file {Path(path).name}", (text,), *with_spellings(answers))


def with_spellings(answers: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The fields ``yes`` and ``no`` for what ``--answers`` names."""
    yes, no = (*answers, "yes", "no")[:2] if not answers else (*answers, "")[:2]
    return (yes,), (no,) if no else ()
