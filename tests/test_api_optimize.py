"""``fresco.optimize`` from Python: the search of the command, as an object."""

from __future__ import annotations

import pytest

import fresco
from tests.optimizer.instruction_reader import InstructionReader

SMALL = {
    "rounds": 1,
    "population": 2,
    "children": 2,
    "seeds": 1,
    "limit": 24,
    "resamples": 10,
    "baselines": False,
    "progress": False,
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    return fresco.optimize(InstructionReader(), **SMALL, store=folder / "scores.sqlite", out=folder / "found")


def test_a_search_gives_its_front_with_the_proof(found):
    frame = found.to_frame()
    assert {"validation", "test"} == set(frame["part"])
    assert {"EK", "NEK", "EK gain", "NEK gain"} == set(frame["figure"])
    assert "base" in set(frame["name"])
    assert set(found.instructions) <= set(frame["name"])
    assert "MAP [95 %]" in repr(found)
    assert 'class="fresco-result"' in found._repr_html_()


def test_a_search_is_loaded_and_goes_on(found):
    loaded = fresco.load(found.folder)
    assert isinstance(loaded, fresco.SearchResult)
    assert loaded.front == found.front
    assert repr(loaded) == repr(found)
    again = fresco.optimize(InstructionReader(), **SMALL, store=found.record["store"], out=found.folder)
    assert again.front == found.front
    assert again.record["pairs_scored"] == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rounds": 0}, "--rounds 0"),
        ({"selection": "best"}, "--selection best"),
        ({"instruction": " "}, "--instruction is empty"),
        ({"proposers": ["oracle"]}, "oracle"),
    ],
)
def test_bad_options_get_one_line(options, said, tmp_path):
    with pytest.raises(fresco.FrescoError) as caught:
        fresco.optimize(InstructionReader(), **{**SMALL, **options}, store=":memory:", out=tmp_path / "found")
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_what_takes_no_instruction_is_refused(tmp_path):
    with pytest.raises(fresco.FrescoError, match="takes no instruction"):
        fresco.optimize("bm25", **SMALL, store=":memory:", out=tmp_path / "found")
