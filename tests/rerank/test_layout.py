"""Where the dates stand: by a mark of the instruction that no model reads."""

from __future__ import annotations

import pytest

from fresco.errors import FrescoError
from fresco.models.settings import Settings
from fresco.rerank.instructed import Instructed
from fresco.rerank.layout import Layout, laid_out, read_layout, with_layout
from fresco.rerank.registry import open_reranker
from fresco.scoring.canary import _read, _written
from fresco.scoring.runner import score
from fresco.scoring.store import ScoreStore
from tests.optimizer.instruction_reader import make_pools

POOLS = [(pool.query, pool.passages) for pool in make_pools(4)]


class Reader:
    """Scores by where the date stands, and keeps the instructions that it was given."""

    name, takes_instruction, pointwise, fingerprint = "where", True, True, "where-1"

    def __init__(self):
        self.told = []

    def score(self, query, passages, instruction=None):
        self.told.append(instruction)
        leads = query.text.startswith("Timestamp: ")
        return [2.0 * leads + passage.text.startswith("Timestamp: ") for passage in passages]


@pytest.mark.parametrize("layout", list(Layout))
@pytest.mark.parametrize("text", ["", "Prefer the newest.", "Say {query}."])
def test_a_mark_is_read_as_it_was_written(layout, text):
    assert read_layout(with_layout(text, layout)) == (layout, text or (None if layout else ""))


def test_without_a_mark_an_instruction_is_itself():
    for text in (None, "Prefer the newest.", "Prefer {dates: both first} it."):
        assert read_layout(text) == (Layout.PLAIN, text)
    assert laid_out(POOLS, Layout.PLAIN) is POOLS


def test_an_unknown_layout_is_one_clear_line():
    with pytest.raises(FrescoError, match=r"\{dates: middle\}.*write \{dates: query first\}") as caught:
        read_layout("{dates: middle} Prefer it.")
    assert "\n" not in str(caught.value)


def test_the_line_moves_and_nothing_else_changes():
    ((query, passages), *_) = laid_out(POOLS, Layout.BOTH)
    plain, first = POOLS[0]
    date = "Timestamp: 2025-01-01T23:59:59Z"
    assert (plain.text, query.text) == (f"{plain.content}\n{date}", f"{date}\n{plain.content}")
    for own, before in zip(passages, first, strict=True):
        assert sorted(own.text.splitlines()) == sorted(before.text.splitlines())
        assert own.text.startswith("Timestamp: ")
        assert own.timestamp_line == ""  # at the front no truncation reaches it
        assert own.text_of("cut") == f"{before.timestamp_line.strip()}\ncut"


@pytest.mark.parametrize(("layout", "scored"), [("", 0.0), ("query first", 2.0), ("passage first", 1.0)])
def test_scores_are_made_and_stored_under_the_texts_that_were_read(layout, scored):
    reader = Reader()
    text = with_layout("Prefer it.", Layout(layout))
    with ScoreStore(":memory:") as store:
        found = score(reader, POOLS, store, instruction=text)
        assert {value for own in found.scores for value in own} == {scored}
        assert set(reader.told) == {"Prefer it."}
        again = score(reader, laid_out(POOLS, Layout(layout)), store, instruction="Prefer it.")
        assert (again.computed, again.reused) == (0, found.computed)
        if layout:
            assert score(reader, POOLS, store, instruction="Prefer it.").computed == found.computed
        row = Instructed(reader, text, "row", last=False)
        assert score(row, POOLS, store).computed == 0
    assert set(row.score(*POOLS[0])) == {scored}


def test_a_mark_alone_lays_out_the_models_own_instruction():
    reader = Reader()
    with ScoreStore(":memory:") as store:
        assert {*score(reader, POOLS, store, instruction="{dates: both first}").scores[0]} == {3.0}
    assert set(reader.told) == {None}


def test_canaries_keep_the_layout_and_are_written_as_before_without_one():
    for layout in Layout:
        assert [(q, tuple(p)) for q, p in _read(_written(laid_out(POOLS, layout)))] == [
            (q, tuple(p)) for q, p in laid_out(POOLS, layout)
        ]
    assert '"leads"' not in _written(POOLS)


def test_a_passage_that_is_cut_keeps_its_date_in_front(tmp_path):
    pytest.importorskip("torch", reason="pip install 'fresco-ccs[models]'")
    from fresco.models import loading
    from tests import tiny_models

    folder = tiny_models.causal_lm(tmp_path / "lm")
    reranker = open_reranker(f"causal-lm:{folder}", Settings(max_length=420))
    long = [(query, [passages[0], _longer(passages[1])]) for query, passages in POOLS[:1]]
    with ScoreStore(":memory:") as store:
        plain = score(reranker, long, store, instruction="Prefer it.").scores[0]
        moved = score(reranker, long, store, instruction="{dates: passage first} Prefer it.").scores[0]
    assert (plain != moved).all()
    model = reranker._ready()
    model.instruction = "Prefer it."
    ((query, passages),) = laid_out(long, Layout.PASSAGE)
    (tokens,) = model.encode([(query, passages[1])])
    assert len(tokens) <= 420
    date = passages[1].text.splitlines()[0]
    assert date in loading.tokenizer(reranker._files).decode(tokens.ids)


def _longer(passage):
    import dataclasses

    return dataclasses.replace(passage, body=passage.body + " and more of it" * 400)
