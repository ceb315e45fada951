"""Pools: one positive and the hardest negatives of all kinds."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fresco.builder.facts.values import Value
from fresco.builder.hard_negatives import Hardness
from fresco.builder.near_duplicates import near_duplicates, shingles
from fresco.builder.queries import underscored
from fresco.builder.revisions import Revision
from fresco.builder.statements import mentions
from fresco.builder.templates import Relation
from fresco.builder.wikitext import Section
from fresco.records import Label, Passage, format_timestamp


@dataclass(frozen=True, slots=True)
class Question:
    """What a pool is built for.

    Attributes:
        text: The query.
        title: The page of the positive.
        relation: The relation asked for.
        role: Words of the role.
        values: Current and earlier holders: near-topic passages must not mention one of them.
        positive: Id of the positive.
        own: Labels of the sections of its own page, by id.
    """

    text: str
    title: str
    relation: Relation
    role: str
    values: tuple[Value, ...]
    positive: str
    own: Mapping[str, Label]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A member of a pool, with the score by which it was chosen."""

    passage_id: str
    label: Label
    score: float


def passage_id(revision: Revision, index: int) -> str:
    """Id of a section: page, time of the revision, number of the section.

    Wikis renumber revisions on import; title and time are what they keep, so the same data gives the same ids.
    """
    return f"{underscored(revision.title)}@{format_timestamp(revision.timestamp)}#{index}"


def make_passage(revision: Revision, section: Section) -> Passage:
    """A section as a passage."""
    return Passage(
        passage_id(revision, section.index), revision.title, section.heading, section.text, revision.timestamp
    )


def near_topic_revision(history: Sequence[Revision]) -> Revision:
    """The revision of a page from which near-topic passages come: SHA-256 of the title picks it.

    So near-topic passages are of all ages, and neither the newest nor the oldest date gives them away.
    """
    seed = hashlib.sha256(history[0].title.encode()).digest()
    return history[int.from_bytes(seed[:8]) % len(history)]


def by_hash(titles: Sequence[str], most: int) -> list[str]:
    """At most so many titles, picked by SHA-256, so that more pages move none; sorted."""
    return sorted(sorted(titles, key=lambda title: hashlib.sha256(title.encode()).digest())[:most])


def choose(
    question: Question, hardness: Hardness, passages: Mapping[str, Passage], others: Callable[[str], bool], size: int
) -> tuple[list[Candidate], Counter[str]]:
    """The pool of a question: its positive, then its hardest negatives, hardest first.

    Args:
        question: The question.
        hardness: Scores the whole corpus.
        passages: The corpus.
        others: Whether a passage (by id) may serve as near-topic at all.
        size: Candidates of the pool, the positive included.

    Returns:
        The pool, and how many near-topic passages were passed over, by reason.
    """
    scores = hardness.scores(question.text)
    # Equal scores by id: the ids are sorted and the sort is stable.
    order = np.argsort(-scores, kind="stable")
    discarded: Counter[str] = Counter()
    positive = passages[question.positive]
    chosen: list[Candidate] = []
    score_of_positive = 0.0
    for place in order:
        identifier = hardness.ids[place]
        if identifier == question.positive:
            score_of_positive = float(scores[place])
            continue
        if len(chosen) == size - 1:
            continue
        label = question.own.get(identifier)
        if label is None:
            passage = passages[identifier]
            if passage.title == question.title or not others(identifier):
                continue
            reason = _unfit(question, passage, positive)
            if reason:
                discarded[reason] += 1
                continue
            label = Label.NEAR_TOPIC
        chosen.append(Candidate(identifier, label, float(scores[place])))
    return [Candidate(question.positive, Label.POSITIVE, score_of_positive), *chosen], discarded


def _unfit(question: Question, passage: Passage, positive: Passage) -> str:
    text = f"{passage.title}\n{passage.section}\n{passage.body}"
    if any(mentions(question.relation, question.role, value, text) for value in question.values):
        return "another page, mentions a value"
    if near_duplicates(_shingles(positive.body), _shingles(passage.body)):
        return "near-duplicate of the positive"
    return ""


@lru_cache(maxsize=4096)
def _shingles(text: str) -> frozenset[str]:
    return shingles(text)
