"""MediaWiki's XML export (https://www.mediawiki.org/xml/export-0.11.xsd, and older ones), one revision in memory.

Pages outside the article namespace are passed over. expat is used directly: it knows the position of an error, builds
no tree, and lets a document type declaration be refused before an entity can be defined.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.parsers import expat

from fresco.builder.revisions import Revision
from fresco.builder.wikipedia.cache import text_sha1
from fresco.builder.wikipedia.dump_command import Command
from fresco.builder.wikipedia.dump_row import LONGEST, DumpRow, dump_row
from fresco.builder.wikipedia.dump_stream import DamagedDumpError
from fresco.builder.wikipedia.redirects import normal_title
from fresco.builder.wikipedia.report import Reason
from fresco.errors import FrescoError
from fresco.io.packed import Limits
from fresco.records import parse_timestamp

# Where the fields stand, from the root on. Second slots of a revision lie in <content> and are passed over.
_FIELDS = {
    "page/title", "page/ns", "page/id", "page/revision/id", "page/revision/timestamp", "page/revision/sha1",
    "page/revision/model", "page/revision/text", "siteinfo/namespaces/namespace",
}  # fmt: skip
_DEEPEST = 100  # an export nests six elements
#: MediaWiki's own names, for an export that carries neither <ns> nor a list of its namespaces.
_NAMESPACES = (
    "talk", "user", "user talk", "project", "project talk", "wikipedia", "wikipedia talk", "file", "file talk", "image",
    "image talk", "mediawiki", "mediawiki talk", "template", "template talk", "help", "help talk", "category",
    "category talk", "portal", "portal talk", "module", "module talk", "draft", "draft talk", "media", "special",
)  # fmt: skip


class _Export:
    """Collects revisions from expat's events; holds one revision at a time."""

    def __init__(self, path: Path | Command) -> None:
        self.path = path
        self._done: list[DumpRow] = []
        self.count = 0
        self._open: list[str] = []
        self._field = ""
        self._pieces: list[str] = []
        self._length = 0
        self._values: dict[str, str] = {}
        self._text_attributes: dict[str, str] = {}
        self._slots = False
        self._namespaces = set(_NAMESPACES)
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.StartDoctypeDeclHandler = self._doctype

    def feed(self, chunk: bytes, *, last: bool = False) -> DamagedDumpError | None:
        """Read on; the error is returned, for what was read before it can still be taken."""
        try:
            self.parser.Parse(chunk, last)
        except expat.ExpatError as error:
            return self.damaged(expat.errors.messages[error.code])
        except DamagedDumpError as error:
            return error
        return None

    def take(self) -> list[DumpRow]:
        """The revisions that were completed since the last call."""
        done, self._done = self._done, []
        return done

    def damaged(self, what: str, cure: str = "fetch it again") -> DamagedDumpError:
        """An error at the place that is being read."""
        line, byte = self.parser.CurrentLineNumber, self.parser.CurrentByteIndex
        return DamagedDumpError(
            f"{self.path}: line {line}, byte {byte} of the XML: {what}, after {self.count} revisions; {cure}"
        )

    def _doctype(self, *_: Any) -> None:
        # No export has one. Without it there are no entities: neither files read nor texts blown up.
        raise self.damaged("a document type declaration, which no MediaWiki export has", "give a MediaWiki export")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if not self._open and name not in {"mediawiki", "page"}:
            raise self.damaged(f"the root is <{name}>, not <mediawiki>", "give a MediaWiki export")
        if len(self._open) == _DEEPEST:
            raise self.damaged(f"elements nested more than {_DEEPEST} deep", "give a MediaWiki export")
        # A fragment that was cut out of an export has no root: its pages stand where the root should.
        self._open.append(name)
        path = "/".join(self._open[1:] if self._open[0] == "mediawiki" else self._open)
        if path == "page":
            self._values.clear()
        elif path == "page/revision":
            self._values = {key: value for key, value in self._values.items() if key.count("/") == 1}
            self._text_attributes = {}
            self._slots = False
        elif path == "page/revision/text":
            self._text_attributes = attributes
        elif path == "page/revision/content":
            self._slots = True
        self._field = path if path in _FIELDS else ""
        self._pieces = []
        self._length = 0

    def _characters(self, data: str) -> None:
        if self._field:
            self._pieces.append(data)
            self._length += len(data)
            if self._length > LONGEST:
                raise self.damaged(f"<{self._open[-1]}> longer than {LONGEST} characters")

    def _end(self, name: str) -> None:
        if self._field.startswith("siteinfo"):
            self._namespaces.add("".join(self._pieces).strip().casefold())
        elif self._field:
            self._values[self._field] = "".join(self._pieces)
        self._field = ""
        self._open.pop()
        if name == "revision" and self._open and self._open[-1] == "page":
            self._close_revision()

    def _close_revision(self) -> None:
        values = self._values
        self.count += 1
        try:
            if not self._is_article():
                return
            # The revision's own hash is of all its slots together; that of <text> is of the text.
            stated = self._text_attributes.get("sha1") or ("" if self._slots else values.get("page/revision/sha1", ""))
            revision = Revision(
                title=values["page/title"],
                page_id=int(values.get("page/id") or 0),
                revision_id=int(values["page/revision/id"]),
                timestamp=parse_timestamp(values["page/revision/timestamp"].strip()),
                sha1=f"{int(stated, 36):040x}" if stated else "",
            )
            text = values.get("page/revision/text", "")
            if revision.sha1 and "\n" in text:
                text = _as_saved(text, revision.sha1)
            reason = self._no_text(text)
            detail = self._model() if reason is Reason.NOT_WIKITEXT else ""
            self._done.append(dump_row(revision, text, reason=reason, detail=detail))
        except (KeyError, ValueError) as error:
            raise self.damaged(f"a revision with a bad or missing field ({error})") from error

    def _is_article(self) -> bool:
        """Whether the page is in the article namespace; exports before 0.6 say so only by the title's prefix."""
        stated = self._values.get("page/ns", "").strip()
        if stated:
            return int(stated) == 0
        prefix, colon, _ = normal_title(self._values["page/title"]).partition(":")
        return not colon or prefix.strip().casefold() not in self._namespaces

    def _model(self) -> str:
        return self._values.get("page/revision/model", "wikitext")

    def _no_text(self, text: str) -> Reason | None:
        """Why the text that stands in the dump is not the revision's wikitext."""
        if "deleted" in self._text_attributes:
            return Reason.TEXT_HIDDEN
        if not text and int(self._text_attributes.get("bytes") or 0) > 0:
            return Reason.TEXT_MISSING  # a stub dump
        return Reason.NOT_WIKITEXT if self._model() != "wikitext" else None


def _as_saved(text: str, digest: str) -> str:
    """Undo what XML does to line ends: the oldest revisions were saved, and hashed, with CR LF."""
    if text_sha1(text) == digest:
        return text
    other = text.replace("\n", "\r\n")
    return other if text_sha1(other) == digest else text


def xml_rows(path: Path | Command, stream: Iterable[bytes]) -> Iterator[DumpRow]:
    """Read an XML export.

    Args:
        path: For messages.
        stream: The file's bytes.

    Raises:
        DamagedDumpError: the XML is broken; what stands before has been given out.
    """
    export = _Export(path)
    longest = Limits.chosen().tag
    fed = 0
    for chunk in stream:
        damage = export.feed(chunk)
        fed += len(chunk)
        # expat holds a tag, with all of its attributes, until it ends. This is no damage, which would be remembered.
        if damage is None and fed - export.parser.CurrentByteIndex > longest + len(chunk):
            said = export.damaged(
                f"a tag longer than {longest >> 20} MiB", "if it is right, set FRESCO_MAX_TAG_MB higher"
            )
            raise FrescoError(str(said))
        yield from export.take()
        if damage is not None:
            raise damage
    damage = export.feed(b"", last=True)
    if damage is not None:
        raise damage
