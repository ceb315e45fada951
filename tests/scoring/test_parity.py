"""Two backends of one model: the same, the same up to a sigmoid, or not, and why."""

from __future__ import annotations

import json
import math

import pytest

from fresco import api
from fresco.cli import main
from fresco.errors import FrescoError
from tests.factories import make_benchmark


class Model:
    takes_instruction = False

    def __init__(self, name, curve, **told):
        self.name, self._curve, self._told = name, curve, told

    def score(self, query, passages, instruction=None):
        return [self._curve(sum(map(ord, passage.text)) % 97 / 20 - 2) for passage in passages]

    def describe(self):
        return self._told


def compare(curve, tmp_path, **told):
    plain, other = Model("plain", lambda x: x, dtype="float32"), Model("other", curve, **{"dtype": "float32", **told})
    return api.parity(plain, other, make_benchmark(), store=tmp_path / "s.sqlite", progress=False)


def test_rounding_is_the_same(tmp_path):
    found = compare(lambda x: x + 1e-5, tmp_path)
    assert found.passed
    assert found.largest == pytest.approx(1e-5, rel=0.01)
    assert found.correlation == pytest.approx(1)
    assert (found.changed_top, found.causes) == (0, ())


def test_a_sigmoid_is_named(tmp_path):
    found = compare(lambda x: 1 / (1 + math.exp(-x)), tmp_path)
    assert found.verdict == "the same up to a fixed curve"
    assert "sigmoid" in found.causes[0]


@pytest.mark.parametrize(
    ("told", "cause"),
    [
        ({"dtype": "bfloat16"}, "dtype"),
        ({"truncated": 7}, "truncation"),
        ({"default_instruction": "Be new."}, "default instructions"),
        ({}, "hardly anything in common"),
    ],
)
def test_a_difference_has_its_cause(tmp_path, told, cause):
    found = compare(lambda x: (x * 1e6) % 7, tmp_path, **told)
    assert found.verdict == "different"
    assert found.beyond > 0
    assert any(cause in each for each in found.causes)


def test_the_command_says_so_and_exits_with_one(tmp_path, capsys):
    options = ["--limit", "4", "--store", str(tmp_path / "s.sqlite")]
    assert main(["parity", "bm25", "half-life:bm25,365", *options]) == 1
    assert "verdict: different" in capsys.readouterr().out
    assert main(["parity", "bm25", "tempralm:bm25,0", "--json", *options]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "the same"
    assert main(["parity", "bm25", "bm25", *options]) == 2


def test_one_and_the_same_is_no_comparison():
    with pytest.raises(FrescoError, match="compared with itself"):
        api.parity("bm25", "bm25")
