"""``fresco build --plan``: what it says beforehand is what the build then takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fresco.builder.wikipedia import Mirror
from fresco.cli import main
from tests.builder.own_pages import CLUBS, club_rows, write
from tests.builder.servers.fault_proxy import FaultProxy

RIGHT = 0.3  # of what the build then takes


_MEASURED = """
import sys
from fresco.cli import main
from fresco.models.memory import peak
code = main(sys.argv[1:])
print(peak(None))
sys.exit(code)
"""


def typed(*arguments: str) -> int:
    """``fresco build`` as a process of its own; its peak of memory in bytes (wait4 would tell its parent's, too)."""
    said = subprocess.run([sys.executable, "-c", _MEASURED, "build", *arguments], stdout=subprocess.PIPE, check=True)
    return int(said.stdout.split()[-1])


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.slow
def test_a_plan_is_right_within_three_tenths_on_a_real_wiki(proxy: FaultProxy, tmp_path: Path) -> None:
    out = tmp_path / "b"
    options = ["--out", str(out), "--wiki", proxy.url, "--rate", "20", "--workers", "1"]
    options += ["--reference", "2025-01-01T23:59:59Z"]
    typed(*options, "--plan")
    planned: dict[str, Any] = json.loads((out / "plan.json").read_text(encoding="utf-8"))
    assert planned["sample"] <= planned["pages"] / 2
    assert planned["requests_made"] == len(proxy.seen)
    assert sorted(each.name for each in out.iterdir()) == ["plan.json", "stages"]
    proxy.seen.clear()
    before = size(out)
    peak = typed(*options)
    assert planned["requests"] == pytest.approx(len(proxy.seen), rel=RIGHT)
    assert planned["disk"] == pytest.approx(size(out) - before, rel=RIGHT)
    assert planned["memory"] == pytest.approx(peak, rel=RIGHT)
    # At least what the rate takes; what a shared machine adds to that is not asserted.
    assert planned["hours"] * 3600 >= (1 - RIGHT) * len(proxy.seen) / 20


@pytest.mark.slow
def test_a_second_plan_goes_on_where_the_first_has_read(proxy: FaultProxy, export: Path, tmp_path: Path) -> None:
    with Mirror(export, tmp_path / "mirror.sqlite") as mirror:
        chosen = sorted(mirror.titles())[::4]
    titles = tmp_path / "titles.txt"
    titles.write_text("\n".join(chosen), encoding="utf-8")
    options = ["--out", str(tmp_path / "b"), "--wiki", proxy.url, "--rate", "1000", "--workers", "1"]
    options += ["--titles", str(titles), "--reference", "2025-01-01T23:59:59Z"]

    def planned() -> dict[str, Any]:
        assert main(["build", *options, "--plan"]) == 0
        found: dict[str, Any] = json.loads((tmp_path / "b" / "plan.json").read_text(encoding="utf-8"))
        return found

    first, second, third = planned(), planned(), planned()
    sample = first["sample"]
    assert [each["pages"] for each in (first, second, third)] == [len(chosen)] * 3
    assert [each["unread"] for each in (first, second)] == [len(chosen) - sample, len(chosen) - 2 * sample]
    assert first["requests"] > second["requests"] > 0
    assert third["unread"] == third["requests"] == 0
    proxy.seen.clear()
    assert main(["build", *options]) == 0
    assert not [each for each in proxy.seen if "rvlimit" in each.parameters]  # all are listed


def test_a_plan_of_a_dump_asks_nobody_and_leaves_no_benchmark(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dump, out = write(tmp_path / "clubs.jsonl", club_rows()), tmp_path / "b"
    options = ["--mirror", str(dump), "--reference", "2025-01-01T23:59:59Z", "--workers", "1"]
    assert main(["build", "--out", str(out), *options, "--plan"]) == 0
    printed = capsys.readouterr().out
    assert "plan: 5 pages, 3 of them to be read, by what 2 pages took" in printed
    assert "about 0 to the wiki; 0 were made for this plan" in printed
    planned = json.loads((out / "plan.json").read_text(encoding="utf-8"))
    assert planned["disk"] > 0 and planned["memory"] > 0 and planned["worker_memory"] > 0
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()) == [
        "plan.json",
        "stages/revisions.sqlite",
    ]


def test_a_process_that_parses_is_not_said_to_take_what_its_parent_holds(tmp_path: Path) -> None:
    held = bytearray(b"x") * (500 << 20)  # written: resident
    dump, out = write(tmp_path / "clubs.jsonl", club_rows()), tmp_path / "b"
    options = ["--mirror", str(dump), "--reference", "2025-01-01T23:59:59Z", "--workers", "1"]
    assert main(["build", "--out", str(out), *options, "--plan"]) == 0
    planned = json.loads((out / "plan.json").read_text(encoding="utf-8"))
    assert 1 << 20 < planned["worker_memory"] < len(held) < planned["memory"]


def test_a_plan_counts_what_wikidata_will_be_asked(tmp_path: Path) -> None:
    pytest.importorskip("pyoxigraph", reason="needs pyoxigraph: pip install pyoxigraph")
    from tests.builder.sparql_service import Statements, serve

    made = Statements()
    for number, club in enumerate(CLUBS, 1):
        made.subject(f"Q{number}", club)
        made.label(f"Q{10 + number}", f"{'ABCDE'[number - 1]}nna Berg")
        made.label(f"Q{20 + number}", f"{'ABCDE'[number - 1]}nna Dorn")
        made.statement(f"Q{number}", "P286", f"wd:Q{10 + number}", P580="2021-07-01/11", P582="2023-06-30/11")
        made.statement(f"Q{number}", "P286", f"wd:Q{20 + number}", P580="2023-07-01/11")
    dump, out = write(tmp_path / "clubs.jsonl", club_rows()), tmp_path / "b"
    options = ["--mirror", str(dump), "--reference", "2025-01-01T23:59:59Z", "--workers", "1"]
    options += ["--facts", "wikidata", "--relation", "head_coach"]
    with serve(made.turtle()) as service:
        assert main(["build", "--out", str(out), *options, "--sparql", service.url, "--plan"]) == 0
        planned = json.loads((out / "plan.json").read_text(encoding="utf-8"))
        service.queries.clear()
        main(["build", "--out", str(out), *options, "--sparql", service.url])
        assert planned["pages"] == len(CLUBS)
        assert planned["queries"] == len(service.queries) == 2


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--manifest", "m.jsonl"], "--plan is for a build from nothing"),
        (["--draft-relations", "drafts"], "--plan is for a build from nothing"),
        (["--facts", "fields"], "--plan needs the relations of --facts fields"),
        (["--titles", "none.txt"], "none.txt: cannot be read"),
    ],
)
def test_what_cannot_be_planned_is_one_clear_line(
    more: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dump = write(tmp_path / "clubs.jsonl", club_rows())
    assert main(["build", "--out", str(tmp_path / "b"), "--mirror", str(dump), "--plan", *more]) == 2
    shown = capsys.readouterr().err
    assert message in " ".join(shown.split())
    assert "Traceback" not in shown
