"""Values of facts: read from an entry of an infobox or from a label, compared, and written in all their forms."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from fresco.builder.facts.amounts import AMOUNT, Amount, amounts
from fresco.builder.facts.dates import date_of, forms_of
from fresco.builder.wikipedia.redirects import capitalized, normal_title

__all__ = [
    "Amount",
    "Value",
    "amounts",
    "bears_name_of",
    "fold",
    "read_value",
    "same",
    "same_amount",
    "surname",
    "words_of",
]


def words_of(text: str) -> frozenset[str]:
    """The words of a text: a list of words that reads better than its literal."""
    return frozenset(text.split())


_NOBODY = re.compile(
    r"(?:to be (?:announced|determined|confirmed|decided)|tb[acd]|vacant|vacancy|position vacant|none|n/?a|unknown|"
    r"open|see below|see list|various|not applicable|incumbent|pending|[-\u2013\u2014?.\u2026]*|designate)",
    re.IGNORECASE,
)
_CROWD = re.compile(
    r"(?:other|private|public|minority|various|current|former|remaining|free)\b.*\b(?:shareholders?|owners?|employees|"
    r"investors?|float|partners?)|public(?:ly traded)?|traded as|shareholders|.*\bcomponents?|.*\bcross[- ]own\w+",
    re.IGNORECASE,
)
_FORMER = re.compile(
    r"\b(?:former(?:ly)?|ex-|emeritus|outgoing|retired|until|late|designate|elect|divorced|separated|annulled|died)\b"
    r"|\b(?:div|sep|ann)\.|\bd\.\s?\d{4}",
    re.IGNORECASE,
)
_PAST = re.compile(
    r"\d{4}\s*[-\u2013\u2014]\s*(?:\w+ )?\d{4}|^\d{4}$|^[A-Z][a-z]+\s*[-\u2013\u2014]\s*[A-Z][a-z]+ \d{4}"
)
_TITLES = re.compile(
    r"^(?:(?:sir|dame|dr|mr|mrs|ms|miss|prof|professor|gen|general|général|lt|lieutenant|maj|major|adm|admiral|vice|"
    r"rear|col|colonel|brig|brigadier|capt|captain|cdr|commander|commodore|sgt|sergeant|(?:air|field) (?:chief |vice )?"
    r"marshal|rev|reverend|hon|lord|lady|baron|baroness|sen|senator|rep|justice|judge|rt|(?:the )?(?:right |most )?"
    r"honou?rable|ambassador|(?:his|her) excellency|h\.e|prince|princess|sheikha?|shaikh|dato'?|datuk|datin|tan sri|"
    r"shri|smt|rabbi|cardinal|archbishop|ing|mag)\b\.?\s+)+(?=\S+\s+\S)",
    re.IGNORECASE,
)
_JUNIOR = re.compile(r",?\s+(?:jr|sr|ii|iii|iv)\.?$", re.IGNORECASE)
#: Orders and degrees behind a name.
_POST_NOMINALS = re.compile(
    r",?\s+\(?(?:Ph\.?\s?D|M\.?D|D\.?Phil|M\.?B\.?A|J\.?D|LL\.?[BMD]|B\.?Sc|M\.?Sc|D\.?Sc|Esq|CPA|CFA|CA|FCA|PE|"
    r"[MOCKD]\.?B\.?E|GBE|CMG|[KDG]CMG|K?CB|[DG]CB|[LCKDG]?C?VO|MVO|CH|OM|CI|FRS[CELA]?|FREng|FBA|FRCP|FRCS|FMedSci|"
    r"[KQ]\.?C|SC|PC|JP|DL|MP|MEP|MLA|MHA|MNA|TD|OC|CM|CC|COM|O\.?Ont|A[OMC]|OAM|ONZ|[DK]?C?NZM|MNZM|VC|GC|DSO|DSC|"
    r"DFC|MC|RAF|RN|USN|USAF|USMC|ret|SJ|OP|OFM|OSB)\.?\)?$"
)
_LEGAL = words_of(
    "inc incorporated corp corporation co company ltd limited llc lp plc gmbh ag sa spa nv group holdings holding "
    "international fc f c cf ac sc club afc the of and enterprises partners fund s p a"
)

#: Words for kinds of bodies, which a short name leaves out; without the s of the plural.
_BODIES = words_of(
    "football soccer basketball baseball team racing sport entertainment media partner capital management fund "
    "investment technology system bank trust bancorp airline airway motor brand industry foundation family "
    "association corporation organisation organization inc communication network studio picture"
)
#: Titles of pages that several values link to.
_SHARED = re.compile(
    r"^(?:list|lists|index|history|timeline) of\b|\b(?:family|families|dynasty|brothers|sisters|season|finals|final|"
    r"championship game|super bowl|election|draft|version history|release history|disambiguation)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Value:
    """A value in all its forms.

    Attributes:
        label: As a person would write it.
        kind: Kind of value of the relation.
        forms: Names by which text may state it; the label is the first.
        amount: The number, for amounts and percentages.
        target: Title of the page that it links to, which is what it is, whatever the text says; empty without one.
        years: Those that the infobox gives with an amount: of a figure the year it is of, of a count those counted.
    """

    label: str
    kind: str
    forms: tuple[str, ...]
    amount: Amount | None = None
    target: str = ""
    years: tuple[int, ...] = ()


def fold(text: str) -> str:
    """Text without accents and invisible marks, with plain quotes, hyphens and blanks.

    Of the same length where accents are composed and no mark is there.
    """
    plain = text.translate(_PLAIN)
    if plain.isascii():
        return plain
    normal = unicodedata.normalize("NFKD", plain)
    return "".join(each for each in normal if not _is_mark(each))


def _is_mark(letter: str) -> bool:
    return unicodedata.combining(letter) > 0 or unicodedata.category(letter) == "Cf"


_PLAIN = str.maketrans(
    "\u2018\u2019\u201b\u201c\u201d\u2010\u2011\u2012\u2013\u2014\u00a0\u00f8\u00d8\u0142\u0141\u0111\u00d0\u0110\u0131",
    "'''\"\"----- oOlLdDDi",
)


def read_value(kind: str, text: str, *, target: str = "", note: str = "", aliases: Iterable[str] = ()) -> Value | None:
    """A value from an entry of an infobox or a label; None where it names nothing (vacant, TBD) or a former holder."""
    text = " ".join(text.split()).strip(" *•·;,")
    if not text or _NOBODY.fullmatch(text):
        return None
    if kind in ("amount", "percentage"):
        return _read_amount(kind, text)
    if kind == "date":
        return read_date(text)
    if _FORMER.search(note) or _PAST.search(note) or re.match(r"(?:former|ex-)\b", text, re.IGNORECASE):
        return None
    if kind == "person":
        return _read_person(text, target, aliases)
    return _read_name(kind, text, target, aliases)


def read_date(text: str) -> Value | None:
    """The day that a text is; None where it is none, or only a part of one."""
    day = date_of(text)
    return Value(day.isoformat(), "date", forms_of(day)) if day else None


#: Behind a number: it is the lower end of a range, or one side of a score.
_RANGE = re.compile(r"\s?(?:[-\u2013\u2014]|to)\s?[$£€¥]?\d")


def _read_amount(kind: str, text: str) -> Value | None:
    for amount in amounts(text):
        if _RANGE.match(text, amount.end):
            return None
        if not amount.may_be_year and (kind == "amount" or amount.percent):
            return Value(_written(text, amount), kind, (), amount)
    return None


def _written(text: str, amount: Amount) -> str:
    match = AMOUNT.match(text, amount.at)
    return " ".join(match.group().split()).strip() if match else text


def _read_person(text: str, target: str, aliases: Iterable[str]) -> Value | None:
    name = re.sub(r"^\d+\.?\s+", "", text)
    name = _without_post_nominals(name)
    name = name if _JUNIOR.search(name) else name.split(", ")[0]
    name = _without_post_nominals(_TITLES.sub("", name)).strip(" ,;")
    if not re.search(r"[^\W\d_]{2}", name) or len(name) > 60 or len(name.split()) > 6 or " and " in name or "&" in name:
        return None  # a sentence, two people, or nobody
    forms = [name, _JUNIOR.sub("", name)]
    for other in (_bare_title(target), *aliases):
        alias = _TITLES.sub("", other.strip())
        # A link to something else than the person ("List of ...", a family) is no alias.
        if alias and (_surname(alias) == _surname(name) or "" != _first_name(alias) == _first_name(name)):
            forms += [alias, _JUNIOR.sub("", alias)]
    return Value(name, "person", tuple(dict.fromkeys(forms)), target=_identity(target))


def _without_post_nominals(name: str) -> str:
    shorter = _POST_NOMINALS.sub("", name)
    while shorter != name and " " in shorter:
        name, shorter = shorter, _POST_NOMINALS.sub("", shorter)
    return name


def _bare_title(target: str) -> str:
    """A page's title without what tells it from other pages."""
    return re.sub(r"\s*\([^)]*\)$", "", target.partition("#")[0].replace("_", " ")).strip()


def _identity(target: str) -> str:
    """The title that a link names; empty where it names no single thing: a section, a list, a family, a season."""
    title = normal_title(target)
    if not title or "#" in target or _SHARED.search(title) or re.match(r"[a-z]{2,3}:", title):
        return ""
    return capitalized(title)


def _read_name(kind: str, text: str, target: str, aliases: Iterable[str]) -> Value | None:
    name = re.sub(r"\s*[,;]?\s*\(.*", "", text)
    name = re.sub(r"\s*\d+(?:\.\d+)?\s?%.*", "", name).strip(" ,;:")
    if _CROWD.fullmatch(name) or (", " in name and re.search(r"\band\b|&", name)):
        return None  # nobody in particular, or several in one line
    if not re.search(r"\w", name) or len(name) > 80:
        return None
    forms = [name]
    page = _bare_title(target) if _identity(target) else ""  # a list of many is no other name of one
    if kind == "place":
        forms.append(name.split(", ")[0])
    elif page and kind != "version":
        forms.append(page)
    forms += list(aliases)
    if kind == "organization":
        forms += [short for form in list(forms) if (short := _without_legal_form(form))]
    kept = tuple(dict.fromkeys(form for form in forms if len(form) > 1))
    identity = _identity(target) if kind != "version" else ""  # versions link to one page of them all
    return Value(name, kind, kept, target=identity) if kept else None


def _without_legal_form(name: str) -> str:
    words = name.replace(",", " ").split()
    while len(words) > 1 and words[-1].strip(".").replace(".", "").lower() in _LEGAL:
        words.pop()
    while len(words) > 1 and words[0].strip(".").replace(".", "").lower() in ("fc", "afc", "ac", "the", "ssc"):
        words.pop(0)
    return " ".join(words)


def _surname(name: str) -> str:
    words = fold(_JUNIOR.sub("", name)).casefold().replace(".", "").split()
    return words[-1] if words else ""


def _first_name(name: str) -> str:
    """The first of several words; empty for a name of one word, and for an initial."""
    words = fold(name).casefold().split()
    return words[0] if len(words) > 1 and len(words[0]) > 2 else ""


def surname(value: Value) -> str:
    """The last word of a person's name as it is written; empty for other kinds and for short words."""
    words = _JUNIOR.sub("", value.label).split()
    return words[-1] if value.kind == "person" and len(words) > 1 and len(words[-1]) > 2 else ""


def same(a: Value, b: Value) -> bool:
    """Whether two values are, or may well be, one and the same.

    What both link to decides (redirects resolved, see :mod:`fresco.builder.facts.infobox`); else the text, in which
    doubtful cases are the same, so that no change is seen where there may be none: people of one surname and one
    initial, organizations that differ in words for kinds of bodies only, amounts within half a unit of the coarser, or
    of one year and a thousandth apart.
    """
    if a.amount is not None and b.amount is not None:
        return _same_figure(a.amount, b.amount, max(a.years, default=0), max(b.years, default=0))
    if a.kind in ("version", "date"):
        return _bare_version(a.label) == _bare_version(b.label)
    if a.target and b.target:
        return a.target == b.target or _same_spelling(a, b)
    if any(_squeezed(one) == _squeezed(other) for one in a.forms for other in b.forms):
        return True
    if a.kind == "person":
        return _same_person(a, b)
    return any(_same_name(one, other, a.kind) for one in a.forms for other in b.forms)


def _same_figure(a: Amount, b: Amount, year: int, other: int) -> bool:
    """Whether two numbers are one figure, given the years they are of (0: not known)."""
    if year and other and year != other:
        return a.number == b.number  # two years' figures that round alike are two
    # Of one year they may differ as two counts of the same do, and not as a change would.
    recounted = year == other != 0 and abs(a.number - b.number) <= _RECOUNT * abs(a.number)
    return recounted or same_amount(a, b)


def same_amount(a: Amount, b: Amount) -> bool:
    """Whether two numbers may be one, rounded differently."""
    unit = max(a.unit, b.unit)
    rounded = 0.51 * unit if unit < 0.2 * abs(a.number) else 0
    return abs(a.number - b.number) <= max(rounded, 1e-9 * abs(a.number))


def bears_name_of(value: Value, subject: str) -> bool:
    """Whether an organization's name is the subject's own, but for words such as "Holdings"."""
    return value.kind == "organization" and _name_words(value.label) <= _name_words(subject)


def _same_spelling(a: Value, b: Value) -> bool:
    """Whether the texts of links to different pages differ in spelling only: one of the pages was moved meanwhile."""
    if _squeezed(a.label) == _squeezed(b.label):
        return True
    if a.kind != "person" or _surname(a.label) != _surname(b.label):
        return False
    words, others = _words(a.label), _words(b.label)
    return words <= others or others <= words


def _same_person(a: Value, b: Value) -> bool:
    for one in a.forms:
        for other in b.forms:
            if _surname(one) == _surname(other) and fold(one)[:1].casefold() == fold(other)[:1].casefold():
                return True
            words, others = _words(one), _words(other)
            if words and others and (words <= others or others <= words):
                return True
    return False


def _words(name: str) -> set[str]:
    return set(re.findall(r"[^\W_]+", fold(name).casefold()))


def _squeezed(name: str) -> str:
    """The letters and digits of a name: without hyphens, blanks, apostrophes, accents, and with one letter for two."""
    plain = fold(name).casefold()
    for two, one in _DIGRAPHS:
        plain = plain.replace(two, one)
    return re.sub(r"[\W_]+", "", plain) or name


#: Figures of one year that differ by less were counted, or rounded, twice.
_RECOUNT = 0.001

#: Letters that are written as one or as two: "Müller", "Mueller"; "Straße", "Strasse".
_DIGRAPHS = (("ß", "ss"), ("æ", "ae"), ("œ", "oe"), ("þ", "th"), ("ae", "a"), ("oe", "o"), ("ue", "u"))


def _bare_version(text: str) -> str:
    bare = re.sub(r"[^\w.]", "", fold(text)).casefold().strip(".")
    return re.sub(r"^(?:version|ver|v)\.?(?=\d)", "", bare)


def _same_name(one: str, other: str, kind: str) -> bool:
    words, others = _name_words(one), _name_words(other)
    if not words or not others:
        return False
    if kind == "place":
        # An address written in two ways keeps its house number and a word of its street.
        shared = words & others
        street = (
            "," not in one + other and any(word.isdigit() for word in shared) and any(word.isalpha() for word in shared)
        )
        return words <= others or others <= words or street
    if (words <= others or others <= words) and re.search(r"\band\b|&", one + other):
        return True  # "Ann Ek" and "Ann and Ola Ek": one of two, or both
    # "Inter" is not Inter Miami: only words that say what kind of body it is may be left out.
    return words == others or bool(words & others and (words ^ others) <= _BODIES)


def _name_words(name: str) -> set[str]:
    words = re.findall(r"\w+", fold(name).casefold())
    return {re.sub(r"s$", "", word) for word in words if word not in _LEGAL} or set(words)
