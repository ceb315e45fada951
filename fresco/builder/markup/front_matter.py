"""The fields of a document's front matter: YAML between ``---`` lines, or TOML between ``+++`` lines.

YAML's scalars stay as they are written: ``7.10`` is a version, no number, and ``2024-04-30`` reads as itself.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any

_YAML = re.compile(r"\A---[ \t]*\n(.*?\n)??(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_TOML = re.compile(r"\A\+\+\+[ \t]*\n(.*?\n)??\+\+\+[ \t]*(?:\n|\Z)", re.DOTALL)


def split(text: str) -> tuple[str, str]:
    """The front matter with its marks (empty where there is none), and what follows."""
    match = _YAML.match(text) or _TOML.match(text)
    return (match.group(), text[match.end() :]) if match else ("", text)


def read(matter: str) -> dict[str, Any]:
    """Names to strings, lists and mappings; empty where it is damaged or no mapping."""
    body = "\n".join(matter.splitlines()[1:-1])
    if matter.startswith("+++"):
        try:
            return tomllib.loads(body)
        except tomllib.TOMLDecodeError:
            return {}
    import yaml

    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # strings only: makes no object of anyone's choice
    try:
        found = yaml.load(body, Loader=loader)  # noqa: S506
    except (yaml.YAMLError, RecursionError, ValueError):
        return {}
    return {str(key): value for key, value in found.items()} if isinstance(found, dict) else {}
