"""Rows as a tree: how it grows, how rows are cut into trees, and that no score changes, against whole, padded rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fresco.models.batching import Tokens, padded_batches
from fresco.models.reading import share
from fresco.models.shared_prefix import SharedPrefix
from fresco.models.shared_tree import SharedTree, grow, plan_trees

torch = pytest.importorskip("torch", reason="pip install 'fresco-ccs[models]'")

ROWS = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=12), min_size=1, max_size=30)


def openings(rows):
    """Every distinct opening of any row: the nodes of their trie."""
    return {tuple(row[:end]) for row in rows for end in range(1, len(row) + 1)}


@given(ROWS)
def test_every_opening_stands_once_in_the_tree(rows):
    rows = sorted(rows)
    tree = grow(rows)
    assert len(tree.ids) == len(tree.positions) == len(openings(rows))
    for row, path in zip(rows, tree.rows, strict=True):
        assert [tree.ids[place] for place in path] == row
        assert [tree.positions[place] for place in path] == list(range(len(row)))
    covered = [place for branch in tree.branches for place in range(branch.start, branch.stop)]
    assert covered == list(range(len(tree.ids)))
    ways = {tuple(path) for path in tree.rows}
    for branch in tree.branches:
        past = [place for own in branch.past for place in range(own.start, own.stop)]
        assert len(past) == branch.past_length
        assert (*past, *range(branch.start, branch.stop)) in ways


@given(ROWS, st.integers(1, 60))
def test_each_row_is_in_one_tree_within_the_budget(rows, budget):
    batches = plan_trees([Tokens(row) for row in rows], budget)
    assert sorted(place for batch in batches for place in batch) == list(range(len(rows)))
    for batch in batches:
        own = [rows[place] for place in batch]
        assert own == sorted(own)
        assert len(openings(own)) <= budget or len(set(map(tuple, own))) == 1


class Reader:
    """A decoder whose score is a product with the last hidden state."""

    device, pad_id, padding_side = torch.device("cpu"), 0, "right"

    def __init__(self, architecture, **further):
        from transformers import AutoConfig, AutoModel

        torch.manual_seed(0)
        shape = {
            **{"vocab_size": 50, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2},
            **{"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "initializer_range": 0.2},
            **{"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2},
        }
        self.decoder = AutoModel.from_config(AutoConfig.for_model(architecture, **shape, **further)).eval()
        self.head = torch.randn(32)

    def forward(self, batch):
        hidden = self.decoder(input_ids=batch.input_ids, attention_mask=batch.attention_mask).last_hidden_state
        return hidden[torch.arange(len(hidden)), batch.attention_mask.sum(dim=1) - 1] @ self.head

    def wanted(self, own):
        return range(len(own) - 1, len(own))

    def read(self, hidden, tokens):
        assert len(hidden) == len(tokens)
        return hidden @ self.head


def pool(seed, count=24):
    """Rows that share a long opening, and some of them a second one behind it."""
    drawn = np.random.default_rng(seed)
    opening, second = drawn.integers(3, 50, 40).tolist(), drawn.integers(3, 50, 30).tolist()
    return [
        Tokens([*opening, *(second[: drawn.integers(10, 30)] if place % 3 else []), *drawn.integers(3, 50, 1 + place)])
        for place in range(count)
    ]


def scores(model, batches, rows):
    found = torch.zeros(len(rows))
    with torch.inference_mode():
        for places, run in batches:
            found[places] = run()
    return found


@pytest.mark.parametrize(
    ("architecture", "further", "way"),
    [
        ("llama", {}, SharedTree),
        ("qwen3", {}, SharedTree),
        ("mistral", {"sliding_window": 80}, SharedTree),  # longer rows are computed whole
        ("gemma3_text", {"sliding_window": 80}, SharedTree),
        ("gemma2", {}, SharedPrefix),  # its attention is capped, which the tree's is not
    ],
)
def test_no_score_changes(architecture, further, way):
    model, rows = Reader(architecture, **further), pool(1)
    few = pool(2, count=4)
    sharing = share(model, model.decoder, "float32", few, [0] * len(few))
    assert (type(sharing), sharing.on, sharing.saved) == (way, True, 0)
    plain = scores(model, padded_batches(model, rows, 300), rows)
    shared = scores(model, sharing.cut(model, rows, [0] * len(rows), 300), rows)
    assert plain.std() > 0.1
    assert (plain - shared).abs().max() <= 1e-4
    assert sharing.saved > 0.15 * sum(map(len, rows))
    before = sharing.saved
    sharing.on = False
    assert torch.equal(scores(model, sharing.cut(model, rows, [0] * len(rows), 300), rows), plain)
    assert sharing.saved == before


def test_a_model_of_another_kind_shares_nothing():
    """Its tokens see what comes behind them, so no opening is alike in two rows."""
    model, few = Reader("gemma3_text", use_bidirectional_attention=True), pool(2, count=4)
    sharing = share(model, model.decoder, "float32", few, [0] * len(few))
    assert not sharing.on
    rows = pool(1)
    found = scores(model, sharing.cut(model, rows, [0] * len(rows), 300), rows)
    assert torch.equal(found, scores(model, padded_batches(model, rows, 300), rows))
