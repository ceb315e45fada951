"""A dump of any size, read twice: what stays on disk grows with what is wanted of it, not with the dump.

The first reading keeps a row a title (:mod:`.dump_titles`). In the second, each page passes: while it does, its texts
lie in a temporary database, and what is asked of it is answered from there. Only what :meth:`Dump.keep` names is kept.
What is asked for later and was not kept costs another reading; the answers are those of
:class:`~fresco.builder.wikipedia.mirror.Mirror`, which keeps everything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from fresco.builder.revisions import Revision
from fresco.builder.wikipedia.cache import Answer, Cache, Listed
from fresco.builder.wikipedia.dump import rows
from fresco.builder.wikipedia.dump_command import Command
from fresco.builder.wikipedia.dump_lookup import MOST_HOPS, Leads, Lookup, spellings
from fresco.builder.wikipedia.dump_row import DumpRow
from fresco.builder.wikipedia.dump_stream import DamagedDumpError, Progress
from fresco.builder.wikipedia.dump_titles import DumpTitles, Kept
from fresco.builder.wikipedia.mirror import STRETCH, entry, files_of, identity
from fresco.builder.wikipedia.redirects import normal_title
from fresco.builder.wikipedia.report import Reason, Report
from fresco.errors import FrescoError

_WORDS = ""  # stands for no title
_Entry = tuple[Listed, str | None, Answer | None]


class _Titled(Lookup):
    """What a lookup is told by the first reading."""

    _titles: DumpTitles

    def _leads(self, title: str) -> Leads | None:
        for written in spellings(title):
            if own := self._titles.get(written):
                return Leads(own.number, own.target if own.redirect else None, own.names_section)
        return None

    def _last_title(self, number: int) -> str | None:
        return self._titles.last_title(number)


class _Spool(_Titled):
    """Pages that pass, in a temporary database."""

    def __init__(self, titles: DumpTitles, report: Report) -> None:
        super().__init__("passing", Cache(None), report)
        self._titles = titles

    def put(self, stretch: Sequence[_Entry]) -> None:
        """Take revisions with their texts."""
        self.cache.put_dump(self._source, stretch)

    def entries(self, title: str, chosen: Collection[Revision] | None) -> Iterator[_Entry]:
        """All revisions of a page, those that are chosen (None: all) with their texts."""
        for listed in self.cache.revisions(self._source, title):
            own = listed.revision
            wanted = bool(own.sha1) and (chosen is None or own in chosen)
            answer = self.cache.answer(self._source, own.revision_id)
            yield listed, self.cache.text(own.sha1) if wanted else None, answer

    def drop(self, title: str) -> None:
        """Delete a page."""
        self.cache.drop(self._source, title)


@dataclass(slots=True)
class _Group:
    """Pages that answer together for the titles that were asked for: a redirect and what it leads to."""

    asked: list[str]
    pages: set[str]
    to_come: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Kept:
    """What is named of the pages that pass."""

    asked: str = ""
    is_any: bool = False
    revisions: set[Revision] | None = field(default_factory=set)
    notes: dict[str, str] = field(default_factory=dict)

    def add(self, revisions: Iterable[Revision] | None) -> None:
        """Name revisions (None: all) whose texts are to be kept with the listing."""
        self.is_any = True
        if revisions is None or self.revisions is None:
            self.revisions = None
        else:
            self.revisions.update(revisions)


@dataclass(slots=True)
class _Page:
    """A page that passes: how many of its revisions are still to come, and the last text from before the time."""

    group: _Group
    to_come: int
    standing: DumpRow | None = None


class Dump(_Titled):
    """A :class:`~fresco.builder.revisions.PassingSource` over a dump.

    Args:
        dump: A file, a folder of files (as for :class:`Mirror`), or a command whose output is the dump.
        cache: The cache's file.
        keep_damaged: Use what can be read of a damaged dump and note the damage in the report, instead of an error.
        report: Where problems are noted; a new one by default.
        progress: Called with (bytes read, size) of each file whenever it is read.

    Raises:
        FrescoError: there is no such file, it is no dump, or it is damaged (file and position); a command fails.
    """

    def __init__(
        self,
        dump: Path | Command,
        cache: Path,
        *,
        keep_damaged: bool = False,
        report: Report | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._parts: Sequence[Path | Command] = [dump] if isinstance(dump, Command) else files_of(dump)
        name = str(dump) if isinstance(dump, Command) else identity(files_of(dump))
        super().__init__(f"{name}\nread twice", Cache(cache), report if report is not None else Report())
        self._progress = progress
        self._titles = DumpTitles(self.cache, self._source)
        self._now: _Spool | None = None
        self._kept: _Kept | None = None
        self._sought: set[Revision] = set()
        damage = self.cache.damage(self._source)
        if damage is None:
            damage = []
            self._titles.read(self._rows(damage))
            self.cache.complete(self._source, damage)
        if damage and not keep_damaged:
            self.close()
            raise DamagedDumpError(f"{damage[0]} (what can be read is used with --keep-damaged)")
        for message in damage:
            self.report.add(str(dump), None, Reason.DAMAGED, message)

    def _rows(self, damage: list[str]) -> Iterator[DumpRow]:
        for part in self._parts:
            yield from rows(part, lambda error: damage.append(str(error)), self._progress)

    def titles(self) -> Iterator[str]:
        """Every page whose last revision is no redirect, sorted."""
        return self._titles.articles()

    def count(self) -> int:
        """How many these are."""
        return self._titles.count()

    # Passing

    def passing(
        self,
        titles: Collection[str] | None,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        listed: bool = False,
    ) -> Iterator[tuple[str, str | None]]:
        """See :class:`~fresco.builder.revisions.PassingSource`."""
        enough = Kept.LISTING if listed else Kept.WHOLE
        groups: dict[str, _Group] | None = None
        if titles is not None:
            groups = self._groups(titles)
            unread: dict[str, _Group] = {}
            for group in {id(each): each for each in groups.values()}.values():
                if all((own := self._titles.get(page)) and own.kept >= enough for page in group.pages):
                    yield from self._answered(group, None)
                elif all(self._titles.noted(asked) is not None for asked in group.asked):
                    yield from ((asked, self._titles.noted(asked)) for asked in group.asked)
                else:
                    unread |= dict.fromkeys(group.pages, group)
            missing = [title for title in titles if self._leads(normal_title(title)) is None]
            yield from ((title, None) for title in missing)
            if not unread:
                return
            groups = unread
        yield from self._read(groups, start, end)

    def keep(self, revisions: Iterable[Revision] | None) -> None:
        """See :class:`~fresco.builder.revisions.PassingSource`."""
        if self._kept is not None:
            self._kept.add(revisions)

    def note(self, text: str) -> None:
        """See :class:`~fresco.builder.revisions.PassingSource`."""
        if self._kept is not None:
            self._kept.notes[self._kept.asked] = text

    def hold(self, titles: Collection[str], start: datetime | None = None, end: datetime | None = None) -> None:
        """See :class:`~fresco.builder.revisions.PassingSource`."""
        for _ in self.passing(titles, start, end):
            self.keep(None)

    def forget_notes(self, unless: str = "") -> None:
        """See :class:`~fresco.builder.revisions.PassingSource`."""
        if self._titles.noted(_WORDS) != unless:
            self._titles.forget_notes()
            self._titles.note(_WORDS, unless)

    def _groups(self, titles: Collection[str]) -> dict[str, _Group]:
        """The pages to read for titles: those that lead to one page are answered together."""
        found: dict[str, _Group] = {}
        for title in titles:
            chain = self._chain(normal_title(title))
            if chain:
                group = found.setdefault(chain[-1], _Group([], set()))
                group.asked.append(title)
                group.pages.update(chain)
                found |= dict.fromkeys(chain, group)
        return found

    def _chain(self, title: str) -> list[str]:
        chain: list[str] = []
        for _ in range(MOST_HOPS):
            written = next((each for each in spellings(title) if self._titles.get(each)), None)
            if written is None or written in chain:
                break
            chain.append(written)
            own = self._titles.get(written)
            if own is None or not own.redirect or own.target is None:
                break
            title = own.target
        return chain

    def _read(
        self, groups: Mapping[str, _Group] | None, start: datetime | None, end: datetime | None
    ) -> Iterator[tuple[str, str | None]]:
        """Read the dump and give out what was asked for, as soon as it has passed."""
        spool = _Spool(self._titles, self.report)
        passing: dict[str, _Page] = {}
        stretch: list[_Entry] = []
        size = read = 0
        last, page = "", None
        with spool:
            for row in self._rows([]):
                read += 1
                if row.revision.title != last:
                    last = row.revision.title
                    page = passing.get(last)
                    if page is None and (note := self._note_of(last, groups)) is not None:
                        yield last, note
                    elif page is None and (page := self._page(last, groups)) is not None:
                        passing[last] = page
                if page is None:
                    continue
                stretch.append(_within(row, page, start, end))
                size += row.size + 1000
                page.to_come -= 1
                if page.to_come == 0:
                    del passing[last]
                    page.group.to_come.discard(last)
                    stretch += [entry(page.standing)] if page.standing is not None else []
                if size > STRETCH or page.to_come == 0:
                    spool.put(stretch)
                    stretch, size = [], 0
                if page.to_come == 0 and not page.group.to_come:
                    yield from self._answered(page.group, spool)
        if passing or read != self._titles.revisions():
            self._titles.forget()
            raise FrescoError(
                f"{', '.join(map(str, self._parts))}: was another dump when it was read before; run the same command "
                "again (a command must give the same each time)"
            )

    def _note_of(self, title: str, groups: Mapping[str, _Group] | None) -> str | None:
        """The note of a page that begins to pass; of those that are asked for by name it was given out already."""
        return self._titles.noted(title) if groups is None else None

    def _page(self, title: str, groups: Mapping[str, _Group] | None) -> _Page | None:
        """A page that begins to pass; None where nobody asks for it."""
        own = self._titles.get(title)
        if own is None:
            return None
        if groups is None:
            return None if own.redirect else _Page(_Group([title], {title}, {title}), own.revisions)
        group = groups.get(title)
        if group is None:
            return None
        group.to_come = group.to_come or set(group.pages)
        return _Page(group, own.revisions)

    def _answered(self, group: _Group, spool: _Spool | None) -> Iterator[tuple[str, str | None]]:
        """Give out what was asked for of a group, keep what is then named of it, and forget the rest.

        Args:
            group: The pages.
            spool: Where they are; None: they are kept already.
        """
        kept = _Kept()
        for asked in group.asked:
            kept.asked = asked
            with self._at(spool, kept):
                yield asked, self._titles.noted(asked)
        if spool is not None and kept.is_any:
            for title in group.pages:
                self.cache.put_dump(self._source, list(spool.entries(title, kept.revisions)))
            self._titles.mark(group.pages, Kept.WHOLE if kept.revisions is None else Kept.LISTING)
        for asked, note in kept.notes.items():
            self._titles.note(asked, note)
        if spool is not None:
            for title in group.pages:
                spool.drop(title)

    @contextmanager
    def _at(self, spool: _Spool | None, kept: _Kept) -> Iterator[None]:
        before = self._now, self._kept
        self._now, self._kept = spool, kept
        try:
            yield
        finally:
            self._now, self._kept = before

    # What is asked

    def history(
        self, title: str, start: datetime | None = None, end: datetime | None = None, *, standing: bool = False
    ) -> Sequence[Revision]:
        """The revisions of a page saved in ``[start, end)``, oldest first; see :class:`Mirror`."""
        if self._now is not None:
            return self._now.history(title, start, end, standing=standing)
        for _ in self.passing([title], start, end, listed=True):
            self.keep(None)
        return super().history(title, start, end, standing=standing)

    def texts(self, revisions: Sequence[Revision]) -> Iterator[tuple[Revision, str]]:
        """The wikitext of each revision that the dump has, in the order asked; see :class:`Mirror`."""
        if self._now is not None:
            yield from self._now.texts(revisions)
            return
        self.fetch(revisions)
        yield from super().texts(revisions)

    def fetch(self, revisions: Iterable[Revision]) -> None:
        """See :class:`~fresco.builder.revisions.PassingSource`."""
        if self._now is not None:  # they are passing
            return
        missing = {each for each in revisions if not self._is_held(each)} - self._sought
        if not missing:
            return
        hashes = {each.sha1 for each in missing if each.sha1}
        places = {(written, each.timestamp) for each in missing for written in spellings(normal_title(each.title))}
        stretch: list[_Entry] = []
        size = 0
        for row in self._rows([]):
            own = row.revision
            if own.sha1 in hashes or (own.title, own.timestamp) in places:
                stretch.append(entry(row))
                size += row.size + 1000
                if size > STRETCH:
                    self.cache.put_dump(self._source, stretch)
                    stretch, size = [], 0
        self.cache.put_dump(self._source, stretch)
        self._sought |= missing

    def _is_held(self, revision: Revision) -> bool:
        own = revision if self._is_known(revision) else self._same(revision)
        return own is not None and self._is_known(own)


def _within(row: DumpRow, page: _Page, start: datetime | None, end: datetime | None) -> _Entry:
    """A revision with its text where that is of the time, else without; the last text from before is remembered."""
    own = row.revision
    listed, text, answer = entry(row)
    if start is not None and own.timestamp < start:
        standing = page.standing.revision if page.standing is not None else None
        order = own.timestamp, own.revision_id
        if own.sha1 and (standing is None or order >= (standing.timestamp, standing.revision_id)):
            page.standing = row
        return listed, None, answer
    return listed, text if end is None or own.timestamp < end else None, answer
