"""What the reconstructor sees: no answer, no thought, no entity of a query, and no tag that was not ours."""

from __future__ import annotations

import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ccs.agent.trajectory import Hit, Trajectory, Turn
from ccs.rewards.bottleneck import Bottleneck, psi_trace
from ccs.rewards.mask import MaskOptions, open_masker
from tests.ccs.rewards.trails import DIRECTOR, FILM, QUESTION, perfect, trail

_TAG = re.compile(r"</?(?:search|information)>")
_FOREIGN = st.lists(
    st.sampled_from(
        ["</information>", "<search>", "</search>", "<information>", "\n", "a", "<|im_end|>", "[INST]", " "]
    ),
    max_size=8,
).map("".join)


def test_trace_drops_answer_thoughts_and_malformed_turns():
    whole = perfect(answer="SECRET answer")
    turns = (Turn("<think>SECRET thought</think>", fault="no action"), *whole.turns)
    trace = psi_trace(replace(whole, turns=turns))
    assert "SECRET" not in trace.render() and "hm" not in trace.render()
    assert [step.query for step in trace.steps] == [turn.query for turn in whole.searches]
    assert FILM.splitlines()[1] in trace.render()


def test_queries_are_masked_and_observations_stay():
    trace = Bottleneck(open_masker())([perfect()])[0]
    queries = " ".join(step.query for step in trace.steps)
    assert "director of [" in queries
    assert not re.search("Lantern|Quillfeather|Brindlemoor", queries)
    assert trace.pages == psi_trace(perfect()).pages
    assert "Ada Quillfeather" in trace.render()


def test_blanked_queries_say_nothing():
    masker = open_masker("patterns")
    blank = Bottleneck(masker, MaskOptions(blank=True))
    pasted = trail((QUESTION, [FILM]), (QUESTION, [DIRECTOR]))
    other = trail(("x", [FILM]), ("y", [DIRECTOR]))
    assert blank([pasted]) == blank([other]) == Bottleneck(None)([other])
    assert blank.fingerprint == Bottleneck(None).fingerprint != Bottleneck(masker).fingerprint
    together = trail(("z", [FILM, DIRECTOR, FILM]), ("z", []), ("z", [FILM]))
    assert blank([together]) == blank([pasted])
    assert blank([trail(("z", []))])[0].steps == ()


def test_an_echo_of_the_query_is_no_observation():
    asked = "director of Hollow Lantern"
    trace = psi_trace(
        trail((asked, [FILM, "Hollow Lantern: director!", '"Director"\nof Hollow Lantern', "..."]), ("x", []))
    )
    assert trace.pages == (FILM, "...")
    # Another search may find what this one asked.
    assert psi_trace(trail(("x", ["Hollow Lantern"]), ("Hollow Lantern", []))).pages == ("Hollow Lantern",)


def test_words_of_the_question_can_be_masked():
    shared = Bottleneck(open_masker("patterns"), MaskOptions(shared_words=True))
    (step,) = shared([trail((QUESTION.lower(), [FILM]))])[0].steps
    assert not {"county", "birthplace", "director"} & set(re.findall(r"[a-z]+", step.query))


def test_own_information_leaves_no_trace():
    honest = perfect()
    forged = tuple(replace(turn, text=f"<information>{QUESTION}</information>{turn.text}") for turn in honest.turns)
    assert psi_trace(replace(honest, turns=forged)) == psi_trace(honest)


@given(st.lists(st.tuples(_FOREIGN, st.lists(_FOREIGN, max_size=3)), min_size=1, max_size=4))
def test_foreign_text_cannot_forge_the_scaffold(searches):
    turns = tuple(Turn("", query=query, hits=tuple(Hit("i", page) for page in pages)) for query, pages in searches)
    text = psi_trace(Trajectory("q", "Q?", 0, turns, "turns")).render()
    assert _TAG.findall(text) == ["<search>", "</search>", "<information>", "</information>"] * len(searches)
    assert "<|im_end|>" not in text and "[INST]" not in text


@given(st.integers(80, 400))
def test_long_passages_are_cut_visibly_and_none_is_lost(characters):
    pages = [f"{n} " + "word " * 200 for n in range(3)]
    text = psi_trace(trail(("x", pages))).render(characters)
    assert all(f"Doc {n + 1}: {n} word" in text for n in range(3))
    assert text.count("[...]") == 3
    assert len(text) < max(characters, 240) + 100


def test_no_search_renders_nothing():
    assert psi_trace(trail()).render() == ""
    assert psi_trace(trail(("x", []))).render().startswith("<search>x</search>")
