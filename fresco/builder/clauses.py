"""Whom or what the parts of a sentence speak of: another body's office, another person's, something else that is owned.

A value and a cue that stand near each other state nothing where the cue belongs to somebody or something else. Each
question here is asked of one sentence of folded text, or of one row of a table.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from fresco.builder.facts.values import fold, words_of
from fresco.builder.wikitext.tables import SEPARATOR

_NAME = r"[A-Z][\w&.'-]*(?:\s[A-Z][\w&.'-]*)*"
_TITLE = (
    r"(?:(?:former|current|interim|acting|executive|managing|group|global|honorary|vice)[\s-])*"
    r"(?:CEO|CFO|COO|CTO|president|chair(?:man|woman|person)?|chief \w+(?: officer)?|director|(?:co-?)?founder|manager|"
    r"head coach|secretary|treasurer|partner)"
)
#: Behind the word for an office, and others of the same person, what it is the office of.
_OF = re.compile(
    rf"(?i:(?:,|,? and|\s?/|\s&)\s?{_TITLE}\b)*"
    rf"(?:\s+(?:of|at|for)\s+(?:the\s+)?|(?P<comma>,)\s)(?P<name>{_NAME})"
)
#: What begins a name and names no body: titles and months.
_NO_BODY = words_of(
    "ceo cfo coo cto chair chairman chairwoman chairperson chief president vice founder co-founder cofounder director "
    "executive managing member secretary treasurer manager head senior interim acting general partner january february "
    "march april may june july august september october november december"
)
#: Behind a word for owning, what is owned.
_OWNED = re.compile(
    r"(?:(?<!owner)(?<!owners)|(?=\s+of\b))\s+"
    r"(?:(?:an?|the|its|his|her|their|all|most|half|parts?|stakes?|shares?|interests?|minority|majority|controlling|"
    r"large|small|more|third|quarter|\d[\d.]*\s?%?|per\s?cent|of|in|for)\s+)*"
    rf"(?P<name>{_NAME})"
)
#: What is the body itself, though it is said to be the body's: "a tenth of Northport's shares".
_ITS_OWN = re.compile(r"\s(?:(?:\w+ )?(?:shares?|stock|equity|capital|ownership)\b|[Cc]lass [A-Z]\b)")
#: Right before the word for an office: a lower one.
_BELOW = re.compile(
    r"\b(?:assistant|associate|deputy|vice|youth|women's|reserves?|academy|defensive|offensive|under-?\d+|U-?\d+)"
    r"(?:\s(?:head|team|to the))?[\s-]$",
    re.IGNORECASE,
)
_VERB = re.compile(r"\b(?:is|was|were|are|has|had|will|became|named|appointed|announced|said|hired|replaced)\b")
#: Right behind the word for an office: who holds it.
_HOLDER = re.compile(r",?\s(?P<name>[A-Z][\w.'-]+(?:\s[A-Z][\w.'-]+)+)")
#: Right behind a person's name: which office is given to them.
_GIVEN = re.compile(
    r"(?:\s(?:is|was|has been|had been|being|been))?\s(?:re)?(?:appointed|named|hired|promoted|introduced|installed)"
    r"\s(?:as|to be)\s(?P<office>[^,.;]{3,60})"
)
#: Right behind a name: a new office follows.
_PROMOTED = re.compile(
    r"\s(?:as|to)\b|(?:\s(?:is|was|has been|had been|being|been))?\s(?:re)?(?:appointed|named|hired|promoted|"
    r"introduced|installed|made|became)\b"
)
#: A clause that says something of the people before it; what "which has" speaks of is a thing, such as a stadium.
_RELATIVE = re.compile(rf"(?P<name>{_NAME}),?\s(?:who|whose|which (?:have|are|were))\b[^,;]*$")
#: Right before a name: nothing has come of it.
_DOUBTED = re.compile(
    r"\b(?:speculat\w+|rumou?r\w*|possib(?:le|ly)|alleged\w*|(?:would|will|did) not|denied|reported desire|reported "
    r"interest|linked with|refus\w+|reject\w+|turned down)\b[^.;]{0,50}$",
    re.IGNORECASE,
)
#: Who does this to something, and what it may be called where it is the subject.
_BUYS = re.compile(r"\b(?:acquire[sd]?|bought|purchase[sd]|owns)$", re.IGNORECASE)
_IT = re.compile(r"\b(?:it|them|(?:the|this) (?:company|club|team|franchise|brand|group|firm|network|platform|site))\b")
_OBJECT = 90
#: Words by which a page means its own subject.
_GENERIC = words_of("the company group team club bank franchise organization organisation agency corporation firm")
#: A title of honour is no office: "coach of the season".
_HONOUR = re.compile(r"\sof the (?:year|season|month|week|decade|century|tournament)\b", re.IGNORECASE)


def of_another_body(text: str, at: int, subject: str) -> bool:
    """Whether the office that ends here is one of something else: "CEO of Virgin Mobile", "chair and CEO, Showtime"."""
    if _HONOUR.match(text, at):
        return True
    match = _OF.match(text, at)
    if match is None or (match["comma"] and _VERB.search(text)):
        return False
    return match["name"].split()[0].casefold() not in _NO_BODY and not _is_own(match["name"], subject)


def owns_another(sentence: str, at: int, subject: str, value: tuple[int, int]) -> bool:
    """Whether what is owned is something else: "owns a part of Easthaven", "a stake in Northport's rival".

    Args:
        sentence: The sentence.
        at: Behind the word for owning.
        subject: Of which the owner is asked.
        value: Where the owner's name stands.
    """
    what = sentence[at : at + _OBJECT]
    if value[1] <= at and _BUYS.search(sentence, 0, at) and not (_is_own(what, subject) or _IT.search(what)):
        return True
    match = _OWNED.match(sentence, at)
    if match is None or (match.start("name") < value[1] and value[0] < match.end("name")):
        return False
    if match["name"].endswith("'s") and not _ITS_OWN.match(sentence, match.end()):
        return True
    words = [word.casefold() for word in re.findall(r"\w{3,}", match["name"])]
    # "Easthaven Rope" is not Northport Rope: kinds of bodies share their last words.
    return bool(words) and words[0] not in _own_words(subject) and not _has_initials(match["name"], subject)


def is_lower_office(sentence: str, at: int) -> bool:
    """Whether the word for an office that begins here is that of a lower one: "assistant coach"."""
    return _BELOW.search(sentence, max(0, at - 30), at) is not None


def has_lower_office(sentence: str, value: tuple[int, int], cues: Sequence[re.Pattern[str]]) -> bool:
    """Whether a lower office stands right before a name: "the reserve driver Ann Ek, as no driver was there".

    "The assistant coach Ann Ek was named head coach" gives her another one.
    """
    place, end = value
    return _PROMOTED.match(sentence, end) is None and any(
        place - 2 <= cue.end() <= place and is_lower_office(sentence, cue.start())
        for pattern in cues
        for cue in pattern.finditer(sentence, max(0, place - 60), place)
    )


def another_has_office(sentence: str, at: int, subject: str, value: tuple[int, int]) -> bool:
    """Whether the office that ends here is another person's: "Berg was hit by the Easthaven driver, Otto Lind".

    Args:
        sentence: The sentence.
        at: Behind the word for the office.
        subject: Whose office it is: "CEO, Northport Bank" names no holder.
        value: Where the name stands that is looked for; only one before the office can be another's.
    """
    match = _HOLDER.match(sentence, at) if value[1] <= at else None
    return match is not None and not _is_own(match["name"], subject)


def gets_another_office(sentence: str, end: int, cues: Sequence[re.Pattern[str]]) -> bool:
    """Whether the person whose name ends here is given another office: "Berg being named as technical director"."""
    match = _GIVEN.match(sentence, end)
    return match is not None and not any(cue.search(match["office"]) for cue in cues)


def is_doubted(sentence: str, place: int) -> bool:
    """Whether what is said of the name that begins here has not come about: "speculations of a transfer to"."""
    return _DOUBTED.search(sentence, max(0, place - 70), place) is not None


def another_counts(sentence: str, at: int, subject: str) -> bool:
    """Whether the number that begins here is said of another body: "their rivals Easthaven, who have 17 titles"."""
    match = _RELATIVE.search(sentence, 0, at)
    if match is None or {word.casefold() for word in re.findall(r"\w+", match["name"])} <= _GENERIC:
        return False
    return not _is_own(match["name"], subject)


def in_one_cell(text: str, cue: int, value: int) -> bool:
    """Whether a cue and a value belong together: always in a sentence; in a row, in one cell or one in the first."""
    if SEPARATOR not in text:
        return True
    cells = {text.count(SEPARATOR, 0, place) for place in (cue, value)}
    return len(cells) == 1 or 0 in cells


def _is_own(name: str, subject: str) -> bool:
    words = {word.casefold() for word in re.findall(r"\w{3,}", name)}
    return bool(_own_words(subject) & words) or _has_initials(name, subject)


def _own_words(subject: str) -> set[str]:
    return {word.casefold() for word in re.findall(r"\w{3,}", fold(subject))}


def _has_initials(name: str, subject: str) -> bool:
    initials = "".join(word[0] for word in re.findall(r"[A-Z]\w*", fold(subject)))
    return len(initials) > 1 and initials in name
