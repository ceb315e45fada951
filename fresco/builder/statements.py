"""Whether a section states a value of a relation, or so much as mentions it.

Two questions with two thresholds, because the errors differ. A positive, or an outdated passage, must *state* the
value: its name (or number) stands in one sentence with a cue of the relation and without a word that says it is over.
A negative must not even *mention* the current value: a surname, an initialism, a rounded number is enough to throw the
section out. What lies between the two becomes no candidate at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from fresco.builder.clauses import (
    another_counts,
    another_has_office,
    gets_another_office,
    has_lower_office,
    in_one_cell,
    is_doubted,
    is_lower_office,
    of_another_body,
    owns_another,
)
from fresco.builder.facts.amounts import counts_something_else
from fresco.builder.facts.values import Amount, Value, amounts, fold, surname, words_of
from fresco.builder.table_statements import is_row, mentions_in_cells, stating_cells
from fresco.builder.templates import Relation
from fresco.builder.wikitext import Section

_ABBREVIATION = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Jr|Sr|St|Inc|Corp|Ltd|Co|No|vs|Gen|Lt|Col|Sen|Rep|Gov|Prof|Mt|Ft|approx|[A-Z])"
    r"|[A-Z]\.[A-Z])\.$"
)
_END = re.compile(r"[.!?][\"')\]]?\s+(?=[\"'(\[]?[A-Z0-9£$€])|\n+")
#: Behind a name: its time is over.
_LEFT = re.compile(
    r"[^.;]{0,25}?\b(?:resign(?:ed|s|ation)|step(?:ped|s|ping) down|(?:was|were|is|being|had been|got) (?:\w+ )?"
    r"(?:fired|sacked|dismissed|ousted|relieved|removed|replaced|succeeded|traded)|left|departed|retired|parted|until|"
    r"(?:to be|would be|will be) (?:replaced|succeeded)|replaced by|succeeded by|died|mutual)\b",
    re.IGNORECASE,
)
#: Before a name: a former holder, or one who was passed by.
_PASSED = re.compile(
    r"(?:\b(?:former(?:ly)?|ex|previous|then|late|outgoing|first|original)\b[-\s](?:[\w.'\u2019-]+\s){0,4}"
    r"|\b(?:replac(?:es|ed|ing|e)(?! by)|succeed(?:s|ed|ing)?(?! by)|fir(?:ed|ing(?: of)?)|sacked|dismissed|ousted|"
    r"predecessor)\s"
    r"(?:[\w.'\u2019-]+\s){0,3}|\bsacking of\s)$",
    re.IGNORECASE,
)
#: Right before a name: its time begins, whoever was passed by before.
_BEGINS = re.compile(
    r"\b(?:by|hir(?:ed|es|ing)|nam(?:ed|es|ing)|appoint(?:ed|s|ing)|promot(?:ed|es|ing)|elect(?:ed|s|ing)|with)\s"
    r"(?:[\w-]+\s){0,2}$",
    re.IGNORECASE,
)
#: In a list, what says that an entry is the present one.
_PRESENT = re.compile(r"\b(?:present|incumbent|current(?:ly)?|since|as of)\b|\d{4}\s*-\s*\)|-\s*\)", re.IGNORECASE)
_LIST_LINE = 160
#: Words of names that alone name nobody.
_COMMON = words_of(
    "sports stadium arena park center centre field capital management group holdings partners entertainment media "
    "investment fund public united city athletic association family enterprises global technologies systems company "
    "corporation international the los san new york santa real club team bank trust estate house university street "
    "avenue road boulevard drive square plaza building tower floor north south east west united states"
)
#: "from 2013 to 2016": over.
_ENDED = re.compile(r"\bfrom (?:\w+ )?(?:1[89]|20)\d\d (?:to|until) |(?:1[89]|20)\d\d\s?-\s?(?:1[89]|20)\d\d\b")
_YEAR = re.compile(r"(?<!\d)(?:1[89]|20)\d\d(?!\d)")
#: Right before a number that counts nothing: an ordinal or an age.
_ORDINAL = re.compile(r"(?:#|\b(?:No\.|number|week|game|round|chapter|aged?|season|day))\s?$", re.IGNORECASE)
#: Right behind a number that counts time, and nothing else.
_TIME = re.compile(r"[\s-]?(?:seconds?|minutes?|hours?|days?|weeks?|months?|years?)\b", re.IGNORECASE)
#: A bare small number is an answer only right beside its cue ("26 playoff appearances").
_SMALL = 1000
_SMALL_REACH = 30


@dataclass(frozen=True, slots=True)
class Statement:
    """Where a section states a value.

    Attributes:
        start: First character of the sentence.
        end: Behind its last character.
        rank: Place of the cue in the relation's list: the first say it most plainly; tables come behind all of them.
    """

    start: int
    end: int
    rank: int


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """The sentences of a text as (start, end); abbreviations and initials end none, and a row of a table is one."""
    start = 0
    for match in _END.finditer(text):
        end = match.start() + (0 if text[match.start()] == "\n" else 1)
        if "\n" not in match.group() and (
            _ABBREVIATION.search(text[max(start, end - 8) : end]) or is_row(text[start : text.find("\n", end)])
        ):
            continue
        if end > start:
            yield start, end
        start = match.end()
    if start < len(text):
        yield start, len(text)


def states(
    relation: Relation, role: str, value: Value, section: Section, *, subject: str = "", earliest: int = 0
) -> Statement | None:
    """The sentence of the section that states the value most plainly, the first of several; None if there is none.

    In a list under a heading that is a cue ("Presidents"), an entry need not repeat it, if it says that it is current.

    Args:
        relation: The relation.
        role: Words of the role.
        value: Whom or what to look for.
        section: Where.
        subject: Title of the page: an office "of" something else is another one.
        earliest: Sentences that speak of earlier years only tell of something else with the same name or number.
    """
    found = statements(relation, role, value, section, subject=subject, earliest=earliest)
    return min(found, key=lambda each: (each.rank, each.start), default=None)


def statements(
    relation: Relation,
    role: str,
    value: Value,
    section: Section,
    *,
    subject: str = "",
    earliest: int = 0,
    over: bool = False,
) -> list[Statement]:
    """Every sentence of the section that states the value; see :func:`states`.

    Args:
        relation: The relation.
        role: Words of the role.
        value: Whom or what to look for.
        section: Where.
        subject: Title of the page.
        earliest: Sentences that speak of earlier years only are left out.
        over: Whether sentences count that say that its time is over ("the former coach", "until 2022"), and rows of a
            table that a later year follows.
    """
    wanted = _Wanted(relation, value, cues_of(relation, role), subject, over)
    text = in_place(section.text)
    short = surname(value)
    full = name_pattern(value.forms) if value.forms else None
    if value.amount is None and (full is None or not full.search(text)):
        return []
    pattern = name_pattern((*value.forms, short)) if full is not None and short else full
    headed = value.amount is None and any(cue.search(fold(section.heading)) for cue in wanted.cues)
    found = []
    for start, end in _sentences(text):
        sentence = text[start:end]
        if is_row(sentence) and not (over or _tells_time(value, sentence)):
            continue
        places = _places(wanted, pattern, sentence)
        if not places or (value.kind != "date" and _is_past(sentence, section.heading, earliest)):
            continue
        if not over and _is_over(value, sentence, places):
            continue
        for place, length in places:
            rank = _rank(wanted, sentence, place, length)
            if rank is None and headed and len(sentence) < _LIST_LINE and (over or _PRESENT.search(sentence)):
                rank = len(wanted.cues)
            if rank is not None:
                found.append(Statement(start, end, rank))
    if value.amount is not None:
        for rank, cell in stating_cells(value.amount, wanted.cues, text, earliest, latest=not over):
            found.append(Statement(cell.start, cell.end, len(wanted.cues) + rank))
    return found


# Each text is asked for several values, one after the other.


@lru_cache(maxsize=64)
def _sentences(text: str) -> tuple[tuple[int, int], ...]:
    return tuple(sentences(text))


@lru_cache(maxsize=4096)
def _amounts(sentence: str) -> tuple[Amount, ...]:
    return tuple(amounts(sentence)) if any(each.isdigit() for each in sentence) else ()


@lru_cache(maxsize=64)
def in_place(text: str) -> str:
    """Text folded so that every character keeps its place."""
    folded = fold(text)
    if len(folded) == len(text):
        return folded
    return "".join(each if len(each) == 1 else own for own in text for each in (fold(own),))


def mentions(relation: Relation, role: str, value: Value, text: str) -> bool:
    """Whether the text names the value in any way that a reader could take for an answer."""
    folded = fold(text)
    if value.amount is not None:
        return _mentions_amount(value.amount, cues_of(relation, role), folded)
    forms = [*value.forms, surname(value), *(_initials(form) for form in value.forms)]
    if value.kind in ("organization", "place"):
        # "the Dodgers" names the Los Angeles Dodgers.
        words = [word for form in value.forms[:1] for word in re.findall(r"[^\W\d_]{4,}", form)]
        forms += [word for word in words if word[0].isupper() and word.casefold() not in _COMMON]
    pattern = name_pattern(tuple(form for form in forms if form))
    return pattern.search(folded) is not None


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a sentence is searched for."""

    relation: Relation
    value: Value
    cues: tuple[re.Pattern[str], ...]
    subject: str
    over: bool = False


def _tells_time(value: Value, row: str) -> bool:
    """Whether a row of a table can be read like a sentence: one of a list by years must say that it is the present."""
    return value.amount is None and (not _YEAR.search(row) or _PRESENT.search(row) is not None)


def _is_past(sentence: str, heading: str, earliest: int) -> bool:
    """Whether a sentence, or the section around it, speaks of earlier years only."""
    own = _YEAR.findall(sentence)
    if not own and re.search(r"present|current", heading, re.IGNORECASE):
        return False
    years = [int(year) for year in own or _YEAR.findall(heading)]
    return bool(years) and max(years) < earliest


def _is_over(value: Value, sentence: str, places: Sequence[tuple[int, int]]) -> bool:
    """Whether a sentence says that a holder left, or held from a year to a year."""
    if value.amount is not None:
        return False
    return bool(_ENDED.search(sentence)) or any(_LEFT.match(sentence, place + length) for place, length in places)


def _rank(wanted: _Wanted, sentence: str, place: int, length: int) -> int | None:
    """Place of the first cue within reach of the value; None where there is none that tells of its time."""
    value, end, reach = wanted.value, place + length, wanted.relation.reach
    if value.amount is not None and _is_small(value.amount):
        reach = min(reach, _SMALL_REACH)
    # "the former coach of A, X, as its new manager": former there, but the cue behind it is what counts.
    before = sentence[:place]
    passed = value.amount is None and _PASSED.search(before) is not None and _BEGINS.search(before) is None
    passed = passed and not wanted.over
    if wanted.relation.values == "person" and gets_another_office(sentence, end, wanted.cues):
        return None
    for rank, pattern in enumerate(wanted.cues):
        for cue in pattern.finditer(sentence, max(0, place - reach - 30), end + reach + 30):
            if not in_one_cell(sentence, cue.start(), place) or _is_of_another(wanted, sentence, cue, (place, end)):
                continue
            behind = end <= cue.start() <= end + reach
            if behind or (place - reach <= cue.end() <= place and not passed):
                return rank
    return None


def _is_of_another(wanted: _Wanted, sentence: str, cue: re.Match[str], value: tuple[int, int]) -> bool:
    """Whether a cue speaks of another body's or person's office, of a lower one, or of something else that is owned."""
    if wanted.relation.values == "person":
        elsewhere = bool(wanted.subject) and of_another_body(sentence, cue.end(), wanted.subject)
        return (
            elsewhere
            or is_lower_office(sentence, cue.start())
            or another_has_office(sentence, cue.end(), wanted.subject, value)
        )
    if wanted.relation.values == "organization" and wanted.relation.nested and wanted.subject:
        return owns_another(sentence, cue.end(), wanted.subject, value)
    return False


def _places(wanted: _Wanted, pattern: re.Pattern[str] | None, sentence: str) -> Sequence[tuple[int, int]]:
    if wanted.value.amount is not None:
        amount = wanted.value.amount
        return [
            (each.at, each.end - each.at)
            for each in _amounts(sentence)
            if not each.may_be_year
            and _equal(amount, each)
            and each.percent == amount.percent
            and not _is_part(sentence, each)
            and not (_is_small(each) and _counts_nothing(sentence, each))
            and not counts_something_else(wanted.relation.words(), sentence, each)
            and not (wanted.subject and another_counts(sentence, each.at, wanted.subject))
        ]
    assert pattern is not None
    found = [(match.start(), len(match.group())) for match in pattern.finditer(sentence)]
    found = [each for each in found if not is_doubted(sentence, each[0])]
    if wanted.relation.values != "person":
        return found
    return [(at, length) for at, length in found if not has_lower_office(sentence, (at, at + length), wanted.cues)]


def _counts_nothing(sentence: str, amount: Amount) -> bool:
    """Whether a number is an ordinal, an age or a time."""
    ordinal = _ORDINAL.search(sentence, max(0, amount.at - 10), amount.at)
    return ordinal is not None or _TIME.match(sentence, amount.end) is not None


def _equal(wanted: Amount, written: Amount) -> bool:
    """Whether prose states the amount, exactly or rounded to three digits or more."""
    difference = abs(abs(wanted.number) - abs(written.number))
    if difference <= 1e-9 * abs(wanted.number):
        return True
    if wanted.percent or not written.number or written.digits < 3:
        return False
    return difference <= 0.51 * max(written.unit, wanted.unit) and difference <= 0.005 * abs(wanted.number)


def _mentions_amount(wanted: Amount, cues: Sequence[re.Pattern[str]], text: str) -> bool:
    small = _is_small(wanted)
    if mentions_in_cells(wanted, text):
        return True
    for start, end in _sentences(text):
        if is_row(text[start:end]):
            continue
        found = [each for each in _amounts(text[start:end]) if _close(wanted, each)]
        # "3" stands in every other sentence: such a number is an answer only beside a cue.
        if found and (not small or any(cue.search(text[start:end]) for cue in cues)):
            return True
    return False


def _is_part(sentence: str, amount: Amount) -> bool:
    """Whether a number is part of more: the result of a game ("20-17"), a span of years, a name ("B52")."""
    before = sentence[max(0, amount.at - 1) : amount.at]
    behind = sentence[amount.end : amount.end + 2]
    follows = sentence[amount.at] == "-" and before.isdigit()
    return follows or before.isalnum() or before == "-" or (behind[:1] == "-" and behind[1:].isdigit())


def _is_small(amount: Amount) -> bool:
    return abs(amount.number) < _SMALL and not amount.scaled


def _close(wanted: Amount, written: Amount) -> bool:
    difference = abs(abs(wanted.number) - abs(written.number))
    rounded = difference <= 0.51 * written.unit and written.digits >= 2 and not wanted.percent
    return difference <= 0.01 * abs(wanted.number) or (rounded and difference <= 0.05 * abs(wanted.number))


@lru_cache(maxsize=512)
def cues_of(relation: Relation, role: str) -> tuple[re.Pattern[str], ...]:
    """The cues of a relation for folded text, the plainest first."""
    return relation.cue_patterns(fold(role))


@lru_cache(maxsize=4096)
def name_pattern(forms: tuple[str, ...]) -> re.Pattern[str]:
    """A pattern for any of the names, on folded text: whole words, initials with or without points and blanks."""
    alternatives = []
    for form in sorted({fold(form) for form in forms if form}, key=lambda each: (-len(each), each)):
        words = [_word_pattern(word) for word in re.split(r"[\s-]+", form)]
        alternatives.append(r"[\s-]*".join(words) if len(words[0]) < 3 else r"[\s-]+".join(words))
    # Version 3.1 is not version 3, nor is 2.3.1 version 3.1.
    return re.compile(r"(?<!\w)(?:(?<!\d\.)|(?=\D))(?:" + "|".join(alternatives) + r")(?!\w|\.\d)")


def _word_pattern(word: str) -> str:
    if re.fullmatch(r"(?:[A-Z]\.?){1,3}", word) and (len(word) <= 2 or "." in word):
        return r"\s?".join(rf"{letter}\.?" for letter in word.replace(".", ""))
    return re.escape(word)


def _initials(form: str) -> str:
    letters = "".join(word[0] for word in form.split() if word[0].isupper())
    return letters if len(letters) >= 3 else ""
