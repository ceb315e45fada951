"""From aligned pairs to tables: the passages, their hardness, a pool for each query."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from fresco.builder.by_page import Asked, Chooser, Elsewhere
from fresco.builder.config import BuildConfig
from fresco.builder.hard_negatives import DenseHardness, Hardness, LexicalHardness
from fresco.builder.infobox_text import INFOBOX
from fresco.builder.passages import make_passage, page_id, place_of, read_place, sections_of, windows_of
from fresco.builder.pools import Known, Limits, Member, Question
from fresco.builder.revisions import Revision
from fresco.builder.rows import Row, row_revision, row_values
from fresco.builder.tables import corpus_row
from fresco.builder.templates import Relation
from fresco.builder.wikitext.parsed import Parser
from fresco.errors import FrescoError
from fresco.io.workers import Workers, opened_for_models
from fresco.records import Conflict, Label, Passage

Tick = Callable[[int, int], None]
#: Subject, relation, role.
_Pair = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Assembly:
    """What the last stage makes.

    Attributes:
        tables: Rows of the three tables.
        rows: Rows of the stage's file: each query with its pool and the scores that chose it.
        pairs: Subject, relation and role of each query, in the order of the queries.
        revisions: The revision of each passage of the corpus, by passage id.
        counts: For the funnel.
    """

    tables: Mapping[str, Sequence[Mapping[str, Any]]]
    rows: Sequence[Row]
    pairs: Sequence[tuple[str, str, str]]
    revisions: Mapping[str, Revision]
    counts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Corpus:
    """All passages, which of them may be near-topic, and where they are from."""

    passages: dict[str, Passage]
    near: dict[str, Passage]
    source: Mapping[str, Revision]
    newest: frozenset[Revision]


def assemble(
    config: BuildConfig,
    relations: Sequence[Relation],
    aligned: Sequence[Row],
    queries: Sequence[Row],
    revisions: Sequence[Row],
    parser: Parser,
    workers: Workers,
    tick: Tick,
) -> Assembly:
    """Build the pools of all queries; those without an outdated passage are left out and counted.

    Args:
        config: Size of the pools, embedder.
        relations: Those of the build.
        aligned: Rows of the ``align`` stage.
        queries: Rows of the ``queries`` stage.
        revisions: Rows of the ``revisions`` stage.
        parser: Has the pages.
        workers: Look for former values elsewhere and choose the pools.
        tick: Told how many queries are done.

    Raises:
        FrescoError: no query is left, or the embedding model cannot be had.
    """
    corpus = _corpus(config, revisions, {each["id"] for row in aligned for each in row["candidates"]}, parser)
    hardness = _hardness(config, corpus, [row["text"] for row in queries])
    limits = Limits(config.pool_size, 0.0 if config.like_paper else config.outdated_share, config.like_paper)
    by_pair = {(row["subject"], row["relation"], row["role"]): row for row in aligned}
    known_relations = {relation.key: relation for relation in relations}
    known = _known(config, known_relations, by_pair, corpus, workers)
    asked = list(_asked(known_relations, by_pair, queries, known, like_paper=config.like_paper))
    chooser = partial(Chooser, corpus.near, sorted(corpus.near), limits)
    chosen = workers.map(chooser, (_with_passages(question, corpus, hardness) for _, question in asked))
    discarded, left_out = Counter[str](), len(queries) - len(asked)
    pools: list[tuple[Row, list[Member]]] = []
    for done, ((query, _), (pool, passed)) in enumerate(zip(asked, chosen, strict=True)):
        tick(left_out + done, len(queries))
        discarded.update(passed)
        pools.append((query, pool))
    tick(len(queries), len(queries))
    with_outdated = [each for each in pools if any(member.label is Label.OUTDATED for member in each[1])]
    left_out += len(pools) - len(with_outdated)
    if not with_outdated:
        raise FrescoError(f"{config.out}: nothing is left: no passage states an earlier value of any of the pairs")
    return _assembly(with_outdated, corpus, discarded, left_out)


def _known(
    config: BuildConfig,
    relations: Mapping[str, Relation],
    aligned: Mapping[_Pair, Row],
    corpus: _Corpus,
    workers: Workers,
) -> dict[_Pair, dict[str, Known]]:
    """What is known of passages beforehand, for each pair: those of its own page, and others with a former value."""
    known = {pair: dict(_own(row)) for pair, row in aligned.items()}
    if not config.like_paper:
        elsewhere = workers.map(partial(Elsewhere, relations, corpus.near), aligned.values())
        for own, found in zip(known.values(), elsewhere, strict=True):
            own.update(dict.fromkeys(found, Known(Label.OUTDATED, Conflict.CROSS_DOCUMENT)))
    return known


def _asked(
    relations: Mapping[str, Relation],
    aligned: Mapping[_Pair, Row],
    queries: Sequence[Row],
    known: Mapping[_Pair, Mapping[str, Known]],
    *,
    like_paper: bool,
) -> Iterator[tuple[Row, Question]]:
    """Each query that there is something outdated for; its pair's two queries share what is known of passages."""
    for query in queries:
        key = (query["pair"][0], query["pair"][1], query["pair"][2])
        row, own = aligned[key], known[key]
        if like_paper or any(each.label is Label.OUTDATED for each in own.values()):
            relation = relations[row["relation"]]
            values = row_values(row, relation.values)
            yield query, Question(query["text"], row["subject"], relation, row["role"], values, own)


def _with_passages(question: Question, corpus: _Corpus, hardness: Hardness) -> Asked:
    own = {each: corpus.passages[each] for each in question.known}
    return Asked(question, own, hardness.scores(question.text, question.known))


def _own(row: Row) -> Iterator[tuple[str, Known]]:
    """The labelled passages of a pair's own page."""
    for each in row["candidates"]:
        yield each["id"], Known(Label(each["label"]), Conflict(each["conflict"]) if each["conflict"] else None)


def _assembly(
    pools: Sequence[tuple[Row, list[Member]]], corpus: _Corpus, discarded: Counter[str], left_out: int
) -> Assembly:
    used = sorted({member.passage_id for _, pool in pools for member in pool})
    tables = {
        "corpus": [corpus_row(corpus.passages[each]) for each in used],
        "queries": [{key: value for key, value in query.items() if key != "pair"} for query, _ in pools],
        "pools": [
            {
                "query-id": query["_id"],
                "corpus-id": each.passage_id,
                "label": each.label.value,
                "conflict": each.conflict.value if each.conflict else None,
                "superseded": corpus.source[each.passage_id] not in corpus.newest,
            }
            for query, pool in pools
            for each in pool
        ],
    }
    rows = [
        {
            "query": query["_id"],
            "text": query["text"],
            "pool": [[each.passage_id, each.label.value, round(each.score, 4)] for each in pool],
        }
        for query, pool in pools
    ]
    asked = [(query["pair"][0], query["pair"][1], query["pair"][2]) for query, _ in pools]
    source = {each: corpus.source[each] for each in used}
    return Assembly(tables, rows, asked, source, _counts(pools, source, discarded, left_out))


def _counts(
    pools: Sequence[tuple[Row, list[Member]]], source: Mapping[str, Revision], discarded: Counter[str], left_out: int
) -> dict[str, Any]:
    members = [member for _, pool in pools for member in pool]
    labels = Counter(member.label for member in members)
    conflicts = Counter(member.conflict for member in members if member.conflict)
    boxes = Counter(member.label for member in members if read_place(place_of(member.passage_id))[0] <= INFOBOX)
    shares = [sum(member.label is Label.OUTDATED for member in pool) / len(pool) for _, pool in pools]
    return {
        "queries": len(pools),
        "without_outdated": left_out,
        "candidates": {label.value: labels[label] for label in Label},
        "conflicts": {conflict.value: conflicts[conflict] for conflict in Conflict},
        "infoboxes": {label.value: boxes[label] for label in Label},
        "outdated_share": round(sum(shares) / len(shares), 4) if shares else 0.0,
        "date_auroc": round(_date_auroc(pools, source), 4),
        "discarded": dict(sorted(discarded.items())),
        "smallest_pool": min((len(pool) for _, pool in pools), default=0),
        "passages": len(source),
    }


def _date_auroc(pools: Sequence[tuple[Row, list[Member]]], source: Mapping[str, Revision]) -> float:
    """How often a positive is newer than an outdated passage of its pool, ties half; mean over pools."""
    means = []
    for _, pool in pools:
        dates = {
            label: [source[each.passage_id].timestamp for each in pool if each.label is label]
            for label in (Label.POSITIVE, Label.OUTDATED)
        }
        wins = [(own > other) + (own == other) / 2 for own in dates[Label.POSITIVE] for other in dates[Label.OUTDATED]]
        if wins:
            means.append(sum(wins) / len(wins))
    return sum(means) / len(means) if means else 0.5


def _corpus(config: BuildConfig, revisions: Sequence[Row], own: set[str], parser: Parser) -> _Corpus:
    passages: dict[str, Passage] = {}
    near: dict[str, Passage] = {}
    source: dict[str, Revision] = {}
    wanted: dict[str, list[str]] = {}
    for each in own:
        wanted.setdefault(each.rpartition("#")[0], []).append(each)
    for row in revisions:
        revision = row_revision(row)
        page = parser.known(revision.sha1, whole=True, markup=revision.markup)
        for section in sections_of(page, infobox=config.infobox) if page else ():
            for window in windows_of(section, whole=config.like_paper) if row["near_topic"] else ():
                passage = make_passage(revision, section, window)
                near[passage.id] = passages[passage.id] = passage
                source[passage.id] = revision
            for identifier in wanted.get(page_id(revision), ()):
                number, window = read_place(place_of(identifier))
                if number == section.index:
                    passages[identifier] = make_passage(revision, section, window)
                    source[identifier] = revision
    newest = frozenset(row_revision(row) for row in revisions if row["newest"])
    return _Corpus(passages, near, source, newest)


def _hardness(config: BuildConfig, corpus: _Corpus, queries: Sequence[str]) -> Hardness:
    if config.embedder:
        with opened_for_models(config.ray, config.device) as workers:
            elsewhere = workers if config.ray else None
            return DenseHardness(config.embedder, corpus.passages, corpus.near, device=config.device, workers=elsewhere)
    return LexicalHardness(corpus.passages, corpus.near, queries)
