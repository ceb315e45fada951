"""Values of facts: read from an entry of an infobox or from a label, compared, and written in all their forms."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass


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
_FORMER = re.compile(r"\b(?:former(?:ly)?|ex-|emeritus|outgoing|retired|until|late|designate|elect)\b", re.IGNORECASE)
_PAST = re.compile(
    r"\d{4}\s*[-\u2013\u2014]\s*(?:\w+ )?\d{4}|^\d{4}$|^[A-Z][a-z]+\s*[-\u2013\u2014]\s*[A-Z][a-z]+ \d{4}"
)
_TITLES = re.compile(
    r"^(?:(?:sir|dame|dr|mr|mrs|ms|prof|professor|gen|general|général|lt|lieutenant|maj|major|adm|admiral|vice|"
    r"rear|col|colonel|brig|brigadier|capt|captain|rev|hon|lord|lady|sen|senator|justice|judge|rt|the honou?rable|"
    r"prince|sheikh)\b\.?\s+)+(?=\S+\s+\S)",
    re.IGNORECASE,
)
_SUFFIXES = re.compile(r",?\s+(?:jr|sr|ii|iii|iv|ph\.?d|md|mbe|obe|cbe)\.?$", re.IGNORECASE)
_LEGAL = words_of(
    "inc incorporated corp corporation co company ltd limited llc lp plc gmbh ag sa spa nv group holdings holding "
    "international fc f c cf ac sc club afc the of and enterprises partners fund s p a"
)
_AMOUNT = re.compile(
    r"(?P<sign>[-\u2212\u2013]\s?)?(?P<currency>US\$|A\$|CA\$|HK\$|NT\$|[$£€¥₹₩]|CHF\s|USD\s|EUR\s)?\s?"
    r"(?P<minus>[-\u2212]\s?)?"
    r"(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)"
    r"(?:[\s-]?(?P<scale>thousand|million|billion|trillion|bn|mn|tn)\b|(?P<letter>[MBK])\b)?"
    r"(?P<percent>\s?(?:%|per\s?cent\b))?",
    re.IGNORECASE,
)
_SCALES = {
    "thousand": 1e3, "k": 1e3, "million": 1e6, "mn": 1e6, "m": 1e6, "billion": 1e9, "bn": 1e9, "b": 1e9,
    "trillion": 1e12, "tn": 1e12,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Amount:
    """A number as it is written.

    Attributes:
        number: Its value.
        unit: Value of one unit in the last place that is written: "1.5 million" has 100,000.
        digits: How many significant digits are written.
        scaled: Whether a word such as "million" is there.
        money: Whether a currency is there.
        percent: Whether it is a percentage.
        at: Place in the text.
        end: Place behind its last character.
    """

    number: float
    unit: float
    digits: int
    scaled: bool
    money: bool
    percent: bool
    at: int
    end: int

    @property
    def may_be_year(self) -> bool:
        """Whether it looks like a year."""
        return 1800 <= self.number <= 2100 and self.unit == 1 and self.digits == 4 and not self.money


@dataclass(frozen=True, slots=True)
class Value:
    """A value in all its forms.

    Attributes:
        label: As a person would write it.
        kind: Kind of value of the relation.
        forms: Names by which text may state it; the label is the first.
        amount: The number, for amounts and percentages.
    """

    label: str
    kind: str
    forms: tuple[str, ...]
    amount: Amount | None = None


def fold(text: str) -> str:
    """Text without accents, with plain quotes, hyphens and blanks; of the same length where accents are composed."""
    plain = text.translate(_PLAIN)
    if plain.isascii():
        return plain
    return "".join(each for each in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(each))


_PLAIN = str.maketrans(
    "\u2018\u2019\u201b\u201c\u201d\u2010\u2011\u2012\u2013\u2014\u00a0\u00f8\u00d8\u0142\u0141\u0111\u00d0\u0110\u0131",
    "'''\"\"----- oOlLdDDi",
)


def amounts(text: str) -> list[Amount]:
    """Every number in the text."""
    found = []
    for match in _AMOUNT.finditer(text):
        digits = match["number"].replace(",", "")
        scale = _SCALES[(match["scale"] or match["letter"] or "").lower()] if match["scale"] or match["letter"] else 1.0
        decimals = len(digits.partition(".")[2])
        number = float(digits) * scale
        if match["minus"] or (match["sign"] and (not match.start() or text[match.start() - 1] in " (")):
            number = -number
        significant = digits.replace(".", "").lstrip("0")
        # "12,000" may be rounded to the thousand; the zeros at the end are not taken for digits.
        stripped = significant.rstrip("0") if not decimals else significant
        unit = scale * 10.0**-decimals * (10.0 ** (len(significant) - len(stripped)) if not decimals else 1.0)
        found.append(
            Amount(
                number=number,
                unit=unit,
                digits=max(1, len(stripped)),
                scaled=scale > 1,
                money=bool(match["currency"]),
                percent=bool(match["percent"]),
                at=match.end() - len(match.group().lstrip()),
                end=match.end(),
            )
        )
    return found


def read_value(kind: str, text: str, *, target: str = "", note: str = "", aliases: Iterable[str] = ()) -> Value | None:
    """A value from an entry of an infobox or a label; None where it names nothing (vacant, TBD) or a former holder."""
    text = " ".join(text.split()).strip(" *•·;,")
    if not text or _NOBODY.fullmatch(text):
        return None
    if kind in ("amount", "percentage"):
        return _read_amount(kind, text)
    if _FORMER.search(note) or _PAST.search(note) or re.match(r"(?:former|ex-)\b", text, re.IGNORECASE):
        return None
    if kind == "person":
        return _read_person(text, target, aliases)
    return _read_name(kind, text, target, aliases)


def _read_amount(kind: str, text: str) -> Value | None:
    for amount in amounts(text):
        if not amount.may_be_year and (kind == "amount" or amount.percent):
            return Value(_written(text, amount), kind, (), amount)
    return None


def _written(text: str, amount: Amount) -> str:
    match = _AMOUNT.match(text, amount.at)
    return " ".join(match.group().split()).strip() if match else text


def _read_person(text: str, target: str, aliases: Iterable[str]) -> Value | None:
    name = re.sub(r"^\d+\.?\s+", "", text)
    name = name if _SUFFIXES.search(name) else name.split(", ")[0]
    name = _TITLES.sub("", name).strip(" ,;")
    if not re.search(r"[^\W\d_]{2}", name) or len(name) > 60 or len(name.split()) > 6 or " and " in name or "&" in name:
        return None  # a sentence, two people, or nobody
    forms = [name, _SUFFIXES.sub("", name)]
    for other in (re.sub(r"\s*\([^)]*\)$", "", target.replace("_", " ")), *aliases):
        alias = _TITLES.sub("", other.strip())
        # A link to something else than the person ("List of ...", a family) is no alias.
        if alias and _surname(alias) == _surname(name):
            forms += [alias, _SUFFIXES.sub("", alias)]
    return Value(name, "person", tuple(dict.fromkeys(forms)))


def _read_name(kind: str, text: str, target: str, aliases: Iterable[str]) -> Value | None:
    name = re.sub(r"\s*[,;]?\s*\(.*", "", text)
    name = re.sub(r"\s*\d+(?:\.\d+)?\s?%.*", "", name).strip(" ,;:")
    if _CROWD.fullmatch(name) or (", " in name and re.search(r"\band\b|&", name)):
        return None  # nobody in particular, or several in one line
    if not re.search(r"\w", name) or len(name) > 80:
        return None
    forms = [name]
    page = re.sub(r"\s*\([^)]*\)$", "", target.partition("#")[0].replace("_", " ")).strip()
    if kind == "place":
        forms.append(name.split(", ")[0])
    elif page and kind != "version":
        forms.append(page)
    forms += list(aliases)
    if kind == "organization":
        forms += [short for form in list(forms) if (short := _without_legal_form(form))]
    kept = tuple(dict.fromkeys(form for form in forms if len(form) > 1))
    return Value(name, kind, kept) if kept else None


def _without_legal_form(name: str) -> str:
    words = name.replace(",", " ").split()
    while len(words) > 1 and words[-1].strip(".").replace(".", "").lower() in _LEGAL:
        words.pop()
    while len(words) > 1 and words[0].strip(".").replace(".", "").lower() in ("fc", "afc", "ac", "the", "ssc"):
        words.pop(0)
    return " ".join(words)


def _surname(name: str) -> str:
    words = fold(_SUFFIXES.sub("", name)).casefold().replace(".", "").split()
    return words[-1] if words else ""


def surname(value: Value) -> str:
    """The last word of a person's name as it is written; empty for other kinds and for short words."""
    words = _SUFFIXES.sub("", value.label).split()
    return words[-1] if value.kind == "person" and len(words) > 1 and len(words[-1]) > 2 else ""


def same(a: Value, b: Value) -> bool:
    """Whether two values are, or may well be, one and the same.

    Doubtful cases are the same, so that no change is seen where there may be none: people of one surname and one
    initial, organizations of which one name contains the other's words, amounts within half a unit of the coarser.
    """
    if a.amount is not None and b.amount is not None:
        return abs(a.amount.number - b.amount.number) <= max(
            0.51 * max(a.amount.unit, b.amount.unit)
            if max(a.amount.unit, b.amount.unit) < 0.2 * abs(a.amount.number)
            else 0,
            0.004 * abs(a.amount.number),
        )
    if a.kind == "person":
        return _same_person(a, b)
    if a.kind == "version":
        return _bare(a.label) == _bare(b.label)
    return any(_same_name(one, other) for one in a.forms for other in b.forms)


def bears_name_of(value: Value, subject: str) -> bool:
    """Whether an organization's name is the subject's own, but for words such as "Holdings"."""
    return value.kind == "organization" and _name_words(value.label) <= _name_words(subject)


def _same_person(a: Value, b: Value) -> bool:
    for one in a.forms:
        for other in b.forms:
            if _surname(one) == _surname(other) and fold(one)[:1].casefold() == fold(other)[:1].casefold():
                return True
            words, others = set(fold(one).casefold().split()), set(fold(other).casefold().split())
            if words <= others or others <= words:
                return True
    return False


def _bare(text: str) -> str:
    return re.sub(r"[^\w.]", "", fold(text)).casefold().strip(".")


def _same_name(one: str, other: str) -> bool:
    words, others = _name_words(one), _name_words(other)
    return bool(words and others) and (words <= others or others <= words)


def _name_words(name: str) -> set[str]:
    words = re.findall(r"\w+", fold(name).casefold())
    return {re.sub(r"s$", "", word) for word in words if word not in _LEGAL} or set(words)
