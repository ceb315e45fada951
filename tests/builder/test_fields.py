"""Facts from front matter: drafts of relations, entries of lists as subjects, dates, and a build from nothing."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fresco.benchmarks import open_benchmark
from fresco.builder.facts.dates import date_of, forms_of
from fresco.builder.facts.fields import FEWEST_CHANGES, drafts
from fresco.builder.facts.holders import read_state
from fresco.builder.facts.values import read_value, same
from fresco.builder.infobox_text import infobox_sections
from fresco.builder.markup import parse
from fresco.builder.queries import query_rows
from fresco.builder.reading import Reading, Sought
from fresco.builder.templates import read_relation
from fresco.builder.windows import Window
from fresco.commands.build import add_build, run_build
from fresco.errors import FrescoError
from fresco.io.files import read_rows
from fresco.records import Conflict, Label
from fresco.terminal.parser import Parser
from tests.builder.git_repository import Repository

PRODUCTS = ("Apache Struts", "Blender", "Commander", "Django", "Elixir", "Fedora", "Godot", "Helm")
CYCLES = ("7", "8")
#: When each was written, patch level and month of the end of life.
EDITIONS = (("2023-01-10T00:00:00Z", 1, 3), ("2023-06-10T00:00:00Z", 4, 5), ("2024-02-10T00:00:00Z", 9, 11))
REFERENCE = "2024-06-01T00:00:00Z"


def document(number: int, patch: int, month: int) -> str:
    entries = "".join(
        f"""  - releaseCycle: "{cycle}"
    releaseDate: 20{10 + number}-0{int(cycle)}-12
    eol: 20{30 + number}-{month:02d}-1{cycle}
    latest: "{cycle}.{number + 2}.{patch + int(cycle)}"
    maintainers: the people who look after number {number} of cycle {cycle}
"""
        for cycle in CYCLES
    )
    words = (
        f"{PRODUCTS[number]} is a program of many uses, the number {number} of those that this page of ours is about."
    )
    return f"---\ntitle: {PRODUCTS[number]}\nhome: https://example.org/{number}\nreleases:\n{entries}---\n\n{words}\n"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    made = Repository(tmp_path_factory.mktemp("git") / "products")
    for when, patch, month in EDITIONS:
        made.commit(when, {f"docs/{number}.md": document(number, patch, month) for number in range(len(PRODUCTS))})
    return made


def run(*arguments: str) -> int:
    parser = Parser(prog="p")
    add_build(parser.add_subparsers(dest="command"))
    window = ["--since", "2023-01-01T00:00:00Z", "--reference", REFERENCE, "--workers", "1"]
    return run_build(parser.parse_args(["build", *window, *arguments]))


def test_from_a_folder_under_git_to_a_benchmark(repository: Repository, tmp_path: Path) -> None:
    out = tmp_path / "b"
    options = [
        "--out",
        str(out),
        "--mirror",
        f"git:{repository.path}",
        "--include",
        "docs/**/*.md",
        "--facts",
        "fields",
    ]
    assert run(*options, "--pool-size", "12") == 0
    assert sorted(path.stem for path in (out / "relations").iterdir()) == ["releases_eol", "releases_latest"]
    benchmark = open_benchmark(str(out))
    # Each entry of each page, by two relations, asked in two ways.
    assert len(benchmark.pools) == len(PRODUCTS) * len(CYCLES) * 2 * 2
    queries = {(pool.query.subject, pool.query.relation): pool.query for pool in benchmark.pools}
    assert queries["Apache Struts 7", "latest version"].answer == "7.2.16"
    assert queries["Django 8", "eol date"].answer == "2033-11-18"
    assert "Django 8" in queries["Django 8", "eol date"].content
    for pool in benchmark.pools:
        query, cycle = pool.query, pool.query.subject.split()[-1]
        for passage, label, conflict in zip(pool.passages, pool.labels, pool.conflicts, strict=True):
            own = passage.section == f"Releases: {cycle}" and query.subject.startswith(passage.title)
            assert (label is Label.POSITIVE) == (own and query.answer in passage.body)
            if label is Label.OUTDATED:
                assert own and conflict is Conflict.VERSION
    assert {label for pool in benchmark.pools for label in pool.labels} == set(Label)
    assert "that of the repository" in (out / "attribution.tsv").read_text(encoding="utf-8")
    commit = repository.git("rev-parse", "HEAD")
    assert f"commit {commit[:15]}" in (out / "attribution.tsv").read_text(encoding="utf-8")
    back = tmp_path / "h"
    hydrated = ["--mirror", f"git:{repository.path}", "--manifest", str(out / "manifest.jsonl"), "--out", str(back)]
    assert run(*hydrated) == 0
    assert open_benchmark(str(back)).fingerprint == benchmark.fingerprint


#: Two fields of a page, as each language lists them.
LISTS = {
    "md": "# {title}\n\n{words}\n\n| Field | Value |\n|---|---|\n| Stable release | {version} |\n| Owner | {owner} |\n",
    "txt": "{words}\n\nStable release: {version}\nOwner: {owner}\n",
    "html": "<title>{title}</title><p>{words}<dl><dt>Stable release<dd>{version}<dt>Owner<dd>{owner}</dl>",
    "rst": "{title}\n===========\n\n{words}\n\n:Stable release: {version}\n:Owner: {owner}\n",
}
OWNERS = (("Ada Lovell", "Bela Kuhn"), ("Chloe Martin", "Deniz Aydin"), ("Emil Novak", "Fatou Diallo"))


@pytest.mark.parametrize("markup", sorted(LISTS))
def test_fields_that_a_text_lists_become_questions(markup: str, tmp_path: Path) -> None:
    pytest.importorskip({"html": "selectolax", "rst": "docutils"}.get(markup, "yaml"))
    docs = Repository(tmp_path / "docs")
    for edition, when in enumerate(("2023-02-10T00:00:00Z", "2023-09-10T00:00:00Z")):
        docs.commit(
            when,
            {
                f"{PRODUCTS[number].replace(' ', '')}.{markup}": LISTS[markup].format(
                    title=PRODUCTS[number],
                    words=f"This is what there is to say of {PRODUCTS[number]}, which stands in no list at all.",
                    version=f"{number + 3}.{edition + 1}.4",
                    owner=owners[edition],
                )
                for number, owners in enumerate(OWNERS)
            },
        )
    out = tmp_path / "b"
    assert run("--out", str(out), "--mirror", f"git:{docs.path}", "--facts", "fields") == 0
    assert sorted(path.stem for path in (out / "relations").iterdir()) == ["listed_owner", "listed_stable_release"]
    pools = open_benchmark(str(out)).pools
    answers = {(pool.query.relation, pool.query.answer) for pool in pools}
    assert answers == {
        *(("owner", new) for _, new in OWNERS),
        *(("stable release version", f"{number + 3}.2.4") for number in range(len(OWNERS))),
    }
    for pool in pools:
        (positive,) = (p for p, label in zip(pool.passages, pool.labels, strict=True) if label is Label.POSITIVE)
        assert pool.query.answer in positive.body and Label.OUTDATED in pool.labels


def test_drafts_are_written_once_and_then_the_users(
    repository: Repository, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "rel"
    options = ["--out", str(tmp_path / "b"), "--mirror", f"git:{repository.path}", "--draft-relations", str(folder)]
    assert run(*options) == 0
    assert "2 relations" in capsys.readouterr().out
    eol = folder / "releases_eol.toml"
    edited = eol.read_text(encoding="utf-8").replace("eol date", "end of life")
    eol.write_text(edited, encoding="utf-8")
    assert run(*options) == 0
    assert eol.read_text(encoding="utf-8") == edited
    assert run(*options[:4], "--facts", "fields", "--relations", str(folder), "--relation", "releases_eol") == 0
    texts = [row["text"] for row in read_rows(tmp_path / "b" / "stages" / "4-queries.jsonl")]
    assert len(texts) == 2 * len(PRODUCTS) * len(CYCLES) and all("end of life" in text for text in texts)


def test_documents_without_fields_are_told_in_one_line(tmp_path: Path) -> None:
    plain = Repository(tmp_path / "plain")
    plain.commit("2024-01-01T00:00:00Z", {"a.txt": "only words"})
    with pytest.raises(FrescoError, match=r"no field of git plain, commit .* has changed"):
        run("--out", str(tmp_path / "b"), "--mirror", f"git:{plain.path}", "--facts", "fields")


def test_a_draft_needs_changes_and_one_kind_of_value() -> None:
    def boxes(number: int, edition: int) -> tuple[str, tuple[object, ...]]:
        matter = (
            f"flag: {'true' if edition else 'false'}\nlink: https://x/{edition}\nowner: Team {'AB'[edition]}\n"
            f"mixed: {'2024-01-01' if number % 2 else edition + number}\n"
            f"rate: {edition + 1}.5 %\nstaff: {edition + 10}\n"
            f"title: {'New ' * (not edition)}P{number}\n"  # the page's own name: no relation, though it changes
            f"due: {'true' if number == 1 else f'2024-0{edition + 1}-01'}\n"
        )
        return f"P{number}", parse("markdown", f"---\n{matter}---\n", whole=False, tables=True).infoboxes

    pages = [boxes(number, edition) for number in range(FEWEST_CHANGES + 1) for edition in (0, 1)]
    found = drafts(pages)  # type: ignore[arg-type]
    kinds = {key: tomllib.loads(text)["values"] for key, text in found.items()}
    assert kinds == {
        "fields_owner": "organization", "fields_rate": "percentage", "fields_staff": "amount", "fields_due": "date"
    }  # fmt: skip
    assert not drafts(pages[: 2 * (FEWEST_CHANGES - 1)])  # type: ignore[arg-type]
    for key, text in found.items():
        assert not read_relation(key, text).entries


def test_an_entry_states_for_itself_only() -> None:
    page = parse("markdown", document(0, 1, 3), whole=False, tables=True)
    drafted = drafts([("A", page.infoboxes), *((f"P{n}", parse("markdown", document(0, p, 3), whole=False, tables=True)
              .infoboxes) for n in range(3) for p in (1, 2))])  # fmt: skip
    relation = read_relation("latest", drafted["releases_latest"])
    state = read_state(relation, page.infoboxes)
    assert {role: [value.label for value in held] for role, held in state.items()} == {"7": ["7.2.8"], "8": ["8.2.9"]}
    pair = {"subject": "Apache Struts (docs/a.md)", "relation": "latest", "role": "7", "current": ["7.2.8"]}
    assert {row["subject"] for row in query_rows(pair, relation, REFERENCE)} == {"Apache Struts 7"}


def entry(key: str, **fields: str) -> str:
    return f'  - releaseCycle: "{key}"\n' + "".join(f"    {name}: {value}\n" for name, value in fields.items())


@pytest.mark.parametrize(
    ("entries", "label"),
    [
        (entry("9.0", latestDate="2024-05-01", link="https://example.org/notes/of/nine"), None),  # by another name
        (entry("9.0", eol="false", latest="9.0.1", note="long awaited by many"), Label.INSUFFICIENT),  # holds no date
        (entry("9.0", releaseDate="2024-01-01", latestReleaseDate="2024-02-01"), Label.OUTDATED),
        (entry("9.0", releaseDate="2024-01-01", latestReleaseDate="2024-06-01"), Label.POSITIVE),
        (entry("9", latestReleaseDate="2024-05-01", latest="9.0.7"), None),  # may be 9.0 under its earlier key
        (entry("9", latestReleaseDate="2024-05-01", latest="9.0.7") + entry("9.0", eol="no"), Label.INSUFFICIENT),
        (entry("8", latestReleaseDate="2024-05-01", latest="8.4.4"), Label.INSUFFICIENT),
    ],
)
def test_an_entry_that_may_state_the_field_in_other_words_is_no_negative(entries: str, label: Label | None) -> None:
    pages = [
        (
            f"P{n}",
            parse("markdown", f"---\nreleases:\n{entry('1', latestReleaseDate=day)}---\n", whole=False, tables=True),
        )
        for n in range(FEWEST_CHANGES)
        for day in ("2024-01-01", "2024-02-01")
    ]
    drafted = drafts((name, page.infoboxes) for name, page in pages)
    relation = read_relation("date", drafted["releases_latest_release_date"])
    now, was = (value for day in ("2024-06-01", "2024-02-01") if (value := read_value("date", day)))
    page = parse("markdown", f"---\nreleases:\n{entries}---\n", whole=True, tables=True)
    section = infobox_sections(page)[0]
    reading = Reading(Sought(relation, "9.0", "Product", (now,), (now,), (was,)), section, page)
    assert reading.judge(Window(0, len(section.text)), in_time=True).label is label


@given(st.dates(date(1000, 1, 1)))
def test_every_form_of_a_day_reads_as_that_day(day: date) -> None:
    assert [date_of(form) for form in forms_of(day)] == [day] * len(forms_of(day))


@pytest.mark.parametrize("text", ["2024-02-30", "2024-04", "true", "30 Floop 2024", "May 2024", "7.10.2024", ""])
def test_what_is_no_day_is_none(text: str) -> None:
    assert date_of(text) is None
    assert read_value("date", text) is None


def test_days_are_the_same_however_they_are_written() -> None:
    iso, words, other = (read_value("date", text) for text in ("2024-09-03", "Sept. 3rd, 2024", "2024-09-04"))
    assert iso and words and other
    assert same(iso, words) and not same(iso, other)
