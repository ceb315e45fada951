"""The embedded benchmark is what its card says, and it tells rankings apart."""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from fresco.benchmarks import open_benchmark
from fresco.metrics.evaluate import evaluate
from fresco.records import Benchmark, Kind, Label, Passage, Pool, Task
from fresco.rerank.baselines import Newest
from fresco.rerank.lexical import Bm25
from fresco.rerank.temporal import HalfLife

MINI = Path(__file__).parents[2] / "data" / "mini"

#: For each EK (relation file, subject) its (start, value), oldest first.
Values = dict[tuple[str, str], list[tuple[str, str]]]


@pytest.fixture(scope="module")
def mini() -> Benchmark:
    return open_benchmark(str(MINI))


@pytest.fixture(scope="module")
def values() -> Values:
    found: Values = {}
    for path in (MINI / "facts" / "ek").glob("*.tsv"):
        with path.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
                found.setdefault((path.stem, row["subject"]), []).append((row["start"], row["value"]))
    return found


def history(pool: Pool, values: Values) -> list[tuple[str, str]]:
    """The starts and values of a pool's subject under the relation whose last value is its answer."""
    for (_, subject), dated in values.items():
        if subject == pool.query.subject and dated[-1][1] == pool.query.answer:
            return dated
    raise AssertionError(f"no facts behind query {pool.query.id}")


def states(passage: Passage, value: str) -> bool:
    """Whether the passage has the value as words of their own: Go 1.2 is not in Go 1.20."""
    return re.search(rf"(?<!\w){re.escape(value)}(?![\w.]*\w)", f"{passage.title}\n{passage.body}") is not None


def side(mini: Benchmark, task: Task) -> list[Pool]:
    return [pool for pool in mini.pools if pool.query.task is task]


def test_it_is_large_enough(mini: Benchmark, values: Values) -> None:
    assert len(values) >= 150
    assert len({relation for relation, _ in values}) >= 8
    assert all(2 <= len(dated) <= 5 for dated in values.values())
    kinds = Counter(pool.query.kind for pool in mini.pools)
    assert kinds[Kind.EXPLICIT] == kinds[Kind.IMPLICIT] == len(values)
    assert kinds[Kind.STATIC] >= 150
    assert {len(pool) for pool in mini.pools} == {51}


def test_facts_are_dated_in_order_and_tell_themselves_apart(values: Values) -> None:
    for key, dated in values.items():
        starts = [start for start, _ in dated]
        names = [value for _, value in dated]
        assert starts == sorted(starts), key
        assert starts[-1] < "2025-01-01", key
        assert not [(a, b) for a in names for b in names if a != b and a in b], key


def test_labels_are_right(mini: Benchmark, values: Values) -> None:
    for pool in side(mini, Task.EK):
        *earlier, now = [value for _, value in history(pool, values)]
        (positive,) = pool.labelled(Label.POSITIVE)
        assert states(positive, now)
        for passage in pool.labelled(Label.OUTDATED):
            assert any(states(passage, value) for value in earlier)
            assert now not in passage.content
            assert passage.title == positive.title
            assert passage.timestamp < positive.timestamp
        for passage in pool.labelled(Label.INSUFFICIENT):
            assert passage.timestamp == positive.timestamp
            assert passage.title == positive.title
            assert not any(value in passage.content for value in (*earlier, now))
        for passage in pool.labelled(Label.NEAR_TOPIC):
            assert passage.title != positive.title
            assert f" {pool.query.subject} " not in f" {passage.title} "
            assert not any(states(passage, value) for value in (*earlier, now))


def test_statements_were_right_on_their_day(mini: Benchmark, values: Values) -> None:
    """The value in force on a revision's day is in it; where it names two, the other is the one before."""
    for pool in side(mini, Task.EK):
        dated = history(pool, values)
        for passage in (*pool.labelled(Label.POSITIVE), *pool.labelled(Label.OUTDATED)):
            day = passage.timestamp.date().isoformat()
            # A start known to the month alone may be any day of it: no revision is dated then.
            assert not any(len(start) == 7 and day.startswith(start) for start, _ in dated)
            assert day not in {start for start, _ in dated}
            place = max(n for n, (start, _) in enumerate(dated) if start < day)
            named = {n for n, (_, value) in enumerate(dated) if states(passage, value)}
            assert place in named
            assert named <= {place - 1, place}


def test_static_labels_are_right(mini: Benchmark) -> None:
    for pool in side(mini, Task.NEK):
        for passage, label in zip(pool.passages, pool.labels, strict=True):
            words = f" {' '.join(passage.body.replace('.', ' ').replace(',', ' ').split())} "
            stated = f" {pool.query.answer.replace('.', ' ').replace('  ', ' ').strip()} " in words
            assert stated == (label is Label.POSITIVE), (pool.query.id, passage)


def test_wording_does_not_give_the_positive_away(mini: Benchmark) -> None:
    """Current and outdated statements share their templates: neither is longer, and each heading serves both."""
    pools = side(mini, Task.EK)
    lengths = {
        label: np.array([len(p.body.split()) for pool in pools for p in pool.labelled(label)])
        for label in (Label.POSITIVE, Label.OUTDATED)
    }
    assert abs(lengths[Label.POSITIVE].mean() - lengths[Label.OUTDATED].mean()) < 5
    headings = {label: {p.section for pool in pools for p in pool.labelled(label)} for label in lengths}
    assert headings[Label.POSITIVE] == headings[Label.OUTDATED]


def test_the_newest_statement_is_right(mini: Benchmark, values: Values) -> None:
    """Who finds the statements of the subject, by reading alone, and takes the newest solves the task."""
    for pool in side(mini, Task.EK):
        (positive,) = pool.labelled(Label.POSITIVE)
        names = [value for _, value in history(pool, values)]
        stated = [p for p in pool.passages if p.title == positive.title and any(states(p, name) for name in names)]
        assert len(stated) > 1
        newest = max(passage.timestamp for passage in stated)
        assert [passage for passage in stated if passage.timestamp == newest] == [positive]


def test_others_are_newer_than_the_positive(mini: Benchmark) -> None:
    newer = [
        any(p.timestamp > next(pool.labelled(Label.POSITIVE)).timestamp for p in pool.labelled(Label.NEAR_TOPIC))
        for pool in side(mini, Task.EK)
    ]
    assert np.mean(newer) > 0.5


def test_passages_are_short_prose(mini: Benchmark) -> None:
    """Two sentences at least, six at most."""
    for passage in mini.passages():
        assert passage.body.endswith(".")
        assert ". " in passage.body
        # The stop after initials ("J. J. Thomson", "Guðni Th. Jóhannesson") ends no sentence.
        assert len(re.split(r"(?<!\b[A-Z])(?<!\bTh)\. ", passage.body)) <= 6, passage
        assert not re.search(r"[{}]|  |\b[Tt]he the\b", passage.content)


def test_it_discriminates(mini: Benchmark) -> None:
    newest, bm25 = Newest(), Bm25()
    bm25.fit(mini.passages())
    scores = {
        reranker.name: [np.array(reranker.score(pool.query, pool.passages)) for pool in mini.pools]
        for reranker in (newest, bm25)
    }
    blend = HalfLife(bm25, 365)
    scores[blend.name] = [
        blend.fuse(pool.query, pool.passages, list(base)) for pool, base in zip(mini.pools, scores["bm25"], strict=True)
    ]
    rows = evaluate(mini, scores, resamples=10).rows
    value = {(row["reranker"], row["task"], row["kind"], row["metric"]): row["value"] for row in rows}
    assert value["newest", "EK", "all", "Hit@1"] < 0.25  # current sections without the answer share its date
    assert value["bm25", "EK", "all", "Hit@1"] < 0.5
    assert value["bm25", "EK", "all", "stale@1"] > 0.5
    assert value["bm25", "NEK", "all", "Hit@1"] > 0.4  # the static side can be solved by words ...
    assert value["newest", "NEK", "all", "MAP"] < 0.2  # ... and blind recency costs,
    quality = {name: {task: value[name, task, "all", "MAP"] for task in ("EK", "NEK")} for name in scores}
    mixed = quality[blend.name]
    assert max(quality["newest"]["EK"], quality["bm25"]["EK"]) + 0.1 < mixed["EK"] < 0.8
    assert mixed["NEK"] < quality["bm25"]["NEK"] - 0.2  # also where it is mixed with words


def test_each_relation_is_worded_in_three_ways(mini: Benchmark) -> None:
    for task, kind in ((Task.EK, Kind.EXPLICIT), (Task.EK, Kind.IMPLICIT), (Task.NEK, Kind.STATIC)):
        wordings: dict[str, set[str]] = {}
        for pool in side(mini, task):
            if pool.query.kind is kind:
                bare = pool.query.content.replace(pool.query.subject, "X").replace("the X", "X")
                wordings.setdefault(pool.query.relation, set()).add(bare)
        assert all(len(texts) >= 3 for texts in wordings.values()), wordings


def test_only_explicit_queries_ask_for_the_newest(mini: Benchmark) -> None:
    words = ("most recent", "current", "latest", "newest", "at present")
    for pool in side(mini, Task.EK):
        asks = any(word in pool.query.content for word in words)
        assert asks == (pool.query.kind is Kind.EXPLICIT), pool.query.content
