"""Every revision of a dump, with its text, in the cache: for a pipe, which is read once, and as the plain reference.

:class:`fresco.builder.wikipedia.dump_source.Dump` reads a dump twice instead, and keeps what is wanted of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from fresco.builder.wikipedia.cache import Answer, Cache, Listed
from fresco.builder.wikipedia.dump import rows
from fresco.builder.wikipedia.dump_lookup import Leads, Lookup
from fresco.builder.wikipedia.dump_row import DumpRow
from fresco.builder.wikipedia.dump_stream import DamagedDumpError, Progress
from fresco.builder.wikipedia.redirects import names_section, target_of
from fresco.builder.wikipedia.report import Reason, Report
from fresco.errors import FrescoError

#: Bytes of wikitext between two transactions: bounds the memory and what a killed run reads again.
STRETCH = 16 << 20


class Mirror(Lookup):
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
        files = files_of(path)
        super().__init__(identity(files), Cache(cache), report if report is not None else Report())
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
                stretch.append(entry(row))
                size += row.size + 1000  # a revision without a text takes memory too
                if size > STRETCH:
                    self.cache.put_dump(self._source, stretch)
                    stretch, size = [], 0
        self.cache.put_dump(self._source, stretch)
        self.cache.complete(self._source, damage)
        return damage

    def titles(self) -> Iterator[str]:
        """Every page whose last revision is no redirect, sorted."""
        return self.cache.article_titles(self._source)

    def _leads(self, title: str) -> Leads | None:
        listed = self._listed(title)
        if not listed:
            return None
        last = listed[-1]
        text = self.cache.text(last.revision.sha1) if last.redirect and last.revision.sha1 else None
        target = target_of(text) if text else None
        return Leads(last.revision.page_id, target, names_section(text or ""))

    def _last_title(self, number: int) -> str | None:
        return self.cache.last_title(self._source, number)


def entry(row: DumpRow) -> tuple[Listed, str | None, Answer | None]:
    """A revision as the cache keeps it: its listing, its text and what is wrong with it."""
    target = target_of(row.text) if row.text is not None else None
    reason = row.reason
    if row.flagged and target is None and reason is None:
        reason = Reason.REDIRECT  # written in a way that only its wiki understands
    answer = Answer(reason=reason, detail=row.detail) if reason is not None else None
    return Listed(row.revision, row.size, row.flagged or target is not None), row.text, answer


def files_of(path: Path) -> list[Path]:
    """The files of a dump.

    Raises:
        FrescoError: there is none.
    """
    files = sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
    if not files or not all(file.exists() for file in files):
        raise FrescoError(f"{path}: there is no dump; give a MediaWiki XML export or JSON Lines")
    return files


def identity(files: Sequence[Path]) -> str:
    """The dump's name in the cache: which files, how long, of which time; hashing terabytes would take hours."""
    marks = (f"{file.resolve()}?size={file.stat().st_size}&changed={file.stat().st_mtime_ns}" for file in files)
    return "\n".join(marks)
