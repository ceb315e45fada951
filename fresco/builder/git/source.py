"""Files under git as pages: every commit that changed a file is a revision of its page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha1
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from fresco.builder.git.history import Change, glob, histories
from fresco.builder.git.kept import Kept
from fresco.builder.git.repository import Repository
from fresco.builder.markup import MARKUPS, markup_of, title_of
from fresco.builder.revisions import Revision, span
from fresco.builder.wikipedia.report import Reason, Report
from fresco.errors import FrescoError

#: A larger file is no page of text.
MOST_BYTES = 10_000_000
_LFS = b"version https://git-lfs.github.com/spec/"
_BINARY_WITHIN = 8000  # where git, too, looks for a NUL


class GitSource:
    """A :class:`~fresco.builder.revisions.RevisionSource` over the history of a branch.

    A page is a file that the branch's tip has; its title is what its newest text calls itself (front matter, first
    heading), or its name. Nothing is checked out, and contents are read when they are asked for.

    Args:
        path: Folder of the repository.
        branch: Branch, tag or commit; HEAD where None.
        include: Patterns over paths (``docs/**/*.md``); none: every file of a known markup.
        kept: File that keeps what is read for another edition, and has what an earlier one has read; none by default.
        report: Where files that are no text are noted; a new one by default.

    Attributes:
        words: Name, branch and commit: what tells builds from other states of the repository apart.
        read: How many contents were read from the repository.
        report: See above.

    Raises:
        FrescoError: there is no such repository or branch, it is a shallow clone, or no file of it can be read.
    """

    def __init__(
        self,
        path: Path,
        branch: str | None = None,
        include: Sequence[str] = (),
        *,
        kept: Path | None = None,
        report: Report | None = None,
    ) -> None:
        self.report = report if report is not None else Report()
        self._repository = Repository(path)
        tip = self._repository.commit(branch)
        name = path.resolve().name.removesuffix(".git")
        self.words = f"git {name}{f'@{branch}' if branch else ''}, commit {tip[:15]}"
        if include:
            self.words += f", {', '.join(include)}"
        self._where = f"git:{path}"
        self.read = 0
        self._kept = Kept(kept) if kept is not None else None
        self._objects = self._repository.objects()
        try:
            self._pages = dict(sorted(self._titled(self._chosen(tip, include))))
        except BaseException:
            self.close()
            raise
        self._read: dict[str, list[Revision]] = {}
        self._blobs: dict[tuple[str, int], str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the processes that read."""
        self._objects.close()
        if self._kept is not None:
            self._kept.close()

    def titles(self) -> Iterator[str]:
        """Every page, sorted."""
        yield from self._pages

    def history(
        self, title: str, start: datetime | None = None, end: datetime | None = None, *, standing: bool = False
    ) -> Sequence[Revision]:
        """The revisions of a page saved in ``[start, end)``, oldest first; empty where there is no such page."""
        if title not in self._pages:
            self.report.add(title, None, Reason.MISSING)
            return ()
        if title not in self._read:
            self._read[title] = list(self._revisions(title))
        found = self._read[title]
        return found[span(found, start, end, standing=standing)]

    def texts(self, revisions: Sequence[Revision]) -> Iterator[tuple[Revision, str]]:
        """The text of each revision that the branch has, in the order asked."""
        for revision in revisions:
            own = next((each for each in self.history(revision.title) if each == revision), None)
            own = own or next((each for each in self.history(revision.title) if each.sha1 == revision.sha1 != ""), None)
            blob = self._blobs.get((own.title, own.revision_id)) if own else None
            text = self._text(revision.title, blob) if blob else None
            if text is None:
                self.report.add(revision.title, revision.revision_id, Reason.ABSENT)
                continue
            yield revision, text

    def resolve(self, titles: Collection[str]) -> Mapping[str, str]:
        """Itself: files have no redirects."""
        return {title: title for title in titles}

    def _chosen(self, tip: str, include: Sequence[str]) -> dict[str, list[Change]]:
        patterns = [glob(each) for each in include]
        found = histories(self._repository, tip)
        chosen = {
            each: changes
            for each, changes in found.items()
            if (any(one.fullmatch(each) for one in patterns) if patterns else markup_of(each) is not None)
        }
        if not chosen:
            wanted = " or ".join(include or (f"*{each}" for each in MARKUPS))
            raise FrescoError(f"{self._where}: none of its {len(found)} files is named {wanted}; see --include")
        return chosen

    def _titled(self, chosen: Mapping[str, list[Change]]) -> Iterator[tuple[str, tuple[int, list[Change]]]]:
        """Each readable page with its number; files of one title are told apart by their paths."""
        found: list[tuple[str, str]] = []
        for path, changes in sorted(chosen.items()):
            newest = changes[-1]
            if newest.is_submodule:
                self.report.add(path, None, Reason.SUBMODULE)
            elif not newest.is_file:
                self.report.add(path, None, Reason.LINK)
            elif (text := self._text(path, newest.blob)) is not None:
                name = title_of(text, markup_of(path) or "plain")
                found.append((path, name or PurePosixPath(path).stem))
        if not found:
            raise FrescoError(f"{self._where}: no file can be read as text: {self._faults()}")
        count = Counter(name for _, name in found)
        for number, (path, name) in enumerate(found, 1):
            yield name if count[name] == 1 else f"{name} ({path})", (number, chosen[path])

    def _revisions(self, title: str) -> Iterator[Revision]:
        number, changes = self._pages[title]
        before = ""
        for change in changes:
            text = self._text(title, change.blob) if change.is_file else None
            if text is None:
                continue
            digest = sha1(text.encode(), usedforsecurity=False).hexdigest()
            markup = markup_of(change.path) or "plain"
            if digest == before:  # only its name or mode changed
                continue
            before = digest
            revision = Revision(
                title, number, int(change.commit[:15], 16), datetime.fromtimestamp(change.when, UTC), digest
            )
            self._blobs[title, revision.revision_id] = change.blob
            yield replace(revision, markup=markup)

    def _text(self, title: str, blob: str) -> str | None:
        """The content of a file; None, and a row of the report, where it is no text."""
        known = self._kept.get(blob) if self._kept is not None else None
        size = len(known) if known is not None else self._objects.size(blob)
        content = known
        if content is None and size is not None and size <= MOST_BYTES:
            content = self._objects.read(blob)
            self.read += 1
            if self._kept is not None and content is not None:
                self._kept.put(blob, content)
        if size is None:
            self.report.add(title, None, Reason.TEXT_MISSING, "the clone is partial")
        elif content is None:
            self.report.add(title, None, Reason.LARGE, f"{size / 1e6:.0f} MB")
        elif content.startswith(_LFS):
            self.report.add(title, None, Reason.LFS, "git lfs keeps the text elsewhere")
        elif b"\0" in content[:_BINARY_WITHIN]:
            self.report.add(title, None, Reason.BINARY)
        else:
            try:
                return content.decode("utf-8-sig").replace("\r\n", "\n")
            except UnicodeDecodeError:
                self.report.add(title, None, Reason.BINARY, "not UTF-8")
        return None

    def _faults(self) -> str:
        return ", ".join(f"{count} {reason}" for reason, count in self.report.counts().items())


def parse_spec(text: str) -> tuple[Path, str | None]:
    """Folder and branch of ``git:PATH[@BRANCH]``; a folder whose own name has an ``@`` is found, too."""
    rest = text.removeprefix("git:")
    path, mark, branch = rest.rpartition("@")
    if not mark or Path(rest).exists():
        return Path(rest), None
    return Path(path), branch
