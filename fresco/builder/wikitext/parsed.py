"""Parse revisions in child processes with a time limit for each page, and keep what was parsed.

The parser is C code that no Python signal interrupts, and wikitext comes from strangers: a page that hangs it, or takes
the process down, may cost one page, not the run. So pages are parsed in child processes that are ended at the limit, in
seconds of the processor: what a build finds must not depend on what else the machine does.
What was parsed is kept in an SQLite file by the SHA-1 of the text; a run that was killed parses only what is missing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from fresco.builder.markup import VERSIONS, WIKITEXT
from fresco.builder.wikitext.sections import Page
from fresco.builder.wikitext.worker import from_json
from fresco.io.workers import MOST_DEATHS, Make, Worker, WorkerDiedError, cores

#: Raised when the parser gives other text for the same wikitext, so that what was kept is parsed again.
PARSER_VERSION = 3
_COMMIT_EVERY = 50
#: Texts that wait for a worker; bounds the memory when the source is faster than the parser.
_AHEAD = 4
#: A child that stands still, which uses no processor, is ended after so many times the limit by the clock.
_PATIENCE = 20

_Key = TypeVar("_Key")


class Parser:
    """Parsed pages by the SHA-1 of their text.

    Args:
        cache: SQLite file of what was parsed; made if absent. None: a temporary one.
        tables: Whether the rows of data tables are lines of their section.
        workers: Child processes; None: as many as there are cores.
        time_limit: Seconds of the processor for one page, rounded up; what takes longer has failed.
        elsewhere: Starts a worker on another machine, for those child processes; None: they are of this one.
    """

    def __init__(
        self,
        cache: Path | None,
        *,
        tables: bool = True,
        workers: int | None = None,
        time_limit: float = 30.0,
        elsewhere: Callable[[Make], Worker] | None = None,
    ) -> None:
        if cache is not None:
            cache.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(cache or "")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS pages (version TEXT, whole INTEGER, sha1 TEXT, page BLOB, "
            "PRIMARY KEY (version, whole, sha1)) WITHOUT ROWID"
        )
        self._tables = tables
        self._limit = time_limit
        self._uncommitted = 0
        self._workers = workers or cores()
        self._pool = ThreadPoolExecutor(max_workers=self._workers)
        self._local = threading.local()
        self._elsewhere = elsewhere
        self._children: list[_Child | _ChildElsewhere] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the child processes; what was parsed is kept."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self.rest()
        self._database.commit()
        self._database.close()

    def rest(self) -> None:
        """End the child processes until there is something to parse again; nothing may be under way."""
        for child in self._children:
            child.end()
        self._children.clear()

    def forget(self) -> None:
        """Delete what was parsed."""
        self._database.execute("DELETE FROM pages")
        self._database.commit()

    def _version(self, markup: str) -> str:
        """What was parsed of a text depends on this, its SHA-1 and nothing else."""
        version = PARSER_VERSION if markup == WIKITEXT else f"{markup} {VERSIONS[markup]}"
        return f"{version}, {'with' if self._tables else 'without'} tables"

    def has(self, sha1: str, *, whole: bool, markup: str = WIKITEXT) -> bool:
        """Whether a text was parsed earlier."""
        row = self._database.execute(
            "SELECT 1 FROM pages WHERE version = ? AND sha1 = ? AND whole >= ?",
            (self._version(markup), sha1, int(whole)),
        ).fetchone()
        return row is not None

    def known(self, sha1: str, *, whole: bool, markup: str = WIKITEXT) -> Page | None:
        """What was parsed of a text earlier; None if nothing. Whole pages answer for their infoboxes too."""
        page = self.packed(sha1, whole=whole, markup=markup)
        return unpacked(page) if page is not None else None

    def packed(self, sha1: str, *, whole: bool, markup: str = WIKITEXT) -> bytes | None:
        """The same as it is kept, for :func:`unpacked`."""
        row = self._database.execute(
            "SELECT page FROM pages WHERE version = ? AND sha1 = ? AND whole >= ?",
            (self._version(markup), sha1, int(whole)),
        ).fetchone()
        return bytes(row[0]) if row else None

    def pages(
        self,
        texts: Iterable[tuple[_Key, str]],
        *,
        whole: bool,
        failed: Callable[[_Key], None],
        markup_of: Callable[[_Key], str] = lambda _: WIKITEXT,
    ) -> Iterator[tuple[_Key, Page]]:
        """Parse texts, in their order; what fails (too long, crashed) is told to ``failed`` and left out.

        Args:
            texts: Keys and texts.
            whole: Sections too, or infoboxes only (a tenth of the time).
            failed: Called with the key of a page that could not be parsed.
            markup_of: Gives what the text of a key is written in.
        """
        waiting: deque[tuple[_Key, str, str, Page | Future[str | None]]] = deque()
        for key, text in texts:
            sha1 = hashlib.sha1(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()
            markup = markup_of(key)
            known = self.known(sha1, whole=whole, markup=markup)
            result = known if known is not None else self._pool.submit(self._parse, text, whole, markup)
            waiting.append((key, sha1, markup, result))
            while len(waiting) > _AHEAD * self._workers:
                yield from self._finished(*waiting.popleft(), whole, failed)
        while waiting:
            yield from self._finished(*waiting.popleft(), whole, failed)
        self._database.commit()

    def _finished(
        self,
        key: _Key,
        sha1: str,
        markup: str,
        result: Page | Future[str | None],
        whole: bool,
        failed: Callable[[_Key], None],
    ) -> Iterator[tuple[_Key, Page]]:
        if isinstance(result, Page):
            yield key, result
            return
        line = result.result()
        if line is None:
            failed(key)
            return
        self._database.execute(
            "INSERT OR REPLACE INTO pages VALUES (?, ?, ?, ?)",
            (self._version(markup), int(whole), sha1, zlib.compress(line.encode("utf-8", "surrogatepass"), 6)),
        )
        self._uncommitted += 1
        if self._uncommitted >= _COMMIT_EVERY:
            self._database.commit()
            self._uncommitted = 0
        yield key, from_json(line)

    def _parse(self, text: str, whole: bool, markup: str) -> str | None:
        child: _Child | _ChildElsewhere | None = getattr(self._local, "child", None)
        if child is None or not child.alive:
            child = self._local.child = _ChildElsewhere(self._elsewhere) if self._elsewhere else _Child()
            self._children.append(child)
        return child.ask(json.dumps([whole, self._tables, text, markup, self._limit]), self._limit)


def unpacked(page: bytes) -> Page:
    """The page of what :meth:`Parser.packed` gave."""
    return from_json(zlib.decompress(page).decode("utf-8", "surrogatepass"))


class _Child:
    """A parsing process; it answers one line with one line, or is ended at the limit."""

    def __init__(self) -> None:
        import fresco

        root = str(Path(fresco.__file__).resolve().parent.parent)
        path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fresco.builder.wikitext.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
            text=True,
            encoding="utf-8",
            errors="surrogatepass",
        )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, line: str, limit: float) -> str | None:
        assert self._process.stdin is not None and self._process.stdout is not None
        timer = threading.Timer(_PATIENCE * limit, self._process.kill)
        timer.start()
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except (BrokenPipeError, ValueError):
            answer = ""
        finally:
            timer.cancel()
        if not answer.endswith("\n"):
            self.end()
            return None
        return answer.rstrip("\n")

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


class _ChildElsewhere:
    """A parsing process of a worker on another machine."""

    def __init__(self, start: Callable[[Make], Worker]) -> None:
        self._start, self._worker = start, start(_Parent)
        self.alive = True

    def ask(self, line: str, limit: float) -> str | None:
        for _ in range(MOST_DEATHS):
            try:
                answer: str | None = self._worker.ask((line, limit))
            except WorkerDiedError:  # a lost machine costs no page
                self._worker.end()
                self._worker = self._start(_Parent)
            else:
                return answer
        return None

    def end(self) -> None:
        self.alive = False
        self._worker.end()


class _Parent:
    """The function of such a worker: it has a parsing process, which is ended at the limit."""

    def __init__(self) -> None:
        self._child: _Child | None = None

    def __call__(self, asked: tuple[str, float]) -> str | None:
        if self._child is None or not self._child.alive:
            self._child = _Child()
        return self._child.ask(*asked)
