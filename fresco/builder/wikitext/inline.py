"""Templates that stand for words: what a reader sees in their place.

A writer gets the values of the unnamed parameters (``1=`` spelled out or not) and the named ones, as plain text, and
gives the words; None where it cannot tell what the reader would see. What has no writer is unknown: prose leaves it
out, a field of an infobox becomes unreadable.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from fresco.builder.wikitext.dates import as_of, date, start_and_end

Writer = Callable[[Sequence[str], Mapping[str, str]], str | None]


def writer_of(name: str) -> Writer | None:
    """The writer of a template (lower case, blanks for underscores), None where it is unknown."""
    known = _INLINE.get(name)
    if known is not None:
        return known
    function, colon, argument = name.partition(":")
    if colon and function in _FUNCTIONS:
        return lambda values, _: _FUNCTIONS[function](values[0] if values else argument.strip())
    if re.fullmatch(r"lang-[a-z-]+", name):
        return _language
    if _EXCHANGE.fullmatch(name):
        return lambda values, _: f"{name.upper()}: {values[0]}" if values else name.upper()
    return None


def _nth(position: int) -> Writer:
    return lambda values, _: values[position] if len(values) > position else None


def _constant(text: str) -> Writer:
    return lambda _values, _named: text


def _before(word: str) -> Writer:
    return lambda values, _: " ".join((word, *values[:1]))


def _last(values: Sequence[str], named: Mapping[str, str]) -> str | None:
    return values[-1] if values else named.get("text")


def _language(values: Sequence[str], named: Mapping[str, str]) -> str | None:
    return values[0] if values else named.get("text")


def _foreign(values: Sequence[str], named: Mapping[str, str]) -> str | None:
    """``{{lang|fr|text}}``; the language may be named as well."""
    return values[1] if len(values) > 1 else named.get("text")


def _lines(values: Sequence[str], _: Mapping[str, str]) -> str:
    return "\n".join(value for value in values if value)


def _row(values: Sequence[str], _: Mapping[str, str]) -> str:
    return ", ".join(value for value in values if value)


def _japanese(values: Sequence[str], _: Mapping[str, str]) -> str | None:
    return next((values[place] for place in (0, 2, 1) if len(values) > place and values[place]), None)


def _link_elsewhere(values: Sequence[str], named: Mapping[str, str]) -> str | None:
    return named.get("lt") or (values[0] if values else None)


# numbers and money

#: Codes and words for the scale of an amount, in the templates of currencies.
_SCALES = {
    "k": "thousand", "t": "trillion", "m": "million", "b": "billion", "l": "lakh", "c": "crore", "lc": "lakh crore",
    "thousand": "thousand", "million": "million", "billion": "billion", "trillion": "trillion", "lakh": "lakh",
    "crore": "crore", "lakh crore": "lakh crore", "mn": "million", "bn": "billion", "cr": "crore", "lakhs": "lakh",
    "crores": "crore", "tn": "trillion",
}  # fmt: skip
_SIGNS = {
    "usd": "US$", "us": "US$", "gbp": "£", "eur": "€", "jpy": "¥", "cny": "CN¥", "rmb": "CN¥", "inr": "₹", "aud": "A$",
    "cad": "CA$", "krw": "₩", "chf": "CHF ", "nzd": "NZ$", "hkd": "HK$", "twd": "NT$", "sgd": "S$", "brl": "R$",
    "pkr": "Rs ", "lkr": "Rs ", "npr": "Rs ", "rub": "₽", "try": "₺", "ngn": "₦", "php": "₱", "ils": "₪", "vnd": "₫",
    "mxn": "MX$", "sek": "SEK ", "nok": "NOK ", "dkk": "DKK ", "zar": "R ", "pln": "PLN ", "thb": "฿", "uah": "₴",
}  # fmt: skip


def _money(sign: str, values: Sequence[str]) -> str | None:
    """An amount with its sign and scale; a second parameter that is neither a scale nor a year is not understood."""
    if not values or not values[0]:
        return sign.strip()
    scale = values[1].strip().casefold() if len(values) > 1 else ""
    if scale and scale not in _SCALES and not re.fullmatch(r"(?:1[89]|20)\d\d", scale):
        return None
    return f"{sign}{values[0]} {_SCALES.get(scale, '')}".strip()


def _currency(sign: str) -> Writer:
    return lambda values, _: _money(sign, values)


def _any_currency(values: Sequence[str], named: Mapping[str, str]) -> str | None:
    """``{{currency|100|USD}}``."""
    code = (values[1] if len(values) > 1 else named.get("code", "")).strip().casefold()
    return f"{_SIGNS[code]}{values[0]}" if code in _SIGNS and values and values[0] else None


def _fraction(values: Sequence[str], _: Mapping[str, str]) -> str | None:
    if len(values) == 3:
        return f"{values[0]} {values[1]}/{values[2]}"
    if len(values) == 2:
        return f"{values[0]}/{values[1]}"
    return f"1/{values[0]}" if values else None


def _grouped(text: str) -> str | None:
    """A number as ``formatnum`` writes it: thousands apart by commas; None where it is no number."""
    plain = text.replace(",", "").strip()
    match = re.fullmatch(r"([-\u2212]?)(\d+)(\.\d+)?", plain)
    return f"{match[1]}{int(match[2]):,}{match[3] or ''}" if match else None


def _number(values: Sequence[str], named: Mapping[str, str]) -> str | None:
    number = _grouped(values[0]) or values[0] if values else None
    unit = named.get("u") or named.get("ul") or ""
    return f"{number} {unit}".strip() if number else None


def _price(values: Sequence[str], _: Mapping[str, str]) -> str | None:
    return _grouped(values[0]) if values else None


def _convert(values: Sequence[str], _: Mapping[str, str]) -> str | None:
    if len(values) < 2:
        return None
    if len(values) >= 4 and values[1] in ("-", "\u2013", "to", "and", "x", "by"):
        return f"{values[0]} {values[1]} {values[2]} {values[3]}"
    return " ".join(values[:2])


def _height(_: Sequence[str], named: Mapping[str, str]) -> str | None:
    if "m" in named:
        return f"{named['m']} m"
    return f"{named['ft']} ft {named.get('in', 0)} in" if "ft" in named else None


def _share(values: Sequence[str], _: Mapping[str, str]) -> str | None:
    """``{{percentage|1|4}}``: computed here as there, to the given digits."""
    try:
        part, whole, *digits = (float(value.replace(",", "")) for value in values[:3])
        return f"{100 * part / whole:.{int(digits[0]) if digits else 0}f}%"
    except (ValueError, ZeroDivisionError, OverflowError):
        return None


# names and dates of people and ships


def _ship(prefix: str) -> Writer:
    return lambda values, _: f"{prefix.upper()} {values[0]}" if values and values[0] else None


def _any_ship(values: Sequence[str], _: Mapping[str, str]) -> str | None:
    return " ".join(value for value in values[:2] if value) or None


def _ship_class(values: Sequence[str], _: Mapping[str, str]) -> str | None:
    return f"{values[0]}-class {values[1]}".strip() if len(values) > 1 else None


def _marriage(values: Sequence[str], _: Mapping[str, str]) -> str | None:
    if len(values) < 2:
        return values[0] if values else None
    return f"{values[0]} (m. {values[1]}{'; ' + values[2] if len(values) > 2 else ''})"


def _sort_name(values: Sequence[str], _: Mapping[str, str]) -> str | None:
    return " ".join(values[:2]) or None


def _score(values: Sequence[str], _: Mapping[str, str]) -> str | None:
    return "\u2013".join(values[:3]) or None


#: Stock exchanges: ``{{NYSE|X}}``.
_EXCHANGE = re.compile(
    r"nyse(?: american| arca)?|nasdaq|amex|lse|aim|tyo|tse|otc ?(?:qb|qx|pink|bb)|otcbb|bse|nse|bse was|fwb|asx|tsxv?|"
    r"sehk|hkex|krx|kosdaq|sse|szse|six|swx|bit|bmad|sgx|nzx|jse|idx|myx|set|twse|psx|omx|wse|moex|euronext\w*"
)
_FUNCTIONS: dict[str, Callable[[str], str | None]] = {
    "formatnum": _grouped,
    "lc": str.lower,
    "uc": str.upper,
    "lcfirst": lambda text: text[:1].lower() + text[1:],
    "ucfirst": lambda text: text[:1].upper() + text[1:],
}
#: Templates that show their first parameter.
_FIRST = (
    "nowrap", "nobr", "nobreak", "no break", "no-break", "nowraplinks", "no wrap", "nwr", "small", "smaller", "midsize",
    "larger", "big", "bigger", "nobold", "noitalic", "noitalics", "normal", "nonbold", "abbr", "abbrlink", "tooltip",
    "hover title", "url", "official url", "annotated link", "center", "centre", "centered", "not a typo", "notatypo",
    "as written", "proper name", "visible anchor", "vanchor", "script", "flag", "flagu", "flagcountry", "flaglist",
    "flag+link", "mono", "code", "kbd", "samp", "var", "mvar", "keypress", "quote", "blockquote", "cquote", "quotation",
    "nfly", "nbay", "mlby", "baseball year", "nfl year", "nbafy", "wsy", "alcsy", "nlcsy", "by", "f1", "sic", "em",
    "strong", "strikethrough", "bold", "italic", "underline", "big center", "raise", "sub", "fb", "country",
    "left", "gray", "grey", "nsmdns", "plain text", "smallcaps", "sc", "oldstyle", "bdi", "q", "gloss", "nastro",
)  # fmt: skip

_INLINE: dict[str, Writer] = {
    **dict.fromkeys(_FIRST, _nth(0)),
    **dict.fromkeys(("color", "font color", "resize", "colored", "fontcolor"), _nth(1)),
    **dict.fromkeys(("lang", "langx", "native name", "native phrase"), _foreign),
    **dict.fromkeys(("transliteration", "transl", "translit"), _last),
    **dict.fromkeys(("nihongo", "nihongo2", "nihongo3", "nihongo core", "korean"), _japanese),
    **dict.fromkeys(("ill", "illm", "interlanguage link", "link-interwiki"), _link_elsewhere),
    **dict.fromkeys(("sfrac", "frac", "fraction"), _fraction),
    **dict.fromkeys(("circa", "c.", "ca.", "c"), _before("c.")),
    **dict.fromkeys(("approx.", "approx", "approximately"), _before("approx.")),
    **dict.fromkeys(("nbsp", "spaces", "space", "thinsp", "0ws", "hair space", "hsp", "wbr", "zwsp", "nnbsp", "0",
                     "figure space"), _constant(" ")),
    **dict.fromkeys(("ndash", "snd", "spnd", "spaced ndash", "en dash", "endash"), _constant("\u2013")),
    **dict.fromkeys(("mdash", "em dash", "emdash", "spaced mdash"), _constant("—")),
    **dict.fromkeys(("snds", "bull", "dot", "middot", "·", "•"), _constant(" · ")),
    **dict.fromkeys(("break", "br", "crlf", "clear", "-", "paragraph break", "pb"), _constant("\n")),
    **dict.fromkeys(("!", "pipe"), _constant("|")),
    **dict.fromkeys(("us$", "usd", "us dollar", "us dollars", "dollar"), _currency("US$")),
    **dict.fromkeys(("gbp", "pound sterling", "£", "gbpconvert", "pound"), _currency("£")),
    **dict.fromkeys(("eur", "euro", "€", "euroconvert", "eurconvert"), _currency("€")),
    **dict.fromkeys(("jpy", "¥", "yen", "cny", "rmb", "jpyconvert", "cnyconvert", "japanese yen"), _currency("¥")),
    **dict.fromkeys(("inr", "indian rupee", "₹", "indian rupees", "inrconvert", "inr convert", "rupee"),
                    _currency("₹")),
    **dict.fromkeys(("a$", "aud", "audconvert"), _currency("A$")),
    **dict.fromkeys(("ca$", "cad", "can$", "cadconvert"), _currency("CA$")),
    **dict.fromkeys(("krw", "skw", "₩", "krwconvert", "won"), _currency("₩")),
    **dict.fromkeys(("chf", "sfr", "chfconvert"), _currency("CHF ")),
    **dict.fromkeys(("hk$", "hkd"), _currency("HK$")),
    **dict.fromkeys(("nz$", "nzd"), _currency("NZ$")),
    **dict.fromkeys(("r$", "brl"), _currency("R$")),
    **dict.fromkeys(("pkr", "pkrconvert"), _currency("Rs ")),
    **{code: _currency(f"{code.upper()} ") for code in ("sek", "nok", "dkk", "pln", "zar")},
    "currency": _any_currency,
    **dict.fromkeys(("val", "num", "formatnum", "number", "gaps", "nts", "ntsh", "number table sorting", "digits"),
                    _number),
    "format price": _price,
    "percentage": _share,
    **dict.fromkeys(("convert", "cvt", "convert abbreviated"), _convert),
    **dict.fromkeys(
        (
            "start date", "start date and age", "end date", "end date and age", "birth date", "birth date and age",
            "bda", "dob", "film date", "date", "start date text", "dts", "date table sorting", "dtsh", "release date",
            "launch date", "death date", "death date and age", "dda", "start", "birth-date", "death-date",
            "birth-date and age", "start-date", "end-date", "event date", "isodate", "format date", "startdate",
        ),
        date,
    ),
    "start and end": start_and_end,
    "start and end dates": start_and_end,
    **dict.fromkeys(("as of", "asof"), as_of),
    **dict.fromkeys(
        (
            "ubl", "ublist", "unbulleted list", "plainlist", "plain list", "indented plainlist", "br list", "ubil",
            "unbulleted", "unbulleted indent list", "bulleted list", "bulletlist", "unordered list", "ordered list",
            "collapsible list",
        ),
        _lines,
    ),
    **dict.fromkeys(("hlist", "flatlist", "flat list", "comma separated entries", "cslist", "csv", "hlist-comma"),
                    _row),
    **dict.fromkeys(("sortname", "sort name"), _sort_name),
    **dict.fromkeys(("sort", "sorted"), _nth(1)),
    **dict.fromkeys(("wdl", "win-loss record", "win\u2013loss record", "score"), _score),
    **dict.fromkeys(("marriage", "married"), _marriage),
    **{prefix: _ship(prefix) for prefix in (
        "uss", "usns", "uscgc", "usat", "hms", "hmas", "hmcs", "hmnzs", "rms", "ss", "ms", "mv", "mt", "sms", "ins",
        "roks", "js", "hnlms", "hmt", "rfa", "ps", "ts", "gts", "css", "usav")},
    "ship": _any_ship,
    **dict.fromkeys(("sclass", "sclass2", "sclass-"), _ship_class),
    "'": _constant("'"),
    "'s": _constant("'s"),
    "=": _constant("="),
    "height": _height,
}  # fmt: skip
