from __future__ import annotations

import threading
from pathlib import Path

from fresco.terminal.progress import no_progress, progress_bars


def test_a_bar_for_each_thing_with_its_last_count(capsys):
    with progress_bars(unit="pairs") as progress:
        progress("[bold]foreign markup", 1, 3)
        progress("bm25", 2, 5)
        progress("[bold]foreign markup", 3)
    drawn = capsys.readouterr().err
    assert "[bold]foreign markup" in drawn
    assert "3/3 pairs" in drawn
    assert "2/5 pairs" in drawn


def test_one_bar_changes_its_words(capsys):
    with progress_bars(one_bar=True) as progress:
        progress("first", 1, 2)
        progress("second", 2, 2)
    drawn = capsys.readouterr().err
    assert "first" not in drawn
    assert "second" in drawn


def test_nothing_is_drawn_where_it_is_not_wanted(capsys):
    with progress_bars(shown=False) as progress:
        progress("work", 1, 2)
    no_progress("work", 1, 2)
    assert "work" not in capsys.readouterr().err


def test_threads_may_share_it(capsys):
    with progress_bars() as progress:
        threads = [threading.Thread(target=progress, args=("work", 4, 4)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert capsys.readouterr().err.count("work") == 1


def test_bars_are_made_in_one_place():
    root = Path(__file__).parents[2]
    makers = {
        str(path.relative_to(root))
        for package in ("fresco", "ccs")
        for path in (root / package).rglob("*.py")
        if "rich.progress" in path.read_text(encoding="utf-8")
    }
    assert makers == {"fresco/terminal/progress.py"}


def test_a_job_that_fails_at_once_leaves_no_line(capsys):
    with progress_bars():
        pass
    assert capsys.readouterr().err == ""
