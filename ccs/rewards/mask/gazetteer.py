"""``gazetteer:FILE``: the titles of a corpus, found in any case, longest first.

FILE holds titles one a line, or is a corpus as JSON Lines: each row's ``title``, or the quoted first line of its
``contents`` (Search-R1's corpora). ``.gz`` and ``.xz`` are read as they are.

Titles are a set of strings and, for each first word, the length of its longest title: a text of n words costs at most
n look-ups for each length, and a few million titles fit in memory.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import lzma
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ccs.rewards.mask.base import Span
from ccs.rewards.mask.registry import MASKERS
from ccs.rewards.mask.text import WORD, clean
from ccs.rewards.mask.words import CommonWords
from fresco.errors import FrescoError

_VERSION = 1
_MOST_WORDS = 12  # longer titles are found by their first twelve words
_NOTE = re.compile(r"\s*\([^()]*\)\s*$")  # "Free Guy (film)"


@MASKERS.register("gazetteer:FILE", "titles, of a list or a corpus", example="corpus.jsonl")
def _open(file: str) -> Gazetteer:
    from ccs.rewards.mask.embedded import common_words

    return Gazetteer.read(Path(file).expanduser(), common_words())


class Gazetteer:
    """Finds titles. A title that is one common word ("Head") counts only where the text gives it a capital."""

    def __init__(self, titles: Iterable[str], common: CommonWords, name: str = "gazetteer") -> None:
        """Index the titles.

        Args:
            titles: As they are written; a note in brackets at the end is left off.
            common: The common words.
            name: The spec.
        """
        self.name = name
        self._common = common
        keys = {tuple(_words(_NOTE.sub("", clean_title)) or _words(clean_title)) for clean_title in map(_plain, titles)}
        keys.discard(())
        self._titles = {" ".join(key[:_MOST_WORDS]) for key in keys}
        self._longest: dict[str, int] = {}
        for key in keys:
            self._longest[key[0]] = max(self._longest.get(key[0], 0), min(len(key), _MOST_WORDS))
        digest = hashlib.sha256("\n".join(sorted(self._titles)).encode()).hexdigest()[:16]
        self.fingerprint = f"gazetteer-{_VERSION}-{digest}-{common.fingerprint}"

    @classmethod
    def read(cls, path: Path, common: CommonWords) -> Gazetteer:
        """Titles of a file; see the module's text.

        Raises:
            FrescoError: no such file, it cannot be read, or it holds no title.
        """
        found = cls(_titles(path), common, name=f"gazetteer:{path}")
        if not found:
            raise FrescoError(
                f"mask.masker gazetteer:{path}: it holds no title; one a line, or JSON Lines with `title`"
            )
        return found

    def __len__(self) -> int:
        return len(self._titles)

    def spans(self, texts: Sequence[str]) -> list[list[Span]]:
        """See :class:`ccs.rewards.mask.base.Masker`."""
        return [list(self._find(text)) for text in texts]

    def _find(self, text: str) -> Iterator[Span]:
        words = list(WORD.finditer(text))
        folded = [word.group().casefold() for word in words]
        at = 0
        while at < len(words):
            for length in range(min(self._longest.get(folded[at], 0), len(words) - at), 0, -1):
                if " ".join(folded[at : at + length]) in self._titles and self._counts(words[at].group(), length):
                    yield Span(words[at].start(), words[at + length - 1].end(), "MISC")
                    at += length
                    break
            else:
                at += 1

    def _counts(self, first: str, length: int) -> bool:
        if length > 1:
            return True
        # Numbers and single letters are titles too: `patterns` masks the numbers, with their type.
        return len(first) > 1 and not first.isdigit() and (first[0].isupper() or first not in self._common)


def _plain(title: str) -> str:
    return clean(title)


def _words(title: str) -> list[str]:
    return [word.casefold() for word in WORD.findall(title)]


def _titles(path: Path) -> Iterator[str]:
    openers = {".gz": gzip.open, ".xz": lzma.open}
    try:
        with openers.get(path.suffix, open)(path, "rt", encoding="utf-8") as lines:  # type: ignore[operator]
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _title(line.strip(), f"mask.masker gazetteer:{path}, line {number}")
    except UnicodeDecodeError as error:
        raise FrescoError(f"mask.masker gazetteer:{path}: no UTF-8 text ({error.reason})") from error
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise FrescoError(f"mask.masker gazetteer:{path}: cannot be read ({error})") from error


def _title(line: str, where: str) -> str:
    if not line.startswith("{"):
        return line
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise FrescoError(f"{where}: no valid JSON ({error})") from None
    title, contents = row.get("title"), row.get("contents")
    if isinstance(title, str):
        return title
    if isinstance(contents, str):
        return contents.partition("\n")[0].strip('"')
    raise FrescoError(f"{where}: neither `title` nor `contents` is text")
