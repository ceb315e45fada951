"""The honest ends: intervals and gains against obvious references."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from fresco.benchmarks.part import Part
from fresco.clients.chat_answer import ChatAnswer
from fresco.errors import FrescoError
from fresco.optimizer.pipeline import _lasting, _one_line
from fresco.optimizer.proposers.llm_answers import Request, _rejection, _unfinished
from fresco.optimizer.report.proof import Split, gains_without_loss, over_seeds
from fresco.optimizer.search import racing
from fresco.optimizer.search.racing import standings
from fresco.optimizer.seen import digests, refuse_seen
from fresco.optimizer.transfer import Transfer
from fresco.records import Task
from fresco.stats.intervals import SubjectBootstrap
from tests.optimizer.instruction_reader import make_pools

POOLS = make_pools(60)
EK = np.array([pool.query.task is Task.EK for pool in POOLS])


def split():
    rng = np.random.default_rng(0)
    base = rng.uniform(0.3, 0.5, len(POOLS))
    return Split(
        POOLS,
        {"base": base, "i1": base + np.where(EK, 0.2, -0.1), "i2": base + np.where(EK, 0.1, 0.0), "i3": base - 0.2},
        "base",
        resamples=200,
    )


def test_gains_are_paired():
    rows = split().rows()
    assert [rows["i1"]["EK gain"][key] for key in ("value", "ci_low", "ci_high")] == pytest.approx([0.2] * 3)
    assert rows["i1"]["NEK gain"]["ci_high"] == pytest.approx(-0.1)
    assert rows["i1"]["EK"]["value"] == pytest.approx(float(split().values["i1"][EK].mean()))
    assert rows["i1"]["EK"]["ci_high"] - rows["i1"]["EK"]["ci_low"] > 0.01
    assert rows["i1"]["EK"]["n"] == 30
    assert gains_without_loss(rows, ["i1", "i2", "i3"]) == ["i2"]


def test_the_front_and_its_hypervolume():
    part = split()
    assert part.front(["base", "i1", "i2", "i3"]) == ["i1", "i2"]
    row = part.hypervolume(["i1", "i2"])
    (x1, y1), (x2, y2) = (
        (float(part.values[key][EK].mean()), float(part.values[key][~EK].mean())) for key in ("i1", "i2")
    )
    assert row["value"] == pytest.approx(x1 * y1 + x2 * (y2 - y1))
    assert row["ci_low"] < row["value"] < row["ci_high"]
    base = part.hypervolume(["base"])
    assert row["gain"]["value"] == pytest.approx(row["value"] - base["value"])
    assert base["gain"] == {"value": 0.0, "ci_low": 0.0, "ci_high": 0.0}


def test_nobody_leaves_the_front_by_a_point_estimate():
    part, rng = split(), np.random.default_rng(2)
    close = part.values["i2"] + rng.normal(0, 0.1, len(POOLS))
    close -= np.where(EK, close[EK].mean() - part.values["i2"][EK].mean() + 0.004, 0)
    close -= np.where(EK, 0, close[~EK].mean() - part.values["i2"][~EK].mean() + 0.004)
    wide = dataclasses.replace(part, values={**part.values, "close": close})
    points = {key: (own[EK].mean(), own[~EK].mean()) for key, own in wide.values.items()}
    assert points["close"] < points["i2"] and points["close"][1] < points["i2"][1]  # dominated by its estimates
    keys = ["base", "i1", "i2", "i3", "close"]
    assert wide.front(keys) == ["i1", "i2", "close"]
    shares = wide.standing(keys)
    assert shares["i1"] == shares["i2"] == 1.0
    assert shares["base"] == shares["i3"] == 0.0
    assert 0.05 <= shares["close"] < 1.0


def test_the_interval_of_a_hypervolume_is_that_of_its_resamples():
    part = split()
    bootstrap = SubjectBootstrap([pool.query.subject for pool in POOLS], resamples=200, seed=0)
    areas = []
    for weights in bootstrap.replicate(np.eye(len(POOLS))):  # how often each query was drawn
        values = part.values["i1"]
        areas.append(np.average(values, weights=weights * EK) * np.average(values, weights=weights * ~EK))
    row = part.hypervolume(["i1"])
    assert [row["ci_low"], row["ci_high"]] == pytest.approx(np.quantile(areas, [0.025, 0.975]).tolist())


def test_few_subjects_are_warned_of():
    assert split().warnings("test") == []
    few = Split(POOLS[:20], {"base": np.ones(20)}, "base")
    assert few.warnings("test")[0] == "test, EK: 10 subjects are few, read its intervals with care"


def test_seeds_have_students_interval():
    row = over_seeds([0.1, 0.2, 0.3])
    assert row["value"] == pytest.approx(0.2)
    assert row["sd"] == pytest.approx(0.1)
    assert row["ci_high"] - row["value"] == pytest.approx(4.303 * 0.1 / math.sqrt(3))
    assert over_seeds([0.1])["ci_low"] is None


def test_another_seed_has_the_same_split():
    first, second = (Part("test", seed=seed).open("mini") for seed in (0, 5))
    assert [pool.query.id for pool in first.pools] == [pool.query.id for pool in second.pools]


def test_queries_that_chose_a_front_are_refused_even_under_other_ids():
    renamed = [dataclasses.replace(pool, query=dataclasses.replace(pool.query, id="new")) for pool in POOLS]
    refuse_seen(renamed[10:], digests(POOLS[:10]), "front.json")
    with pytest.raises(FrescoError, match="chosen by 1 of these 51 queries"):
        refuse_seen(renamed[9:], digests(POOLS[:10]), "front.json")


def test_timeouts_and_ports_make_no_other_search():
    one, moved, other = (
        _lasting(f"llm:http://h:{port}/v1#m&timeout={port}&enable_thinking={thinks}")
        for port, thinks in ((1, "true"), (2, "true"), (2, "false"))
    )
    assert one == moved != other


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_front_is_known_by_its_queries_with_a_byte_order_mark_too(tmp_path, mark):
    front = {"members": [{"id": "i1", "text": "Newest first."}], "benchmark": {"seen": digests(POOLS[:10])}}
    path = tmp_path / "front.json"
    path.write_bytes(mark + json.dumps(front).encode())
    transfer = Transfer(path)
    assert transfer.texts == ["Newest first."]
    transfer.check_unseen(POOLS[10:])
    with pytest.raises(FrescoError, match="chosen by 1 of these 51 queries"):
        transfer.check_unseen(POOLS[9:])


@pytest.mark.parametrize("text", ["smile \ud83d", "caf\udcff", "bell \x07 rings", "turn \u202e around"])
def test_an_instruction_that_no_database_takes_is_refused_before_anything_is_scored(text):
    with pytest.raises(FrescoError, match="--instruction: holds characters that cannot be printed"):
        _one_line(text)
    assert _one_line(" Two\n lines ") == "Two lines"


def test_cut_answers_are_unfinished_and_half_a_surrogate_can_be_written():
    complete = '["An instruction that is long enough."]'
    assert _unfinished(ChatAnswer(complete, finish_reason="length")) == "cut by the token limit"
    assert _unfinished(ChatAnswer(f"<think>perhaps {complete}", finish_reason="stop")) == "a thought without an answer"
    assert _unfinished(ChatAnswer(f"<think>so</think>{complete}", finish_reason="stop")) is None
    request = Request("mutation", (), "", 1, 100, "")
    assert _rejection(request, "control characters", "smile \ud83d").text.encode() == b"smile \\ud83d"


def test_many_candidates_stand_as_in_one_piece(monkeypatch):
    values = dict(enumerate(np.random.default_rng(1).random((20, len(POOLS)))))
    whole = standings(values, POOLS, resamples=50)
    monkeypatch.setattr(racing, "_COMPARED", 1000)
    assert standings(values, POOLS, resamples=50) == whole
