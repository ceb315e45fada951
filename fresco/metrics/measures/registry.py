"""From notation to measures: ``nDCG@20``, ``Recall@10``, ``MAP(rel=2)``, ``module:Class``."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

from fresco.errors import FrescoError
from fresco.io.registry import Registry
from fresco.metrics.measures.base import Measure

#: The registry of measures. What registers is the class itself; :func:`parse_measure` makes one from notation.
MEASURES: Registry[Measure] = Registry(
    "measure",
    flag="--measure",
    package="fresco.metrics.measures",
    group="fresco.measures",
    members=("name", "value", "parts", "defined", "invariants"),
)
_NOTATION: Final = re.compile(r"(?P<name>[^@()\s]+)(?:\((?P<options>[^()]*)\))?(?:@(?P<cutoff>\d{1,6}))?")
# Classes that came by module:Class and are not registered, by name: a condition may name what --measure brought.
_ADOPTED: dict[str, type[Measure]] = {}


def families() -> dict[str, type[Measure]]:
    """Every known class of measures by each of its names."""
    found: dict[str, type[Measure]] = {}
    for part in MEASURES.parts().values():
        own = cast("type[Measure]", part.make)
        found |= dict.fromkeys((part.name, *own.names), own)
    return _ADOPTED | found


def notations() -> list[str]:
    """How each measure is written, each once, for help texts and errors."""
    return sorted({_notation(own) for own in families().values()}, key=str.casefold)


def parse_measure(text: str) -> Measure:
    """Make the measure that a notation names.

    Args:
        text: ``NAME``, ``NAME@K``, ``NAME(option=value)@K``; or ``module:Class`` in place of the name, for a measure of
            your own.

    Raises:
        FrescoError: no such measure, or not with this cutoff or these options.
    """
    match = _NOTATION.fullmatch(text.strip())
    known = ", ".join(notations())
    if not match:
        raise FrescoError(f"{text!r} is no measure; write NAME, NAME@10 or NAME(option=value)@10, one of {known}")
    name = match["name"]
    own = families().get(name)
    if own is None and (":" in name or name in MEASURES.plug_ins()):
        return _adopt(match)
    if own is None:
        broken = "".join(f"; {reason}" for reason in MEASURES.broken.values())
        raise FrescoError(f"unknown metric {name!r}; choose one of {known}, or module:Class for your own{broken}")
    options = _options(text, own, match["options"], match["cutoff"])
    try:
        return own(**options)
    except (FrescoError, TypeError, ValueError) as error:
        raise FrescoError(f"measure {text!r}: {error}") from error


def parse_measures(texts: Iterable[str | Measure]) -> list[Measure]:
    """Several of them, or measures as they are, each once, in order."""
    return list(dict.fromkeys(text if isinstance(text, Measure) else parse_measure(text) for text in texts))


def measures_among(columns: Sequence[str]) -> list[Measure]:
    """The measures whose notation is a column of a frame."""
    known = families()
    found = []
    for column in columns:
        match = _NOTATION.fullmatch(column)
        if not match or match["name"] not in known:
            continue
        with contextlib.suppress(FrescoError):  # a column that only looks like notation
            own = parse_measure(column)
            if own.name == column:
                found.append(own)
    return found


def _adopt(match: re.Match[str]) -> Measure:
    """A measure of an installed package or of the user's own: the notation's parts are the arguments of its class."""
    cutoff = f"cutoff={match['cutoff']}" if match["cutoff"] else ""
    made = MEASURES.open(",".join(filter(None, (match["name"], match["options"], cutoff))))
    if not isinstance(made, Measure):
        raise FrescoError(
            f"--measure {match[0]}: {type(made).__name__} is no subclass of fresco.metrics.measures.Measure"
        )
    known, own = families(), type(made)
    for name in own.names or (own.__name__,):
        if known.get(name, own).__qualname__ != own.__qualname__:
            raise FrescoError(f"--measure {match[0]}: there is a measure {name!r} already; give yours another name")
        _ADOPTED[name] = own
    return made


def _fields(own: type[Measure]) -> dict[str, dataclasses.Field[Any]]:
    return {field.name: field for field in dataclasses.fields(own)}


def _notation(own: type[Measure]) -> str:
    name, cutoff = (own.names or (own.__name__,))[0], _fields(own).get("cutoff")
    if cutoff is None:
        return name
    return f"{name}@k" if cutoff.default is not None else f"{name}[@k]"


def _options(text: str, own: type[Measure], given: str | None, cutoff: str | None) -> dict[str, Any]:
    fields = _fields(own)
    wanted = fields.get("cutoff")
    if cutoff is not None and wanted is None:
        raise FrescoError(f"measure {text!r}: {_notation(own)} takes no cutoff; leave out @{cutoff}")
    if cutoff is None and wanted is not None and wanted.default is not None:
        raise FrescoError(f"measure {text!r}: needs a cutoff, as in {text.strip()}@10")
    options: dict[str, Any] = {} if cutoff is None else {"cutoff": int(cutoff)}
    names = [name for name in fields if name != "cutoff"]
    for part in filter(None, (given or "").split(",")):
        key, _, value = (piece.strip() for piece in part.partition("="))
        if key not in names or not value:
            takes = " and ".join(f"{name}=..." for name in names) or "no option"
            raise FrescoError(f"measure {text!r}: {part.strip()!r} is no option of it; it takes {takes}")
        options[key] = _number(value) if isinstance(fields[key].default, int | float) else value
    return options


def _number(text: str) -> int | float | str:
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text
