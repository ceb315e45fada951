"""Rows of datasets of the Hugging Face hub, by ``user/name``, ``user/name:config`` or ``user/name:config@split``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from fresco.errors import FrescoError

#: How a dataset is named on the command line.
NAME = re.compile(r"(?P<repo>[\w-][\w.-]*/[\w-][\w.-]*)(?::(?P<config>[\w.-]+))?(?:@(?P<split>[\w.-]+))?", re.ASCII)


def read_rows(repo: str, config: str | None, split: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The rows of one split in a stream, each with its place for errors.

    Args:
        repo: ``user/name``.
        config: Which of its configurations; None for its only one.
        split: Which split.

    Raises:
        FrescoError: it cannot be reached or read.
    """
    import datasets

    name = f"{repo}{f':{config}' if config else ''}@{split}"
    try:
        rows = datasets.load_dataset(repo, config, split=split, streaming=True)
        yield from ((f"{name}, row {number}", row) for number, row in enumerate(rows, 1))
    # datasets lets through whatever its readers and its network raise (pyarrow, httpx, OSError, its own), undocumented.
    except Exception as error:
        cause = " ".join(str(error.__cause__ or error).split())[:200]
        raise FrescoError(f"{name}: cannot be read from the Hugging Face hub ({cause})") from error
