"""A dump that is read twice answers as one of which everything is kept, and leaves only what was wanted of it."""

from __future__ import annotations

import random
import shlex
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from fresco.benchmarks import open_benchmark
from fresco.builder.config import BuildConfig
from fresco.builder.manifest import hydrate
from fresco.builder.pipeline import build
from fresco.builder.revisions import PassingSource, Revision
from fresco.builder.wikipedia import Command, Dump, Mirror
from fresco.cli import main
from fresco.errors import FrescoError
from fresco.io.files import read_rows
from fresco.records import parse_timestamp
from tests.builder.own_pages import CLUBS, club_rows, row, write
from tests.builder.test_pipeline import files

REFERENCE = parse_timestamp("2025-01-01T23:59:59Z")
Rows = list[dict[str, object]]


def plain(title: str, page: int, count: int = 4) -> Rows:
    """A page without an infobox."""
    return [
        row(title, page, 100 * page + n, f"202{n}-05-05T05:05:05Z", f"{title} is a street, and its house {n} is old.")
        for n in range(count)
    ]


def mixed_rows() -> Rows:
    """The clubs, pages that give no pair, redirects of all kinds."""
    return [
        *club_rows(),
        *plain("Quay Street", 50),
        *plain("Mill Lane", 51, 2),
        row("Northport", 60, 6001, "2021-01-01T00:00:00Z", "#REDIRECT [[Northport United]]"),
        row("The port", 61, 6101, "2021-01-01T00:00:00Z", "#REDIRECT [[Northport]]"),
        row("Tove Ulf", 62, 6201, "2021-01-01T00:00:00Z", "#REDIRECT [[Tove Ulv]]"),
        row("Nowhere", 63, 6301, "2021-01-01T00:00:00Z", "#REDIRECT [[Not there]]"),
        row("Merged", 64, 6401, "2021-01-01T00:00:00Z", "An article of its own. " * 50),
        row("Merged", 64, 6402, "2024-01-01T00:00:00Z", "#REDIRECT [[Quay Street]]"),
        row("Hidden", 65, 6501, "2023-01-01T00:00:00Z", "text") | {"content": None},
    ]


def scattered(rows: Rows) -> Rows:
    """Revisions in no order at all, as exports of databases come."""
    return random.Random(5).sample(rows, len(rows))


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    return write(tmp_path / "dump.jsonl", mixed_rows())


@pytest.fixture(params=["in order", "scattered"])
def any_dump(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    rows = mixed_rows()
    return write(tmp_path / "dump.jsonl", rows if request.param == "in order" else scattered(rows))


def config(out: Path, **more: object) -> BuildConfig:
    return BuildConfig(out, "own pages", reference=REFERENCE, workers=1, **more)  # type: ignore[arg-type]


@contextmanager
def counted(dump: Path | Command, cache: Path) -> Iterator[tuple[Dump, list[int]]]:
    """A dump, and how often it was read since it was opened."""
    readings = []
    with Dump(dump, cache) as source:
        own = source._rows

        def rows(damage: list[str]) -> Iterator[object]:
            readings.append(1)
            return own(damage)

        source._rows = rows  # type: ignore[method-assign,assignment]
        yield source, readings


def kept_texts(cache: Path) -> int:
    with closing(sqlite3.connect(cache)) as database:
        return int(database.execute("SELECT count(*) FROM texts").fetchone()[0])


def kept_pages(cache: Path) -> set[str]:
    with closing(sqlite3.connect(cache)) as database:
        return {title for (title,) in database.execute("SELECT title FROM pages")}


@pytest.mark.parametrize(
    "titles", [(), ("Northport", "Easthaven_Rovers", "the port", "Merged", "Nowhere", "Not there", "Quay Street")]
)
def test_a_build_has_the_bytes_of_one_that_keeps_everything(
    any_dump: Path, titles: Sequence[str], tmp_path: Path
) -> None:
    with Mirror(any_dump, tmp_path / "all.sqlite") as mirror:
        expected = build(config(tmp_path / "all" / "b", titles=tuple(titles)), mirror)
        reasons = mirror.report.counts()
    with counted(any_dump, tmp_path / "wanted.sqlite") as (source, readings):
        found = build(config(tmp_path / "wanted" / "b", titles=tuple(titles)), source)
        assert source.report.counts() == reasons
        assert len(readings) == 1
    assert found == expected
    assert files(tmp_path / "wanted" / "b") == files(tmp_path / "all" / "b")


def test_nothing_stays_of_a_page_that_gives_no_pair(any_dump: Path, tmp_path: Path) -> None:
    cache = tmp_path / "wanted.sqlite"
    with Dump(any_dump, cache) as source:
        build(config(tmp_path / "b", near_topic_pages=0), source)
    with Mirror(any_dump, tmp_path / "all.sqlite"):
        pass
    pairs = {name for name, managers in CLUBS.items() if len({*managers} - {"vacant"}) > 1}
    assert kept_pages(cache) == pairs
    wanted = len({each["sha1"] for each in read_rows(tmp_path / "b" / "stages" / "2-revisions.jsonl")})
    assert kept_texts(cache) == wanted < kept_texts(tmp_path / "all.sqlite")
    with closing(sqlite3.connect(cache)) as database:
        assert database.execute("SELECT count(*) FROM dump_notes WHERE asked != ''").fetchone() == (0,)
    with closing(sqlite3.connect(tmp_path / "b" / "stages" / "parsed.sqlite")) as database:
        assert database.execute("SELECT count(*) FROM pages").fetchone() == (wanted,)


def test_facts_of_the_users_own_take_two_readings(dump: Path, tmp_path: Path) -> None:
    facts = tmp_path / "facts.csv"
    facts.write_text(
        "subject,relation,value,start,end\n"
        "Northport United,head_coach,Alma Berg,2022-03-01,2024-03-01\n"
        "Northport United,head_coach,Carl Dorn,2024-03-01,\n"
        "Mill Lane,head_coach,Nobody Else,2022-03-01,\n",
        encoding="utf-8",
    )
    chosen = {"facts": f"table:{facts}", "relations": ("head_coach",)}
    with Mirror(dump, tmp_path / "all.sqlite") as mirror:
        build(config(tmp_path / "all" / "b", **chosen), mirror)
    with counted(dump, tmp_path / "wanted.sqlite") as (source, readings):
        build(config(tmp_path / "wanted" / "b", **chosen), source)
        assert len(readings) == 1
        build(config(tmp_path / "wanted" / "b", per_interval=1, **chosen), source)
        assert len(readings) == 1  # all that this build wants was kept
    with Mirror(dump, tmp_path / "all.sqlite") as mirror:
        build(config(tmp_path / "all" / "b", per_interval=1, **chosen), mirror)
    assert files(tmp_path / "wanted" / "b") == files(tmp_path / "all" / "b")


def test_whatever_is_asked_is_answered_as_by_a_mirror(any_dump: Path, tmp_path: Path) -> None:
    titles = ["Northport", "northport", "Quay_Street", "Merged", "Nowhere", "Not there", "Hidden", "Tove Ulf"]
    with Mirror(any_dump, tmp_path / "all.sqlite") as mirror, Dump(any_dump, tmp_path / "wanted.sqlite") as source:
        assert isinstance(source, PassingSource)
        assert list(source.titles()) == list(mirror.titles())
        assert source.count() == len(list(mirror.titles()))
        assert source.resolve(titles) == mirror.resolve(titles)
        for title in titles:
            for window in ((None, None), (parse_timestamp("2022-01-01T00:00:00Z"), REFERENCE)):
                ours, theirs = (each.history(title, *window, standing=True) for each in (source, mirror))
                assert ours == theirs
                assert list(source.texts(ours)) == list(mirror.texts(theirs))
        later = Revision("quay Street", 9, 7, parse_timestamp("2023-05-05T05:05:05Z"))
        absent = Revision("Quay Street", 9, 8, later.timestamp + timedelta(days=1), "f" * 40)
        assert list(source.texts([later, absent])) == list(mirror.texts([later, absent]))
        assert list(source.report) == list(mirror.report)


def test_a_manifest_is_hydrated_in_two_readings(dump: Path, tmp_path: Path) -> None:
    with Mirror(dump, tmp_path / "all.sqlite") as mirror:
        build(config(tmp_path / "b"), mirror)
    with counted(dump, tmp_path / "wanted.sqlite") as (source, readings):
        found = hydrate(tmp_path / "b" / "manifest.jsonl", source, tmp_path / "h", workers=1)
        assert len(readings) == 1
    assert found.queries_lost == 0
    hydrated, built = (open_benchmark(str(tmp_path / each)) for each in "hb")
    assert hydrated.fingerprint == built.fingerprint


@pytest.mark.parametrize("passed", [1, 4, 6])
def test_a_reading_that_is_cut_off_goes_on_with_the_pages_that_are_left(
    passed: int, dump: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Dump(dump, tmp_path / "whole.sqlite") as source:
        build(config(tmp_path / "whole" / "b"), source)
    noted = Dump.note
    count = 0

    def cut_off(self: Dump, text: str) -> None:
        nonlocal count
        noted(self, text)
        count += 1
        if count > passed:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, Dump(dump, tmp_path / "cut.sqlite") as source:
        patched.setattr(Dump, "note", cut_off)
        with pytest.raises(KeyboardInterrupt):
            build(config(tmp_path / "cut" / "b"), source)
    passed_again: list[str] = []
    with Dump(dump, tmp_path / "cut.sqlite") as source:
        monkeypatch.setattr(Dump, "note", lambda self, text: (passed_again.append(text), noted(self, text))[1])
        build(config(tmp_path / "cut" / "b"), source)
        assert len(passed_again) == source.count() - passed
    assert files(tmp_path / "cut" / "b") == files(tmp_path / "whole" / "b")


#: A build that is killed before the call of a method that its arguments name and number.
_KILLED = """
import os, signal, sys
from pathlib import Path
from fresco.builder.config import BuildConfig
from fresco.builder.pipeline import build
from fresco.builder.wikipedia import Cache, Dump, dump_titles
from fresco.records import parse_timestamp
dump, out, owner, name, left = sys.argv[1:]
owner, left = {"Cache": Cache, "Title": dump_titles.Title, "DumpTitles": dump_titles.DumpTitles}[owner], int(left)
whole = getattr(owner, name)
def counted(*given):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(*given)
setattr(owner, name, counted)
with Dump(Path(dump), Path(out).parent / "c.sqlite") as source:
    reference = parse_timestamp("2025-01-01T23:59:59Z")
    build(BuildConfig(Path(out), "own pages", reference=reference, workers=1), source)
"""


@pytest.mark.parametrize(
    "killed_at",
    [
        (("Title", "add", "20"), ("DumpTitles", "mark", "2"), ("DumpTitles", "note", "6")),
        (("Cache", "complete", "1"), ("Cache", "put_dump", "2"), ("Cache", "drop", "3"), ("DumpTitles", "note", "3")),
    ],
)
def test_killed_at_any_point_it_ends_in_the_same_bytes(
    killed_at: Sequence[tuple[str, str, str]], dump: Path, tmp_path: Path
) -> None:
    with Dump(dump, tmp_path / "whole.sqlite") as source:
        build(config(tmp_path / "whole" / "b"), source)
    out = tmp_path / "killed" / "b"
    for each in killed_at:  # one after the other, on what the one before has left
        done = subprocess.run([sys.executable, "-c", _KILLED, str(dump), str(out), *each], check=False)
        assert done.returncode == -signal.SIGKILL
    with Dump(dump, out.parent / "c.sqlite") as source:
        build(config(out), source)
    assert files(out) == files(tmp_path / "whole" / "b")
    assert kept_pages(out.parent / "c.sqlite") == kept_pages(tmp_path / "whole.sqlite")
    assert kept_texts(out.parent / "c.sqlite") == kept_texts(tmp_path / "whole.sqlite")


def python(code: str) -> Command:
    return Command(shlex.join([sys.executable, "-c", code]))


def test_a_command_is_run_for_each_reading(dump: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    told = f"open({str(runs)!r}, 'a').write('x'); import sys; sys.stdout.write(open({str(dump)!r}).read())"
    words = str(python(told))
    options = ["--reference", "2025-01-01T23:59:59Z", "--workers", "1"]
    assert main(["build", "--out", str(tmp_path / "c" / "b"), "--mirror", words, *options]) == 0
    assert runs.read_text() == "xx"
    assert main(["build", "--out", str(tmp_path / "c" / "b"), "--mirror", words, *options]) == 0
    assert runs.read_text() == "xx"
    assert main(["build", "--out", str(tmp_path / "f" / "b"), "--mirror", str(dump), *options]) == 0
    by_command, by_file = (files(tmp_path / each / "b") for each in "cf")
    differing = {name for name in by_file if by_file[name] != by_command[name]}
    assert differing == {"README.md", "stages/state.json"}  # which name the source


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "names no command"),
        ("sh -c 'open", "cannot be split into words"),
        ("there-is-no-such-program x", "cannot be run (No such file or directory); is it installed?"),
        ("sh -c 'echo no disk >&2; exit 3'", "ended with 3: no disk"),
        ("echo hello", "neither a MediaWiki XML export nor JSON Lines"),
        ("printf '\\050\\265\\057\\375____'", "zstd cannot be read from a pipe; unpack it on the way"),
    ],
)
def test_a_command_that_gives_no_dump_is_one_clear_line(
    words: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", "--out", str(tmp_path / "b"), "--mirror", f"command:{words}"]) == 2
    shown = " ".join(capsys.readouterr().err.split())
    assert message in shown
    assert "Traceback" not in shown


def test_a_command_that_fails_behind_its_output_is_an_error(dump: Path, tmp_path: Path) -> None:
    failing = Command(f"sh -c 'cat {shlex.quote(str(dump))}; echo torn off >&2; exit 9'")
    with pytest.raises(FrescoError, match="ended with 9: torn off"):
        Dump(failing, tmp_path / "c.sqlite")


def test_a_command_that_gives_something_else_is_an_error(dump: Path, tmp_path: Path) -> None:
    growing = f"cat {shlex.quote(str(dump))}"
    with Dump(Command(growing), tmp_path / "c.sqlite") as source:
        write(dump, [*mixed_rows(), *plain("New Street", 70)])
        with pytest.raises(FrescoError, match="was another dump when it was read before"):
            build(config(tmp_path / "b"), source)
    with Dump(Command(growing), tmp_path / "c.sqlite") as source:
        assert "New Street" in set(source.titles())
        build(config(tmp_path / "b"), source)
    with Mirror(dump, tmp_path / "all.sqlite") as mirror:
        build(config(tmp_path / "all" / "b"), mirror)
    assert files(tmp_path / "b") == files(tmp_path / "all" / "b")
