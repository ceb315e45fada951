"""From a spec to a masker: ``embedded``, ``spacy:en_core_web_lg+gazetteer:corpus.jsonl``, ``my_masks:Mine,2``.

Each masker is registered in a file of this package; :mod:`fresco.io.registry` says how specs are read.
"""

from __future__ import annotations

import re
from typing import Any

from ccs.rewards.mask.base import Masker
from ccs.rewards.mask.merge import Joined
from fresco.errors import FrescoError
from fresco.io.registry import Registry


def _fault(masker: Any) -> str | None:
    """What is wrong with the members of a masker that somebody brought along."""
    for name in ("name", "fingerprint"):
        text = getattr(masker, name)
        if not isinstance(text, str) or not text.strip() or "\n" in text:
            return f"its {name} is {text!r:.60}; one line of text is wanted"
    return None if callable(masker.spans) else "its spans cannot be called"


MASKERS: Registry[Masker] = Registry(
    "masker",
    flag="mask.masker",
    package="ccs.rewards.mask",
    group="ccs.maskers",
    members=("name", "fingerprint", "spans"),
    check=_fault,
    listing="ccs parts",
)


def open_masker(spec: str = "embedded") -> Masker:
    """Make the masker that a spec names; several joined by ``+`` mask what any of them finds.

    Raises:
        FrescoError: unknown spec, missing extra, a model or file that cannot be read.
    """
    if not spec.strip():
        raise FrescoError("mask.masker is empty; see `ccs parts maskers`")
    parts = [_open(part) for part in _joins().split(spec)]
    return parts[0] if len(parts) == 1 else Joined(parts)


def _open(spec: str) -> Masker:
    masker = MASKERS.open(spec)
    if spec.partition(":")[0] in MASKERS.parts():
        return masker
    from ccs.foreign import ForeignMasker

    return ForeignMasker(masker, spec)


def _joins() -> re.Pattern[str]:
    """A ``+`` joins only before something that names a masker: file names may hold one."""
    known = "|".join(map(re.escape, [*MASKERS.parts(), *MASKERS.plug_ins()]))
    return re.compile(rf"\+(?=(?:{known})(?:[+:,]|$)|[^+:]+\.py:|[A-Za-z_][\w.]*:[A-Za-z_])")
