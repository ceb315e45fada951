"""YAML files that fill a tree of dataclasses: unknown keys and wrong kinds are refused with the place that is wrong."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from fresco.errors import FrescoError
from fresco.io.names import one_line, printable, short
from fresco.io.packed import Limits, read_text
from fresco.io.secrets import remember

_LONGEST = 1 << 20  # bytes: people write these files
_MOST_ALIASES = 64
_DEEPEST = 50


def read_yaml(path: Path) -> Any:
    """The content of a YAML file; an empty one is an empty mapping.

    Raises:
        FrescoError: it cannot be read or is no YAML.
    """
    import yaml

    text = read_text(path, limits=Limits(file=_LONGEST))
    try:
        aliases = depth = 0
        for event in yaml.parse(text, yaml.SafeLoader):
            aliases += isinstance(event, yaml.AliasEvent)
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:  # what the library does with brackets grows with the square of their depth
                raise FrescoError(f"{path}: brackets or lists nested more than {_DEEPEST} deep")
            if aliases > _MOST_ALIASES:
                # Nine lines of nine aliases each stand for a billion values.
                raise FrescoError(f"{path}: over {_MOST_ALIASES} aliases (*name); write the values out")
        content = load_yaml(text, str(path))
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as error:
        raise FrescoError(f"{path}: no valid YAML ({one_line(str(error), 200)})") from None
    remember(_texts(content))
    return {} if content is None else content


def _texts(content: Any) -> Iterator[str]:
    """Every text in plain values."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, Mapping | list):
        for each in content.values() if isinstance(content, Mapping) else content:
            yield from _texts(each)


def load_yaml(text: str, where: str) -> Any:
    """Plain values from YAML, in which no mapping has a key twice: YAML's own readers keep the last in silence.

    Raises:
        FrescoError: a key is there twice.
        yaml.YAMLError: it is no YAML.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            seen: set[str] = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                    if key.value in seen:
                        line = key.start_mark.line + 1
                        raise FrescoError(f"{where}:{line}: the key {key.value!r:.60} is there twice; keep one of them")
                    seen.add(key.value)
            return super().construct_mapping(node, deep)

    return yaml.load(text, Loader)  # noqa: S506 - a SafeLoader


def beside(folder: Path, name: str) -> str:
    """A path that a configuration in ``folder`` names: relative to it where such a file is there, else as it stands."""
    there = folder / Path(name).expanduser()
    return str(there) if name and there.exists() else name


def beside_in_spec(folder: Path, spec: str) -> str:
    """The same for the paths in a spec: ``gazetteer:titles.txt``, ``parts.py:Own,2``, or several joined by ``+``."""
    whole = beside(folder, spec)
    if whole != spec:
        return whole

    def one(part: str) -> str:
        name, mark, rest = part.partition(":")
        if name.endswith(".py"):
            return f"{beside(folder, name)}{mark}{rest}"
        return f"{name}{mark}{beside(folder, rest)}" if mark and not rest.startswith("//") else part

    return "+".join(map(one, spec.split("+")))


def fill(kind: type[Any], content: Any, where: str, path: str = "") -> Any:
    """A dataclass from a mapping of its fields.

    Args:
        kind: Whose fields are texts, numbers, truth values, tuples of one kind, dataclasses, None, or Any (unchecked).
        content: The mapping.
        where: File, for errors.
        path: Of the key that holds the mapping, with a dot at its end, for errors.

    Raises:
        FrescoError: an unknown key, or a value of the wrong kind.
    """
    if not isinstance(content, Mapping):
        raise FrescoError(f"{where}: {path.rstrip('.') or 'the file'} is {short(content)}; keys with values are wanted")
    hints = get_type_hints(kind)
    known = {each.name for each in fields(kind)}
    for key in content:
        if key not in known:
            there = ", ".join(path + name for name in hints)
            raise FrescoError(f"{where}: unknown key {path}{printable(str(key))}; known are {there}")
    return kind(**{key: _value(hints[key], value, where, f"{path}{key}") for key, value in content.items()})


def _value(kind: Any, value: Any, where: str, path: str) -> Any:
    if kind is Any:
        return value
    allowed = get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    section = next((each for each in allowed if isinstance(each, type) and is_dataclass(each)), None)
    if section is not None and not (value is None and types.NoneType in allowed):
        return fill(section, value, where, f"{path}.")
    several = next((each for each in allowed if get_origin(each) is tuple), None)
    if several is not None and isinstance(value, list):
        one = get_args(several)[0]
        if one is Any:
            return tuple(value)
        return tuple(_value(one, each, where, f"{path}[{number}]") for number, each in enumerate(value))
    if float in allowed and type(value) is int:  # YAML reads 1 as a whole number
        value = float(value)
    if float in allowed and isinstance(value, str) and _is_number(value):  # and 1e-6, without a point, as a text
        value = float(value)
    if type(value) not in allowed:
        names = " or ".join(_named(each) for each in allowed)
        raise FrescoError(f"{where}: {path} is {short(value)}; {names} is wanted")
    return value


def _named(kind: Any) -> str:
    if get_origin(kind) is tuple:
        return "a list"
    return "nothing" if kind is types.NoneType else str(kind.__name__)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
