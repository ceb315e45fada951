"""The conformance test must fail for re-rankers that break the protocol."""

from __future__ import annotations

import pytest

from fresco.testing import ConformanceError, check_reranker


class Good:
    name = "good"
    takes_instruction = True
    pointwise = True

    def score(self, query, passages, instruction=None):
        return [float(len(passage.text)) for passage in passages]

    def score_pools(self, pools, instruction=None):
        return [self.score(query, passages, instruction) for query, passages in pools]

    def score_batches(self, pairs, instruction, is_done):
        for index in range(len(pairs)):
            if not is_done([index]):
                yield [index], self.score(pairs[index][0], [pairs[index][1]])


def test_a_good_one_passes():
    check_reranker(Good())


class Nameless(Good):
    name = " "


class Vague(Good):
    takes_instruction = "yes"


class Short(Good):
    def score(self, query, passages, instruction=None):
        return super().score(query, passages)[1:]


class NotANumber(Good):
    def score(self, query, passages, instruction=None):
        return [float("nan")] * len(passages)


class Moody(Good):
    count = 0

    def score(self, query, passages, instruction=None):
        self.count += 1
        return [self.count + score for score in super().score(query, passages)]


class NotPointwise(Good):
    def score(self, query, passages, instruction=None):
        return [float(rank) for rank, _ in enumerate(passages)]


class Relative(Good):
    def score(self, query, passages, instruction=None):
        return [len(passage.text) / len(passages) for passage in passages]


class OtherPools(Good):
    def score_pools(self, pools, instruction=None):
        return [[2.0 * score for score in self.score(query, passages)] for query, passages in pools]


class Forgetful(Good):
    def score_batches(self, pairs, instruction, is_done):
        return list(super().score_batches(pairs, instruction, is_done))[1:]


class Deaf(Good):
    def score_batches(self, pairs, instruction, is_done):
        return super().score_batches(pairs, instruction, lambda _: False)


class Deafened(Good):
    def score(self, query, passages, instruction=None):
        return super().score(query, passages) if instruction is None else []


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (Nameless, "name is no text"),
        (Vague, "neither True nor False"),
        (Short, "9 scores for 10 passages"),
        (NotANumber, "NaN"),
        (Moody, "when called again"),
        (NotPointwise, "order of the pool"),
        (Relative, "rest of the pool"),
        (OtherPools, "score_pools and score differ"),
        (Forgetful, "leaves pairs out"),
        (Deaf, "scores what is_done says is done"),
        (Deafened, "score with an instruction"),
    ],
)
def test_broken_ones_are_found(broken, said):
    with pytest.raises(ConformanceError, match=said):
        check_reranker(broken())
