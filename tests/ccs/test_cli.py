from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ccs.cli import main
from fresco.errors import FrescoError

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "transformers", "sentence_transformers", "spacy", "faiss", "fastapi", "datasets", "pandas", "httpx")


def test_the_commands_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    said = capsys.readouterr().out
    for command in ("index", "serve", "rollout", "reward", "evaluate", "audit"):
        assert f"\n    {command} " in said


@pytest.mark.parametrize("arguments", [[], ["nothing"], ["rollout"], ["rollout", "--samples", "many"]])
def test_a_typing_mistake_is_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith("ccs")
    assert err.count("\n") == 1


def test_bad_input_ends_with_2_and_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FRESCO_DEBUG", raising=False)
    arguments = ["evaluate", "--trajectories", "none.jsonl", "--questions", "none.jsonl"]
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("ccs: there are no questions 'none.jsonl'")
    monkeypatch.setenv("FRESCO_DEBUG", "1")
    with pytest.raises(FrescoError):
        main(arguments)


def test_the_parser_waits_for_no_heavy_import() -> None:
    code = (
        "import sys, contextlib, io, ccs.cli\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        "    ccs.cli.main(['--help'])\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
