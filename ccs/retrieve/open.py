"""From ``--retriever`` to a retriever: the URL of a server, or the folder of an index."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from ccs.retrieve.base import Retriever
from fresco.errors import FrescoError


def as_retriever(value: Any, *, agent: str = "search", timeout: float = 60.0) -> Retriever | None:
    """A retriever from what a caller has: what :func:`open_retriever` opens, or a retriever; None for ``direct``.

    Raises:
        FrescoError: the agent searches and there is none, or it cannot be opened.
    """
    if agent == "direct":
        return None
    if value is None or value == "":
        raise FrescoError(f"the {agent} agent needs --retriever URL or DIR; --agent direct needs none")
    if isinstance(value, str | PathLike):
        return open_retriever(str(value), timeout=timeout)
    retriever: Retriever = value
    return retriever


def open_retriever(spec: str, *, timeout: float = 60.0) -> Retriever:
    """Open what a spec names.

    Args:
        spec: ``http://HOST:PORT`` (of ``ccs serve`` or any server of that contract), or a folder of ``ccs index``.
        timeout: Seconds that a server may take for one request.

    Raises:
        FrescoError: neither, or the folder holds no whole index.
    """
    if spec.startswith(("http://", "https://")):
        from ccs.retrieve.client import RetrieverClient

        return RetrieverClient(spec, timeout=timeout)
    if not Path(spec).is_dir():
        raise FrescoError(
            f"--retriever {spec}: neither a URL nor a folder; make an index with `ccs index`, or start `ccs serve`"
        )
    from ccs.retrieve.index import open_index

    return open_index(Path(spec))
