"""Wikitext to plain text: what a reader sees of a paragraph, without references, pictures, unknown templates.

mwparserfromhell's own ``strip_code`` drops every template, and with them dates, amounts of money and foreign words in
the middle of sentences. Here the templates that stand for words (:data:`_INLINE`) are written out, the others dropped.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from typing import Any

import mwparserfromhell
from mwparserfromhell.nodes import ExternalLink, Heading, HTMLEntity, Tag, Template, Text, Wikilink

#: Tags whose content is no prose.
_DROPPED_TAGS = frozenset(
    {
        "ref", "references", "gallery", "table", "timeline", "math", "chem", "score", "imagemap", "graph", "mapframe",
        "maplink", "templatestyles", "syntaxhighlight", "source", "pre", "section", "style", "script", "noinclude",
        "includeonly", "indicator", "hiero", "categorytree",
    }
)  # fmt: skip
_NAMESPACES = re.compile(r"\s*:?\s*(?:file|image|category|media|datei|fichier|archivo)\s*:", re.IGNORECASE)
_INTERWIKI = re.compile(r":?(?:[a-z]{2,3}|simple|wikt|wiktionary|commons|s|d|m|w):", re.IGNORECASE)
#: Sort keys and the like, which no reader sees.
_HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)
_MOST_NESTING = 30


def render(code: Any) -> str:
    """The plain text of parsed wikitext, on one or several lines, with the white space as it comes."""
    return _render(code, 0)


def parse(text: str) -> Any:
    """Parsed wikitext. Bold and italic marks stay text (:func:`tidy` removes them): unbalanced ones are common."""
    return mwparserfromhell.parse(text, skip_style_tags=True)


def tidy(text: str) -> str:
    """Plain text in paragraphs: style marks, list marks, empty brackets and runs of blanks removed."""
    text = re.sub(r"'{2,}", "", html.unescape(text)).replace("\N{NO-BREAK SPACE}", " ").replace("\u200b", "")
    text = re.sub(r"__[A-Z]+__|\{\{+|\}\}+|\[\[|\]\]", "", text)
    text = re.sub(r"^[ \t]*(?:[*#:;]+[ \t]*|-{4,})", "", text, flags=re.MULTILINE)
    # What a dropped template leaves behind: "( ; )", "(, born 1950)", "word ,".
    text = re.sub(r"\([\s,;:/]*\)", "", text)
    text = re.sub(r"\(\s*[,;]\s*", "(", text)
    text = re.sub(r"[ \t]+", " ", text)
    text = re.sub(r" +([,.;:)](?:\s|$))", r"\1", text)
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if re.search(r"\w", line))


def _render(code: Any, depth: int) -> str:
    if depth > _MOST_NESTING or code is None:
        return ""
    return "".join(_node(node, depth) for node in code.nodes)


def _node(node: Any, depth: int) -> str:
    writer = _WRITERS.get(type(node))
    return writer(node, depth) if writer else ""  # comments; arguments ({{{1}}}) belong to templates


def _link(node: Wikilink, depth: int) -> str:
    target = str(node.title)
    if _NAMESPACES.match(target):
        return "" if not target.lstrip().startswith(":") else target.strip(" :")
    if node.text is not None:
        return _render(node.text, depth + 1)
    return _INTERWIKI.sub("", target.strip(), count=1) if target.lstrip().startswith(":") else target.strip()


def _tag(node: Tag, depth: int) -> str:
    name = str(node.tag).strip().lower()
    if name in _DROPPED_TAGS or any(_HIDDEN.search(str(attribute)) for attribute in node.attributes):
        return ""
    if name in ("br", "hr"):
        return "\n"
    if node.wiki_markup and name in ("li", "dd", "dt"):
        return ""  # the mark of a list; its text follows as a node of its own
    return _render(node.contents, depth + 1) if node.contents is not None else ""


def template_name(node: Template) -> str:
    """The template's name as its page has it: lower case, blanks for underscores, comments gone."""
    name = re.sub(r"<!--.*?(?:-->|$)", "", str(node.name), flags=re.DOTALL)
    return re.sub(r"[\s_]+", " ", name).strip().lower()


def positional(node: Template) -> list[Any]:
    """Values of the template's unnamed parameters, in order."""
    return [each.value for each in node.params if not each.showkey]


def _template(node: Template, depth: int) -> str:
    name = template_name(node)
    writer = _INLINE.get(name)
    if writer is None:
        return ""
    named = {
        str(each.name).strip().lower(): _render(each.value, depth + 1).strip() for each in node.params if each.showkey
    }
    values = [_render(value, depth + 1).strip() for value in positional(node)]
    # "1=" spells out a position where the value holds an equals sign.
    for position in range(len(values) + 1, 5):
        if str(position) in named:
            values.append(named[str(position)])
    return writer(values, named)


_Writer = Callable[[Sequence[str], dict[str, str]], str]


def _nth(position: int) -> _Writer:
    return lambda values, _: values[position] if len(values) > position else ""


def _constant(text: str) -> _Writer:
    return lambda _values, _named: text


def _currency(sign: str) -> _Writer:
    return lambda values, _: f"{sign}{values[0]}" if values else sign


def _lines(values: Sequence[str], _: dict[str, str]) -> str:
    return "\n".join(value for value in values if value)


def _row(values: Sequence[str], _: dict[str, str]) -> str:
    return ", ".join(value for value in values if value)


_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip


def _date(values: Sequence[str], named: dict[str, str]) -> str:
    """``{{start date|2023|5|1}}`` and its kin; what is no year comes back as it is."""
    numbers = [value for value in values if re.fullmatch(r"\d{1,4}", value)]
    if not numbers:
        return values[0] if values else ""
    year, *rest = numbers
    month = int(rest[0]) if rest else 0
    if not 1 <= month <= 12:
        return year
    if len(rest) < 2:
        return f"{_MONTHS[month - 1]} {year}"
    day = int(rest[1])
    if named.get("df", "").lower() in ("y", "yes", "1"):
        return f"{day} {_MONTHS[month - 1]} {year}"
    return f"{_MONTHS[month - 1]} {day}, {year}"


def _convert(values: Sequence[str], _: dict[str, str]) -> str:
    if len(values) >= 4 and values[1] in ("-", "\u2013", "to", "and", "x", "by"):
        return f"{values[0]} {values[1]} {values[2]} {values[3]}"
    return " ".join(values[:2])


def _as_of(values: Sequence[str], named: dict[str, str]) -> str:
    if "alt" in named:
        return named["alt"]
    return f"{'as' if named.get('lc') else 'As'} of {_date(values, named)}"


def _marriage(values: Sequence[str], _: dict[str, str]) -> str:
    if len(values) < 2:
        return values[0] if values else ""
    return f"{values[0]} (m. {values[1]}{'; ' + values[2] if len(values) > 2 else ''})"


#: Templates that show their first parameter.
_FIRST = (
    "nowrap", "nobr", "nowraplinks", "no wrap", "small", "smaller", "midsize", "larger", "big", "bigger", "nobold",
    "noitalic", "noitalics", "nihongo", "nihongo2", "abbr", "tooltip", "url", "ill", "illm", "interlanguage link",
    "annotated link", "link-interwiki", "center", "not a typo", "sic", "em", "strong", "strikethrough", "proper name",
    "visible anchor", "script", "flag", "flagu", "flagcountry", "mono", "code", "kbd", "samp", "var", "keypress",
    "quote", "blockquote", "cquote", "quotation", "nfly", "nbay", "mlby", "baseball year", "by", "f1",
)  # fmt: skip

_INLINE: dict[str, _Writer] = {
    **dict.fromkeys(_FIRST, _nth(0)),
    **dict.fromkeys(("lang", "langx", "transliteration", "transl", "color", "font color", "resize"), _nth(1)),
    **dict.fromkeys(("sfrac", "frac"), lambda values, _: "/".join(values)),
    **dict.fromkeys(("circa", "c.", "ca."), lambda values, _: " ".join(("c.", *values[:1]))),
    **dict.fromkeys(("nbsp", "spaces", "thinsp", "0ws", "hair space", "wbr", "zwsp"), _constant(" ")),
    **dict.fromkeys(("ndash", "snd", "spnd", "spaced ndash", "en dash", "endash"), _constant("\u2013")),
    **dict.fromkeys(("mdash", "em dash", "emdash", "spaced mdash"), _constant("—")),
    **dict.fromkeys(("snds", "bull", "dot", "middot", "·", "•"), _constant(" · ")),
    **dict.fromkeys(("break", "br", "crlf", "clear", "-", "paragraph break", "pb"), _constant("\n")),
    **dict.fromkeys(("!", "pipe"), _constant("|")),
    **dict.fromkeys(("us$", "usd", "us dollar", "us dollars"), _currency("US$")),
    **dict.fromkeys(("gbp", "pound sterling", "£"), _currency("£")),
    **dict.fromkeys(("eur", "euro", "€"), _currency("€")),
    **dict.fromkeys(("jpy", "¥", "yen", "cny", "rmb"), _currency("¥")),
    **dict.fromkeys(("inr", "indian rupee", "₹", "indian rupees"), _currency("₹")),
    **dict.fromkeys(("a$", "aud"), _currency("A$")),
    **dict.fromkeys(("ca$", "cad", "can$"), _currency("CA$")),
    **dict.fromkeys(("krw", "skw", "₩"), _currency("₩")),
    **dict.fromkeys(("chf", "sfr"), _currency("CHF ")),
    **dict.fromkeys(("val", "num", "formatnum", "number", "gaps", "nts", "ntsh"), _nth(0)),
    **dict.fromkeys(("convert", "cvt", "convert abbreviated"), _convert),
    **dict.fromkeys(
        (
            "start date", "start date and age", "end date", "end date and age", "birth date", "birth date and age",
            "bda", "dob", "film date", "date", "start date text", "dts", "release date", "launch date", "start and end",
        ),
        _date,
    ),
    **dict.fromkeys(("as of", "asof"), _as_of),
    **dict.fromkeys(("ubl", "unbulleted list", "plainlist", "plain list", "indented plainlist", "br list"), _lines),
    **dict.fromkeys(("hlist", "flatlist", "flat list", "comma separated entries", "cslist", "csv"), _row),
    "sortname": lambda values, _: " ".join(values[:2]),
    "marriage": _marriage,
    "married": _marriage,
    "'": _constant("'"),
    "'s": _constant("'s"),
    "=": _constant("="),
    "height": lambda _, named: f"{named['m']} m" if "m" in named else f"{named.get('ft')} ft {named.get('in', 0)} in",
}  # fmt: skip

_WRITERS: dict[type, Callable[[Any, int], str]] = {
    Text: lambda node, _: str(node.value),
    Wikilink: _link,
    Template: _template,
    Tag: _tag,
    HTMLEntity: lambda node, _: html.unescape(str(node)),
    ExternalLink: lambda node, depth: _render(node.title, depth + 1),
    Heading: lambda node, depth: f"\n{_render(node.title, depth + 1)}\n",
}
