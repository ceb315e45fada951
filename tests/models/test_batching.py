from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fresco.models import batching
from fresco.models.batching import Batch, Tokens, pad, plan, score_all, score_in_batches
from fresco.records import Pair
from tests.factories import make_passage, make_query

torch = pytest.importorskip("torch", reason="pip install 'fresco-ccs[models]'")

LENGTHS = st.lists(st.integers(1, 600), max_size=200)
ROWS = st.lists(st.lists(st.integers(1, 99), min_size=1, max_size=9), min_size=1, max_size=9)


class Sums:
    """A model that is easy to check: the score of a pair is the sum of its ids, times 1000, plus their number."""

    device = torch.device("cpu")
    pad_id = 7  # no zero: padding that slipped into the sum would show
    padding_side = "right"

    def __init__(self) -> None:
        self.threads: set[int] = set()
        self.batches: list[tuple[int, ...]] = []

    def encode(self, pairs: Sequence[Pair]) -> list[Tokens]:
        self.threads.add(threading.get_ident())
        return [Tokens([len(word) for word in passage.body.split()]) for _, passage in pairs]

    def forward(self, batch: Batch) -> torch.Tensor:
        self.batches.append(tuple(batch.input_ids.shape))
        real = batch.input_ids * batch.attention_mask
        return real.sum(dim=1).double() * 1000 + batch.attention_mask.sum(dim=1)


def expected(pairs: Sequence[Pair]) -> list[float]:
    bodies = [passage.body.split() for _, passage in pairs]
    return [sum(map(len, words)) * 1000.0 + len(words) for words in bodies]


def make_pairs(sizes: Sequence[int]) -> list[Pair]:
    query = make_query()
    return [
        (query, make_passage(f"p{i}", body=" ".join("x" * (1 + (i + k) % 5) for k in range(size))))
        for i, size in enumerate(sizes)
    ]


@given(LENGTHS, st.integers(1, 2000))
def test_a_plan_holds_every_pair_once_within_the_budget(lengths, budget):
    batches = plan(lengths, budget)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= budget
    widths = [lengths[index] for batch in batches for index in batch]
    assert widths == sorted(lengths, reverse=True)


@given(LENGTHS, st.integers(1, 2000))
def test_a_plan_leaves_no_room_unused(lengths, budget):
    batches = plan(lengths, budget)
    for batch in batches[:-1]:
        assert (len(batch) + 1) * lengths[batch[0]] > budget


@given(ROWS, st.sampled_from(["left", "right"]))
def test_padding_keeps_every_row(rows, side):
    ids, mask, types = pad([Tokens(row, [each % 2 for each in row]) for row in rows], 0, side)
    assert ids.shape == mask.shape == types.shape == (len(rows), max(map(len, rows)))
    for row, line, marks, segments in zip(rows, ids, mask, types, strict=True):
        blank = [0] * (len(line) - len(row))
        assert line.tolist() == (blank + row if side == "left" else row + blank)
        assert marks.tolist() == (line != 0).astype(int).tolist()
        assert segments.tolist() == (line % 2).tolist()


def test_padding_without_segments_and_with_a_token_of_its_own():
    ids, mask = pad([Tokens([1, 2, 3]), Tokens([4])], 9, "right")
    assert ids.tolist() == [[1, 2, 3], [4, 9, 9]]
    assert mask.dtype == np.int64


@given(st.lists(st.integers(1, 40), max_size=60), st.integers(1, 200))
def test_scores_come_back_to_their_pairs(sizes, budget):
    pairs = make_pairs(sizes)
    assert score_all(Sums(), pairs, budget) == expected(pairs)


def test_windows_are_tokenized_on_another_thread(monkeypatch):
    monkeypatch.setattr(batching, "WINDOW", 8)
    model, pairs = Sums(), make_pairs([1 + i % 11 for i in range(50)])
    assert score_all(model, pairs, 64) == expected(pairs)
    assert threading.get_ident() not in model.threads
    assert len(model.threads) == 1


def test_what_is_done_is_skipped_and_leaves_the_other_batches_as_they_were(monkeypatch):
    monkeypatch.setattr(batching, "WINDOW", 16)
    monkeypatch.setattr(batching, "COMMIT_SECONDS", 0.0)  # every batch is handed over
    pairs = make_pairs([1 + (7 * i) % 23 for i in range(64)])
    whole = [tuple(indices) for indices, _ in score_in_batches(Sums(), pairs, 40)]
    killed_after = {index for batch in whole[: len(whole) // 2] for index in batch}
    rest = [tuple(indices) for indices, _ in score_in_batches(Sums(), pairs, 40, killed_after.issuperset)]
    assert rest == whole[len(whole) // 2 :]
    assert list(score_in_batches(Sums(), pairs, 40, lambda _: True)) == []


def test_a_batch_of_which_some_is_done_is_scored_whole():
    pairs = make_pairs([5] * 10)
    ((indices, scores),) = score_in_batches(Sums(), pairs, 1000, lambda batch: set(batch) <= {3})
    assert sorted(indices) == list(range(10))
    assert scores == [expected(pairs)[index] for index in indices]


def test_one_copy_for_a_short_run():
    assert len(list(score_in_batches(Sums(), make_pairs([9] * 100), 18))) == 1


def test_a_failure_of_the_tokenizer_reaches_the_caller():
    class Failing(Sums):
        def encode(self, pairs):
            raise ValueError("cannot tokenize")

    with pytest.raises(ValueError, match="cannot tokenize"):
        score_all(Failing(), make_pairs([1]), 10)


def test_the_budget_of_a_processor_is_smaller_than_a_gpus():
    assert batching.token_budget(torch.device("cpu"), 16384) == batching.CPU_BATCH_TOKENS
    assert batching.token_budget(torch.device("cpu"), 64) == 64
    assert batching.token_budget(torch.device("cuda"), 16384) == 16384


def test_running_out_of_memory_is_one_line():
    class Huge(Sums):
        def forward(self, batch):
            raise torch.cuda.OutOfMemoryError("tried to allocate\n80 GiB")

    with pytest.raises(batching.FrescoError, match="lower --batch-tokens"):
        score_all(Huge(), make_pairs([3, 3]), 10)


def test_exact_duplicates_are_scored_once():
    model = Sums()
    pairs = [*make_pairs([3, 5, 3]), *make_pairs([3, 5, 3])]
    assert score_all(model, pairs, 100) == expected(pairs)
    assert sum(rows for rows, _ in model.batches) < len(pairs)
