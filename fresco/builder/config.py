"""What a build is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

#: Called with the stage, how much of it is done and how much there is in all.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class BuildConfig:
    """Options of a build.

    Attributes:
        out: The folder of the benchmark; stages are kept below it, in ``stages/``.
        source: What the revisions come from, in words, for the card and to tell builds apart.
        facts: ``infobox`` (changes between revisions), ``wikidata``, or another source's spec.
        reference: When all queries are asked. The paper's date is 2025-08-31T23:59:59Z.
        since: Values from before this date are no facts (the paper: 2020-01-01).
        relations: Keys of relations; none: all.
        relation_folders: Folders whose TOML files are relations, too.
        titles: Pages; none: all that the source, or Wikidata, names.
        sample_days: For infobox facts, one revision is read for each stretch of so many days.
        per_interval: At most so many revisions are read of the time that one value held.
        near_topic_pages: At most so many other pages give near-topic passages.
        pool_size: Candidates of a query at most, positives included.
        outdated_share: Where a pool has outdated passages to offer, so many of its candidates at least shall be
            outdated; a pool that cannot keep that is smaller.
        tables: Whether the rows of data tables are lines of their section's text.
        infobox: Whether infoboxes are passages.
        like_paper: Build as published: labels by age, whole sections, no tables, no infoboxes, an old snapshot.
        embedder: sentence-transformers model that finds the hard negatives; BM25 where None.
        device: Of the embedder.
        sparql: Address of the SPARQL service.
        contact: Mail address or URL in the User-Agent.
        workers: Processes that parse, align and choose pools; None: as many as there are cores.
        ray: Address of a Ray cluster whose machines have these processes.
        time_limit: Seconds of the processor for parsing one page.
        attribution: Address of a revision for readers, with ``{revision_id}``.
        licence: Of the passages, in words; None: that of Wikimedia's wikis.
        edition: What this edition of a corpus that lives on is called (``2026-12``); None where it is one of its own.
        documents: Whether pages are documents that name the subjects of facts, each with one revision.
    """

    out: Path
    source: str
    facts: str = "infobox"
    reference: datetime = datetime(2025, 8, 31, 23, 59, 59, tzinfo=UTC)
    since: datetime = datetime(2020, 1, 1, tzinfo=UTC)
    relations: tuple[str, ...] = ()
    relation_folders: tuple[Path, ...] = ()
    titles: tuple[str, ...] = ()
    sample_days: int = 30
    per_interval: int = 4
    near_topic_pages: int = 1000
    pool_size: int = 51
    outdated_share: float = 0.3
    tables: bool = True
    infobox: bool = True
    like_paper: bool = False
    embedder: str | None = None
    device: str | None = None
    sparql: str = "https://query.wikidata.org/sparql"
    contact: str | None = None
    workers: int | None = None
    ray: str | None = None
    time_limit: float = 30.0
    attribution: str = "https://en.wikipedia.org/w/index.php?oldid={revision_id}"
    licence: str | None = None
    documents: bool = False
    edition: str | None = None
