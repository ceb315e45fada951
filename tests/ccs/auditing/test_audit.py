"""The audit finds in rewards that are good or bad by construction what is there."""

from __future__ import annotations

import numpy as np
import pytest

from ccs.agent.question import Question
from ccs.agent.trajectory import Trajectory
from ccs.auditing.audit import FIGURES, audit
from ccs.auditing.plots import draw_plots
from ccs.auditing.variants import VARIANTS
from ccs.auditing.verdict import BAD, GOOD, UNKNOWN, judge
from ccs.rewards.bottleneck import Bottleneck, psi_trace
from ccs.rewards.mask import open_masker
from ccs.rewards.mask.text import WORD
from fresco.errors import FrescoError
from tests.ccs.rewards.trails import trail


class Scored:
    """A reward made of a function."""

    fingerprint, needs_gold, signed = "scored", False, False

    def __init__(self, name, function):
        self.name, self._function = name, function

    def score(self, batch, questions=None):
        return [self._function(each) for each in batch]


def _words(texts) -> set[str]:
    return {word.casefold() for text in texts for word in WORD.findall(text)}


def covered(trajectory: Trajectory) -> float:
    """Sees evidence: words of the question that the pages have."""
    wanted = _words([trajectory.question])
    return len(wanted & _words(psi_trace(trajectory).pages)) / len(wanted)


def finding(trajectory: Trajectory) -> float:
    """Sees the evidence itself: the share of the two pages that the question names."""
    titles = {page.split('"')[1] for page in psi_trace(trajectory).pages if page.startswith('"')}
    return sum(word in titles for word in trajectory.question.split()) / 2


def leaking(trajectory: Trajectory) -> float:
    """Sees the queries alone."""
    wanted = _words([trajectory.question])
    return len(wanted & _words(turn.query or "" for turn in trajectory.searches)) / len(wanted)


def counting(trajectory: Trajectory) -> float:
    """Sees how many searches there were: the scaffold."""
    return len(trajectory.searches) / 10


def _set(n: int = 24) -> tuple[list[Trajectory], list[Question]]:
    """Questions with a trajectory that finds all, one that finds half, and one that finds nothing of use."""
    trajectories, questions = [], []
    for number in range(n):
        one, two = f"alpha{number}", f"omega{number}"
        text = f"Which {one} made the {two} of place{number}?"
        pages = [f'"{one}"\n{one} made it', f'"{two}"\nthe {two} of place{number} answer{number}']
        questions.append(Question(f"q{number}", text, (f"answer{number}",), (one, two), "toy"))
        for sample, (found, answer) in enumerate(
            ((pages, f"answer{number}"), (pages[:1], one), (["basalt"], "basalt"))
        ):
            searches = [("what made it", [page]) for page in found]
            trajectories.append(trail(*searches, answer=answer, question=text, name=f"q{number}", sample=sample))
    return trajectories, questions


@pytest.fixture(scope="module")
def audits():
    trajectories, questions = _set()
    bottleneck = Bottleneck(open_masker("patterns"))
    return {
        name: audit(Scored(name, function), trajectories, questions, bottleneck, resamples=100)
        for name, function in (
            ("covered", covered),
            ("finding", finding),
            ("leaking", leaking),
            ("counting", counting),
            ("constant", lambda _: 0.5),
            ("upside down", lambda each: 1 - covered(each)),
        )
    }


def grades(found) -> dict[str, str]:
    return {check.name: check.grade for check in judge(found)[1]}


def test_a_reward_that_sees_evidence_passes(audits):
    found, grade = audits["finding"], grades(audits["finding"])
    assert found.figures["auroc correct"].value == found.figures["auroc correct within"].value == 1.0
    assert found.figures["spearman recall"].value > 0.9
    assert {name for name, each in grade.items() if each != GOOD} == {"neighbours of the page"}  # none was recorded
    assert judge(found)[0].startswith("Passes every check")
    assert next(iter(found.figures)) == "auroc correct within" and judge(found)[1][0].name.endswith("within a question")
    assert found.counts == {
        "trajectories": 72,
        "questions": 24,
        "ended with an error": 0,
        "not rewarded": 0,
        "played cheats on": 72,
    }
    assert set(found.figures) == set(FIGURES) and set(found.variants) == set(VARIANTS)


def test_a_reward_that_a_flood_raises_is_not_to_be_trained_on(audits):
    found = audits["covered"]
    assert found.variants["flood"]["gain"].value > 0.25 * found.figures["deviation"].value
    assert judge(found)[0].startswith("Do not train on it: it tells good from bad, but can be cheated: flood")


def test_a_stopped_audit_goes_on_and_nothing_is_scored_twice(tmp_path):
    trajectories, questions = _set(40)
    asked: list[str] = []
    alive = 100

    def dying(trajectory: Trajectory) -> float:
        if len(asked) == alive:
            raise FrescoError("no server answers")
        asked.append(trajectory.to_json())
        return covered(trajectory)

    def run(kept):
        return audit(Scored("x", dying), trajectories, questions, Bottleneck(None), resamples=10, kept=kept)

    with pytest.raises(FrescoError, match="no server"):
        run(tmp_path / "scores.sqlite")
    alive = -1
    done = 63  # 21 whole groups of three are one batch, and the second was under way
    again = run(tmp_path / "scores.sqlite")
    fresh = asked[100:]
    assert fresh[:37] == asked[done:100] and not set(asked[:done]) & set(fresh[:57])
    asked.clear()
    whole = run(None)
    assert len(asked) == len(fresh) + done < 40 * 3 * (len(VARIANTS) + 1)
    assert whole.figures == again.figures and whole.variants == again.variants
    asked.clear()
    assert run(tmp_path / "scores.sqlite").figures == whole.figures and not asked


def test_a_reward_that_sees_the_queries_is_caught(audits):
    grade = grades(audits["leaking"])
    assert {grade[name] for name in ("question pasted", "observations exchanged", "nothing found")} == {BAD}
    assert grade["information fabricated"] != BAD
    assert judge(audits["leaking"])[0].startswith("Do not train on it")


def test_a_reward_that_sees_the_scaffold_is_caught(audits):
    grade = grades(audits["counting"])
    assert grade["empty searches added"] == grade["searches repeated"] == grade["nothing found"] == BAD
    assert grade["searches reversed"] == GOOD


def test_a_constant_reward_is_flat_and_useless(audits):
    found = audits["constant"]
    assert found.figures["auroc correct"].value == 0.5
    assert found.figures["spread"].value == 0
    assert grades(found)["observations exchanged"] == UNKNOWN
    assert judge(found)[0].startswith("Do not train on it")


def test_an_inverted_reward_is_bad(audits):
    assert audits["upside down"].figures["auroc correct within"].value == 0.0
    assert grades(audits["upside down"])["follows the evidence"] == BAD


def test_masking_is_measured(audits):
    text = "Did Ada Quillfeather direct Hollow Lantern?"
    pasted = [trail((text, []), question=text, name=f"q{n}") for n in range(2)]
    questions = [Question(f"q{n}", text) for n in range(2)]
    found = audit(Scored("x", covered), pasted, questions, Bottleneck(open_masker("patterns")), resamples=10)
    assert found.figures["query overlap"].value == 1.0
    assert found.figures["masked query overlap"].value < 0.5
    assert found.figures["auroc correct"].value is None  # no gold answer
    assert judge(found)[0].startswith("Whether it measures what it should is unknown")


def test_fewer_questions_for_the_cheats():
    trajectories, questions = _set(6)
    told: list[tuple[str, int, int]] = []
    reward = Scored("x", covered)
    found = audit(
        reward,
        trajectories,
        questions,
        Bottleneck(None),
        variant_questions=2,
        resamples=10,
        progress=lambda *each: told.append(each),
    )
    assert found.counts["played cheats on"] == 6
    assert {name for name, _, _ in told} == {"as recorded", *VARIANTS}
    # What it costs is said before anything is rewarded, and is what is rewarded in the end.
    first, *_, last = told
    assert first == ("as recorded", 0, last[2]) and last[1] == last[2]
    assert 18 + 6 * 3 < last[2] < 18 + 6 * len(VARIANTS)  # groups that a cheat leaves as they were cost nothing


def test_what_an_audit_that_was_stopped_has_kept_is_no_cost_of_the_next(tmp_path):
    trajectories, questions = _set(6)
    costs = []
    for _ in range(2):
        told: list[tuple[str, int, int]] = []
        audit(
            Scored("x", covered),
            trajectories,
            questions,
            Bottleneck(None),
            resamples=10,
            progress=lambda *each, told=told: told.append(each),
            kept=tmp_path / "scores.sqlite",
        )
        costs.append(told[0][2])
    assert costs[0] > 18 and costs[1] == 0


def test_failures_are_left_out_and_counted():
    trajectories, questions = _set(6)
    failing = Scored("x", lambda each: None if each.sample == 2 else covered(each))
    found = audit(failing, trajectories, questions, Bottleneck(None), resamples=10)
    assert found.counts["not rewarded"] == 6 and np.isnan(found.scores).sum() == 6
    with pytest.raises(FrescoError, match="rewarded none of the 18"):
        audit(Scored("x", lambda _: None), trajectories, questions, Bottleneck(None), resamples=10)
    with pytest.raises(FrescoError, match="is not among the questions"):
        audit(failing, trajectories, questions[1:], Bottleneck(None), resamples=10)


def test_trajectories_that_a_cheat_leaves_alone_do_not_count(audits):
    gain = audits["covered"].variants["answer not found"]["gain"]
    assert gain.n == 24  # the perfect ones alone have the answer
    assert gain.value == pytest.approx(-4 / 7)


def test_plots_are_the_same_bytes_again(audits, tmp_path):
    for name in ("one", "other"):
        draw_plots(audits["covered"], tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == ["cheats.png", "cheats.svg", "recall.png", "recall.svg", "rewards.png", "rewards.svg"]
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes() for name in files)
    draw_plots(audits["constant"], tmp_path / "constant")
