"""Quality against cost, over real runs."""

from __future__ import annotations

import dataclasses

import pytest

import fresco
from fresco.cli import main
from fresco.errors import FrescoError
from fresco.results.front import Point, draw_front, front_of, points_of
from fresco.results.plots import plot_style


def by_length(query, passages):
    return [float(len(passage)) for passage in passages]


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = {"limit": 20, "progress": False, "resamples": 20}
    fresco.score({"length": by_length}, out="one", **options)
    fresco.score("bm25", out="two", baselines=("random",), **options)
    return tmp_path


def test_the_command_draws_all_re_rankers_of_its_runs(runs, capsys):
    assert main(["compare", "one", "two", "two", "--front", "front.svg"]) == 0
    said = capsys.readouterr().out
    drawn = (runs / "front.svg").read_text()
    assert (runs / "front.png").stat().st_size > 1000
    for name in ("length", "bm25", "newest", "random"):
        assert f">{name}<" in drawn
        assert name in said
    assert "half-life:bm25,365 is left out: its scores came out of the store" in said.replace("\n", " ")
    first = (runs / "front.svg").read_bytes()
    assert main(["compare", "one", "two", "--front", "front"]) == 0
    assert (runs / "front.svg").read_bytes() == first


def test_a_cost_is_seconds_over_the_pairs_that_were_scored(runs):
    result = fresco.load("one")
    points, _ = points_of([result], "MAP", "EK", "explicit")
    own = next(each for each in result.record["rerankers"] if each["name"] == "bm25")
    point = next(each for each in points if each.name == "bm25")
    assert point.milliseconds == pytest.approx(1000 * own["seconds"] / own["pairs_scored"])
    frame = result.to_frame()
    kept = frame[(frame.reranker == "bm25") & (frame.kind == "explicit") & (frame.metric == "MAP")]
    assert point.row["value"] == kept["value"].item()


def test_no_other_beats_what_is_on_the_front():
    costs = {"cheap": (1, 0.2), "worse": (2, 0.1), "better": (3, 0.4), "as good, dearer": (9, 0.4), "same": (1, 0.1)}
    points = [Point(name, cost, 1, {"value": value}, "", None) for name, (cost, value) in costs.items()]
    assert [point.name for point in front_of(points)] == ["cheap", "better"]


def test_names_and_ticks_can_be_read_and_lie_inside():
    row = {"value": 0.4, "ci_low": 0.3, "ci_high": 0.5}
    costs = {"bm25": 0.05, "_own$x$": 2.0, "cross-encoder:an/organization-with-a-name/and-a-model-of-its-own": 900.0}
    with plot_style():
        figure = draw_front([Point(name, cost, 1, row, "", None) for name, cost in costs.items()], "MAP")
        figure.draw_without_rendering()
        [axis] = figure.axes
        ticks = [label.get_text() for label in axis.get_xticklabels()]
        assert {"0.1", "1", "10", "100"} <= set(ticks) and not any("$" in tick for tick in ticks)
        width = figure.bbox.width
        assert [text.get_text().strip() for text in axis.texts] == list(costs)
        assert all(text.get_window_extent().x0 >= 0 and text.get_window_extent().x1 <= width for text in axis.texts)


def test_runs_that_no_front_can_hold(runs):
    assert main(["compare", "one", "two", "--metric", "Recall@7", "--front", "front"]) == 2
    one = fresco.load("one")
    other = dataclasses.replace(
        one, record={**one.record, "benchmark": {**one.record["benchmark"], "fingerprint": "x"}}
    )
    with pytest.raises(FrescoError, match="benchmarks of different content"):
        points_of([one, other], "MAP", "EK", "explicit")
