"""The model and the word list that come with the package: ``ner``, ``words``, and both with ``patterns``: ``embedded``.

``eval/train_ner.py`` makes them; ``data/ner/README.md`` says of what, and how well they do.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from pathlib import Path

from ccs.rewards.mask.base import Masker
from ccs.rewards.mask.merge import Joined
from ccs.rewards.mask.patterns import Patterns
from ccs.rewards.mask.registry import MASKERS
from ccs.rewards.mask.spacy_ner import SpacyNer
from ccs.rewards.mask.words import CommonWords, Words
from fresco.errors import FrescoError

CCS_EXTRA = "pip install 'fresco-ccs[ccs]'"
#: Folder of the recognizer and file of the common words, in the data folder.
MODEL, WORDS = "model", "words.txt"


def data_folder() -> Path:
    """Where the shipped files lie: a wheel has ``ccs/_data/ner``, a checkout ``data/ner``; both hold the same files.

    Raises:
        FrescoError: in neither place.
    """
    root = Path(str(resources.files("ccs")))
    places = (root / "_data" / "ner", root.parent / "data" / "ner")
    for place in places:
        if (place / WORDS).is_file():
            return place
    raise FrescoError(
        f"the embedded masking data is not in this installation (looked in {places[0]} and {places[1]}); "
        "install fresco-ccs again"
    )


@lru_cache(maxsize=1)
def common_words() -> CommonWords:
    """The shipped list."""
    return CommonWords.read(data_folder() / WORDS)


@MASKERS.register("patterns", "numbers, dates, quoted spans, words with a capital")
def _open_patterns(_arguments: str) -> Masker:
    return Patterns(common_words())


@MASKERS.register("words", "words that are not common in lower case")
def _open_words(_arguments: str) -> Masker:
    return Words(common_words())


@MASKERS.register("ner", "entities, by the small recognizer that comes with the package", needs=CCS_EXTRA)
def _open_ner(_arguments: str) -> Masker:
    return SpacyNer(str(data_folder() / MODEL), name="ner")


@MASKERS.register("embedded", "the default: ner, patterns and words together", needs=CCS_EXTRA)
def _open_embedded(_arguments: str) -> Masker:
    ner = SpacyNer(str(data_folder() / MODEL), name="ner")
    return Joined((ner, Patterns(common_words()), Words(common_words())), name="embedded")
