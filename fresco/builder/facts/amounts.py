"""Numbers as people write them: with a currency, a scale ("million", "lakh crore"), a percent sign."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: A number with its currency and scale.
AMOUNT = re.compile(
    r"(?P<sign>[-\u2212\u2013]\s?)?"
    r"(?P<currency>(?:US|A|CA|C|HK|NT|NZ|S|R|MX)\$|CN¥|[$£€¥₹₩₽₺₦₱₪₫฿₴]|"
    r"(?:CHF|USD|EUR|GBP|JPY|CNY|INR|SEK|NOK|DKK|PLN|ZAR|Rs\.?)\s)?\s?"
    r"(?P<minus>[-\u2212]\s?)?"
    r"(?P<number>\d{1,2}(?:,\d{2})+,\d{3}(?![\d,])(?:\.\d+)?|\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|(?<![\w.])\.\d+)"
    r"(?:[\s-]?(?P<scale>la(?:kh|c)s?\scrores?|la(?:kh|c)s?|crores?|thousand|millions?|billions?|trillions?|bn|mn|tn|"
    r"cr)\b|(?P<letter>[MBK]|(?-i:T))\b)?"
    r"(?P<percent>\s?(?:%|per\s?cent\b))?",
    re.IGNORECASE,
)
_SCALES = {
    "thousand": 1e3, "k": 1e3, "million": 1e6, "mn": 1e6, "m": 1e6, "billion": 1e9, "bn": 1e9, "b": 1e9,
    "trillion": 1e12, "tn": 1e12, "t": 1e12, "lakh": 1e5, "lac": 1e5, "crore": 1e7, "cr": 1e7, "lakh crore": 1e12,
    "lac crore": 1e12,
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


def amounts(text: str) -> list[Amount]:
    """Every number in the text."""
    found = []
    for match in AMOUNT.finditer(text):
        digits = match["number"].replace(",", "")
        scale = _scale(match["scale"] or match["letter"] or "")
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


def _scale(word: str) -> float:
    words = (each.removesuffix("s") for each in word.lower().split())
    return _SCALES[" ".join(words)] if word else 1.0


#: Right behind a number: people, whom many relations count and others do not.
_PEOPLE = re.compile(
    r"\s(?:[a-z]+\s)?(?P<noun>people|users|customers|subscribers|viewers|passengers|visitors|employees|members|"
    r"accounts|households|fans|followers|students|shareholders|voters)\b",
    re.IGNORECASE,
)


#: So many letters of a word are its own: a cue may say "subscri" for "subscribers" and "subscriptions".
_STEM = 6


def counts_something_else(words: str, text: str, amount: Amount) -> bool:
    """Whether a number counts people of whom a relation does not speak: "100 million users" are no units sold.

    Args:
        words: All words of the relation, in small letters.
        text: Where the number stands.
        amount: The number.
    """
    match = _PEOPLE.match(text, amount.end)
    return match is not None and match["noun"].lower().removesuffix("s")[:_STEM] not in words
