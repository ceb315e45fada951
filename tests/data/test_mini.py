"""The embedded benchmark is what its card says: labels right, dates that help and do not decide, no shortcut."""

from __future__ import annotations

import csv
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fresco.auditing import Audit, audit_benchmark
from fresco.benchmarks import open_benchmark
from fresco.metrics.evaluate import evaluate
from fresco.records import Benchmark, Conflict, Kind, Label, Passage, Pool, Task

MINI = Path(__file__).parents[2] / "data" / "mini"
MONTH = r"(?:January|February|March|April|May|June|July|August|September|October|November|December) \d{4}"

#: For each EK (relation file, subject) its (start, value), oldest first.
Values = dict[tuple[str, str], list[tuple[str, str]]]


@pytest.fixture(scope="module")
def mini() -> Benchmark:
    return open_benchmark(str(MINI))


@pytest.fixture(scope="module")
def audit(mini: Benchmark) -> Audit:
    return audit_benchmark(mini, resamples=2)


@pytest.fixture(scope="module")
def values() -> Values:
    found: Values = {}
    for path in (MINI / "facts" / "ek").glob("*.tsv"):
        with path.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
                found.setdefault((path.stem, row["subject"]), []).append((row["start"], row["value"]))
    return found


@pytest.fixture(scope="module")
def facts() -> Iterator[dict[tuple[str, str], Any]]:
    """The facts with their templates, as the script that writes the benchmark reads them."""
    sys.path.insert(0, str(MINI))
    try:
        from subjects import read_facts  # type: ignore[import-not-found]

        yield {(fact.subject, fact.template["relation"]): fact for side in ("ek", "nek") for fact in read_facts(side)}
    finally:
        sys.path.remove(str(MINI))


def states(passage: Passage, value: str) -> bool:
    """Whether the body has the value as words of their own: Go 1.2 is not in Go 1.20."""
    return re.search(rf"(?<!\w){re.escape(value)}(?![\w.]*\w)", passage.body) is not None


def side(mini: Benchmark, task: Task) -> list[Pool]:
    return [pool for pool in mini.pools if pool.query.task is task]


def test_it_is_large_enough(mini: Benchmark, values: Values) -> None:
    assert mini.edition == 2
    assert len(values) >= 150
    assert len({relation for relation, _ in values}) >= 8
    assert all(2 <= len(dated) <= 5 for dated in values.values())
    kinds = Counter(pool.query.kind for pool in mini.pools)
    assert kinds[Kind.EXPLICIT] == kinds[Kind.IMPLICIT] == len(values)
    assert kinds[Kind.STATIC] >= 150
    assert {len(pool) for pool in mini.pools} == {51}
    assert sum(path.stat().st_size for path in MINI.glob("*.jsonl")) < 6_200_000  # facts.jsonl counts, too


def test_facts_are_dated_in_order_and_tell_themselves_apart(values: Values) -> None:
    for key, dated in values.items():
        starts = [start for start, _ in dated]
        names = [value for _, value in dated]
        assert starts == sorted(starts), key
        assert starts[-1] < "2025-01-01", key
        assert not [(a, b) for a in names for b in names if a != b and a in b], key


def test_labels_are_right(mini: Benchmark, facts: dict[tuple[str, str], Any]) -> None:
    for pool in side(mini, Task.EK):
        fact = facts[pool.query.subject, pool.query.relation]
        *earlier, now = [value.name for value in fact.values]
        assert now == pool.query.answer
        assert all(states(passage, now) for passage in pool.labelled(Label.POSITIVE))
        page = fact.fill(fact.template["title"])
        latest = max(passage.timestamp for passage in pool.passages if passage.title == page)
        for passage, label, conflict in zip(pool.passages, pool.labels, pool.conflicts, strict=True):
            assert (conflict is not None) == (label is Label.OUTDATED)
            if label is Label.OUTDATED:
                assert not states(passage, now), passage
                assert conflict in (Conflict.ANNOUNCED, *_kinds(passage, page, latest)), (conflict, passage)
            if label is Label.INSUFFICIENT:
                assert passage.title == page
            if label is Label.NEAR_TOPIC:
                assert not any(states(passage, value) for value in (*earlier, now))
                assert f" {pool.query.subject} " not in f" {passage.title} "


def _kinds(passage: Passage, page: str, latest: Any) -> tuple[Conflict, ...]:
    if passage.title != page:
        return (Conflict.CROSS_DOCUMENT,)
    return (Conflict.HISTORY,) if passage.timestamp == latest else (Conflict.VERSION,)


def test_superseded_is_what_is_not_the_newest_of_its_page(mini: Benchmark) -> None:
    newest: dict[str, Any] = {}
    for passage in mini.passages():
        newest[passage.title] = max(passage.timestamp, newest.get(passage.title, passage.timestamp))
    for pool in side(mini, Task.EK):
        assert list(pool.superseded) == [passage.timestamp < newest[passage.title] for passage in pool.passages]


class Oracle:
    """Reads what each sentence means, by the templates; knows neither labels nor which value is the last."""

    def __init__(self, fact: Any) -> None:
        # Where a value is claimed, and what the claim is worth: a start its month, a state the day of the passage.
        self._claims: list[tuple[str, str, re.Pattern[str]]] = []
        slots = {"since": "\1", "asof": "\1", "year": "\2", "n": "\2", "next": "\1", "previous": "\3"}
        names = "|".join(re.escape(value.name) for value in fact.values)
        for value in fact.values:
            for form in ("state", "change", "start", "retrospective"):
                for frame in fact.frames[form]:
                    text = fact.fill(frame, value=value.name, **slots)
                    self._claims.append((value.name, form, re.compile(f"(?:^|(?<=[.:?,] )){_pattern(text, names)}")))
        self._asof = re.compile("|".join(_pattern(frame.format(asof="\1")) for frame in fact.frames["asof"]))

    def claims(self, passage: Passage) -> Iterator[tuple[str, tuple[str, int]]]:
        for value, form, pattern in self._claims:
            for match in pattern.finditer(passage.body):
                before = self._introduction(passage.body[: match.start()])
                if form == "state":
                    yield value, (_month(before) if before else passage.timestamp.strftime("%Y-%m-%d"), 0)
                else:
                    yield value, (_month(match[0]), 1)

    def _introduction(self, text: str) -> str:
        found = [match for match in self._asof.finditer(text) if match.end() == len(text)]
        return found[-1][0] if found else ""

    def score(self, pool: Pool) -> list[float]:
        claims = [list(self.claims(passage)) for passage in pool.passages]
        latest: dict[str, tuple[str, int]] = {}
        for value, when in (claim for own in claims for claim in own):
            latest[value] = max(when, latest.get(value, when))
        now = max(latest, key=lambda value: latest[value])
        return [float(any(value == now for value, _ in own)) for own in claims]


def _pattern(text: str, names: str = "") -> str:
    parts = {"\1": MONTH, "\2": r"\d+", "\3": f"(?:the )?(?:{names})"}
    escaped = "".join(parts.get(part, re.escape(part)) for part in re.split("([\1-\3])", text))
    # Behind "As of May 2016, " a sentence starts small.
    return f"(?:{escaped[0]}|{escaped[0].lower()}){escaped[1:]}" if text[0].isalpha() else escaped


def _month(text: str) -> str:
    month, year = (re.findall(MONTH, text)[0]).split()
    names = MONTH.removeprefix("(?:").partition(")")[0].split("|")
    return f"{year}-{names.index(month) + 1:02}"


@pytest.mark.slow
def test_who_reads_is_right(mini: Benchmark, facts: dict[tuple[str, str], Any]) -> None:
    """What each sentence claims and since when is enough, for every pool: no label is open to doubt."""
    for pool in side(mini, Task.EK):
        scores = Oracle(facts[pool.query.subject, pool.query.relation]).score(pool)
        found = [label for label, score in zip(pool.labels, scores, strict=True) if score]
        assert found == [Label.POSITIVE] * len(list(pool.labelled(Label.POSITIVE))), pool.query.id


def test_static_labels_are_right(mini: Benchmark) -> None:
    wrong = 0
    for pool in side(mini, Task.NEK):
        others = {each.query.answer for each in side(mini, Task.NEK) if each.query.relation == pool.query.relation}
        for passage, label in zip(pool.passages, pool.labels, strict=True):
            words = f" {' '.join(passage.body.replace('.', ' ').replace(',', ' ').split())} "
            stated = f" {pool.query.answer.replace('.', ' ').replace('  ', ' ').strip()} " in words
            assert stated == (label is Label.POSITIVE), (pool.query.id, passage)
            wrong += label is Label.INSUFFICIENT and any(states(passage, other) for other in others)
    assert wrong > 3 * len(side(mini, Task.NEK))  # hoaxes, disputes and corrected errors


def test_dates_help_and_do_not_decide(audit: Audit) -> None:
    for figure in ("date-auroc", "date-auroc-within"):
        assert 0.6 <= (audit.figures[figure] or 0) <= 0.8
    for rule in ("newest", "latest-of-page", "latest-bm25"):
        assert (audit.value(rule, "EK", "current>obsolete") or 1) <= 0.8
    assert (audit.figures["newest-wrong"] or 0) >= 1 / 3


def test_no_surface_rule_solves_it(audit: Audit) -> None:
    assert (audit.value("fifteen-lines", "EK", "MAP") or 1) <= 0.5
    assert (audit.value("fifteen-lines", "NEK", "MAP") or 1) <= 0.5
    assert (audit.value("probe", "EK", "MAP") or 1) <= 0.6
    assert audit.figures["twins"] == 0
    assert audit.figures["conflict-share"] == 1
    assert (audit.figures["outdated-share"] or 0) >= 0.25
    assert set(audit.conflicts["kinds"]) == set(Conflict)


def test_the_card_tells_the_audit(audit: Audit) -> None:
    from fresco.auditing.shown import rule_rows

    card = (MINI / "README.md").read_text(encoding="utf-8")
    header, rows = rule_rows(audit, intervals=False)
    assert "| " + " | ".join(header) + " |" in card
    for row in rows:
        if row[0] not in ("passage-only", "probe", "dates-learned", "length-and-place"):  # fitted: the last digit
            assert "| " + " | ".join(row) + " |" in card
    (by_conflict,) = (line for line in audit.verdict if line.startswith("By kind of conflict"))
    assert all(f"{kind} " in by_conflict for kind in Conflict)
    assert f"- {by_conflict}\n" in card


def test_wording_does_not_give_the_positive_away(mini: Benchmark) -> None:
    """Current and outdated statements share their templates: neither is longer, and each heading serves both."""
    pools = side(mini, Task.EK)
    lengths = {
        label: np.array([len(p.body.split()) for pool in pools for p in pool.labelled(label)])
        for label in (Label.POSITIVE, Label.OUTDATED)
    }
    assert abs(lengths[Label.POSITIVE].mean() - lengths[Label.OUTDATED].mean()) < 5
    headings = {label: {p.section for pool in pools for p in pool.labelled(label)} for label in lengths}
    assert headings[Label.POSITIVE] <= headings[Label.OUTDATED]


def test_there_are_ten_ways_to_state_each_thing(facts: dict[tuple[str, str], Any]) -> None:
    for fact in facts.values():
        assert all(len(set(frames)) >= 10 for frames in fact.frames.values()), fact.key


def test_half_of_the_wording_is_held_out(facts: dict[tuple[str, str], Any]) -> None:
    """In the test split a relation is worded in ways that it never has in the others, and the other way round."""
    used: dict[bool, set[tuple[str, str]]] = {True: set(), False: set()}
    for fact in facts.values():
        for draw in range(60):
            used[fact.split == "test"].add(
                (fact.relation, fact.frame("start" if fact.values[0].start else "state", draw))
            )
    assert len(used[True] - used[False]) > 20
    assert len(used[False] - used[True]) > 20


def test_splits_are_by_subject_and_pools_stay_in_theirs(mini: Benchmark) -> None:
    seen: dict[str, str] = {}
    for pool in mini.pools:
        split = mini.splits[pool.query.subject]
        for passage in pool.passages:
            if pool.query.task is Task.EK:
                assert seen.setdefault(passage.id, split) == split


def test_the_same_text_stands_in_several_revisions(mini: Benchmark) -> None:
    """Older and newer revisions that keep a statement are all positive."""
    several = [pool for pool in side(mini, Task.EK) if len(list(pool.labelled(Label.POSITIVE))) > 1]
    again = [
        pool
        for pool in several
        if len({p.body for p in pool.labelled(Label.POSITIVE)}) < len(list(pool.labelled(Label.POSITIVE)))
    ]
    assert len(several) > 0.3 * len(side(mini, Task.EK))
    assert len(again) > 0.1 * len(side(mini, Task.EK))


def test_passages_are_short_prose(mini: Benchmark) -> None:
    """Two sentences at least."""
    for passage in mini.passages():
        assert passage.body.endswith((".", "?"))
        assert re.search(r"[.?] ", passage.body)
        assert not re.search(r"[{}]|  |\b[Tt]he the\b", passage.content), passage


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


@pytest.mark.slow
def test_it_discriminates(mini: Benchmark, facts: dict[tuple[str, str], Any], audit: Audit) -> None:
    """From chance over words to a reader: the scale is used, and reading is worth more than the surface."""
    read = [
        np.array(Oracle(facts[pool.query.subject, pool.query.relation]).score(pool))
        if pool.query.task is Task.EK
        else np.zeros(len(pool))
        for pool in mini.pools
    ]
    rows = evaluate(mini, {"oracle": read}, probes=(), resamples=2).rows
    value = {(row["task"], row["kind"], row["metric"]): row["value"] for row in rows}
    assert value["EK", "all", "MAP"] == 1
    assert value["EK", "all", "stale@1"] == 0
    assert (audit.value("bm25", "EK", "MAP") or 1) < 0.4
    assert (audit.value("bm25", "NEK", "MAP") or 0) > 0.4
    assert (audit.value("newest", "NEK", "MAP") or 1) < 0.2
