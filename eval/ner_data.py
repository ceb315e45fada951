"""The annotated sentences that the masking model is trained and measured on: WikiGold and WNUT-17's training part.

WikiGold comes without a split. Ours is by article: the first eight bytes of the SHA-256 of an article's tokens, modulo
100, say where all of its sentences go: below 25 test, below 40 development, the rest training.
"""

from __future__ import annotations

import hashlib
import json
import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from study import DATA

WIKIGOLD = "ner/wikigold_CONLL-format_data_wikigold.conll.txt"
WNUT17 = "ner/WNUT17_CONLL-format_data_train_wnut17train.conll"
_PASSAGES = ("wiki18_passages", "2wiki_corpus", "hotpotqa", "musique", "2wikimultihopqa")
_TYPES = {
    "PER": "PERSON",
    "LOC": "LOC",
    "ORG": "ORG",
    "MISC": "MISC",
    "person": "PERSON",
    "location": "LOC",
    "corporation": "ORG",
    "group": "ORG",
    # WikiGold calls these MISC, and one model cannot serve two schemes.
    "creative-work": "MISC",
    "product": "MISC",
}


@dataclass(frozen=True, slots=True)
class Sentence:
    """Tokens, and entities as (first token, token after the last, type)."""

    tokens: tuple[str, ...]
    entities: tuple[tuple[int, int, str], ...]

    @property
    def text(self) -> str:
        """The tokens with blanks between them."""
        return " ".join(self.tokens)

    def offsets(self) -> list[tuple[int, int]]:
        """Where each token stands in the text."""
        places, at = [], 0
        for token in self.tokens:
            places.append((at, at + len(token)))
            at += len(token) + 1
        return places

    def lowered(self) -> Sentence:
        """The same in lower case."""
        return Sentence(tuple(token.lower() for token in self.tokens), self.entities)


def wikigold(part: str, data: Path = DATA) -> dict[str, list[Sentence]]:
    """The sentences of each article of WikiGold's ``train``, ``development`` or ``test``, in the file's order."""
    articles = _read(data / WIKIGOLD)
    return {f"article-{number}": article for number, article in enumerate(articles) if _part(article) == part}


def wnut17(data: Path = DATA) -> list[Sentence]:
    """WNUT-17's training sentences."""
    return [sentence for article in _read(data / WNUT17) for sentence in article]


def passages(data: Path = DATA) -> Iterator[tuple[str, str]]:
    """Title and text of each distinct Wikipedia passage of the question answering data."""
    seen = set()
    for name in _PASSAGES:
        with lzma.open(data / "qa" / f"{name}.jsonl.xz", "rt", encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                for passage in row.get("passages", (row,)):
                    if passage["text"] not in seen:
                        seen.add(passage["text"])
                        yield passage["title"], passage["text"]


def _part(article: list[Sentence]) -> str:
    digest = hashlib.sha256("\n".join(sentence.text for sentence in article).encode()).digest()
    bucket = int.from_bytes(digest[:8]) % 100
    return "test" if bucket < 25 else "development" if bucket < 40 else "train"


def _read(path: Path) -> list[list[Sentence]]:
    articles: list[list[Sentence]] = [[]]
    rows: list[tuple[str, str]] = []
    for line in [*path.read_text(encoding="utf-8").splitlines(), ""]:
        token, _, label = line.rpartition("\t" if "\t" in line else " ")
        if token.strip() == "-DOCSTART-":
            articles.append([])
        elif token.strip():
            rows.append((token.strip(), label.strip()))
        elif rows:
            articles[-1].append(_sentence(rows))
            rows = []
    return [article for article in articles if article]


def _sentence(rows: list[tuple[str, str]]) -> Sentence:
    entities: list[tuple[int, int, str]] = []
    for at, (_, label) in enumerate(rows):
        prefix, _, kind = label.partition("-")
        if prefix == "O":
            continue
        last = entities[-1] if entities else None
        if prefix == "I" and last and last[1] == at and last[2] == _TYPES[kind]:
            entities[-1] = (last[0], at + 1, last[2])
        else:
            entities.append((at, at + 1, _TYPES[kind]))
    return Sentence(tuple(token for token, _ in rows), tuple(entities))
