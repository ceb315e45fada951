"""The outermost frame of both commands: what each kind of end looks like from a shell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys, threading
from fresco.errors import FrescoError
from fresco.terminal.parser import make_parser, run_command

def add(commands):
    commands.add_parser("go").set_defaults(run=run)
    commands.add_parser("url").add_argument("url")

def run(options):
    {body}
    return 0

sys.exit(run_command(make_parser("tool", "A tool.", "1", [add]), None, "what was done"))
"""


def tool(tmp_path: Path, body: str, *arguments: str, shell: str = "", **extra: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "tool.py").write_text(PROGRAM.replace("{body}", body))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "FRESCO_LOGS": str(tmp_path / "logs"), **extra}
    environment.pop("FRESCO_DEBUG", None)
    command = [sys.executable, str(tmp_path / "tool.py"), "go", *arguments]
    if shell:
        command = ["bash", "-c", f'set -o pipefail; "$@" {shell}', "-", *command]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_a_fault_of_ours_is_one_line_a_log_and_code_70(tmp_path):
    done = tool(tmp_path, "secret = 1; raise ValueError('lost at http://me:hunter22@h/?token=abcdef')")
    assert done.returncode == 70
    (log,) = (tmp_path / "logs").iterdir()
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("tool: a fault of tool itself, please report it: the traceback is in ")
    assert str(log) in done.stderr
    text = log.read_text()
    assert "Traceback (most recent call last)" in text and "ValueError: lost at" in text
    assert "hunter22" not in text + done.stderr and "abcdef" not in text + done.stderr
    assert log.stat().st_mode & 0o077 == 0


def test_without_a_place_for_the_log_it_is_still_one_line(tmp_path):
    done = tool(tmp_path, "1 / 0", FRESCO_LOGS="/proc/nowhere", TMPDIR="/proc/nowhere")
    assert done.returncode == 70
    assert done.stderr.count("\n") == 1
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("open('/nowhere/file')", "tool: /nowhere/file: No such file or directory"),
        ("raise OSError('a library without a number')", "a library without a number (OSError)"),
        ("b'\\xff'.decode()", "(UnicodeDecodeError)"),
        ("raise MemoryError", "out of memory"),
        ("raise FrescoError('two\\nlines \\x1b[31m and more ' + 'x' * 300_000)", r"two lines \x1b[31m and more"),
    ],
)
def test_what_the_machine_or_the_data_lacks_is_one_line_and_code_2(tmp_path, body, said):
    done = tool(tmp_path, body)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1 and len(done.stderr) < 1600
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize(
    "body",
    [
        "[print(n) for n in range(100_000)]",
        "[sys.stdout.write(f'{n}\\n') for n in range(100_000)]",
        "from fresco.terminal.console import make_console; [make_console().print('x' * 70) for _ in range(4000)]",
        "[print(n, file=sys.stderr) for n in range(100_000)]",
        "import time; print('x' * 200_000); time.sleep(0.3); raise FrescoError('later')",
    ],
)
def test_a_reader_that_goes_away_ends_it_quietly(tmp_path, body):
    done = tool(tmp_path, body, shell="2>&1 | head -n 1")
    assert done.returncode in (141, 2)  # 2 where the error came before the pipe was seen to be closed
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""


def test_a_closed_standard_output_is_no_fault(tmp_path):
    done = tool(tmp_path, "print('x')", shell=">&- 2>&-")
    assert done.returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_a_full_disk_under_standard_output_is_one_line(tmp_path):
    done = tool(tmp_path, "print('x' * 100_000)", shell="> /dev/full")
    assert done.returncode == 2
    assert done.stderr == "tool: No space left on device\n"


def test_a_locale_without_the_character_spells_it(tmp_path):
    done = tool(tmp_path, "print('\\u2192 \\ud800')", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout) == (0, "\\u2192 \\ud800\n")


def test_a_secret_of_an_argument_is_in_no_message(tmp_path):
    done = tool(tmp_path, "pass", "--nonsense", "http://user:hunter22@host/?token=abc123def")
    assert done.returncode == 2
    assert "hunter22" not in done.stderr and "abc123def" not in done.stderr
