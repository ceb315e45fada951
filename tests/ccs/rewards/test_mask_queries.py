"""What a trajectory's queries look like once they are masked, whatever the masker finds."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccs.rewards.mask import TAGS, MaskOptions, Span, mask_queries, mask_trajectories
from ccs.rewards.mask.merge import Joined, merge
from ccs.rewards.mask.queries import BLANK
from ccs.rewards.mask.text import WORD, clean

_OUR_TAG = re.compile(r"\[(?:" + "|".join((*TAGS, "SHARED", "QUERY")) + r")(?:_\d+)?\]")
_TEXTS = st.text(max_size=60) | st.from_regex(r"([A-Za-z\[\]' ._-]|PERSON|\d){0,40}", fullmatch=True)


class Listed:
    """Finds given strings; its spans may overlap."""

    name = "listed"
    fingerprint = "listed"

    def __init__(self, **entities: str) -> None:
        self._entities = {surface.replace("_", " "): tag for surface, tag in entities.items()}

    def spans(self, texts):
        return [
            [
                Span(*match.span(), tag)
                for surface, tag in self._entities.items()
                for match in re.finditer(re.escape(surface), text)
            ]
            for text in texts
        ]


class Drawn:
    """Spans that hypothesis draws; the same for the same text."""

    name = "drawn"
    fingerprint = "drawn"

    def __init__(self, data) -> None:
        self._data, self.given = data, {}

    def spans(self, texts):
        return [self.given.setdefault(text, self._draw(text)) for text in texts]

    def _draw(self, text):
        places = st.tuples(st.integers(0, len(text)), st.integers(0, len(text))).filter(lambda pair: pair[0] < pair[1])
        drawn = self._data.draw(st.lists(st.tuples(places, st.sampled_from(TAGS)), max_size=4)) if text else []
        return [Span(*place, tag) for place, tag in drawn]


def test_typed_tags_stand_for_entities():
    masker = Listed(Lionel_Messi="PERSON", Paris="LOC")
    assert mask_queries(["Lionel Messi in Paris today"], None, masker) == ["[PERSON] in [LOC] today"]


def test_a_name_alone_is_the_same_entity():
    masker = Listed(Lionel_Messi="PERSON", Neymar="PERSON")
    queries = ["Lionel Messi club", "neymar and messi", "Messi's wife"]
    assert mask_queries(queries, None, masker, MaskOptions(numbered=True)) == [
        "[PERSON_1] club",
        "neymar and [PERSON_1]",  # the masker found no Neymar in lower case
        "[PERSON_1]'s wife",
    ]
    assert mask_queries(queries, None, masker, MaskOptions(propagate=False))[1:] == ["neymar and messi", "Messi's wife"]


def test_two_namesakes_stay_two_entities():
    masker = Listed(Lionel_Messi="PERSON", Jorge_Messi="PERSON", Messi="PERSON")
    masked = mask_queries(["Lionel Messi", "Jorge Messi", "Messi"], None, masker, MaskOptions(numbered=True))
    assert masked == ["[PERSON_1]", "[PERSON_2]", "[PERSON_3]"]


def test_the_questions_entities_are_masked_in_queries_of_common_words():
    masker = Listed(Home_Alone="WORK")
    masked = mask_queries(["home alone director", "left alone"], "Who directed Home Alone?", masker)
    assert masked == ["[WORK] director", "left alone"]


def test_shared_words_and_blank():
    queries, question = ["director of Free Guy", "who directed"], "Who is the director of Free Guy?"
    options = MaskOptions(shared_words=True)
    assert mask_queries(queries, question, Listed(Free_Guy="WORK"), options) == ["[SHARED] of [WORK]", "who directed"]
    assert mask_queries(queries, question, Listed(), MaskOptions(blank=True)) == [BLANK, BLANK]
    assert mask_queries([], question, Listed(), options) == []


@pytest.mark.parametrize("forged", ["[PERSON_1] is Obama", "\uff3bPERSON_1\uff3d", "[\u200bORG]", "[QUERY]", "[[LOC]]"])
def test_the_agent_cannot_write_our_tags(forged):
    assert not _OUR_TAG.search(mask_queries([forged], None, Listed())[0])


@pytest.mark.parametrize(
    "hidden", ["Lionel Me\u200bssi", "\uff2cionel Messi", "Lionel\u00a0Messi", "Lionel\nMe\u00adssi"]
)
def test_a_name_cannot_be_hidden_by_odd_characters(hidden):
    assert mask_queries([f"{hidden} club"], None, Listed(Lionel_Messi="PERSON")) == ["[PERSON] club"]


@pytest.mark.parametrize("text", ["(" * 5000, "a" * 5000, "1," * 5000, "A. " * 5000, "ann lee " * 5000])
def test_an_endless_query_is_cut(text):
    masked = mask_queries([text], text, Listed(ann="PERSON"))[0]
    assert 0 < len(masked) < 5000


@given(_TEXTS)
def test_cleaning_twice_changes_nothing_more(text):
    assert clean(clean(text)) == clean(text)
    assert "[" not in clean(text) and "\n" not in clean(text)


@given(_TEXTS, st.data())
def test_merged_spans_are_disjoint_whole_words_and_cover_all(text, data):
    spans = Drawn(data).spans([text])[0]
    merged = merge(text, spans)
    covered = {at for span in merged for at in range(span.start, span.end)}
    assert all(0 <= span.start < span.end <= len(text) and span.tag in TAGS for span in merged)
    assert all(left.end <= right.start for left, right in itertools.pairwise(merged))
    assert all(text[at].isspace() or at in covered for span in spans for at in range(span.start, span.end))
    for word in WORD.finditer(text):
        inside = covered & set(range(*word.span()))
        assert not inside or len(inside) == word.end() - word.start()
    assert merge(text, merged) == merged


@given(st.lists(_TEXTS, max_size=4), st.none() | _TEXTS, st.booleans(), st.booleans(), st.data())
def test_nothing_of_a_masked_span_survives_in_its_place(queries, question, numbered, propagate, data):
    masker = Drawn(data)
    masked = mask_queries(queries, question, masker, MaskOptions(numbered=numbered, propagate=propagate))
    assert len(masked) == len(queries)
    for query, result in zip(queries, masked, strict=True):
        text = clean(query)
        spans = merge(text, masker.given[text])
        # What is left between the tags is a part of what stood between the spans, in order: nothing came back.
        left = [piece for piece in _OUR_TAG.split(result) if piece]
        kept = "".join(
            text[end:start]
            for end, start in zip([0, *(s.end for s in spans)], [*(s.start for s in spans), len(text)], strict=True)
        )
        at = 0
        for piece in left:
            at = kept.find(piece, at)
            assert at >= 0
            at += len(piece)
        if not propagate:
            assert len(_OUR_TAG.findall(result)) == len(spans)
            assert "".join(left) == kept


@given(st.lists(st.sampled_from(["Ann Lee", "ann lee", "Lee", "Bo", "Bo Lee", "on 5 May"]), max_size=6))
def test_numbered_tags_are_consistent(queries):
    masker = Listed(**{"Ann_Lee": "PERSON", "Lee": "MISC", "Bo": "ORG", "5 May": "DATE", "ann_lee": "PERSON"})
    masked = mask_queries(queries, None, masker, MaskOptions(numbered=True))
    by_query: dict[str, set[str]] = {}
    for query, result in zip(queries, masked, strict=True):
        by_query.setdefault(query.casefold(), set()).add(result)
    assert all(len(results) == 1 for results in by_query.values())  # the same text is masked the same everywhere
    numbers = [int(number) for number in re.findall(r"\[ORG_(\d+)\]", " ".join(masked))]
    assert set(numbers) == set(range(1, len(set(numbers)) + 1))


@given(st.lists(st.tuples(st.lists(_TEXTS, max_size=3), st.none() | _TEXTS), max_size=4))
def test_a_batch_is_masked_as_one_by_one(trajectories):
    masker = Listed(**{"a": "PERSON", "PERSON": "ORG"})
    assert mask_trajectories(trajectories, masker) == [mask_queries(*each, masker) for each in trajectories]


def test_a_type_wins_over_misc_and_the_first_masker_over_the_second():
    joined = Joined([Listed(Messi="PERSON", Bonn="LOC"), Listed(Lionel_Messi="MISC", Bonn="ORG")])
    text = "Lionel Messi Bonn"
    assert joined.spans([text]) == [[Span(0, 12, "PERSON"), Span(13, 17, "LOC")]]
    assert joined.name == "listed+listed"
