"""Names that others chose, in front of a person: in tables, plots, errors and as files."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fresco.errors import FrescoError
from fresco.optimizer.proposers.file import read_instructions
from fresco.results.plots import draw_plots, shown_name
from fresco.results.table import Cells, draw_cells
from fresco.terminal.console import _Console, literal

NAMES = [
    *("a$x^{$b", "$$", "[bold red]x[/]", "[/]", ":warning:", "\x1b[31mred\x1b[0m", "\u202eevil", "_hidden", "a\nb"),
    *(".venv/lib", "../../etc/passwd", "x" * 5000, "", "\x00", "\ud800", "%s{0}", "100 % & <b>"),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_table_shows_a_name_as_it_is_spelt(name: str) -> None:
    out = StringIO()
    console = _Console(file=out, width=300, highlight=False, emoji=False, force_terminal=False)
    console.print(draw_cells(Cells(["value"], [[("1.0", "")]]), [name], "title"))
    console.print(literal(name))
    shown = out.getvalue()
    assert "\x1b" not in shown and "\u202e" not in shown and "\x00" not in shown
    if name in ("[bold red]x[/]", "[/]", ":warning:", "%s{0}", "a$x^{$b"):
        assert shown.count(name) == 2


@pytest.mark.parametrize("name", NAMES)
def test_a_plot_draws_any_name(name: str, tmp_path: Path) -> None:
    import pandas as pd

    row: dict[str, Any] = {"reranker": name, "task": "NEK", "kind": "all", "metric": "MAP", "value": 0.5}
    row |= {"ci_low": 0.4, "ci_high": 0.6, "n": 3}
    evaluation = SimpleNamespace(rows=[row], age_gap=pd.DataFrame({"n": []}))
    draw_plots(evaluation, tmp_path)  # type: ignore[arg-type]
    assert (tmp_path / "quality.svg").stat().st_size > 1000
    assert not shown_name(name).startswith("_")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("null", "holds None and no list"),
        ("true\n", "holds True and no list"),
        ('"Prefer new."', "and no list"),
        ("[null]", "None is no instruction"),
        ("[" * 5000, "begins like JSON and is none"),
        (json.dumps(["x" * 300_000]), "300000 characters are no instruction"),
    ],
)
def test_a_file_that_holds_no_instruction_is_refused(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "i").write_text(content)
    with pytest.raises(FrescoError) as refused:
        read_instructions(tmp_path / "i")
    assert said in str(refused.value) and "\n" not in str(refused.value) and len(str(refused.value)) < 600
