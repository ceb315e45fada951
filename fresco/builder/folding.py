"""From windows to candidates: texts that say the same are one, and no two labels share a text.

One text usually stands in several revisions. It becomes one candidate, with the date of one of them, so that a date
tells as little of the label as the wiki allows: a text that states the current value takes the first revision of its
time that holds it, one that states a former value the last; of others SHA-256 picks which. A former value in the newest
revision is the harder conflict (*history*): no keeping of latest revisions cures it. It is history, too, where the
newest revision has moved the sentence to another window or section.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from fresco.builder.near_duplicates import TwinIndex, shingles
from fresco.builder.reading import Reading
from fresco.builder.revisions import Revision
from fresco.builder.windows import SIZES, Window, token_estimate, windows
from fresco.records import Conflict, Label, format_timestamp

FOLDED = "near-duplicate of another of its label"
TWIN = "near-duplicate of a passage with another label"
#: A model with a short window must see where a positive and an outdated passage part.
_SHORT_WINDOW = 240
#: Share of a sentence's shingles from which another text holds it; one word that differs is in five of them.
_HELD = 0.6
#: A smaller window is taken where it keeps so many times as many outdated passages.
_WORTH = 1.34


@dataclass(frozen=True, slots=True)
class Source:
    """A section of a revision.

    Attributes:
        revision: The revision.
        section: Number of the section.
        reading: What it states; shared by all revisions with the same text.
        in_time: Whether the revision is of the current value's time.
        newest: Whether it is the newest of its page.
    """

    revision: Revision
    section: int
    reading: Reading
    in_time: bool
    newest: bool


@dataclass(frozen=True, slots=True)
class Candidate:
    """A labelled window of a section of a revision.

    Attributes:
        revision: The revision.
        section: Number of the section.
        window: The part of its text.
        heading: Of the section.
        text: The words.
        label: What they are.
        states: For outdated ones, the value that they state.
        conflict: For outdated ones.
    """

    revision: Revision
    section: int
    window: Window
    heading: str
    text: str
    label: Label
    states: str = ""
    conflict: Conflict | None = None


@dataclass(slots=True)
class _Group:
    """A text, the label it has, and where it stands."""

    label: Label
    states: str
    announced: bool
    shingles: frozenset[str]
    members: list[tuple[Source, Window]]


def fold_windows(sources: Sequence[Source], subject: str, discarded: Counter[str]) -> tuple[int, list[Candidate]]:
    """The candidates of a page, and the size of their windows.

    Args:
        sources: Every section of every revision.
        subject: Title of the page.
        discarded: Counts what becomes no candidate, by reason.
    """
    telling = [source for source in sources if source.reading.states_something]
    best, late, size = -1.0, False, SIZES[0]
    for each in SIZES:
        kept, _ = _told_apart(_groups(telling, each, Counter()), subject)
        outdated = [group for group in kept if group.label is Label.OUTDATED]
        has_positive = any(group.label is Label.POSITIVE for group in kept)
        # What no date tells apart is worth a smaller window, too: rows of one table, each a year's.
        has_late = any(source.newest for group in outdated for source, _ in group.members)
        more = len(outdated) >= max(1.0, _WORTH * best if best > 0 else 0.0) and has_late >= late
        if has_positive and (more or has_late > late):
            best, late, size = float(len(outdated)), has_late, each
    kept, lost = _told_apart(_groups(sources, size, discarded), subject)
    if lost:
        discarded[TWIN] += lost
    still = frozenset[str]().union(*(shingles(source.reading.section.text) for source in sources if source.newest))
    return size, [_candidate(group, subject, still) for group in kept]


def _groups(sources: Sequence[Source], size: int, discarded: Counter[str]) -> list[_Group]:
    """One group for each label and text, near-duplicates of one label and value together."""
    by_text: dict[tuple[Label, str, bool, str], list[tuple[Source, Window]]] = {}
    for source in sources:
        reading = source.reading
        for window in windows(reading.section.text, reading.parts, size):
            verdict = reading.judge(window, in_time=source.in_time)
            if verdict.label is None:
                discarded[verdict.states] += 1
                continue
            text = reading.section.text[window.start : window.end]
            key = (verdict.label, verdict.states, verdict.announced, text)
            by_text.setdefault(key, []).append((source, window))
    groups: list[_Group] = []
    indexes: dict[tuple[Label, str, bool], tuple[TwinIndex, list[_Group]]] = {}
    for (label, states, announced, text), members in by_text.items():
        own = shingles(text)
        index, known = indexes.setdefault((label, states, announced), (TwinIndex(), []))
        if label is not Label.OUTDATED and (twins := index.twins(own)):
            known[twins[0]].members.extend(members)
            discarded[FOLDED] += len(members)
            continue
        index.add(own)
        group = _Group(label, states, announced, own, members)
        known.append(group)
        groups.append(group)
        discarded[FOLDED] += len(members) - 1
    return groups


def _told_apart(groups: Sequence[_Group], subject: str) -> tuple[list[_Group], int]:
    """The groups without those that are near-duplicates of one with a stronger label, and how many those are.

    A positive is stronger than an outdated passage, both are stronger than one that states nothing.
    """
    order = (Label.POSITIVE, Label.OUTDATED, Label.INSUFFICIENT)
    index = TwinIndex()
    kept: list[_Group] = []
    labels: list[Label] = []
    lost = 0
    for label in order:
        for group in (group for group in groups if group.label is label):
            # A representative may differ a little from its group's first text: all texts are compared.
            texts = dict.fromkeys(_text(member) for member in group.members)
            sets = [shingles(text) for text in texts]
            twin = any(labels[number] is not label for own in sets for number in index.twins(own))
            if not twin and label is Label.OUTDATED:
                positives = [_text(other.members[0]) for other in kept if other.label is Label.POSITIVE]
                twin = any(_alike_at_first(subject, text, other) for text in texts for other in positives)
            if twin:
                lost += 1
                continue
            kept.append(group)
            for own in sets:
                index.add(own)
                labels.append(label)
    return kept, lost


def _alike_at_first(subject: str, text: str, other: str) -> bool:
    shared = next(
        (place for place, (own, theirs) in enumerate(zip(text, other, strict=False)) if own != theirs),
        min(len(text), len(other)),
    )
    return token_estimate(f"Title: {subject}\n{text[:shared]}") >= _SHORT_WINDOW


def _text(member: tuple[Source, Window]) -> str:
    source, window = member
    return source.reading.section.text[window.start : window.end]


def _still_stands(member: tuple[Source, Window], still: frozenset[str]) -> bool:
    """Whether a sentence that states a former value stands among the shingles of the newest revision.

    A few words may differ (a typo that was mended), but none near the value or a number.
    """
    source, window = member
    for value, sentence in source.reading.former_sentences(window):
        own = shingles(sentence)
        names = {word for form in value.forms for word in re.findall(r"\w{3,}", form.casefold())}
        telling = {each for each in own if any(word.isdigit() or word in names for word in each.split())}
        if telling <= still and len(own & still) >= _HELD * len(own):
            return True
    return False


def _candidate(group: _Group, subject: str, still: frozenset[str]) -> Candidate:
    members = group.members
    conflict = None
    if group.label is Label.OUTDATED:
        history = any(member[0].newest or _still_stands(member, still) for member in members)
        conflict = Conflict.ANNOUNCED if group.announced else Conflict.HISTORY if history else Conflict.VERSION
        last = max(_saved(member) for member in members)
        members = [member for member in members if _saved(member) == last]
    elif group.label is Label.POSITIVE:
        first = min(_saved(member) for member in members)
        members = [member for member in members if _saved(member) == first]
    source, window = min(members, key=_draw(subject, _text(group.members[0])))
    return Candidate(
        source.revision,
        source.section,
        window,
        source.reading.section.heading,
        _text((source, window)),
        group.label,
        group.states,
        conflict,
    )


def _saved(member: tuple[Source, Window]) -> datetime:
    return member[0].revision.timestamp


def _draw(subject: str, text: str) -> Callable[[tuple[Source, Window]], tuple[bytes, int, int]]:
    def key(member: tuple[Source, Window]) -> tuple[bytes, int, int]:
        source, window = member
        seed = f"{subject}\n{text}\n{format_timestamp(source.revision.timestamp)}"
        return hashlib.sha256(seed.encode()).digest(), source.section, window.start

    return key
