"""The script behind the embedded benchmark: the same bytes everywhere, and no silent loss."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MINI = Path(__file__).parents[2] / "data" / "mini"


def rebuild(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, folder / "rebuild.py", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return shutil.copytree(MINI, tmp_path / "mini")


def test_it_is_what_its_facts_and_templates_give() -> None:
    done = rebuild(MINI, "--check")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_same_bytes_elsewhere(copy: Path) -> None:
    """In another folder, from nothing, with other hash seeds and another locale."""
    tables = sorted(path.name for path in copy.glob("*.jsonl"))
    for name in tables:
        (copy / name).unlink()
    assert rebuild(copy, PYTHONHASHSEED="7", LC_ALL="C", PYTHONUTF8="0", TZ="Asia/Tokyo").returncode == 0
    assert tables == ["corpus.jsonl", "facts.jsonl", "pools.jsonl", "queries.jsonl"]
    for name in tables:
        assert (copy / name).read_bytes() == (MINI / name).read_bytes()


def test_check_tells_a_difference(copy: Path) -> None:
    with (copy / "queries.jsonl").open("ab") as file:
        file.write(b"{}\n")
    (copy / "pools.jsonl").unlink()
    done = rebuild(copy, "--check")
    assert done.returncode == 1
    assert "queries.jsonl, pools.jsonl" in done.stderr
    assert not (copy / "pools.jsonl").exists()


def test_the_card_tells_the_counts() -> None:
    done = rebuild(MINI, "--counts")
    assert done.stdout.strip() in (MINI / "README.md").read_text(encoding="utf-8")


def test_a_value_without_a_day_is_refused(copy: Path) -> None:
    """Known to December 2024 only: to leave it out would make the value before it the right answer."""
    with (copy / "facts" / "ek" / "chair.tsv").open("a", encoding="utf-8") as file:
        file.write("Acme Council\tcouncil\tA. Old\t2020-01\ttest\nAcme Council\tcouncil\tB. New\t2024-12\ttest\n")
    done = rebuild(copy, "--check")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "Acme Council: no day is left on which 'B. New' is certain" in done.stderr
