"""Foreign text in two places where it can do harm: in front of a person, and as the name of a file.

Titles, ids, model names and server answers are other people's: an escape sequence in one of them moves the cursor, a
right-to-left override turns an address around, 300 kB of it bury the message, and a leading dot hides the file.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

#: Characters of a foreign value that an error or a table shows.
LONGEST_SHOWN = 80

# Control, format (bidirectional overrides, zero width), surrogate, private, unassigned; line and paragraph separators.
_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_JOINERS = "\u200c\u200d"  # Persian, Hindi and emoji are spelt with them
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")  # Windows opens a device under these


def printable(text: str, most: int = LONGEST_SHOWN) -> str:
    """Foreign text made fit for a terminal, a table or a plot: one line, no escape sequences, of bounded length.

    Args:
        text: Any.
        most: Characters at most; a longer text is cut and says how long it was.
    """
    # What is cut away is not looked at: the text may be megabytes.
    head = text[: most + 1]
    if not head.isascii() or not head.isprintable():
        head = "".join(char if _is_safe(char) else _spelt(char) for char in head)
    if len(text) > most:
        tail = f"... ({len(text):,} characters)"
        head = head[: max(0, most - len(tail))] + tail
    return head


def one_line(text: str, most: int) -> str:
    """A message on one line: white space folded, otherwise as :func:`printable`."""
    return printable(" ".join(text[: 8 * most].split()) if len(text) <= 8 * most else text, most)


def short(value: object, most: int = LONGEST_SHOWN) -> str:
    """A value of any type for an error: its ``repr``, made fit to print.

    Of a long text, list or mapping only the beginning is looked at: ``repr`` of a hostile one can take gigabytes.
    """
    if isinstance(value, str | bytes):
        whole = len(value)
        text = repr(value[: most + 1])
        return printable(text, most) if whole <= most else f"{printable(text, most)[: most - 30]}... ({whole:,} long)"
    if isinstance(value, int) and value.bit_length() > 4 * most:
        return f"a whole number of {value.bit_length()} bits"  # its digits cost quadratic time, or a ValueError
    if isinstance(value, list | tuple | dict | set):
        return printable(_bounded(value, most), most)
    return printable(repr(value), most)


def _bounded(value: object, most: int) -> str:
    import reprlib

    writer = reprlib.Repr()
    writer.maxlevel, writer.maxstring, writer.maxother, writer.maxlong = 3, most, most, most
    try:
        return writer.repr(value)
    except (RecursionError, ValueError):
        return f"a {type(value).__name__}"


def file_name(name: str) -> str:
    """A file name for any name: readable, visible, portable, at most 67 characters, and different for different names.

    A name that had to be changed bears six digits of its hash, so that ``a/b`` and ``a-b`` are two files.
    """
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[-60:].strip("-.")
    if plain and plain == name and not _RESERVED.match(plain):
        return plain
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    return f"{'' if not plain or _RESERVED.match(plain) else plain + '-'}{digest}"


def _is_safe(char: str) -> bool:
    return char in _JOINERS or unicodedata.category(char) not in _UNSAFE


def _spelt(char: str) -> str:
    return " " if char in "\n\r\t" else char.encode("unicode_escape").decode()
