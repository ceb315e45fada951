"""Code that comes with a model's weights: it runs only where the user names the model and the commit that was read.

``--trust MODEL@COMMIT`` for a model of the hub, ``--trust FOLDER@HASH`` for a folder, where HASH is the beginning of
the SHA-256 that the refusal prints. A model whose config takes its code from another repository wants that one named.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fresco.errors import FrescoError

_LEAST = 7  # characters of a commit or hash


def commit_for(model: str, trust: Sequence[str]) -> str | None:
    """The commit that ``--trust`` names for a model or folder; None where it names none.

    Raises:
        FrescoError: an entry has no commit.
    """
    for entry in trust:
        name, mark, commit = entry.rpartition("@")
        if not mark or not name or len(commit) < _LEAST or set(commit) - set("0123456789abcdef"):
            raise FrescoError(f"--trust {entry}: write MODEL@COMMIT, the commit's {_LEAST} to 64 hex digits")
        if name.rstrip("/") == model.rstrip("/"):
            return commit
    return None


def code_hash(folder: Path) -> str:
    """SHA-256 over the Python files of a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def code_repository(model: str, config: dict[str, Any]) -> str:
    """Whose code a model's config asks for: its own, or that of the repository before ``--``."""
    classes = config.get("auto_map")
    named = [each for each in classes.values() if isinstance(each, str)] if isinstance(classes, dict) else []
    others = {each.partition("--")[0] for each in named if "--" in each}
    return min(others) if others else model


def code_options(family: str, model: str, folder: Path | None, config: dict[str, Any], trust: Sequence[str]) -> Any:
    """Keyword arguments of ``from_pretrained``: whether code may run, and from which commit.

    Raises:
        FrescoError: the folder's code is other than what was trusted.
    """
    if not trust or not isinstance(config.get("auto_map"), dict):
        return {"trust_remote_code": False}
    repository = code_repository(model, config)
    commit = commit_for(repository, trust)
    if commit is None:
        return {"trust_remote_code": False}
    if folder is None or repository != model:
        return {"trust_remote_code": True, "code_revision": commit}
    if not code_hash(folder).startswith(commit):
        raise FrescoError(f"{family}:{model}: its code is {code_hash(folder)[:12]}, not the {commit} that was trusted")
    return {"trust_remote_code": True}


def refusal(family: str, model: str, folder: Path | None, revision: str | None, config: dict[str, Any]) -> str:
    """What to do about a model that needs code of its own."""
    repository = code_repository(model, config)
    known = revision or (code_hash(folder)[:12] if folder is not None else "COMMIT")
    commit = known if repository == model else "COMMIT"
    return (
        f"{family}:{model} needs code of the repository {repository}, and none runs by default; read it, and if you "
        f"trust it add --trust {repository}@{commit}"
    )
