"""A made-up world: people with three facts each, one page a fact, questions, and pages that only sound like questions.

Everything is drawn from a seed; nothing is real. A question is asked at length ("Tell me, if you know, which instrument
it is that one hears these days from Rada Molen?"), and some pages are chatter in just such words: who pastes the whole
question into the search engine gets chatter, who asks for the name and the matter gets the page. Values are drawn at
random, so nothing but a search can answer.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fresco.io.files import write_atomically


def _words(text: str) -> list[str]:
    return text.split()


FIRST_NAMES = _words(
    "Rada Ilko Mira Toben Sela Jorun Avel Nessa Pavo Dorin Lenka Tamar Ulvo Brina Kesti Oren Varga Sanne Timo "
    "Elka Halvo Jessa Quino Marel Ysolt Benno Calla Dagny Enzo Freya Gerto Ilsa "
)
LAST_NAMES = _words(
    "Molen Karsk Vindal Tarrow Quill Ostrand Hegel Bexley Lundt Marsh Pellow Ronde Skarn Thorel Umber Wexford "
    "Yarrow Zeller Adler Brandt Corvin Drake Elster Fenwick Garrod Holm Ingram Jarvis Keller Lorne Mercer Norrby "
)
#: For each matter: its name in a query, the question, the page's sentence, and what the value may be.
RELATIONS: dict[str, tuple[str, str, list[str]]] = {
    "instrument": (
        "Tell me, if you know, which instrument it is that one hears these days from {name}?",
        "{name} plays an instrument, the {value}.",
        _words("flute harp violin drum cello organ lute banjo oboe tuba horn piano"),
    ),
    "city": (
        "Do you happen to know in which city it is that one can at present find {name}?",
        "The city of {name} is {value}.",
        _words("Arlon Bruska Cadiz Dornach Evora Foggia Ghent Hobart Izmir Jena Kazan Lugano"),
    ),
    "food": (
        "What food is it, do tell me if you know, that would taste best to {name}?",
        "The food that {name} likes is {value}.",
        _words("plum bread soup rice cheese fig pasta leek honey trout bean melon"),
    ),
}
_CHATTER = [
    "Tell me, if you know, which it is that one hears these days from here?",
    "Do you happen to know in which it is that one can at present find it?",
    "What is it, do tell me if you know, that would taste best to you?",
    "Do tell me if you know which it is, these days, that one hears from you.",
    "It is at present in which one can happen to find you, do you know?",
    "Tell me what it would taste best to, if you do know.",
]


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing to know about one person."""

    name: str
    relation: str
    value: str

    @property
    def question(self) -> str:
        """Asked at length."""
        return RELATIONS[self.relation][0].format(name=self.name)

    @property
    def page(self) -> str:
        """The text of its page."""
        return RELATIONS[self.relation][1].format(name=self.name, value=self.value)


@dataclass(frozen=True, slots=True)
class World:
    """Facts to train on, and facts of other people to evaluate on."""

    facts: tuple[Fact, ...]
    held_out: tuple[Fact, ...]


def make_world(people: int, held_out: int, seed: int) -> World:
    """Draw a world.

    Args:
        people: How many; at most 1,000.
        held_out: Of them, whose facts are not trained on.
        seed: Of the draw.
    """
    draw = random.Random(seed)  # noqa: S311 - no secret
    names = draw.sample([f"{first} {last}" for first in FIRST_NAMES for last in LAST_NAMES], people)
    facts = [
        Fact(name, relation, draw.choice(values)) for name in names for relation, (_, _, values) in RELATIONS.items()
    ]
    cut = (people - held_out) * len(RELATIONS)
    return World(tuple(facts[:cut]), tuple(facts[cut:]))


def write_world(world: World, folder: Path) -> None:
    """Write ``corpus.jsonl``, ``train.jsonl`` and ``held_out.jsonl`` in the layouts of ``ccs index`` and questions."""
    everything = [*world.facts, *world.held_out]
    rows = [{"id": f"p{number}", "title": fact.name, "text": fact.page} for number, fact in enumerate(everything)]
    rows += [{"id": f"c{number}", "title": f"Chatter {number}", "text": text} for number, text in enumerate(_CHATTER)]
    _write(folder / "corpus.jsonl", rows)
    page = {fact: f"p{number}" for number, fact in enumerate(everything)}
    for name, facts in (("train", world.facts), ("held_out", world.held_out)):
        _write(
            folder / f"{name}.jsonl",
            [
                {
                    "id": f"{name}-{number}",
                    "question": fact.question,
                    "answers": [fact.value],
                    "dataset": "demo",
                    "passages": [{"id": page[fact], "title": fact.name, "gold": True}],
                }
                for number, fact in enumerate(facts)
            ],
        )


def vocabulary() -> list[str]:
    """Every word that the world may say, for a tokenizer."""
    values = [value for _, _, values in RELATIONS.values() for value in values]
    return [*FIRST_NAMES, *LAST_NAMES, *values, *RELATIONS]


def _write(path: Path, rows: Sequence[object]) -> None:
    write_atomically(path, "".join(json.dumps(row) + "\n" for row in rows))
