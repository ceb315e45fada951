"""Write drafts of relations from the fields that change in a source's documents."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from fresco.builder.config import BuildConfig, Progress
from fresco.builder.facts.fields import FEWEST_CHANGES, drafts
from fresco.builder.pairs import spread
from fresco.builder.revisions import Revision, RevisionSource, pages_of
from fresco.builder.wikitext import Infobox
from fresco.builder.wikitext.parsed import Parser
from fresco.errors import FrescoError
from fresco.io.files import write_atomically

#: Revisions of a page that are read for drafts, evenly spread.
READ = 12


def draft_relations(config: BuildConfig, source: RevisionSource, folder: Path, progress: Progress) -> list[Path]:
    """Write a TOML file for each field that changes; files that are there already are the user's and stay.

    Args:
        config: Of the build: reference date, pages, options of the parser.
        source: Where revisions come from.
        folder: For the files.
        progress: Told how many pages are read.

    Raises:
        FrescoError: no field changes, or a file cannot be written.
    """
    cache = config.out / "stages" / "parsed.sqlite"
    with Parser(cache, tables=config.tables, workers=config.workers, time_limit=config.time_limit) as parser:
        found = drafts(_fields(config, source, parser, progress))
    if not found:
        raise FrescoError(
            f"--facts fields: no field of {config.source} has changed for {FEWEST_CHANGES} subjects or more; are there "
            "any (front matter, key-value tables, lists of Field: value)?"
        )
    paths = []
    for key, text in found.items():
        path = folder / f"{key}.toml"
        paths.append(path)
        if not path.exists():
            write_atomically(path, text)
    return paths


def _fields(
    config: BuildConfig, source: RevisionSource, parser: Parser, progress: Progress
) -> Iterator[tuple[str, tuple[Infobox, ...]]]:
    titles = sorted(config.titles) or sorted(source.titles())
    window = config.since, config.reference + timedelta(seconds=1)
    for done, title in enumerate(pages_of(source, titles, *window)):
        progress("drafts", done, len(titles))
        history = source.history(title, *window)
        pages = parser.pages(
            source.texts(spread(history, READ)), whole=False, failed=_ignored, markup_of=lambda each: each.markup
        )
        for revision, page in pages:
            yield revision.title, page.infoboxes
    progress("drafts", len(titles), len(titles))


def _ignored(_: Revision) -> None:
    """What the parser gives up on says nothing of fields."""
