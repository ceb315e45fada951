"""Many requests at once, a thread each."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")


def each(
    work: Callable[[_T], _R],
    items: Iterable[_T],
    threads: int,
    on_done: Callable[[int, _R], None] | None = None,
    *,
    on_interrupt: Callable[[], None],
) -> list[_R]:
    """Do work on many items, so many at a time; the first exception is raised at once.

    Args:
        work: On one item.
        items: Taken one by one.
        threads: At most so many at work.
        on_done: Told the index and the result of each as it comes, in the calling thread.
        on_interrupt: Called at Ctrl-C, to wake workers that wait.

    Returns:
        The results in the order of the items.
    """
    todo, done = enumerate(items), queue.SimpleQueue[tuple[int, _R | None, BaseException | None]]()
    taking, stop = threading.Lock(), threading.Event()

    def run() -> None:
        while True:
            try:
                with taking:  # an iterator is no queue
                    index, item = next(todo, (-1, None))
                if index < 0 or stop.is_set():
                    return done.put((-1, None, None))
                done.put((index, work(item), None))  # type: ignore[arg-type]
            except BaseException as error:  # raised again where it is waited for
                return done.put((-1, None, error))

    # Daemons, not an executor: its threads are joined at exit, and a model may write for minutes after Ctrl-C.
    workers = [threading.Thread(target=run, daemon=True) for _ in range(threads)]
    results: dict[int, Any] = {}
    try:
        for worker in workers:
            worker.start()
        for _ in workers:
            while (got := done.get())[0] >= 0:
                results[got[0]] = got[1]
                if on_done:
                    on_done(got[0], got[1])  # type: ignore[arg-type]
            if got[2] is not None:
                raise got[2]
    except KeyboardInterrupt:
        on_interrupt()
        raise
    finally:
        stop.set()
    return [results[index] for index in range(len(results))]
