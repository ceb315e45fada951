"""Build a benchmark: facts, revisions, align, queries, pools; resumable, one build in a folder at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from fresco.benchmarks.editions import CARD, CONSTRUCTION, Edition
from fresco.builder.assemble import assemble
from fresco.builder.by_page import Aligner, OfPage
from fresco.builder.card import card
from fresco.builder.config import BuildConfig, Progress
from fresco.builder.facts.registry import FACT_SOURCES, OF_PAGES, facts_of
from fresco.builder.facts.table import digests
from fresco.builder.funnel import Funnel
from fresco.builder.manifest import manifest_rows
from fresco.builder.markup import VERSIONS
from fresco.builder.page_facts import PageFacts, fact_order
from fresco.builder.pairs import Dropped, Pair, pairs
from fresco.builder.pools import by_hash
from fresco.builder.queries import query_rows
from fresco.builder.reader import Reader
from fresco.builder.revisions import PassingSource, Revision, RevisionSource
from fresco.builder.rows import Row, fact_row, revision_row, row_fact, row_revision
from fresco.builder.stages import STAGES, Stages
from fresco.builder.tables import as_json, attribution, write_tables
from fresco.builder.templates import choose
from fresco.builder.wikitext.parsed import PARSER_VERSION, Parser
from fresco.errors import FrescoError
from fresco.io.files import lines, locked, read_rows, write_atomically
from fresco.io.workers import Workers, opened
from fresco.records import format_timestamp

#: Raised when a stage gives other rows for the same input, so that what was kept is made again.
BUILDER_VERSION = 10

#: Files of the benchmark that the last stage writes.
OUTPUTS = ("corpus.parquet", "queries.parquet", "pools.parquet", "manifest.jsonl", "attribution.tsv")

_Made = tuple[str, Mapping[str, Any]]


def build(config: BuildConfig, source: RevisionSource, progress: Progress | None = None) -> Funnel:
    """Build a benchmark, or go on where an earlier build with the same options stopped.

    Args:
        config: What to build.
        source: Where revisions come from.
        progress: Told how far each stage is.

    Returns:
        What was found, kept and dropped.

    Raises:
        FrescoError: another process is at work in the folder, the source gives up, or nothing could be aligned.
    """
    with locked(config.out), opened(config.workers, config.ray) as workers:
        stages = Stages(config.out / "stages")
        parser = partial(
            Parser,
            tables=config.tables and not config.like_paper,
            workers=workers.count,
            time_limit=config.time_limit,
            elsewhere=workers.start if config.ray else None,
        )
        with parser(stages.folder / "parsed.sqlite") as kept:
            return _Build(
                config, source, stages, kept, partial(parser, None), workers, progress or (lambda *_: None)
            ).run()


def status(folder: Path) -> list[str]:
    """The stages of a build in words, one line each.

    Raises:
        FrescoError: no build was begun there.
    """
    stages = Stages(folder / "stages")
    if not stages.folder.is_dir():
        raise FrescoError(f"{folder}: no build was begun here")
    done = stages.done()
    found = []
    for stage in STAGES:
        counts = ", ".join(f"{key} {value}" for key, value in done.get(stage, {}).items() if isinstance(value, int))
        found.append(f"{stage:<10} {'done: ' + counts if stage in done else 'to do'}  ({stages.path(stage)})")
    return found


class _Build:
    """One run over the stages."""

    def __init__(
        self,
        config: BuildConfig,
        source: RevisionSource,
        stages: Stages,
        parser: Parser,
        make_parser: Callable[[], Parser],
        workers: Workers,
        progress: Progress,
    ) -> None:
        self._config = config
        self._source = source
        self._stages = stages
        self._parser = parser
        self._make_parser = make_parser
        self._workers = workers
        self._progress = progress
        self._relations = choose(config.relations, config.relation_folders)
        self._reader = Reader(config, source, parser)
        self._by_source = config.facts not in OF_PAGES  # the facts say which pages there are, not the wiki

    def run(self) -> Funnel:
        config, run = self._config, self._stages.run
        common = [BUILDER_VERSION, PARSER_VERSION, config.source, config.reference, config.since, config.titles]
        common += [VERSIONS, config.tables, config.like_paper, *(relation.digest for relation in self._relations)]
        own = [*common, config.facts, *digests(config.facts), config.sample_days, config.sparql]
        facts = run("facts", own, [], partial(self._facts, own))
        options = [*common, config.sample_days, config.per_interval, config.near_topic_pages]
        revisions = run("revisions", options, ["facts"], self._revisions)
        self._parser.rest()
        dropped = self._stages.folder / "dropped.tsv"
        aligned = run("align", [*common, config.infobox], ["facts", "revisions"], self._align, [dropped])
        if not aligned["aligned"]:
            raise FrescoError(f"{config.out}: no pair could be aligned; {dropped} lists why")
        run("queries", common, ["align"], self._queries)
        options = [
            *common,
            config.infobox,
            config.pool_size,
            config.outdated_share,
            config.embedder,
            config.attribution,
            *([config.licence] if config.licence else []),
            *([config.edition] if config.edition else []),
        ]
        outputs = [config.out / name for name in OUTPUTS]
        pools = run("pools", options, ["revisions", "align", "queries"], self._pools, outputs)
        funnel = Funnel(
            pages=facts["pages"],
            facts=facts["facts"],
            pairs=revisions["pairs"],
            changing=revisions["changing"],
            revisions=revisions["revisions"],
            aligned=aligned["aligned"],
            relations=aligned["relations"],
            dropped=aligned["dropped"],
            discarded=_sum(aligned["discarded"], pools["discarded"]),
            queries=pools["queries"],
            candidates=pools["candidates"],
            conflicts=pools["conflicts"],
            infoboxes=pools["infoboxes"],
            outdated_share=pools["outdated_share"],
            date_auroc=pools["date_auroc"],
            without_outdated=pools["without_outdated"],
            smallest_pool=pools["smallest_pool"],
            passages=pools["passages"],
            problems=_sum(facts["problems"], revisions["problems"]),
        )
        write_atomically(config.out / "funnel.json", as_json(funnel.row()))
        write_atomically(config.out / "README.md", card(config, funnel))
        return funnel

    # facts

    def _facts(self, options: Sequence[Any]) -> _Made:
        problems: Counter[str] = Counter()
        config = self._config
        titles = sorted(set(config.titles))
        words = [*options, config.per_interval, config.near_topic_pages]  # what decides on pages that pass
        facts = PageFacts(config, self._reader, self._relations, self._near, words, problems, self._progress)
        source = FACT_SOURCES.open(
            config.facts,
            config=config,
            relations=self._relations,
            folder=self._stages.folder / "sparql",
            progress=partial(self._progress, "facts"),
            infobox_facts=partial(facts.read, titles, self._make_parser),
        )
        found = list(facts_of(config.facts, source, self._relations))
        problems.update(getattr(source, "problems", {}))
        if self._by_source:
            found = [fact for fact in found if not titles or fact.subject in titles]
        pages = len({fact.subject for fact in found}) if self._by_source else facts.pages
        rows = [fact_row(fact) for fact in sorted(set(found), key=fact_order)]
        return lines(rows), {"pages": pages, "facts": len(rows), "problems": dict(sorted(problems.items()))}

    # revisions

    def _revisions(self) -> _Made:
        reader = self._reader
        wanted: Counter[Revision] = Counter()
        found = list(self._pairs())
        changing = [pair for pair in found if isinstance(pair, Pair)]
        near_titles = self._near()
        if isinstance(self._source, PassingSource):
            self._source.forget_notes()
        reader.let_pass(changing, near_titles)
        for done, pair in enumerate(changing):
            self._progress("revisions", done, len(changing))
            wanted.update(reader.wanted(pair))
        near = {each for title in near_titles if (each := reader.near_topic(title)) is not None}
        problems: Counter[str] = Counter()
        order = sorted({*wanted, *near}, key=_revision_order)
        read = reader.parse(order, whole=True, problems=problems, tick=partial(self._progress, "revisions"))
        rows = [
            {
                **revision_row(each),
                "pairs": wanted[each],
                "near_topic": each in near,
                "newest": each == reader.history(each.title)[-1],
            }
            for each in order
            if each in read
        ]
        return lines(rows), {
            "pairs": len(found),
            "changing": len(changing),
            "revisions": len(rows),
            "problems": dict(sorted(problems.items())),
        }

    def _near(self) -> list[str]:
        """Titles of the pages that give near-topic passages."""
        titles = self._config.titles
        if not titles and self._by_source and not self._config.documents:
            titles = tuple({row["subject"] for row in self._rows("facts")})
        return by_hash(titles or self._source.titles(), self._config.near_topic_pages)

    # align

    def _align(self) -> _Made:
        revisions: dict[str, list[Revision]] = {}
        for row in self._rows("revisions"):
            if row["pairs"]:
                revisions.setdefault(row["title"], []).append(row_revision(row))
        rows: list[Row] = []
        dropped: list[tuple[str, str, str, str]] = []
        discarded: Counter[str] = Counter()
        reasons: Counter[str] = Counter()
        found = list(self._pairs())
        by_subject = [list(own) for _, own in groupby(found, key=_subject)]
        pages = (self._of_page(own, revisions) for own in by_subject)
        done = 0
        for own, outcomes in zip(by_subject, self._workers.map(partial(Aligner, self._config), pages), strict=True):
            for pair in own:
                if not isinstance(pair, Pair):
                    dropped.append(pair)
                    continue
                aligned = outcomes.pop(0)
                if isinstance(aligned, str):
                    dropped.append((pair.subject, pair.relation.key, pair.role, aligned))
                    reasons[aligned] += 1
                    continue
                discarded.update(aligned["discarded"])
                rows.append(aligned)
            done += len(own)
            self._progress("align", done, len(found))
        table = ["subject\trelation\trole\treason", *("\t".join(each) for each in dropped)]
        write_atomically(self._stages.folder / "dropped.tsv", "\n".join(table) + "\n")
        return lines(rows), {
            "aligned": len(rows),
            "relations": dict(sorted(Counter(row["relation"] for row in rows).items())),
            "dropped": dict(sorted(reasons.items())),
            "discarded": dict(sorted(discarded.items())),
        }

    def _of_page(self, own: Sequence[Pair | Dropped], revisions: Mapping[str, Sequence[Revision]]) -> OfPage:
        pairs = [each for each in own if isinstance(each, Pair)]
        if not pairs:
            return OfPage((), (), None)
        history = self._reader.history(pairs[0].subject)
        read = (each for title in {each.title for each in history} for each in revisions.get(title, ()))
        pages = [
            (each, page)
            for each in sorted(read, key=_revision_order)
            if (page := self._parser.packed(each.sha1, whole=True, markup=each.markup)) is not None
        ]
        return OfPage(pairs, pages, history[-1] if history else None)

    # queries, pools

    def _queries(self) -> _Made:
        known = {relation.key: relation for relation in self._relations}
        asked = format_timestamp(self._config.reference)
        rows = [query for row in self._rows("align") for query in query_rows(row, known[row["relation"]], asked)]
        return lines(rows), {"queries": len(rows)}

    def _pools(self) -> _Made:
        config = self._config
        aligned, revisions = self._rows("align"), self._rows("revisions")
        queries = self._rows("queries")
        tick = partial(self._progress, "pools")
        assembly = assemble(config, self._relations, aligned, queries, revisions, self._parser, self._workers, tick)
        write_tables(config.out, assembly.tables)
        named = attribution(assembly.revisions.values(), config.attribution, config.licence)
        write_atomically(config.out / "attribution.tsv", named)
        more = {"of": config.edition} if config.edition else {}
        write_atomically(config.out / CARD, Edition(config.out.name, CONSTRUCTION).as_json(**more))
        write_atomically(config.out / "manifest.jsonl", lines(manifest_rows(config, assembly, aligned)))
        return lines(assembly.rows), assembly.counts

    # what the stages share

    def _rows(self, stage: str) -> list[Row]:
        return read_rows(self._stages.path(stage))

    def _pairs(self) -> Iterator[Pair | Dropped]:
        facts = [row_fact(row) for row in self._rows("facts")]
        return pairs(facts, self._relations, self._config.since, self._config.reference)


def _subject(pair: Pair | Dropped) -> str:
    return pair.subject if isinstance(pair, Pair) else pair[0]


def _revision_order(revision: Revision) -> tuple[object, ...]:
    return (revision.title, revision.timestamp, revision.revision_id)


def _sum(*counts: Mapping[str, int]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return dict(sorted(total.items()))
