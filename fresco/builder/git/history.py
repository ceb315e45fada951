"""The history of each file: one walk over the commits of a branch, renames followed, dates made sane.

Only first parents are walked: what a merge brought in became visible on the branch at the merge, whole.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from fresco.builder.git.repository import Repository

_FILE, _PROGRAM, _LINK, _MODULE = "100644", "100755", "120000", "160000"


@dataclass(frozen=True, slots=True)
class Change:
    """A file as one commit left it.

    Attributes:
        commit: Id of the commit.
        when: Its time, seconds since 1970.
        path: The file's path there.
        mode: As git writes it; see :attr:`is_file`.
        blob: Id of the content.
    """

    commit: str
    when: int
    path: str
    mode: str
    blob: str

    @property
    def is_file(self) -> bool:
        """Whether it is a plain file, no symbolic link and no submodule."""
        return self.mode in (_FILE, _PROGRAM)

    @property
    def is_submodule(self) -> bool:
        """Whether it is a commit of another repository."""
        return self.mode == _MODULE


@dataclass(slots=True)
class _Walk:
    """Files that there are, and what became of each so far."""

    there: dict[str, list[Change]] = field(default_factory=dict)
    gone: dict[str, list[Change]] = field(default_factory=dict)


def histories(repository: Repository, tip: str) -> dict[str, list[Change]]:
    """The changes of each file that the tip has, oldest first, by its path there.

    Args:
        repository: The repository.
        tip: The newest commit to read.

    Raises:
        FrescoError: git fails.
    """
    commits = list(_commits(repository, tip))
    walk = _Walk()
    for (commit, _, records), when in zip(commits, sane([when for _, when, _ in commits]), strict=True):
        _apply(walk, commit, when, records)
    return walk.there


_Record = tuple[str, str, str, str, str]


def _commits(repository: Repository, tip: str) -> Iterator[tuple[str, int, list[_Record]]]:
    """Each commit with its time and what it changed: mode, blob, kind, path before, path."""
    fields = repository.stream(
        "log", "--first-parent", "--diff-merges=first-parent", "--raw", "-z", "-M", "-l0", "--no-abbrev", "--reverse",
        "--no-show-signature", "--format=%x01%H %ct", tip,
    )  # fmt: skip
    commit, when, records = "", 0, list[_Record]()
    for piece in fields:
        head = piece.lstrip(b"\n")
        if head.startswith(b"\x01"):
            if commit:
                yield commit, when, records
            name, _, seconds = head[1:].decode().partition(" ")
            commit, when, records = name, int(seconds), []
        elif head.startswith(b":"):
            _, mode, _, blob, kind = head[1:].decode().split()
            before = path = _decoded(next(fields))
            if kind[0] in "RC":
                path = _decoded(next(fields))
            records.append((mode, blob, kind[0], before, path))
    if commit:
        yield commit, when, records


def _decoded(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")


def _apply(walk: _Walk, commit: str, when: int, records: Sequence[_Record]) -> None:
    # Renames first take their histories away, so that two files may change names in one commit.
    moved = {before: walk.there.pop(before, []) for _, _, kind, before, _ in records if kind == "R"}
    for mode, blob, kind, before, path in records:
        if kind == "D":
            walk.gone[path] = walk.there.pop(path, [])
            continue
        if kind == "R":
            own = moved[before]
        elif kind == "A":
            own = walk.gone.pop(path, [])  # it comes back: the same page
        else:
            own = walk.there.get(path, [])
        change = Change(commit, when, path, mode, blob)
        if own and own[-1].when == when:  # of two changes in one second, the later
            own.pop()
        own.append(change)
        walk.there[path] = own


def sane(times: Sequence[int]) -> list[int]:
    """Times that never go back, with as few of them changed as can be.

    The longest run of times in order is kept; each of the others (a clock that was wrong, a commit that was rebased)
    takes the time before it in that run, or the run's first.
    """
    ends: list[int] = []  # the smallest last time of a run of each length
    places: list[int] = []  # where that last time stands
    before: list[int] = []  # the place before each place in its run
    for place, time in enumerate(times):
        length = bisect_right(ends, time)
        before.append(places[length - 1] if length else -1)
        ends[length : length + 1] = [time]
        places[length : length + 1] = [place]
    kept: set[int] = set()
    place = places[-1] if places else -1
    while place >= 0:
        kept.add(place)
        place = before[place]
    found: list[int] = []
    last = times[min(kept)] if kept else 0
    for place, time in enumerate(times):
        last = time if place in kept else last
        found.append(last)
    return found


def glob(pattern: str) -> re.Pattern[str]:
    """A pattern over paths: ``**`` stands for folders of any depth, ``*`` and ``?`` stay within one name."""
    words = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(words.get(part) or re.escape(part) for part in re.split(r"(\*\*/|\*\*|\*|\?)", pattern)))
