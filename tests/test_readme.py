"""The README's blocks do what they say: Python runs, its output is the one shown, commands and links exist."""

from __future__ import annotations

import ast
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ccs
import fresco

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, re.DOTALL)
PYTHON = [code for language, code in BLOCKS if language == "python"]


def test_it_is_short() -> None:
    assert len(TEXT.splitlines()) <= 150


def test_the_python_of_fresco_runs_and_prints_what_is_shown(tmp_path: Path) -> None:
    first, *others = [code for code in PYTHON if "ccs." not in code]
    code = "\n".join([first, *others])
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "FRESCO_STORE": str(tmp_path / "scores.sqlite")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    shown = [block for language, block in BLOCKS if language == "text"]
    assert done.stdout in shown


def test_the_python_of_ccs_calls_what_there_is() -> None:
    (code,) = [code for code in PYTHON if "ccs." in code]
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    own = [call for call in calls if re.fullmatch(r"ccs\.\w+", ast.unparse(call.func))]
    assert {ast.unparse(call.func) for call in own} == {
        "ccs.index",
        "ccs.rollout",
        "ccs.reward",
        "ccs.audit",
        "ccs.train",
    }
    for call in own:
        function = getattr(ccs, ast.unparse(call.func).removeprefix("ccs."))
        inspect.signature(function).bind(*call.args, **{each.arg: each.value for each in call.keywords if each.arg})


@pytest.mark.parametrize("page", [path for path in ROOT.glob("**/README.md") if ".venv" not in path.parts])
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_subcommands_that_it_names_exist() -> None:
    named = set(
        re.findall(
            r"^(fresco|ccs) (\w+)", "\n".join(code for language, code in BLOCKS if language == "sh"), re.MULTILINE
        )
    )
    assert named
    for command, sub in named:
        done = subprocess.run(
            [sys.executable, "-m", command, sub, "--help"], capture_output=True, check=False, cwd=ROOT
        )
        assert done.returncode == 0, (command, sub)


def test_the_version_is_one() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.+)"', pyproject, re.MULTILINE)
    assert version
    assert f"## {version[1]} " in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"version: {version[1]}" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert fresco.__version__
