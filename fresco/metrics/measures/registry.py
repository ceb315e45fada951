"""From notation to measures: ``nDCG@20``, ``Recall@10``, ``MAP(rel=2)``, ``module:Class``."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import pkgutil
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final, TypeVar

from fresco.errors import FrescoError
from fresco.metrics.measures.base import Measure

#: Group of entry points under which an installed package offers measures.
ENTRY_POINT_GROUP: Final = "fresco.measures"

_C = TypeVar("_C", bound=type[Measure])
_NOTATION: Final = re.compile(r"(?P<name>[^@()\s]+)(?:\((?P<options>[^()]*)\))?(?:@(?P<cutoff>\d+))?")
_FAMILIES: dict[str, type[Measure]] = {}


def measure(own: _C) -> _C:
    """Register a class of measures under its names: the decorator of every measure's file."""
    for name in own.names or (own.__name__,):
        if _FAMILIES.setdefault(name, own) is not own and _FAMILIES[name].__qualname__ != own.__qualname__:
            raise FrescoError(f"two measures are called {name!r}: {_FAMILIES[name].__qualname__}, {own.__qualname__}")
        _FAMILIES[name] = own
    return own


def families() -> dict[str, type[Measure]]:
    """Every known class of measures by each of its names: the files of this package, then installed plug-ins."""
    _load_all()
    return dict(_FAMILIES)


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
    own = families().get(name) or (_plug_in(name) if ":" in name else None)
    if own is None:
        raise FrescoError(f"unknown metric {name!r}; choose one of {known}, or module:Class for your own")
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
    _load_all()
    found = []
    for column in columns:
        match = _NOTATION.fullmatch(column)
        if not match or match["name"] not in _FAMILIES:
            continue
        with contextlib.suppress(FrescoError):  # a column that only looks like notation
            own = parse_measure(column)
            if own.name == column:
                found.append(own)
    return found


@cache
def _load_all() -> None:
    from fresco.metrics import measures

    for module in pkgutil.iter_modules(measures.__path__):
        importlib.import_module(f"{measures.__name__}.{module.name}")
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        _registered(entry.name, _imported(entry.name, entry.load))


def _plug_in(spec: str) -> type[Measure]:
    module_name, _, attribute = spec.partition(":")
    # As with `python -m`, a module beside the user's shell is found; a console script alone would not look there.
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    module = _imported(spec, lambda: importlib.import_module(module_name))
    if not hasattr(module, attribute):
        raise FrescoError(f"measure {spec}: module {module_name} has no {attribute}; write module:Class")
    return _registered(spec, getattr(module, attribute))


def _imported(spec: str, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except ModuleNotFoundError as error:
        raise FrescoError(f"measure {spec}: no module named {error.name}") from error
    except FrescoError:
        raise
    except Exception as error:  # whatever the plug-in's own top level raises
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise FrescoError(f"measure {spec}: importing it failed: {said}") from error


def _registered(spec: str, own: Any) -> type[Measure]:
    if not (isinstance(own, type) and issubclass(own, Measure)):
        raise FrescoError(f"measure {spec}: {own!r} is no subclass of fresco.metrics.measures.Measure")
    if missing := sorted(own.__abstractmethods__):
        raise FrescoError(f"measure {spec}: {own.__name__} lacks {', '.join(missing)}")
    return measure(own)


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
