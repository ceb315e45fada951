"""Questions from a file or the Hugging Face hub.

A file holds JSON Lines, plain or packed (``.gz``, ``.xz``), or Parquet, with the fields ``id``, ``question``,
``answers`` (or ``golden_answers``, or Search-R1's ``reward_model.ground_truth.target``), and where known ``dataset``
(or ``data_source``) and ``passages`` (each with ``title``, perhaps ``id``, and ``gold``, true for the evidence). DPR's
TSV is read too (``nq-test.qa.csv``): a question and a list of its answers, named by its line. The sets that search
agents are evaluated on come by name from one collection, FlashRAG's
(huggingface.co/datasets/RUC-NLPIR/FlashRAG_datasets), which Search-R1 uses as well.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import Any

from ccs.agent.protocol import one_line, well_formed
from ccs.agent.question import Question
from ccs.agent.trajectory import Trajectory
from fresco.errors import FrescoError
from fresco.io.hub import NAME, read_rows
from fresco.io.jsonlines import read_objects
from fresco.io.parquet import read_parquet
from fresco.io.tables import kind_of, named_rows, read_tsv

#: Names of sets, with the split that papers report: the test set, or the development set where no test set is open.
DATASETS = {
    "nq": "test",
    "triviaqa": "test",
    "popqa": "test",
    "hotpotqa": "dev",
    "2wikimultihopqa": "dev",
    "musique": "dev",
    "bamboogle": "test",
}
_COLLECTION = "RUC-NLPIR/FlashRAG_datasets"
_NAMED = re.compile(rf"(?P<config>{'|'.join(DATASETS)})(?:@(?P<split>[\w.-]+))?")
_ANSWERS = ("answers", "golden_answers")
_LONGEST_LIST = 100_000  # characters of a list of answers


def load_questions(sources: str | Sequence[str], *, limit: int | None = None) -> list[Question]:
    """Read questions.

    Args:
        sources: One or several, each a path of JSON Lines, a name of :data:`DATASETS` (``nq``, ``nq@train``), or a
            Hugging Face dataset, ``user/name``, ``user/name:config`` or ``user/name:config@split``.
        limit: Only the first so many of each source.

    Returns:
        In the order of the sources. Ids from a configuration of the hub are ``config/id``; a file's are as they stand,
        or ``dataset/id`` where it repeats an id in several datasets.

    Raises:
        FrescoError: nothing there, a row that is no question, the same id twice; names file, line and field.
    """
    questions: list[Question] = []
    for source in [sources] if isinstance(sources, str) else sources:
        found = _distinct(source, _open(source))
        if not found:
            raise FrescoError(f"{source}: holds no question")
        questions += found[:limit]
    _refuse_twice(questions, [sources] if isinstance(sources, str) else sources)
    return questions


def as_questions(value: Any, *, limit: int | None = None) -> tuple[list[Question], list[str]]:
    """Questions from what a caller has: sources of :func:`load_questions`, questions themselves, or both.

    Args:
        value: A source, a :class:`Question`, or several.
        limit: Only the first so many of each source; of questions themselves, of all together.

    Returns:
        The questions, and the sources that were named.

    Raises:
        FrescoError: as :func:`load_questions`, or the same id twice.
    """
    items = [value] if isinstance(value, str | PathLike | Question) else list(value)
    given = [each for each in items if isinstance(each, Question)]
    sources = [str(each) for each in items if not isinstance(each, Question)]
    questions = [*given[:limit], *(load_questions(sources, limit=limit) if sources else [])]
    _refuse_twice(questions, sources)
    if not questions:
        raise FrescoError("there is no question")
    return questions, sources


def match_questions(trajectories: Iterable[Trajectory], questions: Sequence[Question]) -> dict[str, Question]:
    """The question of each trajectory, by the trajectory's question id.

    It is the one with that id where its text is the same, else the one with the same text, whatever its id: files of
    one set are numbered in many ways. Trajectories whose question is not there are left out, and so are those that
    share their text with another of their own ids: the text does not tell which is which.

    Raises:
        FrescoError: several questions with that text have other gold, and none of them the id.
    """
    known = {question.id: question for question in questions}
    by_text: dict[str, list[Question]] = {}
    for question in questions:
        by_text.setdefault(_key(question.text), []).append(question)
    found: dict[str, Question] = {}
    asked = {trajectory.question_id: trajectory for trajectory in trajectories}
    texts = Counter(_key(trajectory.question) for trajectory in asked.values())
    for name, trajectory in asked.items():
        if name in known and _key(known[name].text) == _key(trajectory.question):
            found[name] = known[name]
        elif texts[_key(trajectory.question)] == 1 and (alike := by_text.get(_key(trajectory.question))):
            if len({(frozenset(each.answers), frozenset(each.gold)) for each in alike}) > 1:
                raise FrescoError(
                    f"trajectory of question {name!r}: {len(alike)} of the questions have its text and not its id, "
                    f"with other answers ({', '.join(each.id for each in alike[:3])}); give --questions with its id"
                )
            found[name] = replace(alike[0], id=name)
    return found


def _key(text: str) -> str:
    return " ".join(well_formed(text).split())


def _refuse_twice(questions: Sequence[Question], sources: Sequence[str]) -> None:
    twice = [name for name, count in Counter(each.id for each in questions).items() if count > 1]
    if twice:
        raise FrescoError(f"question id {twice[0]!r} is in several of {', '.join(sources)}; ask them apart")


def _open(source: str) -> list[Question]:
    path = Path(source)
    if path.is_file():
        readers = {".parquet": read_parquet, ".tsv": _tsv, ".csv": _tsv}
        rows = readers[kind](path) if (kind := kind_of(path)) in readers else read_objects(path, "question")
        return [_question(row, where, path.name.partition(".")[0]) for where, row in rows]
    if named := _NAMED.fullmatch(source):
        config = named["config"]
        return read_hub_questions(_COLLECTION, config, named["split"] or DATASETS[config])
    if (hub := NAME.fullmatch(source)) and not path.suffix.startswith(
        (".json", ".gz", ".xz", ".tsv", ".csv", ".parquet")
    ):
        return read_hub_questions(hub["repo"], hub["config"], hub["split"] or "test")
    raise FrescoError(
        f"there are no questions {source!r}: give a file that exists (JSON Lines, Parquet, DPR's TSV), one of "
        f"{', '.join(DATASETS)}, or a "
        "Hugging Face dataset (user/name:config@split)"
    )


def _tsv(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """DPR's rows, ``question <tab> ['answer', ...]``; or those below a header that names its columns."""
    rows = read_tsv(path)
    where, first = next(rows, (str(path), []))
    if "question" in first:
        for place, named in named_rows(rows, first):
            row: dict[str, Any] = {"id": place.rpartition(":")[2], **named}
            for field in _ANSWERS:
                if row.get(field):
                    row[field] = _list(row[field], f"{place}: {field}")
            yield place, row
        return
    for place, cells in chain([(where, first)], rows):
        if len(cells) != 2:
            raise FrescoError(
                f"{place}: {len(cells)} cells; a question and the list of its answers, as in DPR's nq-test.qa.csv, or "
                "a header with question and answers is wanted"
            )
        number = place.rpartition(":")[2]
        yield place, {"id": number, "question": cells[0], "answers": _list(cells[1], f"{place}: answers")}


def _list(text: str, what: str) -> list[str]:
    """A list as Python or JSON writes it; a text that is none is one answer."""
    if not text.lstrip().startswith("["):
        return [text]
    try:
        found = ast.literal_eval(text.strip()) if len(text) <= _LONGEST_LIST else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise FrescoError(f"{what} is {text!r:.60}; a list of texts such as ['a', 'b'] is wanted")
    return found


def read_hub_questions(repo: str, config: str | None, split: str) -> list[Question]:
    """The questions of one split of a Hugging Face dataset.

    Args:
        repo: ``user/name``.
        config: Which of its configurations; None for its only one.
        split: Which split.

    Raises:
        FrescoError: it cannot be reached or read, or a row is no question.
    """
    questions = [_question(row, where, config or repo) for where, row in read_rows(repo, config, split)]
    # FlashRAG's sets all begin with "test_0".
    return [replace(question, id=f"{config}/{question.id}") for question in questions] if config else questions


def _question(row: Mapping[str, Any], where: str, dataset: str) -> Question:
    name = _name(row)
    if isinstance(name, bool) or not isinstance(name, str | int) or name == "":
        raise FrescoError(f"{where}: id is {name!r}; text or a whole number is wanted, another for each question")
    text = row["question"] if row.get("question") is not None else _prompted(row)
    if not isinstance(text, str) or not one_line(text):
        raise FrescoError(f"{where}: question is {text!r}; text is wanted")
    dataset = next((row[each] for each in ("dataset", "data_source") if isinstance(row.get(each), str)), dataset)
    field = next((field for field in _ANSWERS if row.get(field) is not None), "answers")
    answers = row.get(field)
    if answers is None and (target := _inside(row, "reward_model", "ground_truth", "target")) is not None:
        field, answers = "reward_model.ground_truth.target", target
    return Question(
        id=well_formed(str(name)),
        text=well_formed(text),
        answers=_texts(answers, f"{where}: {field}"),
        gold=_gold(row, where),
        dataset=well_formed(dataset),
    )


def _name(row: Mapping[str, Any]) -> Any:
    """The row's id; where it has none, its number in verl's ``extra_info``."""
    if row.get("id") is not None:
        return row["id"]
    number = _inside(row, "extra_info", "index")
    return None if number is None else f"{_inside(row, 'extra_info', 'split') or 'row'}_{number}"


def _prompted(row: Mapping[str, Any]) -> Any:
    """The question at the end of a prompt of Search-R1's, where a row has it nowhere else."""
    prompt = row.get("prompt")
    last = prompt[-1] if isinstance(prompt, list) and prompt else None
    content = last.get("content") if isinstance(last, Mapping) else None
    _, mark, text = content.rpartition("Question:") if isinstance(content, str) else ("", "", "")
    return text.strip() if mark else None


def _inside(row: Any, *path: str) -> Any:
    for field in path:
        row = row.get(field) if isinstance(row, Mapping) else None
    return row


def _texts(value: Any, what: str) -> tuple[str, ...]:
    if value is None:
        return ()
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        raise FrescoError(f"{what} is {value!r:.60}; a text or a list of texts is wanted")
    return tuple(dict.fromkeys(well_formed(each) for each in values if each.strip()))


def _gold(row: Mapping[str, Any], where: str) -> tuple[str, ...]:
    if isinstance(row.get("passages"), list):
        return _texts(list(_flagged(row["passages"], where)), f"{where}: passages")
    # FlashRAG keeps HotpotQA's and 2Wiki's own columns here: {"title": [...], "sent_id": [...]}.
    metadata = row.get("metadata")
    facts = metadata.get("supporting_facts") if isinstance(metadata, Mapping) else None
    return _texts(facts.get("title"), f"{where}: supporting_facts") if isinstance(facts, Mapping) else ()


def _flagged(passages: Iterable[Any], where: str) -> Iterator[Any]:
    for number, passage in enumerate(passages, 1):
        if not isinstance(passage, Mapping) or not isinstance(passage.get("gold", False), bool):
            raise FrescoError(f"{where}: passage {number} is no object with gold true or false")
        if passage.get("gold"):
            # An id names one passage; several passages may share a title.
            yield passage.get("id", passage.get("title"))


def _distinct(source: str, questions: list[Question]) -> list[Question]:
    counts = Counter(question.id for question in questions)
    if len(counts) == len(questions):
        return questions
    named = [replace(question, id=f"{question.dataset}/{question.id}") for question in questions]
    first = next((name for name, count in Counter(each.id for each in named).items() if count > 1), None)
    if first is not None:
        raise FrescoError(f"{source}: question id {first!r} is there twice; ids must differ")
    return named
