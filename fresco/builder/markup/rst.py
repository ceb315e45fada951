"""reStructuredText as sections of plain text; field lists, key-value tables and ``Field: value`` lists as fields.

Nothing is included from other files and no raw block is taken. Roles that docutils does not know (Sphinx's) leave their
text; of Sphinx's directives those that hold prose are read, and the others are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from fresco.builder.markup.outline import Cell, Outline
from fresco.builder.wikitext import Page
from fresco.builder.wikitext.render import visible
from fresco.errors import FrescoError

if TYPE_CHECKING:
    from docutils import nodes

_SETTINGS = {
    "report_level": 5,
    "halt_level": 5,
    "file_insertion_enabled": False,
    "raw_enabled": False,
    "doctitle_xform": False,
    "docinfo_xform": False,
    "sectsubtitle_xform": False,
    "smart_quotes": False,
    "syntax_highlight": "none",
    "_disable_config": True,
}
#: Directives of Sphinx whose content is prose; the argument of the first three is a version.
_PROSE = ("versionadded", "versionchanged", "deprecated", "versionremoved", "seealso", "only")
_SKIPPED = {"system_message", "comment", "literal_block", "doctest_block", "raw", "image", "target", "math_block",
            "substitution_definition", "pending", "footnote", "citation", "topic"}  # fmt: skip
_TEXT_BLOCKS = {"paragraph", "line", "attribution", "caption", "rubric", "term"}
_ROLE = re.compile(r"(?::[\w.+-]+)*:?`(?:~|!)?(?P<text>[^`<]+?)(?:\s*<[^`>]*>)?`(?::[\w.+-]+:)?_{0,2}")


def parse(text: str, whole: bool, tables: bool) -> Page:
    """A text as a page: the part before the first heading is section 0.

    Args:
        text: The text.
        whole: Sections too, or only the fields.
        tables: Whether the rows of tables are lines of their section.

    Raises:
        FrescoError: the extra is missing.
    """
    outline = Outline(tables)
    _tell(_document(text), outline)
    page = outline.page()
    return page if whole else Page((), page.infoboxes)


def title(text: str) -> str:
    """The first heading."""
    return next((_words(node) for node in _document(text).findall() if node.tagname == "title"), "")


@cache
def _publish() -> Any:
    try:
        from docutils.core import publish_doctree
        from docutils.parsers.rst import Directive, directives
    except ImportError:
        raise FrescoError("reStructuredText needs docutils; pip install 'fresco-ccs[markup]'") from None
    # Made by ``type``: a class of a library without types would be no class to the checker.
    taken = {"optional_arguments": 1, "final_argument_whitespace": True, "has_content": True, "run": _prose}
    for name in _PROSE:
        directives.register_directive(name, type("Prose", (Directive,), taken))
    return publish_doctree


def _prose(directive: Any) -> list[Any]:
    """The content of a directive, and its argument, as a part of the text."""
    from docutils.nodes import container, paragraph

    box = container()
    if directive.arguments and directive.name != "only":
        text, _ = directive.state.inline_text(directive.arguments[0], directive.lineno)
        box += paragraph("", "", *text)
    directive.state.nested_parse(directive.content, directive.content_offset, box)
    return [box]


def _document(text: str) -> nodes.document:
    document: nodes.document = _publish()(text, settings_overrides=_SETTINGS)
    return document


def _tell(document: nodes.document, outline: Outline) -> None:
    waiting: list[Iterator[Any]] = [iter(document.children)]
    while waiting:
        node = next(waiting[-1], None)
        if node is None:
            waiting.pop()
        elif node.tagname in _SKIPPED or not hasattr(node, "children"):
            continue
        elif node.tagname == "title":
            outline.heading(_words(node))
        elif node.tagname in _TEXT_BLOCKS:
            outline.text(_words(node))
        elif node.tagname == "table":
            outline.table(list(_rows(node)))
        elif node.tagname == "field_list":
            pairs = [(_words(each[0]), _words(each[1])) for each in node.children if each.tagname == "field"]
            outline.pairs(pairs)
            for name, value in pairs:
                if value:
                    outline.text(f"{name}: {value}")
        else:
            if node.tagname == "bullet_list":
                outline.entries([_words(each) for each in node.children])
            waiting.append(iter(node.children))


def _words(node: Any) -> str:
    """What a reader sees of a node, on one line; a role that is not known leaves its text."""
    found = []
    waiting: list[Iterator[Any]] = [iter(node.children)]
    while waiting:
        child = next(waiting[-1], None)
        if child is None:
            waiting.pop()
        elif child.tagname == "#text":
            found.append(child.astext())
        elif child.tagname == "problematic":
            found.append(_ROLE.sub(lambda match: match["text"], str(child.rawsource or child.astext())))
        elif child.tagname not in _SKIPPED:
            if child.tagname in _TEXT_BLOCKS or child.tagname == "list_item":
                found.append(" ")
            waiting.append(iter(child.children))
    return " ".join(visible("".join(found)).split())


def _rows(table: Any) -> Iterator[list[Cell]]:
    for row in table.findall(lambda node: node.tagname == "row"):
        head = row.parent.tagname == "thead"
        yield [(head or "stub" in each.attributes, _words(each)) for each in row.children]
