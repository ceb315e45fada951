"""What a build found, kept and dropped, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Funnel:
    """Counts from pages to pools.

    Attributes:
        pages: Pages (or subjects) that facts were looked for in.
        facts: Dated facts found.
        pairs: Subject-relation pairs with a fact.
        changing: Pairs with two or more distinct values in the window.
        revisions: Revisions read for the changing pairs and for near-topic passages.
        aligned: Pairs kept.
        relations: Aligned pairs by relation.
        dropped: Pairs dropped, by reason.
        discarded: Sections and passages that became no candidate, by reason.
        queries: Queries.
        candidates: Members of pools by label.
        conflicts: Outdated members of pools by kind of conflict.
        infoboxes: Members of pools that are infoboxes, by label; they are counted among the candidates as well.
        outdated_share: Mean share of outdated passages in a pool.
        date_auroc: AUROC of the date alone, positive against outdated, mean over pools: 1 where dates decide.
        without_outdated: Queries left out because no passage states an earlier value.
        smallest_pool: Candidates of the smallest pool.
        passages: Passages in the corpus.
        problems: Pages and revisions that could not be had or parsed, by reason.
    """

    pages: int = 0
    facts: int = 0
    pairs: int = 0
    changing: int = 0
    revisions: int = 0
    aligned: int = 0
    relations: Mapping[str, int] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    discarded: Mapping[str, int] = field(default_factory=dict)
    queries: int = 0
    candidates: Mapping[str, int] = field(default_factory=dict)
    conflicts: Mapping[str, int] = field(default_factory=dict)
    infoboxes: Mapping[str, int] = field(default_factory=dict)
    outdated_share: float = 0.0
    date_auroc: float = 0.0
    without_outdated: int = 0
    smallest_pool: int = 0
    passages: int = 0
    problems: Mapping[str, int] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """For a person, one line each."""
        yield f"pages in                    {self.pages}"
        yield f"facts found                 {self.facts} on {self.pairs} subject-relation pairs"
        yield f"changing pairs              {self.changing}"
        yield f"revisions read              {self.revisions}"
        yield f"aligned pairs               {self.aligned} over {len(self.relations)} relations"
        for reason, count in self.dropped.items():
            yield f"  dropped                   {count}: {reason}"
        yield f"queries                     {self.queries}, over {self.passages} passages"
        total = sum(self.candidates.values())
        for label, count in self.candidates.items():
            yield f"  {label:<25} {count} ({count / total:.1%})" if total else f"  {label:<25} 0"
        for conflict, count in self.conflicts.items():
            yield f"  outdated: {conflict:<15} {count}"
        yield f"infoboxes among them        {sum(self.infoboxes.values())}: " + ", ".join(
            f"{label} {count}" for label, count in self.infoboxes.items()
        )
        yield f"outdated in a pool          {self.outdated_share:.1%} on average; smallest pool {self.smallest_pool}"
        yield f"date alone                  AUROC {self.date_auroc:.3f}, positive against outdated"
        yield f"left out                    {self.without_outdated} queries: no passage states an earlier value"
        for reason, count in self.discarded.items():
            yield f"  no candidate              {count}: {reason}"
        for reason, count in self.problems.items():
            yield f"  problem                   {count}: {reason}"
