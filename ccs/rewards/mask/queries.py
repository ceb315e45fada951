"""Mask the queries of trajectories: typed tags for what the maskers find, consistent within each trajectory.

This is the ``psi_mask`` of Cycle-Consistent Search: queries only, observations stay as they are. Beyond the paper's
entities, ``propagate`` (on by default) masks what is left of an entity that was found somewhere else in the trajectory,
and options blank the queries or mask what they share with the question, to see what the queries' own words are worth.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ccs.rewards.mask.base import Masker, Span
from ccs.rewards.mask.embedded import common_words
from ccs.rewards.mask.merge import merge
from ccs.rewards.mask.text import FUNCTION_WORDS, WORD, clean, entity_key

_VERSION = 1
_LONGEST_MENTION = 12  # words
#: What a query is when queries are blanked: their number stays, as the order of turns is part of the trajectory.
BLANK = "[QUERY]"
#: Stands for a word that the question has too.
SHARED = "SHARED"


@dataclass(frozen=True, slots=True)
class MaskOptions:
    """How found spans are masked.

    Attributes:
        masker: The spec of what finds them, where one is opened from a configuration (``ccs parts maskers``).
        numbered: Each entity has its own tag, the same in all queries of a trajectory: ``[PERSON_1]``. Numbers let a
            reader follow an entity through the turns, as the paper's plain tags do not.
        blank: Each query is :data:`BLANK` as a whole; nothing else applies.
        shared_words: Content words that the question has too are ``[SHARED]``.
        propagate: Mentions of an entity that was found in another query or in the question are masked wherever they
            stand, in any case, and so are its uncommon words alone ("Messi" once "Lionel Messi" was found).
    """

    masker: str = "embedded"
    numbered: bool = False
    blank: bool = False
    shared_words: bool = False
    propagate: bool = True

    @property
    def fingerprint(self) -> str:
        """Identity of the options and of the code that applies them."""
        chosen = [name for name in ("numbered", "blank", "shared_words", "propagate") if getattr(self, name)]
        return "-".join((f"queries{_VERSION}", *chosen))


def mask_queries(
    queries: Sequence[str], question: str | None, masker: Masker, options: MaskOptions | None = None
) -> list[str]:
    """Mask the queries of one trajectory, in order; see :func:`mask_trajectories`."""
    return mask_trajectories([(queries, question)], masker, options)[0]


def mask_trajectories(
    trajectories: Sequence[tuple[Sequence[str], str | None]], masker: Masker, options: MaskOptions | None = None
) -> list[list[str]]:
    """Mask the queries of many trajectories; the masker sees all distinct texts of them at once.

    Args:
        trajectories: Of each its queries, and its question (None where it is not to be used).
        masker: Finds the entities.
        options: Default: typed tags, propagated.

    Returns:
        For each trajectory its queries, masked. What the agent wrote like a tag is no tag any more: its brackets are
        round ones.
    """
    options = options or MaskOptions()
    if options.blank:
        return [[BLANK for _ in queries] for queries, _ in trajectories]
    cleaned = [([clean(query) for query in queries], clean(question or "")) for queries, question in trajectories]
    texts = list(dict.fromkeys(text for queries, question in cleaned for text in (*queries, question)))
    found = dict(zip(texts, masker.spans(texts), strict=True))
    return [
        _mask(queries, question, [found[query] for query in queries], found[question], options)
        for queries, question in cleaned
    ]


def _mask(
    queries: Sequence[str],
    question: str,
    found: Sequence[Sequence[Span]],
    in_question: Sequence[Span],
    options: MaskOptions,
) -> list[str]:
    spans = [merge(query, each) for query, each in zip(queries, found, strict=True)]
    if options.propagate:
        known = _Mentions(zip((*queries, question), (*spans, merge(question, in_question)), strict=True))
        spans = [merge(query, (*each, *known.find(query))) for query, each in zip(queries, spans, strict=True)]
    entities = _Entities(zip(queries, spans, strict=True))
    shared = _content_words(question) if options.shared_words else frozenset()
    return [
        _write(query, each, entities, shared, numbered=options.numbered)
        for query, each in zip(queries, spans, strict=True)
    ]


class _Mentions:
    """What was found in a trajectory: each entity as a run of words, and its uncommon words alone."""

    def __init__(self, texts: Iterator[tuple[str, Sequence[Span]]]) -> None:
        self._runs: dict[tuple[str, ...], str] = {}
        common = common_words()
        for text, spans in texts:
            for span in spans:
                run = tuple(entity_key(text[span.start : span.end]).split())
                names = [word for word in run if word not in common and len(word) > 1]
                # A run of common words is masked elsewhere as a whole ("free guy"), one common word never ("may").
                whole = [run] if (names or len(run) > 1) and len(run) <= _LONGEST_MENTION else []
                for mention in whole + [(name,) for name in names]:
                    if self._runs.get(mention, "MISC") == "MISC":
                        self._runs[mention] = span.tag
        self._longest = max(map(len, self._runs), default=0)

    def find(self, text: str) -> Iterator[Span]:
        words = list(WORD.finditer(text))
        keys = [entity_key(word.group()) for word in words]
        for at in range(len(words)):
            for length in range(min(self._longest, len(words) - at), 0, -1):
                tag = self._runs.get(tuple(keys[at : at + length]))
                if tag is not None:
                    yield Span(words[at].start(), words[at + length - 1].end(), tag)
                    break


class _Entities:
    """Which spans of a trajectory are one entity, what type it has and what number."""

    def __init__(self, texts: Iterator[tuple[str, Sequence[Span]]]) -> None:
        tags: dict[str, Counter[str]] = {}
        for text, spans in texts:
            for span in spans:
                tags.setdefault(entity_key(text[span.start : span.end]), Counter())[span.tag] += 1
        self._owner = {key: _whole(key, tags) for key in tags}
        merged: dict[str, Counter[str]] = {}
        for key, counts in tags.items():
            merged.setdefault(self._owner[key], Counter()).update(counts)
        self._tag = {key: _most(counts) for key, counts in merged.items()}
        numbers: Counter[str] = Counter()
        self._number: dict[str, int] = {}
        for key, tag in self._tag.items():
            numbers[tag] += 1
            self._number[key] = numbers[tag]

    def tag(self, surface: str, *, numbered: bool) -> str:
        key = self._owner[entity_key(surface)]
        return f"[{self._tag[key]}_{self._number[key]}]" if numbered else f"[{self._tag[key]}]"


def _whole(key: str, keys: dict[str, Counter[str]]) -> str:
    """The only longer entity that has all words of this one, or else itself: "messi" is "lionel messi"."""
    words = set(key.split())
    longer = [other for other in keys if words < set(other.split())]
    # Of several that hold each other ("messi", "lionel messi", "lionel andres messi") the longest is the entity.
    widest = max(longer, key=lambda other: len(other.split()), default=key)
    return widest if all(set(other.split()) <= set(widest.split()) for other in longer) else key


def _most(counts: Counter[str]) -> str:
    typed = [(count, tag) for tag, count in counts.items() if tag != "MISC"]
    return max(typed, key=lambda pair: pair[0])[1] if typed else "MISC"


def _content_words(text: str) -> frozenset[str]:
    return frozenset(entity_key(word) for word in WORD.findall(text)) - FUNCTION_WORDS


def _write(query: str, spans: Sequence[Span], entities: _Entities, shared: frozenset[str], *, numbered: bool) -> str:
    pieces, at = [], 0
    for span in spans:
        pieces.append(_hide(query[at : span.start], shared))
        pieces.append(entities.tag(query[span.start : span.end], numbered=numbered))
        at = span.end
    return "".join((*pieces, _hide(query[at:], shared)))


def _hide(text: str, shared: frozenset[str]) -> str:
    return WORD.sub(lambda match: f"[{SHARED}]" if entity_key(match.group()) in shared else match.group(), text)
