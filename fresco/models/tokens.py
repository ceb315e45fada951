"""From foreign text to a model's input: control tokens disarmed, over-long passages shortened.

Both change the text, before the tokenizer reads it: a library that is given the changed text sees the same tokens.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from fresco.errors import FrescoError
from fresco.models.batching import Tokens
from fresco.records import Pair, Passage

_TAG = re.compile(r"[<\[].+[>\]]", re.DOTALL)


def fast(spec: str, tokenizer: Any) -> Any:
    """The tokenizer, which must say where in a text each token stands.

    Raises:
        FrescoError: it is no fast one.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise FrescoError(f"{spec}: its tokenizer must be a fast one (tokenizer.json)")
    return tokenizer


class Disarm:
    """Takes the power of control tokens from text: ``<|im_end|>`` in a passage becomes ``< |im_end|>``.

    Without it a passage could end its own turn and answer in the model's place. Text without such strings passes as
    it is.
    """

    def __init__(self, tokenizer: Any, further: Iterable[str] = ()) -> None:
        """Collect what the tokenizer treats as one token whatever stands around it: special tokens and tags.

        Args:
            tokenizer: Of transformers.
            further: More strings that foreign text may not hold, such as the field names of a prompt.
        """
        added = [(str(token), token.special) for token in tokenizer.added_tokens_decoder.values()]
        tags = {text for text, special in added if special or _TAG.fullmatch(text)}  # not the runs of blanks some add
        words = [word for word in {*tags, *tokenizer.all_special_tokens, *further} if len(word) > 1]
        words.sort(key=lambda word: (-len(word), word))  # the longest match wins
        self._pattern = re.compile("|".join(map(re.escape, words)) or r"(?!)")
        self._normalizer = tokenizer.backend_tokenizer.normalizer

    def __call__(self, text: str) -> str:
        """The text, with a blank inside whatever would be a control token."""
        text = self._broken(text)
        if self._normalizer is not None:
            # A normalizer can make a control token of look-alikes: NFKC turns a full-width "</s>" into the real one.
            normal = self._normalizer.normalize_str(text)
            if self._pattern.search(normal):
                return self._broken(normal)
        return text

    def _broken(self, text: str) -> str:
        return self._pattern.sub(lambda match: f"{match.group()[0]} {match.group()[1:]}", text)


def encode(
    pairs: Sequence[Pair],
    tokenizer: Any,
    disarm: Disarm,
    tokenize: Callable[[Sequence[tuple[str, str]]], list[Tokens]],
    limit: int,
) -> tuple[list[Tokens], int]:
    """Tokenize pairs, disarmed and none longer than the limit.

    Args:
        pairs: Queries with passages.
        tokenizer: A fast one of transformers.
        disarm: Of this tokenizer.
        tokenize: Makes whole inputs of (query text, passage text), however long.
        limit: Most tokens of an input.

    Returns:
        The inputs, and how many passages were shortened.

    Raises:
        FrescoError: a query alone is too long.
    """
    texts = [(disarm(query.text), disarm(passage.text)) for query, passage in pairs]
    encoded = tokenize(texts)
    long = [index for index, tokens in enumerate(encoded) if len(tokens) > limit]
    for index in long:
        query, passage = texts[index]

        def measure(text: str, query: str = query) -> int:
            return len(tokenize([(query, text)])[0])

        encoded[index] = tokenize([(query, shorten(pairs[index][1], passage, tokenizer, measure, limit))])[0]
    return encoded, len(long)


def shorten(passage: Passage, text: str, tokenizer: Any, measure: Callable[[str], int], limit: int) -> str:
    """Cut the end of a passage's body until the input fits; the timestamp line stays.

    Args:
        passage: For its timestamp line and for error messages.
        text: Its text, disarmed.
        tokenizer: A fast one of transformers: it tells where each token stands in the text.
        measure: Tokens of the whole input (query, template, special tokens) with this passage text.
        limit: Most tokens of the input.

    Returns:
        An opening of the text, cut between tokens, that fits with the timestamp line after it and leaves hardly a token
        of room.

    Raises:
        FrescoError: what stands around the body is too long by itself.
    """
    content = text.removesuffix(passage.timestamp_line)
    offsets = tokenizer(content, add_special_tokens=False, return_offsets_mapping=True, verbose=False)["offset_mapping"]
    keep, length = len(offsets), measure(text)
    while length > limit:
        if keep == 0:
            raise FrescoError(
                f"passage {passage.id}: even without its text the input takes {length} tokens, more than the {limit} "
                "that the model reads; raise --max-length or shorten the query"
            )
        keep = max(0, keep - (length - limit))  # at least one less each time: tokens can merge anew at the cut
        text = (content[: offsets[keep - 1][1]] if keep else "") + passage.timestamp_line
        length = measure(text)
    return text
