"""Changes to a file that know its structure: of bytes, of the values of JSON, of cells, of how it is packed."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import random
import re
from collections.abc import Callable
from typing import Any

#: Values that break readers: of another type, huge, deep, unprintable, nearly a number, nearly nothing.
NASTY: tuple[Any, ...] = (
    *(None, True, [], {}, [None], {"a": {}}, "", " ", 0, -1, 1.5, -0.0, 10**18, 2**63, -(2**63) - 1, 10**299),
    *("nan", "1_0", "٣", "0x10", "1e400", "\x00", "\ud800", "\u202e", "\x1b[31m", "a\nb", "[bold]x[/]", ":warning:"),
    *("$x^{", "../../x", "/dev/zero", "-", "--help", "{", "{0}", "%s", "a" * 5000, "é" * 3000, [[]] * 40),
    *("2024-13-01T00:00:00Z", "0000-00-00T00:00:00Z", "9999-12-31T23:59:60Z", "2024-02-30", "http://u:p@h/?t=x"),
)
_RAW = (
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\x00",
    b"\r\n",
    b"\r",
    b"\x1a",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xe2\x80\xa8",
    b"{",
    b"]",
    b'"',
)
_TOKENS = (
    b"1" + b"0" * 400,
    b"NaN",
    b"Infinity",
    b"1e999",
    b"-",
    b"[" * 3000,
    b'{"a":' * 900,
    b"\\u0000",
    b"&amp;" * 50,
    b"<!DOCTYPE x>",
)


def mutated(content: bytes, draw: random.Random) -> tuple[str, bytes]:
    """The name of a change, and what it makes of a file."""
    ways: list[tuple[str, Callable[[bytes, random.Random], bytes]]] = [
        ("bytes", _bytes), ("cut", _cut), ("lines", _lines), ("token", _token), ("packed", _packed), ("whole", _whole),
    ]  # fmt: skip
    if content[:1] in b"{[":
        ways += [("value", _value)] * 6
    elif b"\t" in content or b" " in content:
        ways += [("cell", _cell)] * 3
    name, change = draw.choice(ways)
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        content = change(content, draw)
    return name, content


def _bytes(content: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(content) + 1)
    if draw.random() < 0.5 and at < len(content):
        return content[:at] + bytes([content[at] ^ (1 << draw.randrange(8))]) + content[at + 1 :]
    return content[:at] + draw.choice(_RAW) + content[at:]


def _cut(content: bytes, draw: random.Random) -> bytes:
    first, last = sorted((draw.randrange(len(content) + 1), draw.randrange(len(content) + 1)))
    return draw.choice((content[:first], content[last:], content[:first] + content[last:], b""))


def _lines(content: bytes, draw: random.Random) -> bytes:
    lines = content.splitlines(keepends=True) or [b""]
    at = draw.randrange(len(lines))
    change = draw.randrange(5)
    if change == 0:
        lines.insert(at, lines[draw.randrange(len(lines))])
    elif change == 1:
        lines.pop(at)
    elif change == 2:
        draw.shuffle(lines)
    elif change == 3:
        lines.insert(at, b"\n" * draw.choice((1, 1000)))
    else:
        lines[at] = lines[at].strip() + b" "
    return b"".join(lines)


def _token(content: bytes, draw: random.Random) -> bytes:
    words = [match.span() for match in re.finditer(rb"[\w.\-]+", content[:20_000])] or [(0, 0)]
    start, end = draw.choice(words)
    return content[:start] + draw.choice(_TOKENS) + content[end:]


def _packed(content: bytes, draw: random.Random) -> bytes:
    packed = draw.choice((gzip.compress, bz2.compress, lzma.compress))(content)
    return draw.choice((packed, packed[: len(packed) // 2], packed + b"tail", packed[:6] + b"\x00" + packed[7:]))


def _whole(content: bytes, draw: random.Random) -> bytes:
    text = content.decode("utf-8", "replace")
    return draw.choice(
        (text.encode("utf-16"), b"\xef\xbb\xbf" + content, content.replace(b"\n", b"\r\n"), content * 2, b"null", b"[]",
         b"{}", b"0", b'""', b"\n", b"PK\x03\x04" + content, bytes(draw.randrange(256) for _ in range(200)))
    )  # fmt: skip


def _value(content: bytes, draw: random.Random) -> bytes:
    """Another value, key or place in one JSON document of the file."""
    lines = content.splitlines(keepends=True)
    at = draw.randrange(len(lines))
    for place, text in ((at, lines[at]), (None, content)):
        try:
            root = json.loads(text)
        except (ValueError, RecursionError):
            continue
        root = _changed(root, draw)
        made = json.dumps(root, ensure_ascii=draw.random() < 0.5).encode("utf-8", "surrogatepass") + b"\n"
        return made if place is None else b"".join([*lines[:place], made, *lines[place + 1 :]])
    return _token(content, draw)


def _changed(root: Any, draw: random.Random) -> Any:
    places: list[tuple[Any, Any]] = []
    pending = [root]
    while pending:
        node = pending.pop()
        inner = (
            list(node.items()) if isinstance(node, dict) else list(enumerate(node)) if isinstance(node, list) else []
        )
        places += [(node, key) for key, _ in inner]
        pending += [value for _, value in inner]
    if not places:
        return draw.choice(NASTY)
    node, key = draw.choice(places)
    change = draw.randrange(6)
    if change == 0 and isinstance(node, dict):
        del node[key]
    elif change == 1 and isinstance(node, dict):
        node[draw.choice(("extra", "", "checksum", "schema_version", "__class__", str(key).upper()))] = node.pop(key)
    elif change == 2:
        node[key] = [node[key]]
    else:
        node[key] = draw.choice(NASTY)
    return root


def _cell(content: bytes, draw: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    at = draw.randrange(len(lines))
    cells = re.split(rb"([\t ])", lines[at].rstrip(b"\r\n"))
    nasty = str(draw.choice(NASTY)).replace("\n", " ").encode("utf-8", "surrogatepass")
    cells[draw.randrange(len(cells))] = nasty
    return b"".join([*lines[:at], b"".join(cells) + b"\n", *lines[at + 1 :]])
