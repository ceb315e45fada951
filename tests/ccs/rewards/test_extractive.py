"""An extractive reading: an answer counts where it stands among the question's words, and not where it only stands."""

from __future__ import annotations

from ccs.rewards.extractive import read_answer
from tests.ccs.rewards.trails import DIRECTOR, FILM, OFF_TOPIC

WHO = "Who was the director of Hollow Lantern?"


def test_the_answer_among_the_questions_words_is_agreed_with():
    right = read_answer(WHO, "Ada Quillfeather", [OFF_TOPIC, FILM])
    assert right.agreement == 1.0 and right.support > 0.9
    far = read_answer(WHO, "Gabbro", [OFF_TOPIC, FILM])
    assert 0 == far.support == far.agreement
    year = read_answer(WHO, "1987", [FILM])  # in the sentence beside it
    assert 0 < year.agreement <= 1 and year.support < right.support


def test_what_stands_nowhere_or_in_the_question_already_has_none():
    for answer in ("Jane Roe", "", "yes", "Hollow Lantern", "the director", "Quill"):
        assert read_answer(WHO, answer, [FILM, DIRECTOR]) == (0.0, 0.0), answer
    assert read_answer(WHO, "Ada Quillfeather", []) == (0.0, 0.0)
    assert read_answer("Who?", "Ada Quillfeather", [FILM]) == (0.0, 0.0)


def test_case_and_endings_do_not_matter_and_the_title_stands_around_every_sentence():
    assert read_answer(WHO, "ada quillfeather's", [FILM]).support > 0.9
    born = read_answer("Where was Ada Quillfeather born?", "Brindlemoor", [DIRECTOR])
    untitled = read_answer("Where was Ada Quillfeather born?", "nine", [DIRECTOR.partition("\n")[2]])
    titled = read_answer("Where was Ada Quillfeather born?", "nine", [DIRECTOR])
    assert born.support == 1.0 and untitled.support < titled.support < 1.0
