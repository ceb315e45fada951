"""From aligned pairs to tables: the passages, their hardness, a pool for each query."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fresco.builder.align import FEWEST_WORDS
from fresco.builder.config import BuildConfig
from fresco.builder.hard_negatives import DenseHardness, Hardness, LexicalHardness
from fresco.builder.pools import Candidate, Question, choose, make_passage, passage_id
from fresco.builder.revisions import Revision
from fresco.builder.rows import Row, row_revision, row_values
from fresco.builder.tables import corpus_row
from fresco.builder.templates import Relation
from fresco.builder.wikitext.parsed import Parser
from fresco.records import Label, Passage


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

    tables: Mapping[str, Sequence[Mapping[str, str]]]
    rows: Sequence[Row]
    pairs: Sequence[tuple[str, str, str]]
    revisions: Mapping[str, Revision]
    counts: Mapping[str, Any]


def assemble(
    config: BuildConfig,
    relations: Sequence[Relation],
    aligned: Sequence[Row],
    queries: Sequence[Row],
    revisions: Sequence[Row],
    parser: Parser,
    tick: Callable[[int, int], None],
) -> Assembly:
    """Build the pools of all queries.

    Args:
        config: Size of the pools, embedder.
        relations: Those of the build.
        aligned: Rows of the ``align`` stage.
        queries: Rows of the ``queries`` stage.
        revisions: Rows of the ``revisions`` stage.
        parser: Has the pages.
        tick: Told how many queries are done.
    """
    own = {each for row in aligned for each in _own(row)}
    passages, near, source = _passages(revisions, own, parser)
    hardness = _hardness(config, passages, [row["text"] for row in queries])
    known = {relation.key: relation for relation in relations}
    by_pair = {(row["subject"], row["relation"], row["role"]): row for row in aligned}
    rows, discarded, counted = [], Counter[str](), Counter[Label]()
    pools: list[tuple[str, list[Candidate]]] = []
    for done, query in enumerate(queries):
        tick(done, len(queries))
        subject, key, role = query["pair"]
        row = by_pair[subject, key, role]
        relation = known[row["relation"]]
        question = Question(
            query["text"],
            row["subject"],
            relation,
            row["role"],
            row_values(row, relation.values),
            row["positive"],
            _own(row),
        )
        pool, passed = choose(question, hardness, passages, near.__contains__, config.pool_size)
        discarded.update(passed)
        counted.update(candidate.label for candidate in pool)
        pools.append((query["_id"], pool))
        rows.append(
            {
                "query": query["_id"],
                "text": query["text"],
                "pool": [[each.passage_id, each.label.value, round(each.score, 4)] for each in pool],
            }
        )
    tick(len(queries), len(queries))
    used = sorted({candidate.passage_id for _, pool in pools for candidate in pool})
    tables = {
        "corpus": [corpus_row(passages[each]) for each in used],
        "queries": [{key: value for key, value in query.items() if key != "pair"} for query in queries],
        "pools": [
            {"query-id": query, "corpus-id": each.passage_id, "label": each.label.value}
            for query, pool in pools
            for each in pool
        ],
    }
    counts = {
        "candidates": {label.value: counted[label] for label in Label},
        "discarded": dict(sorted(discarded.items())),
        "smallest_pool": min(len(pool) for _, pool in pools),
        "passages": len(used),
    }
    asked = [(query["pair"][0], query["pair"][1], query["pair"][2]) for query in queries]
    return Assembly(tables, rows, asked, {each: source[each] for each in used}, counts)


def _own(row: Row) -> dict[str, Label]:
    """The labelled sections of a pair's own page."""
    return {
        row["positive"]: Label.POSITIVE,
        **dict.fromkeys(row["insufficient"], Label.INSUFFICIENT),
        **dict.fromkeys((each["id"] for each in row["outdated"]), Label.OUTDATED),
    }


def _passages(
    revisions: Sequence[Row], own: set[str], parser: Parser
) -> tuple[dict[str, Passage], set[str], dict[str, Revision]]:
    """Passages by id; which of them may be near-topic; the revision of each."""
    passages: dict[str, Passage] = {}
    near: set[str] = set()
    source: dict[str, Revision] = {}
    for row in revisions:
        revision = row_revision(row)
        page = parser.known(revision.sha1, whole=True)
        for section in page.sections if page else ():
            identifier = passage_id(revision, section.index)
            fit = row["near_topic"] and len(section.text.split()) >= FEWEST_WORDS
            if identifier in passages or not (fit or identifier in own):
                continue
            passages[identifier] = make_passage(revision, section)
            source[identifier] = revision
            if fit:
                near.add(identifier)
    return passages, near, source


def _hardness(config: BuildConfig, passages: Mapping[str, Passage], queries: Sequence[str]) -> Hardness:
    if config.embedder:
        return DenseHardness(config.embedder, passages, device=config.device)
    return LexicalHardness(passages, queries)
