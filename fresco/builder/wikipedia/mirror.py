"""Revisions of a dump on disk, indexed once into the cache so that every text can be reached at once afterwards."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from fresco.builder.revisions import Revision, span
from fresco.builder.wikipedia.cache import Answer, Cache, Listed
from fresco.builder.wikipedia.cached import CachedSource
from fresco.builder.wikipedia.dump import rows
from fresco.builder.wikipedia.dump_row import DumpRow
from fresco.builder.wikipedia.dump_stream import DamagedDumpError, Progress
from fresco.builder.wikipedia.redirects import capitalized, is_bare, names_section, normal_title, target_of
from fresco.builder.wikipedia.report import Reason, Report
from fresco.errors import FrescoError

#: Bytes of wikitext between two transactions: bounds the memory and what a killed run reads again.
_STRETCH = 16 << 20
_MOST_HOPS = 5


class Mirror(CachedSource):
    """A :class:`~fresco.builder.revisions.RevisionSource` over a dump.

    The first use reads the dump once, in constant memory, into the cache; a run that is killed meanwhile is followed
    by one that reads again and compresses only what is new. A dump that changed (size or time of change) is read anew.

    Args:
        path: MediaWiki XML export or JSON Lines, plain or packed (gz, bz2, xz, zst, 7z); or a folder of such files,
            read in the order of their names.
        cache: The cache's file.
        keep_damaged: Use what can be read of a damaged dump and note the damage in the report, instead of an error.
        report: Where problems are noted; a new one by default.
        progress: Called with (bytes read, size) of each file while it is indexed.

    Raises:
        FrescoError: there is no such file, it is no dump, or it is damaged (file and position).
    """

    def __init__(
        self,
        path: Path,
        cache: Path,
        *,
        keep_damaged: bool = False,
        report: Report | None = None,
        progress: Progress | None = None,
    ) -> None:
        files = _files(path)
        super().__init__(_identity(files), Cache(cache), report if report is not None else Report())
        damage = self.cache.damage(self._source)
        if damage is None:
            damage = self._index(files, progress)
        if damage and not keep_damaged:
            self.close()
            raise DamagedDumpError(f"{damage[0]} (what can be read is used with --keep-damaged)")
        for message in damage:
            self.report.add(str(path), None, Reason.DAMAGED, message)

    def _index(self, files: Sequence[Path], progress: Progress | None) -> list[str]:
        damage: list[str] = []
        stretch: list[tuple[Listed, str | None, Answer | None]] = []
        size = 0
        for path in files:
            for row in rows(path, lambda error: damage.append(str(error)), progress):
                stretch.append(_entry(row))
                size += row.size + 1000  # a revision without a text takes memory too
                if size > _STRETCH:
                    self.cache.put_dump(self._source, stretch)
                    stretch, size = [], 0
        self.cache.put_dump(self._source, stretch)
        self.cache.complete(self._source, damage)
        return damage

    def titles(self) -> Iterator[str]:
        """Every page whose last revision is no redirect, sorted."""
        return self.cache.article_titles(self._source)

    def history(
        self, title: str, start: datetime | None = None, end: datetime | None = None, *, standing: bool = False
    ) -> Sequence[Revision]:
        """The revisions of a page saved in ``[start, end)``, oldest first.

        A page that was nothing but a redirect then gives the history of its target, where the dump has that. What is
        missing, or followed, is noted in the report.
        """
        asked = found = normal_title(title)
        for _ in range(_MOST_HOPS):
            listed = self._listed(found)
            inside = listed[span([row.revision for row in listed], start, end, standing=standing)]
            target = self._target(listed, inside)
            if target is None:
                break
            found = target
        if not listed:
            self.report.add(title, None, Reason.MISSING, f"redirects to {found!r}" if found != asked else "")
        elif listed[0].revision.title.lower() != asked.lower():
            self.report.add(title, None, Reason.FOLLOWED, f"to {listed[0].revision.title!r}")
        return [row.revision for row in inside]

    def _listed(self, title: str) -> list[Listed]:
        # Most wikis do not tell "iPad" from "IPad": their titles begin with a capital.
        for written in dict.fromkeys((title, capitalized(title), title[:1].upper() + title[1:])):
            if found := self.cache.revisions(self._source, written):
                return found
        return []

    def _target(self, listed: Sequence[Listed], inside: Sequence[Listed]) -> str | None:
        if not listed or not listed[-1].redirect or not is_bare([row.size for row in inside]):
            return None
        text = self.cache.text(listed[-1].revision.sha1)
        return target_of(text) if text else None

    def resolve(self, titles: Collection[str]) -> Mapping[str, str]:
        """The title that each linked title leads to in the dump's last revisions; itself where the dump lacks it."""
        return {title: self._resolved(normal_title(title)) for title in titles}

    def _resolved(self, title: str) -> str:
        found = title
        for _ in range(_MOST_HOPS):
            listed = self._listed(found)
            if not listed:
                break
            last = listed[-1]
            text = self.cache.text(last.revision.sha1) if last.redirect and last.revision.sha1 else None
            target = target_of(text) if text and not names_section(text) else None
            # A page that was moved stands under two titles of one number, where the dump names each revision's own.
            target = target or self.cache.last_title(self._source, last.revision.page_id)
            if target is None or target == found:
                break
            found = target
        return capitalized(found)

    def texts(self, revisions: Sequence[Revision]) -> Iterator[tuple[Revision, str]]:
        """The wikitext of each revision that the dump has, in the order asked.

        Revisions of another source (a manifest of the live wiki) are found by their SHA-1, or by title and time:
        imports renumber. What is not there, hidden, a redirect, or does not match its hash is left out and reported.
        """
        for revision in revisions:
            own = revision if self._is_known(revision) else self._same(revision)
            if own is None:
                self.report.add(revision.title, revision.revision_id, Reason.ABSENT)
                continue
            text = self._known_text(own)
            if text is not None:
                yield revision, text

    def _same(self, revision: Revision) -> Revision | None:
        for row in self._listed(normal_title(revision.title)):
            own = row.revision
            if own.timestamp == revision.timestamp and (not revision.sha1 or own.sha1 == revision.sha1):
                return own
        return None


def _entry(row: DumpRow) -> tuple[Listed, str | None, Answer | None]:
    target = target_of(row.text) if row.text is not None else None
    reason = row.reason
    if row.flagged and target is None and reason is None:
        reason = Reason.REDIRECT  # written in a way that only its wiki understands
    answer = Answer(reason=reason, detail=row.detail) if reason is not None else None
    return Listed(row.revision, row.size, row.flagged or target is not None), row.text, answer


def _files(path: Path) -> list[Path]:
    files = sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
    if not files or not all(file.exists() for file in files):
        raise FrescoError(f"{path}: there is no dump; give a MediaWiki XML export or JSON Lines")
    return files


def _identity(files: Sequence[Path]) -> str:
    """The dump's name in the cache: which files, how long, of which time; hashing terabytes would take hours."""
    marks = (f"{file.resolve()}?size={file.stat().st_size}&changed={file.stat().st_mtime_ns}" for file in files)
    return "\n".join(marks)
