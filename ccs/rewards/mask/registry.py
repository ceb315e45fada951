"""From a spec to a masker: ``embedded``, ``spacy:en_core_web_lg+gazetteer:corpus.jsonl``."""

from __future__ import annotations

import re
from pathlib import Path

from ccs.rewards.mask.base import Masker
from ccs.rewards.mask.embedded import common_words, open_embedded
from ccs.rewards.mask.gazetteer import Gazetteer
from ccs.rewards.mask.hf import HfTokenClassifier
from ccs.rewards.mask.merge import Joined
from ccs.rewards.mask.spacy_ner import SpacyNer
from fresco.errors import FrescoError

#: Specs, and what each finds.
SPECS = {
    "embedded": "the default: ner, patterns and words together",
    "ner": "entities, by the small recognizer that comes with the package",
    "patterns": "numbers, dates, quoted spans, words with a capital",
    "words": "words that are not common in lower case",
    "spacy:NAME_OR_PATH": "entities, by a spaCy pipeline",
    "hf:MODEL": "entities, by a Hugging Face token classifier",
    "gazetteer:FILE": "titles, of a list or a corpus",
}
# A "+" joins only before a kind of masker: file names may hold one.
_JOIN = re.compile(r"\+(?=(?:embedded|ner|patterns|words)(?:\+|$)|(?:spacy|hf|gazetteer):)")


def open_masker(spec: str = "embedded") -> Masker:
    """Make the masker that a spec names; several joined by ``+`` mask what any of them finds.

    Raises:
        FrescoError: unknown spec, missing extra, a model or file that cannot be read.
    """
    parts = [_open(part, spec) for part in _JOIN.split(spec)]
    return parts[0] if len(parts) == 1 else Joined(parts)


def _open(part: str, spec: str) -> Masker:
    kind, colon, rest = part.partition(":")
    if not colon and kind in {"embedded", "ner", "patterns", "words"}:
        return open_embedded(kind)
    if colon and rest and kind == "spacy":
        return SpacyNer(rest)
    if colon and rest and kind == "hf":
        return HfTokenClassifier(rest)
    if colon and rest and kind == "gazetteer":
        return Gazetteer.read(Path(rest).expanduser(), common_words())
    raise FrescoError(f"--mask {spec}: {part!r} is unknown; known are {', '.join(SPECS)}, joined by +")
