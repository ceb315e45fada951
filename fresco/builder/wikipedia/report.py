"""What a source could not give, one row each, so that nothing is lost in silence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why a page or a revision did not come, or came from elsewhere."""

    MISSING = "missing page"
    INVALID = "invalid title"
    FOLLOWED = "redirect followed"  # the page is nothing but a redirect: the history is its target's
    REDIRECT = "redirect text"  # the revision was a redirect: it has no article text
    MOVED = "moved"  # the revision came, under another title than asked
    DELETED = "deleted"
    TEXT_HIDDEN = "texthidden"
    SUPPRESSED = "suppressed"
    SHA1_HIDDEN = "sha1hidden"  # listed without its hash, which a wiki hides together with the text
    SHA1_MISMATCH = "sha1 mismatch"  # the text is not the one that the hash was taken of
    TEXT_MISSING = "textmissing"  # the source lost the text, or never carried it (a stub dump)
    NOT_WIKITEXT = "not wikitext"
    ABSENT = "not in the mirror"
    NO_ANSWER = "no answer"
    DAMAGED = "damaged dump"
    BINARY = "no text"
    LARGE = "too large"
    LFS = "Git LFS pointer"
    LINK = "symbolic link"
    SUBMODULE = "submodule"


@dataclass(frozen=True, slots=True)
class Problem:
    """One row of a report; ``revision_id`` is None where it concerns the whole page or file."""

    title: str
    revision_id: int | None
    reason: Reason
    detail: str = ""


class Report:
    """Problems in the order they were met, each once."""

    def __init__(self) -> None:
        self._problems: dict[Problem, None] = {}

    def add(self, title: str, revision_id: int | None, reason: Reason, detail: str = "") -> None:
        """Note a problem; the same one again changes nothing."""
        self._problems.setdefault(Problem(title, revision_id, reason, detail))

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._problems)

    def __len__(self) -> int:
        return len(self._problems)

    def counts(self) -> Mapping[Reason, int]:
        """How many problems there are of each reason."""
        return Counter(problem.reason for problem in self._problems)
