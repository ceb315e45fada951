"""Facts from Wikidata's statements, asked of a real SPARQL engine."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyoxigraph", reason="needs pyoxigraph: pip install pyoxigraph")

from fresco.benchmarks import open_benchmark
from fresco.builder.config import BuildConfig
from fresco.builder.facts import Fact
from fresco.builder.facts.sparql import Sparql
from fresco.builder.facts.wikidata import Wikidata
from fresco.builder.pairs import Pair, pairs
from fresco.builder.pipeline import build
from fresco.builder.templates import choose
from fresco.builder.wikipedia import Mirror
from fresco.cli import main
from fresco.errors import FrescoError
from fresco.records import format_timestamp, parse_timestamp
from tests.builder.own_pages import club_rows, write
from tests.builder.sparql_service import Service, Statements, serve
from tests.waiting import PATIENCE

SINCE = parse_timestamp("2020-01-01T00:00:00Z")
UNTIL = parse_timestamp("2025-01-02T00:00:00Z")
COACH = "P286"


def statements() -> Statements:
    made = Statements()
    for number, title in enumerate(("Northport United", "Easthaven Rovers"), 1):
        made.subject(f"Q{number}", title)
    made.label("Q11", "Alma Berg", "A. Berg", "Alma Marie Berg")
    made.label("Q12", "Carl Dorn")
    made.label("Q13", "Emil Falk")
    made.label("Q14", "Greta Holm")
    made.label("Q15", "Ida Juhl", "Ida K. Juhl")
    made.redirect("Q99", "Q15")
    made.statement("Q1", COACH, "wd:Q11", P580="2021-07-01/11", P582="2023-06-30/11")
    made.statement("Q1", COACH, "wd:Q12", P580="2023-07-01/10")
    made.statement("Q2", COACH, "wd:Q13", P580="2021-01-01/9", P582="2022-01-01/9")
    made.statement("Q2", COACH, "wd:Q14", P580="2023-01-05/11", P582="2024-08-01/11")
    made.statement("Q2", COACH, "wd:Q99", rank="PreferredRank", P580="2024-08-02/11")
    return made


@pytest.fixture
def service() -> Iterator[Service]:
    with serve(statements().turtle()) as running:
        yield running


def ask(url: str, folder: Path, *, relations: tuple[str, ...] = ("head_coach",), **more: Any) -> list[Fact]:
    return list(Wikidata(url, choose(relations), folder, since=SINCE, until=UNTIL, **more).facts())


def told(facts: list[Fact]) -> set[tuple[str, str, str, str | None]]:
    return {
        (f.subject, f.value, format_timestamp(f.start)[:10], format_timestamp(f.end)[:10] if f.end else None)
        for f in facts
    }


EXPECTED = {
    ("Northport United", "Alma Berg", "2021-07-01", "2023-06-30"),
    ("Northport United", "Carl Dorn", "2023-07-01", None),
    ("Easthaven Rovers", "Emil Falk", "2021-01-01", "2023-01-01"),  # known to the year: up to the end of it
    ("Easthaven Rovers", "Greta Holm", "2023-01-05", "2024-08-01"),
    ("Easthaven Rovers", "Ida Juhl", "2024-08-02", None),  # through a redirect
}


def test_statements_become_facts_with_aliases(service: Service, tmp_path: Path) -> None:
    facts = ask(service.url, tmp_path)
    assert told(facts) == EXPECTED
    aliases = {fact.value: fact.aliases for fact in facts}
    assert aliases["Alma Berg"] == ("A. Berg", "Alma Marie Berg")
    assert aliases["Ida Juhl"] == ("Ida K. Juhl",)
    assert all(fact.source.startswith("wikidata:Q") for fact in facts)


@pytest.mark.parametrize(("batch", "most"), [(1, 400), (2, 3), (400, 2)])
def test_batches_and_ranges_of_any_size_give_the_same_facts(
    service: Service, tmp_path: Path, batch: int, most: int
) -> None:
    whole = ask(service.url, tmp_path / "whole")
    asked = len(service.queries)
    assert ask(service.url, tmp_path / "parts", batch=batch, most=most) == whole
    assert told(whole) == EXPECTED
    assert len(service.queries) - asked > asked


def test_only_the_statements_of_chosen_pages_are_asked_for(service: Service, tmp_path: Path) -> None:
    found = told(ask(service.url, tmp_path, titles=["Northport United"]))
    assert found == {each for each in EXPECTED if each[0] == "Northport United"}
    assert not any("wd:Q2" in query for query in service.queries)


STOPPED = [
    (500, b"java.util.concurrent.TimeoutException\n\tat com.bigdata"),
    (200, b"\njava.util.concurrent.ExecutionException: com.bigdata.QueryTimeoutException"),
    (429, b'{"exception": "Operation timed out.", "status": "ERROR"}'),
    (
        500,
        b'{"exception": "Tried to allocate 4 GB, but only 1 GB were available. Clear the cache or allow more memory"}',
    ),
    (504, b"upstream"),
]


@pytest.mark.parametrize("stopped", STOPPED)
def test_a_query_that_the_service_stops_is_split(service: Service, tmp_path: Path, stopped: tuple[int, bytes]) -> None:
    whole = ask(service.url, tmp_path / "whole")
    service.most_rows, service.stopped = 3, stopped
    asked = len(service.queries)
    waits: list[float] = []
    sparql = Sparql(service.url, None, tmp_path / "parts", sleep=waits.append)
    assert ask(service.url, tmp_path, sparql=sparql) == whole
    assert len(service.queries) > 2 * asked
    assert not waits  # nothing that was stopped is asked again as it was
    asked = len(service.queries)
    assert ask(service.url, tmp_path / "parts") == whole
    assert len(service.queries) == asked  # what was stopped is remembered, too


def test_a_subject_that_no_service_can_answer_for_is_one_clear_line(service: Service, tmp_path: Path) -> None:
    service.most_rows = 1
    with pytest.raises(FrescoError, match=r"stopped the query: status 500: java\.util\.concurrent\.TimeoutException"):
        ask(service.url, tmp_path)


@pytest.mark.parametrize("seed", range(4))
def test_the_window_inside_the_query_loses_no_pair_that_changed_in_it(seed: int, tmp_path: Path) -> None:
    """The reference asks for all time, so that nothing is filtered by date."""
    made = Statements()
    dice = random.Random(seed)
    for holder in range(9):
        made.label(f"Q{100 + holder}", f"Holder {'ABCDEFGHI'[holder]}")
    for club in range(1, 40):
        made.subject(f"Q{club}", f"Club {club}")
        for _ in range(dice.randint(1, 4)):
            year, precision = dice.randint(2012, 2026), dice.choice((9, 10, 11))
            times = {} if dice.random() < 0.1 else {"P580": f"{year}-{dice.randint(1, 12):02}-05/{precision}"}
            if dice.random() < 0.6:
                times["P582"] = f"{year + dice.randint(0, 4)}-{dice.randint(1, 12):02}-09/{dice.choice((9, 10, 11))}"
            rank = dice.choice(("NormalRank", "NormalRank", "PreferredRank"))
            made.statement(f"Q{club}", COACH, f"wd:Q{dice.randint(100, 109)}", rank=rank, **times)
    relations = choose(["head_coach"])
    with serve(made.turtle()) as service:
        some = ask(service.url, tmp_path / "some", batch=7, most=5)
        ever = parse_timestamp("1000-01-01T00:00:00Z")
        source = Wikidata(service.url, relations, tmp_path / "all", since=ever, until=UNTIL)
        everything = list(source.facts())
    reference = UNTIL - timedelta(seconds=1)

    def changed(facts: list[Fact]) -> list[Pair]:
        found = [each for each in pairs(facts, relations, SINCE, reference) if isinstance(each, Pair)]
        dates = {each: {d for f in (*each.current, *each.earlier) for d in (f.start, f.end) if d} for each in found}
        return [each for each in found if any(SINCE <= date <= reference for date in dates[each])]

    assert changed(some) == changed(everything)
    assert len(changed(some)) > 3
    assert len(some) < len(everything)


def test_a_build_that_is_killed_asks_on_where_it_was(service: Service, tmp_path: Path) -> None:
    pages = write(tmp_path / "clubs.jsonl", club_rows())

    def arguments(name: str) -> list[str]:
        options = ["--mirror", str(pages), "--cache", str(tmp_path / f"{name}.sqlite"), "--workers", "1"]
        options += ["--facts", "wikidata", "--sparql", service.url, "--relation", "head_coach"]
        return ["build", "--out", str(tmp_path / name / "b"), *options, "--reference", "2025-01-01T23:59:59Z"]

    assert main(arguments("whole")) == 0
    whole = list(service.queries)
    assert len(set(whole)) == len(whole) > 4
    service.queries.clear()
    running: list[subprocess.Popen[bytes]] = []
    is_started = threading.Event()

    def kill_at_the_fourth(_: str) -> None:
        assert is_started.wait(PATIENCE)
        if len(service.queries) == 4:
            running[0].kill()

    service.before = kill_at_the_fourth
    running.append(subprocess.Popen([sys.executable, "-m", "fresco", *arguments("killed")]))
    is_started.set()
    assert running[0].wait(PATIENCE) == -signal.SIGKILL
    assert main(arguments("killed")) == 0
    assert service.queries == [*whole[:4], *whole[3:]]  # only what was under way is asked again
    files = {
        name: {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.jsonl")}
        for name in ("whole", "killed")
    }
    assert files["whole"] == files["killed"]
    assert len(files["whole"]) > 4


def test_a_question_is_asked_once(service: Service, tmp_path: Path) -> None:
    first = ask(service.url, tmp_path)
    asked = len(service.queries)
    assert ask(service.url, tmp_path) == first
    assert len(service.queries) == asked


def test_what_is_uncertain_or_withdrawn_is_left_out(tmp_path: Path) -> None:
    made = statements()
    made.label("Q20", "Nobody Here")
    known = EXPECTED
    made.statement("Q1", COACH, "wd:Q20", rank="DeprecatedRank", P580="2022-01-01/11")
    made.statement("Q1", COACH, "_:someone", P580="2022-01-01/11")
    made.statement("Q1", COACH, "<http://www.wikidata.org/.well-known/genid/abc>", P580="2022-01-01/11")
    made.statement("Q1", COACH, "wd:Q20", P580="2022-01-01/11", P582="_:sometime")
    made.statement("Q1", COACH, "wd:Q20", P580="2020-01-01/8")
    made.statement("Q1", COACH, "wd:Q20", P580="2010-01-01/11", P582="2012-01-01/11")
    made.statement("Q1", COACH, "wd:Q20", P580="2022-05-01/11", P582="2022-04-01/11")
    made.statement("Q1", COACH, "wd:Q21", P580="2022-01-01/11")  # has no English label
    made.statement("Q3", COACH, "wd:Q20", P580="2022-01-01/11")  # has no English article
    with serve(made.turtle()) as service:
        assert told(ask(service.url, tmp_path)) == known


@pytest.mark.parametrize(
    ("labels", "name"),
    [
        ('"Ivo Lund"@en , "I. L."@mul', "Ivo Lund"),
        ('"Ivo Lund"@mul , "I. L."@en-gb', "Ivo Lund"),
        ('"Ivo Lund"@en-gb , "I. L."@en-ca', "Ivo Lund"),
        ('"Ivo Lund"@en-ca , "I. L."@de', "Ivo Lund"),
    ],
)
def test_names_fall_back_through_the_languages(labels: str, name: str, tmp_path: Path) -> None:
    made = statements()
    made.lines.append(f"wd:Q30 rdfs:label {labels} .")
    made.statement("Q1", COACH, "wd:Q30", P580="2024-07-01/11", rank="PreferredRank")
    with serve(made.turtle()) as service:
        assert ("Northport United", name, "2024-07-01", None) in told(ask(service.url, tmp_path))


NO_VALUE = "a <http://www.wikidata.org/prop/novalue/P286>"
VACANT = f"wd:Q1 p:P286 wds:Q1-9 . wds:Q1-9 {NO_VALUE} ; wikibase:rank wikibase:"


@pytest.mark.parametrize(
    ("line", "statement", "dropped"),
    [
        (VACANT + "PreferredRank .", None, True),
        (VACANT + 'PreferredRank ; pq:P580 "2024-01-01T00:00:00Z"^^xsd:dateTime .', None, True),
        (VACANT + 'NormalRank ; pq:P580 "2024-01-01T00:00:00Z"^^xsd:dateTime .', None, True),
        (VACANT + 'NormalRank ; pq:P580 "2022-01-01T00:00:00Z"^^xsd:dateTime .', None, False),
        (VACANT + 'DeprecatedRank ; pq:P580 "2024-01-01T00:00:00Z"^^xsd:dateTime .', None, False),
        ("", {"value": "wd:Q20"}, True),  # without a date: who holds now?
        ("", {"value": "wd:Q20", "rank": "DeprecatedRank"}, False),
        ("", {"value": "wd:Q12"}, False),  # the one who holds, once more
        ("", {"value": "wd:Q21", "P580": "2024-01-01/11"}, True),  # nobody knows the name of the present holder
        ("", {"value": "wd:Q21", "P580": "2022-01-01/11"}, False),
        ("", {"value": "_:someone", "P580": "2024-01-01/11"}, True),
        ("", {"value": "_:someone", "P580": "2024-01-01/11", "P582": "_:sometime"}, False),
        ("", {"value": "wd:Q11", "P580": "2021-07-01/11", "rank": "PreferredRank"}, True),  # older, and preferred
    ],
)
def test_statements_that_contradict_drop_the_pair(
    line: str, statement: dict[str, str] | None, dropped: bool, tmp_path: Path
) -> None:
    made = statements()
    made.label("Q20", "Nobody Here")
    made.lines.append(line)
    if statement is not None:
        made.statement("Q1", COACH, **statement)
    with serve(made.turtle()) as service:
        found = told(ask(service.url, tmp_path))
    current = {value for subject, value, _, end in found if subject == "Northport United" and end is None}
    assert current == (set() if dropped else {"Carl Dorn"})
    assert {each for each in EXPECTED if each[0] == "Easthaven Rovers"} <= found


@pytest.mark.parametrize(("end", "holds"), [("2026-06-30/11", True), ("2026-01-01/9", True), ("2024-12-01/11", False)])
def test_who_ends_after_the_reference_date_holds_at_it(end: str, holds: bool, tmp_path: Path) -> None:
    made = Statements()
    made.subject("Q1", "Northport United")
    made.label("Q11", "Alma Berg")
    made.label("Q12", "Carl Dorn")
    made.statement("Q1", COACH, "wd:Q12", P580="2020-07-01/11", P582="2021-06-30/11")
    made.statement("Q1", COACH, "wd:Q11", P580="2021-07-01/11", P582=end)
    with serve(made.turtle()) as service:
        found = ask(service.url, tmp_path)
    (pair,) = pairs(found, choose(["head_coach"]), SINCE, parse_timestamp("2025-01-01T23:59:59Z"))
    if holds:
        assert isinstance(pair, Pair)
        assert [fact.value for fact in pair.current] == ["Alma Berg"]
        assert [fact.value for fact in pair.earlier] == ["Carl Dorn"]
    else:
        assert not isinstance(pair, Pair)


def test_values_at_a_point_in_time_hold_until_the_next(tmp_path: Path) -> None:
    made = Statements()
    made.subject("Q1", "Northport Bank")
    made.statement("Q1", "P1128", '"12000"^^xsd:decimal', P585="2021-12-31/11")
    made.statement("Q1", "P1128", '"13500"^^xsd:decimal', P585="2023-01-01/9")
    with serve(made.turtle()) as service:
        facts = ask(service.url, tmp_path, relations=("employees",))
    assert told(facts) == {
        ("Northport Bank", "12,000", "2021-12-31", "2023-01-01"),
        ("Northport Bank", "13,500", "2023-01-01", None),
    }


def test_a_busy_service_is_asked_again_after_the_time_it_names(service: Service, tmp_path: Path) -> None:
    service.faults += [
        (429, {"Retry-After": "7"}, b"slow down"),
        (503, {}, b""),
        (200, {}, b'{"results": {"bind'),
    ]
    waits: list[float] = []
    sparql = Sparql(service.url, "tests@example.org", tmp_path, sleep=waits.append)
    found = Wikidata(service.url, choose(["head_coach"]), tmp_path, since=SINCE, until=UNTIL, sparql=sparql).facts()
    assert told(list(found)) == EXPECTED
    assert waits == [7.0, 2.0, 4.0]
    assert all("tests@example.org" in agent and "fresco" in agent for agent in service.agents)


def test_a_refusal_is_one_clear_line(service: Service, tmp_path: Path) -> None:
    service.faults.append((400, {}, b"Malformed\nquery"))
    with pytest.raises(FrescoError, match="refuses the query: status 400: Malformed query"):
        ask(service.url, tmp_path)


def test_a_service_that_is_away_is_one_clear_line(tmp_path: Path) -> None:
    sparql = Sparql("http://127.0.0.1:9/query", None, tmp_path, attempts=2, sleep=lambda _: None)
    with pytest.raises(FrescoError, match="gave no answer in 2 attempts"):
        sparql.ask("SELECT * WHERE {}")


def test_wikimedia_wants_a_contact(tmp_path: Path) -> None:
    with pytest.raises(FrescoError, match="--contact"):
        Sparql("https://query.wikidata.org/sparql", None, tmp_path)


def test_from_statements_to_a_benchmark(service: Service, tmp_path: Path) -> None:
    config = BuildConfig(
        tmp_path / "b",
        "own pages",
        facts="wikidata",
        sparql=service.url,
        relations=("head_coach",),
        reference=parse_timestamp("2025-01-01T23:59:59Z"),
        workers=1,
    )
    with Mirror(write(tmp_path / "clubs.jsonl", club_rows()), tmp_path / "c.sqlite") as mirror:
        funnel = build(config, mirror)
    assert funnel.aligned == 2
    answers = {pool.query.subject: pool.query.answer for pool in open_benchmark(str(config.out)).pools}
    assert answers == {"Northport United": "Carl Dorn", "Easthaven Rovers": "Ida Juhl"}
