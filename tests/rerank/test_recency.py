"""``recency.json`` and the gate: written, read, refused, applied."""

from __future__ import annotations

import json
import math
from datetime import timedelta

import numpy as np
import pytest

from fresco.errors import FrescoError
from fresco.models.settings import Settings
from fresco.records import Passage
from fresco.rerank.gate import Gate, features, fit_gate
from fresco.rerank.recency import PRIORS, Recency, load_recency
from fresco.rerank.registry import open_reranker
from fresco.rerank.temporal import HalfLife
from fresco.testing import check_reranker
from tests.factories import ASKED, make_passage, make_query

ASKS = ["Who is the current head of the ECB?", "Who is the most recent coach of Ajax?", "Who leads Siemens now?"]
STANDS = ["Where was Marie Curie born?", "Which symbol stands for tin?", "In which river does Cologne lie?"]


class Fixed:
    name, takes_instruction, pointwise, fingerprint = "fixed", False, True, "fixed"

    def score(self, query, passages, instruction=None):
        return [float(len(passages) - place) for place in range(len(passages))]


def dated(*days: float) -> list[Passage]:
    return [Passage(f"p{n}", "", "", "body", ASKED - timedelta(days=day)) for n, day in enumerate(days)]


def test_the_gate_learns_words_and_no_names():
    gate = fit_gate([*ASKS, *STANDS], [True] * 3 + [False] * 3)
    assert all(map(gate.opens, ASKS))
    assert not any(map(gate.opens, STANDS))
    assert gate.opens("Who is the current head of the IMF?")
    assert not {"ajax", "siemens", "marie"} & set(gate.weights)
    assert "current head" in features(ASKS[0])


def test_the_gate_is_a_logistic_regression():
    """The gradient of the penalized likelihood is zero at the solution."""
    wanted = np.array([1.0, 1, 1, 0, 0, 0])
    gate = fit_gate([*ASKS, *STANDS], wanted.astype(bool).tolist())
    off = wanted - np.array([gate.probability(each) for each in (*ASKS, *STANDS)])
    for name, weight in gate.weights.items():
        has = np.array([name in features(each) for each in (*ASKS, *STANDS)])
        assert weight == pytest.approx(float(off[has].sum()), abs=1e-6)


@pytest.mark.parametrize("asks", [True, False])
def test_a_gate_of_one_kind_always_says_that(asks):
    assert fit_gate(ASKS, [asks] * 3).opens("anything") is asks


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("gate", [None, Gate(-0.25, {"current": 1.5})])
def test_what_is_saved_is_what_is_loaded(tmp_path, prior, gate):
    for value in (90.0, PRIORS[prior][2]):
        cure = Recency(prior, value, gate, {"split": "validation"})
        cure.save(tmp_path / "recency.json")
        assert load_recency(tmp_path / "recency.json") == cure


def test_the_prior_applies_where_the_gate_opens():
    passages = dated(900, 400, 30)
    base = Fixed().score(make_query(), passages)
    shut, opened = Recency("half-life", 90.0, Gate(-9.0)), Recency("half-life", 90.0, Gate(9.0))
    np.testing.assert_array_equal(shut.over(Fixed()).fuse(make_query(), passages, base), base)
    expected = HalfLife(Fixed(), 90.0).fuse(make_query(), passages, base)
    np.testing.assert_array_equal(opened.over(Fixed()).fuse(make_query(), passages, base), expected)


def test_a_neutral_prior_is_the_base():
    cure = Recency("half-life", math.inf)
    assert cure.over(Fixed()).fuse(make_query(), dated(1, 2), [3.0, 5.0]).tolist() == [3.0, 5.0]


def test_the_file_is_a_reranker_of_the_command_line(tmp_path):
    Recency("mrag", 365.0).save(tmp_path / "recency.json")
    reranker = open_reranker(f"recency:bm25,{tmp_path / 'recency.json'}", Settings())
    reranker.fit([make_passage("a"), make_passage("b", body="More words about it.")])
    check_reranker(reranker)


GOOD = Recency("half-life", 30.0, Gate(0.5, {"now": 1.0})).to_json()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "no valid JSON"),
        ("[]", "is no recency.json"),
        (json.dumps({**GOOD, "schema_version": 99}), "schema version 99"),
        (json.dumps({**GOOD, "prior": "linear"}), "prior is 'linear'; choose half-life"),
        (json.dumps({**GOOD, "prior": ["half-life"]}), "prior is"),
        (json.dumps({**GOOD, "days": -3}), "days -3.0: give a number above zero"),
        (json.dumps({**GOOD, "days": True}), "days is True; a number is wanted"),
        (json.dumps({**GOOD, "days": 10**400}), "a number of 401 digits"),
        (json.dumps({**GOOD, "gate": [1]}), "gate is [1]"),
        (json.dumps({**GOOD, "gate": {"bias": 0, "weights": {"a": "b"}}}), "a number is wanted"),
    ],
)
def test_bad_files_are_one_line(tmp_path, content, said):
    path = tmp_path / "recency.json"
    path.write_text(content)
    with pytest.raises(FrescoError) as caught:
        load_recency(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
