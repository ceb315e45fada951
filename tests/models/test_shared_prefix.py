"""How rows that begin alike are cut into batches."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fresco.models.batching import Tokens
from fresco.models.shared_prefix import grouped, plan_shared

ROWS = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=60)


def made(rows):
    """Rows of a key: ``shared`` tokens that are the key's own, then others; the shortest of a key counts."""
    tokens = [Tokens([key] * shared + [100 + place] * rest) for place, (key, shared, rest) in enumerate(rows)]
    return tokens, [key for key, *_ in rows]


@given(ROWS, st.integers(1, 200))
def test_each_row_has_one_place_beside_its_like(rows, budget):
    tokens, keys = made(rows)
    most = [len(own) - 1 for own in tokens]
    batches = plan_shared(tokens, keys, most, budget)
    assert sorted(row for batch in batches for row in batch.rows) == list(range(len(rows)))
    for batch in batches:
        assert sorted(set(batch.groups)) == list(range(len(batch.lengths)))
        for group, length in enumerate(batch.lengths):
            own = [row for row, of in zip(batch.rows, batch.groups, strict=True) if of == group]
            assert len({keys[row] for row in own}) == 1
            assert len({tuple(tokens[row].ids[:length]) for row in own}) == 1
            assert all(1 <= length <= most[row] for row in own)
        rest = max(len(tokens[row]) - batch.lengths[group] for row, group in zip(batch.rows, batch.groups, strict=True))
        cost = len(batch.rows) * rest + len(batch.lengths) * max(batch.lengths)
        assert cost <= budget or len(batch.rows) == 1
        plain = sum(len(tokens[row]) for row in batch.rows)
        needed = sum(batch.lengths) + sum(
            len(tokens[row]) - batch.lengths[group] for row, group in zip(batch.rows, batch.groups, strict=True)
        )
        assert batch.saved == plain - needed


def test_a_large_budget_meets_all_rows_of_a_key():
    tokens, keys = made([(key, 20, 3) for key in (1, 2, 1, 2, 1)])
    (batch,) = plan_shared(tokens, keys, [22] * 5, 10_000)
    assert batch.lengths == [20, 20]
    assert batch.saved == 20 * 3


def test_like_keys_stand_together_in_order_of_appearance():
    assert grouped(["b", "a", "b", "c", "a"]) == [0, 2, 1, 4, 3]
