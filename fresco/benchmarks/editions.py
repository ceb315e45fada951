"""Editions: which benchmarks are measured with, and which are refused because their labels followed from dates.

A benchmark's folder may hold ``benchmark.json``::

    {"name": "mini", "edition": 2}

Further keys are left alone. A run records the edition, so that figures of two editions never stand side by side unseen.
What was made before there were editions has no such file; the first edition is known by what else it left behind: its
fingerprint, or the manifest of ``fresco build`` without an edition.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fresco.benchmarks.tables import read_jsonl, short
from fresco.errors import FrescoError

#: The file that says it.
CARD: Final = "benchmark.json"
MANIFEST: Final = "manifest.jsonl"

#: The edition of the benchmarks that we publish; every older one of theirs is refused.
CURRENT: Final[Mapping[str, int]] = {"mini": 2, "wikirev": 2}
#: The edition of what ``fresco build`` makes: its rules of labelling, whatever the benchmark is called.
CONSTRUCTION: Final = 2

#: Fingerprints of whole first editions.
_FIRST: Final[Mapping[str, str]] = {
    "04e305b7b0f83bb0a9275ca0ae12a015387200264717e403a664e363e0a635da": "mini",
    "208e80aefddf48cadd82a11ad0b1af4a6263ac38d649e7941e0fcb56d7c3a104": "wikirev",
}
_WHY: Final = "in it whatever was older than a page's newest revision was outdated, so that dates alone decide it"
_WAYS: Final[Mapping[str, str]] = {
    "mini": "use the embedded one (--benchmark mini)",
    "wikirev": "hydrate the current manifest (fresco build --manifest)",
}


@dataclass(frozen=True, slots=True)
class Edition:
    """What ``benchmark.json`` says.

    Attributes:
        name: The benchmark's own name, wherever it lies.
        number: Which edition, from 1.
    """

    name: str
    number: int

    def as_json(self, **more: Any) -> str:
        """The content of the file."""
        return json.dumps({"name": self.name, "edition": self.number, **more}, indent=2, ensure_ascii=False) + "\n"


def read_edition(folder: Path) -> Edition | None:
    """What the folder says of itself, if it does.

    Raises:
        FrescoError: ``benchmark.json`` is wrong, or the edition is refused.
    """
    card = folder / CARD
    if card.exists():
        edition = parse_edition(card.read_bytes(), str(card))
        check_edition(edition.name, edition.number, str(folder))
        return edition
    if (folder / MANIFEST).exists():
        return check_manifest(read_jsonl(folder / MANIFEST)[0].fields, str(folder))
    return None


def parse_edition(content: bytes, place: str) -> Edition:
    """Read the content of a ``benchmark.json``; refuses nothing that is well written.

    Raises:
        FrescoError: it is no such file; the message names ``place`` and the field.
    """
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise FrescoError(f"{place}: is not JSON: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(fields, dict):
        raise FrescoError(f'{place}: is not a JSON object but {short(fields)}; write {{"name": ..., "edition": 2}}')
    name, number = fields.get("name"), fields.get("edition")
    if not isinstance(name, str) or not name.strip():
        raise FrescoError(f"{place}, field 'name': {short(name)} is not the benchmark's name as text")
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise FrescoError(f"{place}, field 'edition': {short(number)} is not a whole number from 1")
    return Edition(name, number)


def check_edition(name: str, number: int, place: str) -> None:
    """Refuse an edition of one of our benchmarks that is not the current one.

    Args:
        name: The benchmark's own name; any name that is not ours passes.
        number: Which edition; 1 for what was made before there were editions.
        place: What is refused: a folder, a file.

    Raises:
        FrescoError: it is an older edition, or one that this version does not know.
    """
    current = CURRENT.get(name, number)
    if number > current:
        raise FrescoError(
            f"{place}: is edition {number} of {name}, and this version knows edition {current}; "
            "upgrade it with `pip install -U fresco-ccs`"
        )
    if number < current:
        raise FrescoError(
            f"{place}: edition {number} of {name} is refused, because {_WHY}; {_WAYS[name]} and score again"
        )


def check_fingerprint(fingerprint: str, place: str) -> None:
    """Refuse a first edition that carries no name.

    Raises:
        FrescoError: the fingerprint is that of a first edition.
    """
    if name := _FIRST.get(fingerprint):
        check_edition(name, 1, place)


def check_manifest(header: Mapping[str, Any], place: str) -> Edition:
    """Refuse what ``fresco build`` made before its labels went by content.

    Args:
        header: The manifest's first row; without an ``edition`` it is of the first.
        place: The manifest, or the folder that holds it.

    Raises:
        FrescoError: it is of an older edition than this version builds, or of one that it does not know.
    """
    number = header.get("edition", 1)
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise FrescoError(f"{place}, field 'edition': {short(number)} is not a whole number from 1")
    name = str(header.get("name") or Path(place).name)
    check_edition(name, number, place)
    if number < CONSTRUCTION:
        raise FrescoError(
            f"{place}: edition {number} of `fresco build` made it, like edition {number} of wikirev, which is refused, "
            f"because {_WHY}; build it again, or hydrate a current manifest"
        )
    return Edition(name, number)


def check_run(record: Mapping[str, Any], place: str) -> None:
    """Refuse a run over an old edition.

    Args:
        record: The ``benchmark`` part of ``run.json``.
        place: The run's folder.

    Raises:
        FrescoError: it was scored on one.
    """
    check_fingerprint(str(record.get("fingerprint")), place)
    if "edition" in record:
        return
    # Before editions a run recorded the name alone, as it was asked for: "mini", "data/mini", "wikirev+qa".
    for part in str(record.get("name", "")).split("+"):
        check_edition(Path(part).name, 1, place)
