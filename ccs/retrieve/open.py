"""From ``--retriever`` to a retriever: the URL of a server, or the folder of an index."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from ccs.agent.protocol import UNSEARCHING_AGENTS
from ccs.retrieve.base import Retriever
from ccs.retrieve.registry import RETRIEVERS
from fresco.errors import FrescoError


def as_retriever(value: Any, *, agent: str = "search", timeout: float = 60.0) -> Retriever | None:
    """A retriever from what a caller has: what :func:`open_retriever` opens, or one; none for some agents.

    Raises:
        FrescoError: the agent searches and there is none, or it cannot be opened.
    """
    if agent in UNSEARCHING_AGENTS:
        return None
    if value is None or value == "":
        raise FrescoError(f"the {agent} agent needs --retriever URL or DIR; --agent cot and direct need none")
    if isinstance(value, str | PathLike):
        return open_retriever(str(value), timeout=timeout)
    return RETRIEVERS.adopt("the retriever", lambda: value)


def open_retriever(spec: str, *, timeout: float = 60.0) -> Retriever:
    """Open what a spec names.

    Args:
        spec: ``http://HOST:PORT`` (of ``ccs serve`` or any server of that contract), a folder of ``ccs index``, or
            one's own, ``module:Class,args``.
        timeout: Seconds that a server may take for one request.

    Raises:
        FrescoError: neither, or the folder holds no whole index.
    """
    if Path(spec).is_dir():
        spec = f"index:{spec}"
    elif ":" not in spec and spec not in RETRIEVERS.plug_ins() and spec.partition(",")[0] not in RETRIEVERS.plug_ins():
        raise FrescoError(
            f"--retriever {spec}: neither a URL nor a folder; make an index with `ccs index`, start `ccs serve`, or "
            "name one of `ccs parts retrievers`"
        )
    retriever = RETRIEVERS.open(spec, timeout=timeout)
    if spec.partition(":")[0] in RETRIEVERS.parts():
        return retriever
    from ccs.foreign import ForeignRetriever

    return ForeignRetriever(retriever, spec)


@RETRIEVERS.register(
    "http:URL", "a server of /retrieve: `ccs serve`, or Search-R1's", needs="pip install 'fresco-ccs[ccs]'"
)
def _open_http(rest: str, timeout: float = 60.0) -> Retriever:
    from ccs.retrieve.client import RetrieverClient

    return RetrieverClient(f"http:{rest}", timeout=timeout)


@RETRIEVERS.register("https:URL", "the same, encrypted", needs="pip install 'fresco-ccs[ccs]'")
def _open_https(rest: str, timeout: float = 60.0) -> Retriever:
    from ccs.retrieve.client import RetrieverClient

    return RetrieverClient(f"https:{rest}", timeout=timeout)


@RETRIEVERS.register(
    "index:DIR", "an index of `ccs index`; its folder alone will do", needs="pip install 'fresco-ccs[ccs]'"
)
def _open_index(folder: str) -> Retriever:
    from ccs.retrieve.index import open_index

    return open_index(Path(folder))
