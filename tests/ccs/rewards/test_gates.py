"""Gates: weights, signed rewards, failures."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccs.agent.trajectory import Turn
from ccs.rewards.gates import LONGEST_ANSWER, Gated, Gates
from tests.ccs.rewards.trails import FILM, perfect, trail


class Fixed:
    name, fingerprint, needs_gold = "fixed", "fixed", False

    def __init__(self, value: float | None, *, signed: bool = False) -> None:
        self.value, self.signed = value, signed

    def score(self, batch, questions=None):
        return [self.value for _ in batch]


def gated(value, trajectory, *, signed=False, **weights):
    (result,) = Gated(Fixed(value, signed=signed), Gates(**weights)).score([trajectory])
    return result


def test_each_gate_takes_its_weight():
    malformed = replace(perfect(), turns=(Turn("?", fault="no action"), *perfect().turns))
    assert gated(0.8, perfect(), answer=1, search=1, found=1, form=1) == 0.8
    assert gated(0.8, perfect(answer=None), answer=0.25) == pytest.approx(0.6)
    assert gated(0.8, trail(), answer=1, search=0.5) == pytest.approx(0.4)
    assert gated(0.8, trail(("x", [])), found=0.5) == pytest.approx(0.4)
    assert gated(0.8, malformed, form=0.5) == pytest.approx(0.4)
    assert gated(0.8, trail(answer=None), answer=0.5, search=0.5) == pytest.approx(0.2)
    assert gated(0.8, trail(answer=None), answer=0, search=0) == 0.8


def test_an_essay_is_no_answer():
    assert gated(1.0, perfect(answer="w " * LONGEST_ANSWER)) == 1.0
    assert gated(1.0, perfect(answer="w " * (LONGEST_ANSWER + 1))) == 0.0
    assert gated(1.0, perfect(answer="...")) == 0.0


def test_a_failure_stays_a_failure():
    assert gated(None, trail(answer=None)) is None


@given(st.floats(-5, 5), st.floats(0.01, 1))
def test_failing_a_gate_never_pays_for_signed_rewards(value, weight):
    assert gated(value, trail(), signed=True, search=weight) < gated(value, trail(("x", [FILM])), signed=True)


def test_the_fingerprint_knows_the_weights():
    one, other = (Gated(Fixed(1.0), Gates(form=weight)).fingerprint for weight in (0.0, 0.5))
    assert one != other
