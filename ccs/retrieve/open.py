"""From ``--retriever`` to a retriever: the URL of a server, or the folder of an index."""

from __future__ import annotations

from pathlib import Path

from ccs.retrieve.base import Retriever
from fresco.errors import FrescoError


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
