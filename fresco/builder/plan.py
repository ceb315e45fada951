"""What a build will take, measured on a few of its pages before the rest is asked for.

``fresco build --plan`` runs all stages on a sample of the pages, in a folder of its own, and multiplies: requests,
time and disk are linear in the pages. What the sample reads stays in the cache, so the build does not ask for it again.
Memory is that of the sample's own run, and what its passages take (the last stage holds them all) multiplied.
"""

from __future__ import annotations

import shutil
import tempfile
import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

from fresco.builder.config import BuildConfig, Progress
from fresco.builder.facts import CountedSource
from fresco.builder.facts.registry import FACT_SOURCES, OF_PAGES, facts_of
from fresco.builder.pipeline import build
from fresco.builder.pools import by_hash
from fresco.builder.reader import window
from fresco.builder.revisions import PassingSource, RevisionSource
from fresco.builder.stages import STAGES
from fresco.builder.tables import as_json
from fresco.builder.templates import choose
from fresco.errors import FrescoError
from fresco.io.files import write_atomically
from fresco.models import memory

#: Pages of the sample at most, and their share of the pages of a small build.
SAMPLE, SHARE = 40, 3
#: Bytes by which a process grows for each byte that its passages take while pools are chosen: rows and columns are made
#: of them. Measured on 5 to 29 real pages.
GROWTH = 3
#: The plan's figures, in the folder of the benchmark.
PLAN = "plan.json"


@dataclass(frozen=True)
class Plan:
    """Estimates of what is still to come, beside what the plan itself took.

    Attributes:
        pages: Pages of the build.
        unread: Those that the cache does not have yet, the sample's pages not included.
        sample: Pages that were measured.
        requests: Requests to the wiki.
        queries: Requests to the SPARQL service.
        hours: Of time, waits for the wiki included.
        disk: Bytes that are added to the folder of the benchmark and to the cache.
        memory: Bytes of the process at its peak; 0 where the system does not say.
        worker_memory: Bytes of each process that parses, at its peak; 0 where the system does not say.
        requests_made: Requests to the wiki that the plan made.
        is_whole: Whether pairs of the sample came through all stages; else pools are left out of time and disk.
    """

    pages: int
    unread: int
    sample: int
    requests: int
    queries: int
    hours: float
    disk: int
    memory: int
    worker_memory: int
    requests_made: int
    is_whole: bool

    def lines(self) -> list[str]:
        """The plan in words."""
        made = f"{self.requests_made:,} were made for this plan"
        found = [
            f"plan: {self.pages:,} pages, {self.unread:,} of them to be read, by what {self.sample:,} pages took",
            f"  requests                  about {self.requests:,} to the wiki; {made}",
            f"  hours                     about {self.hours:.2g}",
            f"  disk                      about {self.disk / 2**20:,.0f} MiB more",
            f"  memory                    about {self.memory / 2**20:,.0f} MiB, and {self.worker_memory / 2**20:,.0f} "
            "MiB in each process that parses",
        ]
        if self.queries:
            found.insert(2, f"  SPARQL                    about {self.queries:,} requests")
        if not self.is_whole:
            found.append("  no pair of the sample came through: the last stages are not in these figures")
        return found


def plan(config: BuildConfig, source: RevisionSource, progress: Progress) -> Plan:
    """Measure a sample and write the plan to ``plan.json``.

    Args:
        config: Of the build.
        source: Where its revisions come from; what is read of it is kept as in a build.
        progress: Told how far each stage of the sample is.

    Raises:
        FrescoError: as of a build; or there is no page.
    """
    questions = config.out / "stages" / "sparql"
    titles, queries, seconds_of_query = _titles(config, source, questions, progress)
    if not titles:
        raise FrescoError(f"{config.source}: no page to plan for; are there facts of these relations?")
    is_read = getattr(source, "is_read", lambda _: False)
    unread = [title for title in titles if not is_read(title)]
    chosen = by_hash(unread or titles, min(SAMPLE, ceil(len(titles) / SHARE)))
    with tempfile.TemporaryDirectory(prefix=".plan-", dir=config.out) as folder:
        if questions.is_dir():
            shutil.copytree(questions, Path(folder) / "b" / "stages" / "sparql")
        near = ceil(len(chosen) * min(1.0, config.near_topic_pages / len(titles)))
        started = time.monotonic()
        if isinstance(source, PassingSource):  # a build reads it as often as is done here
            source.hold(chosen, *window(config))
        reading = time.monotonic() - started
        sampled = replace(config, out=Path(folder) / "b", titles=tuple(chosen), near_topic_pages=near)
        took = _measured(sampled, source, progress)
    left = max(0, len(unread) - len(chosen))
    each, scale = 1 / len(chosen), len(titles) / len(chosen)
    requests = round(took.requests * each * left)
    found = Plan(
        pages=len(titles),
        unread=left,
        sample=len(chosen),
        requests=requests,
        queries=queries,
        hours=(took.seconds * scale + queries * seconds_of_query + reading) / 3600,
        disk=round(took.folder * scale + took.cache * each * left),
        memory=round(took.peak + GROWTH * took.held * (scale - 1)) if took.peak else 0,
        worker_memory=took.worker_peak,
        requests_made=_requests(source),
        is_whole=took.is_whole,
    )
    write_atomically(config.out / PLAN, as_json(asdict(found)))
    return found


def _titles(
    config: BuildConfig, source: RevisionSource, questions: Path, progress: Progress
) -> tuple[Sequence[str], int, float]:
    """The pages of the build, how many questions their facts still take, and seconds of one."""
    if config.facts in OF_PAGES:
        return sorted(set(config.titles) or source.titles()), 0, 0.0
    relations = choose(config.relations, config.relation_folders)
    facts = FACT_SOURCES.open(
        config.facts,
        config=config,
        relations=relations,
        folder=questions,
        progress=lambda done, total: progress("subjects", done, total),
        infobox_facts=lambda: iter(()),
    )
    if isinstance(facts, CountedSource):
        return sorted(facts.subjects()), facts.questions_left(), facts.seconds_of_question
    found = {fact.subject for fact in facts_of(config.facts, facts, relations)}
    return sorted(found & set(config.titles) if config.titles else found), 0, 0.0


@dataclass
class _Took:
    """What the sample took; bytes, seconds."""

    seconds: float = 0.0
    requests: int = 0
    folder: int = 0
    cache: int = 0
    peak: int = 0
    worker_peak: int = 0
    held: int = 0
    is_whole: bool = True


def _measured(config: BuildConfig, source: RevisionSource, progress: Progress) -> _Took:
    first = replace(config, out=config.out.with_name("first"), titles=config.titles[:1], near_topic_pages=1)
    if hasattr(source, "log_in"):
        source.log_in()
    requests, cache = _requests(source), _cached(source)
    _built(first, source, progress)  # what is loaded once is loaded now
    once, _ = _timed(replace(first, out=config.out.with_name("again")), source, progress)  # its page is read already
    worker_peak = 0

    def told(stage: str, done: int, total: int) -> None:
        nonlocal worker_peak
        worker_peak = max(worker_peak, memory.peak_of_children() or 0)  # they end with their stage
        progress(stage, done, total)

    seconds, is_whole = _timed(config, source, told)
    pages = len(config.titles)
    took = _Took(seconds=max(0.0, seconds - once) * pages / max(1, pages - 1), is_whole=is_whole)
    took.requests, took.cache = _requests(source) - requests, _cached(source) - cache
    took.folder = sum(path.stat().st_size for path in config.out.rglob("*") if path.is_file())
    took.peak, took.worker_peak = memory.peak(None) or 0, worker_peak
    if took.is_whole:
        (config.out / "stages" / STAGES["pools"]).unlink()
        took.held = _held(config, source)
    return took


def _timed(config: BuildConfig, source: RevisionSource, progress: Progress) -> tuple[float, bool]:
    """Seconds that scale with the pages: of all stages, but of facts only where those are read from the pages."""
    start, of_pages = time.monotonic(), config.facts in OF_PAGES

    def told(stage: str, done: int, total: int) -> None:
        nonlocal start
        if stage == "facts" and not of_pages:
            start = time.monotonic()
        progress(stage, done, total)

    is_whole = _built(config, source, told)
    return time.monotonic() - start, is_whole


def _built(config: BuildConfig, source: RevisionSource, progress: Progress) -> bool:
    """Whether a sample comes through all stages: few pages may hold no pair that can be aligned."""
    try:
        build(config, source, progress)
    except FrescoError:
        if not (config.out / "stages" / STAGES["revisions"]).exists():
            raise
        return False
    return True


def _held(config: BuildConfig, source: RevisionSource) -> int:
    """Bytes of Python's objects while pools are chosen, when all passages are held."""
    held = 0

    def told(*_: Any) -> None:
        nonlocal held
        held = max(held, tracemalloc.get_traced_memory()[0])

    tracemalloc.start()
    try:
        build(config, source, told)
    finally:
        tracemalloc.stop()
    return held


def _requests(source: Any) -> int:
    return int(getattr(source, "requests_made", 0))


def _cached(source: Any) -> int:
    cache = getattr(source, "cache", None)
    return cache.size() if cache is not None else 0
