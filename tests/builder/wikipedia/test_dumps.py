"""The formats and packings of dumps, whole and damaged."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fresco.builder.wikipedia import Mirror, Reason
from fresco.builder.wikipedia.cache import text_sha1
from fresco.errors import FrescoError
from tests.builder.conftest import shared
from tests.builder.wikipedia.dump_samples import (
    ROWS,
    jsonl_bytes,
    packed_by,
    row,
    seven_zip,
    write,
    xml_bytes,
)


@pytest.mark.parametrize("written", [jsonl_bytes, xml_bytes])
@pytest.mark.parametrize(
    "packed",
    [
        bytes,
        gzip.compress,
        bz2.compress,
        # Of many streams in one file, as Wikimedia packs them, cut anywhere; and with a byte order mark.
        lambda plain: b"".join(bz2.compress(plain[at : at + 97]) for at in range(0, len(plain), 97)),
        lambda plain: b"\xef\xbb\xbf" + plain,
        lzma.compress,
        packed_by("zstd", "-q", "{plain}", "-o", "{target}"),
        seven_zip,
    ],
)
def test_every_packing_is_read_whatever_its_name(
    written: Callable[..., bytes], packed: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    path = write(tmp_path, "dump", packed(written(ROWS)))
    with Mirror(path, tmp_path / "c.sqlite") as mirror:
        assert list(mirror.titles()) == ["A", "B"]
        assert [text for _, text in mirror.texts(mirror.history("A"))] == [row["content"] for row in ROWS[:2]]
        assert [text for _, text in mirror.texts(mirror.history("B"))] == [""]
        assert len(mirror.report) == 0


@contextmanager
def piped(folder: Path, data: bytes) -> Iterator[Path]:
    """A pipe into which the data is written while it is read, so that it never lies on disk."""
    path = folder / "pipe"
    os.mkfifo(path)

    def write_it() -> None:
        with suppress(BrokenPipeError), path.open("wb") as stream:
            stream.write(data)

    writer = threading.Thread(target=write_it)
    writer.start()
    yield path
    writer.join()


@pytest.mark.parametrize("packed", [bytes, gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("written", [jsonl_bytes, xml_bytes])
def test_a_dump_comes_through_a_pipe(
    written: Callable[..., bytes], packed: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    rows = [
        row(f"P{page}", 10 * page + number, f"{number} of {page}\n" * 5000) for page in range(5) for number in range(3)
    ]
    told: list[tuple[int, int]] = []
    data = packed(written(rows))
    with (
        piped(tmp_path, data) as path,
        Mirror(path, tmp_path / "c.sqlite", progress=lambda *now: told.append(now)) as mirror,
    ):
        assert list(mirror.titles()) == [f"P{page}" for page in range(5)]
        found = [text for title in mirror.titles() for _, text in mirror.texts(mirror.history(title))]
    assert found == [each["content"] for each in rows]
    assert told[-1] == (len(data), len(data))


def test_what_another_program_unpacks_is_no_pipe(tmp_path: Path) -> None:
    with (
        piped(tmp_path, packed_by("zstd", "-q", "{plain}", "-o", "{target}")(xml_bytes(ROWS))) as path,
        pytest.raises(FrescoError, match="zstd cannot be read from a pipe; unpack it on the way"),
    ):
        Mirror(path, tmp_path / "c.sqlite")


def test_a_hash_of_the_page_is_none_of_its_revisions(tmp_path: Path) -> None:
    data = xml_bytes(ROWS).replace(b"<revision>", b"<sha1/>\n<revision>")
    assert data.count(b"<sha1/>") == len(ROWS)
    with Mirror(write(tmp_path, "d.xml", data), tmp_path / "c.sqlite") as mirror:
        assert [text for _, text in mirror.texts(mirror.history("A"))] == [row["content"] for row in ROWS[:2]]
        assert len(mirror.report) == 0


_XML_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=40)


@given(st.lists(_XML_TEXT, min_size=1, max_size=6))
@settings(max_examples=25)
def test_any_text_survives_both_formats(texts: list[str]) -> None:
    rows = [row("Page", number, f"Text {text}") for number, text in enumerate(texts)]
    with TemporaryDirectory() as name:
        folder = Path(name)
        for path in (write(folder, "x", xml_bytes(rows)), write(folder, "j", jsonl_bytes(rows))):
            with Mirror(path, folder / "c.sqlite") as mirror:
                assert [text for _, text in mirror.texts(mirror.history("Page"))] == [row["content"] for row in rows]


# What a revision's hash is of, which pages are articles, and what stands before the root


def _one_page(
    attributes: str = "", *, slot: str = "", own: str = "", page: str = "<ns>0</ns>", title: str = "A"
) -> bytes:
    """An export of one page with one revision, whose text is ``first``."""
    return (
        "<mediawiki><siteinfo><namespaces><namespace key='0'/><namespace key='10'>Vorlage</namespace></namespaces>"
        f"</siteinfo><page><title>{title}</title>{page}<id>1</id><revision><id>1</id>"
        f"<timestamp>2020-01-01T00:00:00Z</timestamp><text{attributes}>first</text>{slot}{own}</revision></page>"
        "</mediawiki>"
    ).encode()


def _base36(text: str) -> str:
    number, digits = int(text_sha1(text), 16), ""
    while number:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits


FIRST = _base36("first")
SLOT = "<content><role>extra</role><model>json</model><text sha1='abc'>{}</text></content>"


@pytest.mark.parametrize(
    ("data", "texts"),
    [
        (_one_page(f" sha1='{FIRST}'", slot=SLOT, own=f"<sha1>{_base36('both')}</sha1>"), ["first"]),
        (_one_page(slot=SLOT, own=f"<sha1>{_base36('both')}</sha1>"), ["first"]),
        (_one_page(own=f"<sha1>{FIRST}</sha1>"), ["first"]),
        (_one_page(own=f"<sha1>{_base36('other')}</sha1>"), []),
        (_one_page(f" sha1='{_base36('other')}'", slot=SLOT), []),
    ],
)
def test_a_text_is_compared_with_its_own_hash(data: bytes, texts: list[str], tmp_path: Path) -> None:
    with Mirror(write(tmp_path, "d.xml", data), tmp_path / "c.sqlite") as mirror:
        assert [text for _, text in mirror.texts(mirror.history("A"))] == texts


@pytest.mark.parametrize(
    ("title", "page", "article"),
    [
        ("A", "", True),
        ("Star Trek: Picard", "", True),
        ("Template:A", "", False),
        ("User talk:A", "", False),
        ("Vorlage:A", "", False),
        ("Template:A", "<ns>0</ns>", True),
        ("A", "<ns>10</ns>", False),
    ],
)
def test_articles_are_told_without_a_namespace_number(title: str, page: str, article: bool, tmp_path: Path) -> None:
    with Mirror(write(tmp_path, "d.xml", _one_page(page=page, title=title)), tmp_path / "c.sqlite") as mirror:
        assert list(mirror.titles()) == ([title] if article else [])


BOM = b"\xef\xbb\xbf"
BLANK = [b"\n", b"\r\n\r\n", b" \t\n", BOM + b"\n", BOM, b"\n" + BOM, b"\n\n" + BOM + b"\n", b"\n" * (1 << 19)]


@pytest.mark.parametrize("pack", [bytes, bz2.compress])
@pytest.mark.parametrize("before", BLANK, ids=range(len(BLANK)))
@pytest.mark.parametrize("written", [b"<?xml version='1.0'?>\n" + _one_page(), _one_page(), jsonl_bytes(ROWS[:1])])
def test_blank_lines_before_a_dump_are_nothing(
    before: bytes, written: bytes, pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    with Mirror(write(tmp_path, "d", pack(before + written)), tmp_path / "c.sqlite") as mirror:
        assert list(mirror.titles()) == ["A"]
        assert len(mirror.report) == 0


# Damage


def _damage(path: Path, folder: Path) -> str:
    with pytest.raises(FrescoError) as caught:
        Mirror(path, folder / "c.sqlite")
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    with pytest.raises(FrescoError) as again:  # known without reading the dump again
        Mirror(path, folder / "c.sqlite")
    assert str(again.value) == message
    return message


def _kept(path: Path, folder: Path) -> list[int]:
    with Mirror(path, folder / "c.sqlite", keep_damaged=True) as mirror:
        assert mirror.report.counts()[Reason.DAMAGED] >= 1
        return [r.revision_id for title in mirror.titles() for r, _ in mirror.texts(mirror.history(title))]


def test_a_real_fragment_without_its_root(tmp_path: Path) -> None:
    path = shared("mediawiki_xml/page_sample.xml")
    message = _damage(path, tmp_path)
    assert "line 38, byte 1218 of the XML: junk after document element, after 2 revisions" in message
    assert "--keep-damaged" in message
    assert _kept(path, tmp_path) == [108204, 208937]


@pytest.mark.parametrize("packed", [gzip.compress, bz2.compress, lzma.compress, seven_zip])
@pytest.mark.parametrize("written", [jsonl_bytes, xml_bytes])
def test_cut_off_packings(written: Callable[..., bytes], packed: Callable[[bytes], bytes], tmp_path: Path) -> None:
    noise = "".join(chr(0x4E00 + n * 7919 % 20000) for n in range(3000))
    data = packed(written([row("A", number, noise[number * 9 :] + noise) for number in range(1, 40)]))
    path = write(tmp_path, "d", data[: len(data) // 2])
    assert any(words in _damage(path, tmp_path) for words in ("broken or cut off near byte", "cannot be unpacked"))
    kept = _kept(path, tmp_path)
    assert kept == list(range(1, len(kept) + 1))


def test_a_cut_off_stream_keeps_what_stands_before(tmp_path: Path) -> None:
    noise = [os.urandom(50_000).hex() for _ in range(20)]
    for name, written in (("j", jsonl_bytes), ("x", xml_bytes)):
        data = gzip.compress(written([row("A", number, text) for number, text in enumerate(noise, 1)]), 1)
        path = write(tmp_path, name, data[: len(data) // 2])
        _damage(path, tmp_path)
        assert 8 <= len(_kept(path, tmp_path)) <= 10


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda data: data.replace(b"<id>2</id>", b"<id>2</di>"), "mismatched tag, after 1 revisions"),
        (lambda data: data.replace(b"second", b"sec\xffond"), "not well-formed (invalid token), after 1 revisions"),
        (lambda data: data.replace(b"second", b"sec\x01ond"), "not well-formed (invalid token)"),
        (lambda data: data.replace(b"second", b"&lol;"), "undefined entity"),
        (lambda data: data.replace(b"<id>2</id>", b"<id>two</id>"), "a revision with a bad or missing field"),
        (lambda data: data.replace(b"<id>2</id>", b"<id>99999999999999999999</id>"), "no such numbers exist"),
        (lambda data: data.replace(b"2020-01-03T", b"2020-02-31T"), "bad or missing field"),
        (lambda data: data[: data.index(b"second")], "no element found, after 1 revisions"),
        (lambda data: data.replace(b"second", b"<a>" * 200), "elements nested more than 100 deep"),
    ],
)
def test_broken_xml(spoil: Callable[[bytes], bytes], message: str, tmp_path: Path) -> None:
    path = write(tmp_path, "d.xml", spoil(xml_bytes([row("A", 1, "first"), row("A", 2, "second")])))
    assert message in _damage(path, tmp_path)
    assert "line 1, byte " in _damage(path, tmp_path)
    assert _kept(path, tmp_path) == [1]


@pytest.mark.parametrize(
    "declaration",
    [
        '<!DOCTYPE m [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>',
        '<!DOCTYPE m [<!ENTITY c SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE m SYSTEM "http://127.0.0.1:9/evil.dtd">',
    ],
)
def test_entities_are_never_expanded(declaration: str, tmp_path: Path) -> None:
    data = declaration.encode() + xml_bytes([row("A", 1, "x")]).replace(b">x<", b">&c;<")
    assert "document type declaration" in _damage(write(tmp_path, "d.xml", data), tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "line 2: Expecting property name"),
        (b"[1]", "line 2: a list, not an object"),
        (b'{"title": "A"}', "line 2: no field 'content'"),
        (b'{"title": "A", "content": "x"}', "line 2: no field 'revision_id'"),
        (b'{"title": "\xff"}', "line 2: 'utf-8' codec can't decode"),
        (
            jsonl_bytes([row("A", 2, "x", revision_timestamp="yesterday")]).strip(),
            "line 2: 'yesterday' is not of the form",
        ),
        (jsonl_bytes([row("A", 2, "half \ud800 a pair")]).strip(), "line 2: 'utf-8' codec can't encode"),
        (jsonl_bytes([row("A", 2, "x", revision_id=2**70)]).strip(), "no such numbers exist"),
        (jsonl_bytes([row("A", 2, "x", sha1="abc")]).strip(), "line 2:"),
        (jsonl_bytes([{**row("A", 2, "x"), "title": 7}]).strip(), "line 2: 'title' and 'content' must be strings"),
        (b"[" * 100_000, "line 2:"),
    ],
)
def test_bad_lines(line: bytes, message: str, tmp_path: Path) -> None:
    path = write(
        tmp_path, "d.jsonl", jsonl_bytes([row("A", 1, "one")]) + line + b"\n\n" + jsonl_bytes([row("A", 3, "three")])
    )
    assert message in _damage(path, tmp_path)
    assert _kept(path, tmp_path) == [1, 3]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "neither a MediaWiki XML export nor JSON Lines"),
        (b"PK\x03\x04", "neither a MediaWiki XML export nor JSON Lines"),
        (b"<html><body/></html>", "the root is <html>, not <mediawiki>"),
    ],
)
def test_files_that_are_no_dump(data: bytes, message: str, tmp_path: Path) -> None:
    assert message in _damage(write(tmp_path, "d", data), tmp_path)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(FrescoError, match="there is no dump"):
        Mirror(tmp_path / "nothing.xml", tmp_path / "c.sqlite")


def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    for name, magic, package in (("a", b"7z\xbc\xaf\x27\x1c", "7zip"), ("b", b"\x28\xb5\x2f\xfd__", "zstd")):
        with pytest.raises(FrescoError, match=f"apt-get install {package}"):
            Mirror(write(tmp_path, name, magic), tmp_path / "c.sqlite")


@pytest.mark.parametrize("pack", [bytes, lzma.compress])
@pytest.mark.parametrize(("before", "after"), [(b"<contributor name='", b"'/>"), (b"<!-- ", b" -->"), (b"<?a ", b"?>")])
def test_a_tag_that_does_not_end_is_not_held(
    pack: Callable[[bytes], bytes], before: bytes, after: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """expat holds a tag whole: one attribute could fill the memory, from a file of a few kilobytes."""
    data = xml_bytes([row("A", 1, "first"), row("A", 2, "second")])
    at = data.index(b"<id>2</id>")
    path = write(tmp_path, "d.xml", pack(data[:at] + before + b"y" * (9 << 20) + after + data[at:]))
    with pytest.raises(
        FrescoError, match=r"a tag longer than 1 MiB, after 1 revisions; .* set FRESCO_MAX_TAG_MB higher"
    ):
        Mirror(path, tmp_path / "c.sqlite")
    monkeypatch.setenv("FRESCO_MAX_TAG_MB", "10")
    with Mirror(path, tmp_path / "c.sqlite") as mirror:
        assert len(mirror.history("A")) == 2
