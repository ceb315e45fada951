"""Three real processes whose rollouts end after unlike numbers of turns: neither waits for what never comes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("trl", reason="needs TRL: pip install -e '.[train]'")

from tests.ccs.training.launch import run


def test_processes_of_unlike_turns_end_together(tmp_path: Path) -> None:
    run([Path(__file__).with_name("uneven_turns.py"), tmp_path])
    ranks = [json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in range(3)]
    wanted = [[[0], [3, 1, 2], [2]], [[3, 0, 3], [1], []], [[], [2, 2], [0]], [[0, 0], [], [3]]]
    for number, rank in enumerate(ranks):
        assert (rank["WORLD_SIZE"], rank["size"], rank["backend"]) == ("3", 3, "gloo")
        for mode in ("server", "colocate"):
            assert [[searches for searches, _ in rows] for rows in rank[mode]] == [each[number] for each in wanted]
            answers = {answer for rows in rank[mode] for _, answer in rows}
            assert answers == {"plum bread and a good deal more"}, "cut to the budget of another process"
    # The main process asks the server for all, as often as the slowest needs; in its own process each asks for itself.
    assert [bool(rank["server calls"]) for rank in ranks] == [True, False, False]
    assert all(rank["colocate calls"] for rank in ranks)
