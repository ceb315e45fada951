"""The study of well-formed turns counts what a served model wrote, by each way to ask it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.servers import chat_api
from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"


def script(body: dict[str, Any]) -> Any:
    """Searches well once its prompt has examples; without them it only talks."""
    prompt = body.get("prompt") or "".join(each["content"] for each in body["messages"])
    if "CLUB-1" not in prompt:
        text = "I would look that up."
    else:
        text = "<answer>Rome</answer>" if prompt.count("<information>") > 3 else "<search>rome</search>"
        text = f"it is known</think>{text}" if prompt.endswith("<think>") else text
    return text


@pytest.mark.slow
def test_shares_are_of_turns_and_models_are_added(tmp_path):
    if not (SHARED / "qa").is_dir():
        pytest.skip(f"no {SHARED}/qa")
    with chat_api.serve(script) as api:
        for name in ("one", "another"):
            command = [sys.executable, "eval/formed_turns.py", "--smoke", f"{api.url}#tiny/chat", "--name", name]
            options = ["--arms", "1,2,3", "--out", str(tmp_path), "--work", str(tmp_path / "work")]
            done = subprocess.run(
                [*command, *options], cwd=ROOT, capture_output=True, text=True, check=False, timeout=6 * PATIENCE
            )
            assert done.returncode == 0, done.stderr[-2000:]
    record = json.loads((tmp_path / "formed_turns.json").read_text(encoding="utf-8"))
    assert list(record) == ["another", "one"]
    arms = record["one"]["arms"]
    talking = arms.pop("our prompt")
    assert talking["well formed"]["value"] == 0 and talking["faults"] == {"no action": talking["turns"]}
    assert talking["answered"]["value"] == 0 == talking["searches"]["value"]
    assert len(arms) == 2
    for own in arms.values():
        assert own["well formed"]["value"] == own["answered"]["value"] == 1.0
        assert own["rollouts"] == 2 and own["turns"] == 2 * (own["searches"]["value"] + 1)
    assert "| few-shot | " in (tmp_path / "formed_turns.md").read_text(encoding="utf-8")
