"""What a passage states of a pair: the current value, a former one, both, neither. The label follows from that alone.

The age of a revision decides two things only: whether a statement of a former value is a matter of the page's *version*
or of its *history*, and that a text from before the current value's time does not state it but announces it.

A passage that states the current value and a former one is a positive where it makes clear which is which: the former
one's time is said to be over, or the current one comes last of the statements; else it is no candidate.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fresco.builder.facts.holders import read_state
from fresco.builder.facts.values import Value, amounts, fold, read_value, same
from fresco.builder.infobox_text import Line, infobox_lines, part_of
from fresco.builder.queries import spoken
from fresco.builder.statements import Statement, cues_of, in_place, mentions, name_pattern, statements
from fresco.builder.templates import Relation
from fresco.builder.wikitext import Infobox, Page, Section
from fresco.builder.windows import FEWEST_WORDS, Window, units
from fresco.records import Label

#: Reasons why a passage is no candidate.
BOTH = "states the current and a former value, and not which is which"
EARLY = "states the current value before its time"
MENTIONS = "mentions the current value without stating it"
MENTIONS_FORMER = "mentions a former value without stating it"
OTHER = "may state a value that the facts do not know"
SHORT = "too short"


@dataclass(frozen=True, slots=True)
class Sought:
    """What passages are read for.

    Attributes:
        relation: The relation.
        role: Words of the role.
        subject: Title of the page.
        current: The holders at the reference date.
        fresh: Those of them that are new: an outdated passage must not mention one.
        former: Earlier holders.
        announced: Holders to come.
        earliest: A sentence that speaks only of years before this one states nothing of the current value.
        earliest_former: The same for former values.
        named: Whether a sentence states something of the subject only where it names it: documents are not pages of
            their own about it.
    """

    relation: Relation
    role: str
    subject: str
    current: tuple[Value, ...]
    fresh: tuple[Value, ...]
    former: tuple[Value, ...]
    announced: tuple[Value, ...] = ()
    earliest: int = 0
    earliest_former: int = 0
    named: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a window is.

    Attributes:
        label: None where it is no candidate.
        states: The former or announced value that it states; or why it is no candidate.
        announced: Whether it is a value to come.
    """

    label: Label | None
    states: str = ""
    announced: bool = False


class Reading:
    """The statements of one section, of which each window takes its part.

    Args:
        sought: What to look for.
        section: The section.
        page: For the section of the infoboxes: the page they are from.
    """

    def __init__(self, sought: Sought, section: Section, page: Page | None = None) -> None:
        self.section = section
        self._sought = sought
        self._page = page
        self._lines: Sequence[Line] = ()
        self._judged: dict[tuple[Window, bool], Verdict] = {}
        self._of_another = self._in_other_words = False
        if page is not None:
            self._lines = infobox_lines(page, section.index)
            own = part_of(page, self._lines, 0, len(section.text))
            self.states_something = bool(read_state(sought.relation, own, subject=sought.subject).get(sought.role))
            # An entry of a list says whose value it states.
            self._of_another = sought.relation.entries and any(
                box.subject not in ("", sought.role) and not _may_be_renamed(box, sought, page) for box in own
            )
            self._in_other_words = not self.states_something and any(_holds_such_a_value(box, sought) for box in own)
        else:
            self._read()
        self.parts = units(section.text)

    def _read(self) -> None:
        sought, text = self._sought, self.section.text

        named = name_pattern((spoken(sought.subject),)) if sought.named else None

        def found(value: Value, *, over: bool, earliest: int) -> list[Statement]:
            stated = statements(
                sought.relation, sought.role, value, self.section, subject=sought.subject, earliest=earliest, over=over
            )
            return [each for each in stated if named is None or named.search(in_place(text), each.start, each.end)]

        self._current = [found(value, over=False, earliest=sought.earliest) for value in sought.current]
        self._stale = {
            value.label: found(value, over=False, earliest=sought.earliest_former) for value in sought.former
        }
        self._over = {value.label: found(value, over=True, earliest=sought.earliest_former) for value in sought.former}
        self._coming = {value.label: found(value, over=False, earliest=0) for value in sought.announced}
        groups = [*self._current, *self._over.values(), *self._coming.values()]
        self.states_something = any(groups)

    def judge(self, window: Window, *, in_time: bool) -> Verdict:
        """What a window of the section is.

        Args:
            window: The window.
            in_time: Whether its revision is of the current value's own time.
        """
        key = (window, in_time)
        if key not in self._judged:
            self._judged[key] = self._judge(window, in_time)
        return self._judged[key]

    def former_sentences(self, window: Window) -> list[tuple[Value, str]]:
        """Former values and the sentences of a window that state them; an infobox has no sentences."""
        if self._page is not None:
            return []
        return [
            (value, self.section.text[each.start : each.end])
            for value in self._sought.former
            for each in _inside(self._over[value.label], window)
        ]

    def _judge(self, window: Window, in_time: bool) -> Verdict:
        text = self.section.text[window.start : window.end]
        now, was, coming, clear = self._box(window) if self._page is not None else self._prose(window)
        if was is None:
            return Verdict(None, OTHER)
        if now:
            if not clear:
                return Verdict(None, BOTH)
            return Verdict(Label.POSITIVE) if in_time else Verdict(None, EARLY)
        return self._without_current(text, was, coming)

    def _without_current(self, text: str, was: Sequence[str], coming: Sequence[str]) -> Verdict:
        sought = self._sought
        whole = f"{self.section.heading}\n{text}"
        blocking = sought.fresh if was or coming else sought.current
        if any(mentions(sought.relation, sought.role, value, whole) for value in blocking):
            return Verdict(None, MENTIONS)
        if len(text.split()) < FEWEST_WORDS:
            return Verdict(None, SHORT)
        if was or coming:
            return Verdict(Label.OUTDATED, "; ".join(was or coming), announced=not was)
        if any(mentions(sought.relation, sought.role, value, whole) for value in (*sought.former, *sought.announced)):
            return Verdict(None, MENTIONS_FORMER)
        another = not self._of_another and may_state_another(sought.relation, sought.role, self.section.heading, text)
        if another or self._in_other_words:
            return Verdict(None, OTHER)
        return Verdict(Label.INSUFFICIENT)

    def _prose(self, window: Window) -> tuple[bool, list[str], list[str], bool]:
        now = [_inside(found, window) for found in self._current]
        stale = [each for found in self._stale.values() for each in _inside(found, window)]
        was = [label for label, found in self._over.items() if _inside(found, window)]
        coming = [label for label, found in self._coming.items() if _inside(found, window)]
        states = all(now)
        last = min((max(each.start for each in found) for found in now), default=0) if states else 0
        amount = any(value.amount is not None for value in self._sought.current)
        clear = not stale or (not amount and all(each.start < last for each in stale))
        return states, was, coming, clear

    def _box(self, window: Window) -> tuple[bool, list[str] | None, list[str], bool]:
        sought = self._sought
        assert self._page is not None
        part = part_of(self._page, self._lines, window.start, window.end)
        holders = read_state(sought.relation, part, subject=sought.subject).get(sought.role, ())
        now = len(holders) == len(sought.current) and all(
            any(same(holder, value) for holder in holders) for value in sought.current
        )
        was = [value.label for value in sought.former if any(same(value, holder) for holder in holders)]
        if now and was:
            # Two years' figures may round alike: which one it is to the last digit, that one is stated.
            now, was = _exact(sought, holders, was)
        coming = [value.label for value in sought.announced if any(same(value, holder) for holder in holders)]
        if holders and not (now or was or coming):
            return False, None, [], True
        return now, was, coming, not (now and was)


def _exact(sought: Sought, holders: Sequence[Value], was: list[str]) -> tuple[bool, list[str]]:
    """Of a number that may be the current value and a former one, rounded: what it is to the last digit."""
    numbers = {holder.amount.number for holder in holders if holder.amount is not None}
    now = any(value.amount is not None and value.amount.number in numbers for value in sought.current)
    exact = [value.label for value in sought.former if value.amount is not None and value.amount.number in numbers]
    return (now, exact) if now != bool(exact) else (True, was)


def _may_be_renamed(box: Infobox, sought: Sought, page: Page) -> bool:
    """Whether an entry may be the one asked for under an earlier name: "9" where there is no "9.0" beside it."""
    key, role = box.subject or "", sought.role
    alike = bool(key) and (key.startswith(role) or role.startswith(key))
    return alike and not is_on(page, role)


def is_on(page: Page, role: str) -> bool:
    """Whether a page has an entry of that key."""
    return any(box.subject == role for box in page.infoboxes)


def _holds_such_a_value(box: Infobox, sought: Sought) -> bool:
    """Whether the subject's own fields hold a value of the relation's kind, though none of them is the relation's.

    Fields are given other names now and then: what was "latest release date" is "latest date" in one revision.
    """
    if box.subject is None or box.subject != (sought.role if sought.relation.entries else ""):
        return False
    texts = (entry.text for entries in box.fields.values() for entry in entries)
    return any(text != box.subject and read_value(sought.relation.values, text) is not None for text in texts)


def _inside(found: Sequence[Statement], window: Window) -> list[Statement]:
    return [each for each in found if window.start <= each.start and each.end <= window.end]


_NAME = re.compile(r"\b[A-Z][\w.'-]+(?: [A-Z][\w.'-]+)+")
_CAPITAL = re.compile(r"\b[A-Z][\w&'-]+")
#: "Her second title", "champion for the first time" say how many there were.
_NTH = re.compile(
    r"\b(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|\d+(?:st|nd|rd|th))\b", re.IGNORECASE
)
_REACH = 80


def may_state_another(relation: Relation, role: str, heading: str, text: str) -> bool:
    """Whether a passage may state a value of the relation that no fact names: a coach of 1990, a figure of 2008."""
    folded = fold(text)
    cues = cues_of(relation, role)
    if role.endswith("s"):  # "stole his 200th base" counts stolen bases
        cues = (*cues, *cues_of(relation, role[:-1]))
    headed = any(cue.search(fold(heading)) for cue in cues)
    looks = relation.looks is not None and relation.looks.search(folded)
    if looks or (headed and relation.values == "person" and _NAME.search(folded)):
        return True
    for cue in cues:
        for match in cue.finditer(folded):
            around = folded[max(0, match.start() - _REACH) : match.end() + _REACH]
            if relation.values in ("amount", "percentage"):
                if any(not each.may_be_year for each in amounts(around)) or _NTH.search(around):
                    return True
            elif relation.values == "person":
                if _NAME.search(around):
                    return True
            elif relation.values in ("version", "date"):
                if re.search(r"\d", around):
                    return True
            elif _CAPITAL.search(folded, match.end(), match.end() + _REACH):
                return True
    return False
