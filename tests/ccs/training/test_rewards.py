"""Rewards in the background: mixed, complete groups, failures counted as None."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

import pytest

from ccs.agent.question import Question
from ccs.agent.trajectory import Trajectory
from ccs.training.rewards import RewardMix
from fresco.errors import FrescoError
from tests.waiting import PATIENCE


def trajectory(name: str, sample: int = 0) -> Trajectory:
    return Trajectory(name, "?", sample, (), "answer")


class Given:
    needs_gold = signed = False
    fingerprint = "given"

    def __init__(self, name: str, values: Mapping[str, float | None], wait: threading.Event | None = None) -> None:
        self.name, self.values, self.wait = name, values, wait
        self.batches: list[list[str]] = []

    def score(self, batch: Sequence[Trajectory], questions: Mapping[str, Question] | None = None) -> list[float | None]:
        self.batches.append([each.question_id for each in batch])
        if self.wait:
            self.wait.wait(PATIENCE)
        if any(each.question_id == "broken" for each in batch):
            raise FrescoError("the judge is gone")
        return [self.values.get(each.question_id) for each in batch]


def test_weighted_sum_and_a_part_that_failed() -> None:
    mix = RewardMix([(1.0, Given("a", {"p": 0.5, "q": 1.0})), (0.5, Given("b", {"p": 1.0}))], {})
    numbers = [mix.submit([trajectory(name, sample) for sample in range(2)]) for name in ("p", "q")]
    results = mix.collect()
    assert [each.total for each in results[numbers[0]]] == [1.0, 1.0]
    assert [each.total for each in results[numbers[1]]] == [None, None]
    assert results[numbers[1]][0].parts == {"a": 1.0, "b": None}
    mix.close()


def test_groups_that_are_ready_together_are_one_batch() -> None:
    gate = threading.Event()
    reward = Given("a", {"p": 1.0, "q": 2.0, "r": 3.0}, gate)
    mix = RewardMix([(1.0, reward)], {})
    numbers = [mix.submit([trajectory(name)]) for name in ("p", "q", "r")]
    gate.set()
    results = mix.collect()
    assert [results[number][0].total for number in numbers] == [1.0, 2.0, 3.0]
    assert sum(map(len, reward.batches)) == 3 and len(reward.batches) <= 3
    assert mix.collect() == {}
    mix.close()


def test_a_server_that_fails_gives_none_and_is_named() -> None:
    mix = RewardMix([(1.0, Given("a", {}))], {})
    number = mix.submit([trajectory("broken")])
    assert mix.collect()[number][0].total is None
    assert mix.error == "the judge is gone"
    mix.close()


def test_a_reward_that_hangs_is_given_up_and_the_next_step_goes_on() -> None:
    gate = threading.Event()
    reward = Given("a", {"p": 1.0, "q": 2.0}, gate)
    mix = RewardMix([(1.0, reward)], {}, timeout=0.2)
    mix.submit([trajectory("p")])
    assert mix.collect() == {}
    assert "within 0 s" in mix.error
    reward.wait, mix._timeout = None, PATIENCE
    gate.set()
    number = mix.submit([trajectory("q")])
    assert mix.collect()[number][0].total == 2.0
    mix.close()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([1.0] * 4, "the reward a gave 4 values for 3 rollouts"),
        ([1.0] * 2, "the reward a gave 2 values for 3 rollouts"),
        ([], "the reward a gave 0 values for 3 rollouts"),
        ([1.0, float("nan"), None], "the reward a gave nan for rollout 2 of 3"),
        ([1.0, 0.5, float("inf")], "the reward a gave inf for rollout 3 of 3"),
    ],
)
def test_a_reward_owes_one_number_for_each_rollout(values: list[float | None], said: str) -> None:
    class Wrong(Given):
        def score(
            self, batch: Sequence[Trajectory], questions: Mapping[str, Question] | None = None
        ) -> list[float | None]:
            return values

    mix = RewardMix([(1.0, Wrong("a", {}))], {})
    mix.submit([trajectory("p", sample) for sample in range(3)])
    with pytest.raises(FrescoError, match=said):
        mix.collect()
    mix.close()


def test_a_defect_is_raised() -> None:
    class Broken(Given):
        def score(
            self, batch: Sequence[Trajectory], questions: Mapping[str, Question] | None = None
        ) -> list[float | None]:
            raise ZeroDivisionError

    mix = RewardMix([(1.0, Broken("a", {}))], {})
    mix.submit([trajectory("p")])
    with pytest.raises(ZeroDivisionError):
        mix.collect()
    mix.close()
