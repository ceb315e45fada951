"""``python -m fresco.rerank.device_worker FD``: the process of one device; see :mod:`fresco.rerank.many_devices`.

It speaks over a connection that it inherits, and is no one's command.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

from fresco.errors import FrescoError
from fresco.io.worker import until_closed
from fresco.rerank.base import describe
from fresco.rerank.many_devices import END, FAILED, SCORE, SCORES, TAKE
from fresco.rerank.registry import open_reranker


class _Asked:
    """``is_done`` of a run that processes share: a batch that is nobody's becomes this one's.

    Attributes:
        connection: To the process that has the store.
        kept: Pairs that need no scores.
    """

    def __init__(self, connection: Connection, kept: set[int]) -> None:
        self.connection, self.kept = connection, kept

    def __call__(self, indices: Sequence[int]) -> bool:
        own = [int(index) for index in indices]
        if self.stored(own):
            return True
        self.connection.send((TAKE, own))
        return not self.connection.recv()

    def stored(self, indices: Sequence[int]) -> bool:
        """Whether all of them need no scores; takes nothing."""
        return self.kept.issuperset(indices)


def serve(connection: Connection) -> None:
    """Open the re-ranker that the first message names, then score what the others ask for."""
    spec, settings, device, count = connection.recv()
    try:
        if device.startswith("cpu"):
            _share_threads(count)
        reranker: Any = open_reranker(spec, replace(settings, device=device))
        while True:
            kind, pairs, instruction, kept = connection.recv()
            assert kind == SCORE
            for indices, scores in reranker.score_batches(pairs, instruction, _Asked(connection, kept)):
                connection.send((SCORES, [int(index) for index in indices], [float(score) for score in scores]))
            connection.send((END, dict(describe(reranker))))
    except FrescoError as error:
        connection.send((FAILED, str(error)))


def _share_threads(count: int) -> None:
    """Processes on the CPU divide its threads."""
    import torch

    torch.set_num_threads(max(1, torch.get_num_threads() // count))


if __name__ == "__main__":
    until_closed(serve)
