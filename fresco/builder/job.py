"""One build from its source to its folder: from a wiki or a dump, by facts or from a manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fresco.benchmarks import open_benchmark
from fresco.errors import FrescoError
from fresco.io.secrets import redacted
from fresco.terminal.progress import Progress, no_progress

#: Where a revision of a file under git is found: its number is the beginning of the commit's.
COMMIT = "commit {revision_id:015x}"
UNKNOWN_LICENCE = "that of the repository"
#: The same of documents, of which so many are read for the time that one value held.
ROW = "row {revision_id} of the file"
OWN_LICENCE = "that of the documents"
DOCUMENTS_READ = 100

if TYPE_CHECKING:
    from fresco.builder.config import BuildConfig
    from fresco.builder.funnel import Funnel
    from fresco.builder.living import Moved
    from fresco.builder.manifest import Hydrated
    from fresco.builder.plan import Plan
    from fresco.builder.revisions import RevisionSource
    from fresco.records import Benchmark


@dataclass(frozen=True)
class Built:
    """What a build left behind.

    Attributes:
        folder: Of the benchmark.
        funnel: What was found, kept and dropped on the way; None where a manifest was hydrated.
        hydrated: What became of the manifest; None where the benchmark was built.
        lost: What the source could not give: reason to count.
        drafts: Files of drafted relations, where nothing else was asked for.
        moved: What has moved since the earlier edition; None where there is none.
        read: Contents that were read from the repository; None for other sources.
        plan: What a build would take, where nothing else was asked for.
        changed: Pages of a wiki that were listed again, for they have changed since the earlier edition; None where
            the wiki did not tell, and all were.
    """

    folder: Path
    funnel: Funnel | None
    hydrated: Hydrated | None
    lost: Mapping[str, int]
    drafts: tuple[Path, ...] = ()
    moved: Moved | None = None
    read: int | None = None
    plan: Plan | None = None
    changed: int | None = 0

    def open(self) -> Benchmark:
        """The benchmark."""
        return open_benchmark(str(self.folder))


@dataclass(frozen=True)
class Source:
    """Where revisions come from.

    Attributes:
        wiki: Address of a live MediaWiki; or
        mirror: a dump, ``command:WORDS`` whose output is one, or ``git:PATH[@BRANCH]``; or
        documents: a file of dated documents.
        include: Of files under git: patterns over their paths; none: all of a known markup.
        contact: For the wiki's operator.
        rate: Most requests a second.
        maxlag: Wait while the wiki lags by so many seconds.
        cache: Of revisions; in the build's folder where None.
        keep_damaged: Use what can be read of a damaged dump.
        keep: Whether what is read of a repository is kept for another edition.
    """

    wiki: str | None = None
    mirror: str | Path | None = None
    contact: str | None = None
    rate: float = 5.0
    maxlag: int = 5
    cache: str | Path | None = None
    keep_damaged: bool = False
    include: tuple[str, ...] = ()
    documents: str | Path | None = None
    keep: bool = False

    def __post_init__(self) -> None:
        if [bool(self.wiki), bool(self.mirror), bool(self.documents)].count(True) != 1:
            raise FrescoError(
                "give either --wiki URL or --mirror FILE, or else --documents FILE: where revisions come from"
            )
        if self.include and not self.is_git:
            raise FrescoError("--include names files of a repository: it needs --mirror git:PATH")

    @property
    def is_git(self) -> bool:
        """Whether it is a repository."""
        return str(self.mirror or "").startswith("git:")

    @property
    def words(self) -> str:
        """What tells builds from different sources apart."""
        from fresco.builder.wikipedia.dump_command import MARK

        given = str(self.mirror or self.documents)
        return str(redacted(self.wiki or f"dump {given if given.startswith(MARK) else Path(given).name}"))

    @contextmanager
    def open(self, out: Path, progress: Progress = no_progress) -> Iterator[Any]:
        """The source, for as long as the block runs.

        Args:
            out: Folder of the build, which has the cache where no other is named.
            progress: Told how far a dump is read, in MB.

        Raises:
            FrescoError: an extra is missing, or the source cannot be opened.
        """
        try:
            from fresco.builder.wikipedia import Command, Dump, Mirror, Wiki
            from fresco.builder.wikipedia.dump_command import MARK
            from fresco.builder.wikipedia.login import login_of_environment
        except ImportError as error:
            raise FrescoError(f"fresco build needs {error.name}; pip install 'fresco-ccs[build]'") from None
        if self.is_git:
            from fresco.builder.git import GitSource, parse_spec
            from fresco.builder.living import CONTENTS

            kept = out / "stages" / CONTENTS if self.keep else None
            with GitSource(*parse_spec(str(self.mirror)), self.include, kept=kept) as repository:
                yield repository
            return
        if self.documents:
            from fresco.builder.documents import DocumentSource

            with DocumentSource(Path(self.documents)) as documents:
                yield documents
            return
        cache = Path(self.cache) if self.cache else out / "stages" / "revisions.sqlite"
        cache.parent.mkdir(parents=True, exist_ok=True)
        if self.wiki:
            login = login_of_environment()
            source: Any = Wiki(self.wiki, self.contact, cache, rate=self.rate, maxlag=self.maxlag, login=login)
        else:
            told = partial(_read_of_dump, progress)
            words = str(self.mirror)
            dump = Command(words.removeprefix(MARK)) if words.startswith(MARK) else Path(words)
            # What is no file is a pipe: it cannot be read twice, so all of its texts are kept.
            twice = isinstance(dump, Command) or dump.is_file() or dump.is_dir() or not dump.exists()
            kind: Any = Dump if twice else Mirror
            source = kind(dump, cache, keep_damaged=self.keep_damaged, progress=told)
        with source:
            yield source


def run_build(
    out: Path,
    source: Source,
    manifest: Path | None,
    progress: Progress,
    options: Mapping[str, Any],
) -> Built:
    """Build a benchmark, or hydrate one from its manifest.

    Args:
        out: Folder of the benchmark.
        source: Where revisions come from.
        manifest: To hydrate; None to build.
        progress: Told how far each stage is.
        options: Fields of :class:`fresco.builder.config.BuildConfig`; None stands for the field's default.
            ``draft_relations``: folder for drafts of relations; no benchmark is built then. ``earlier``: folder of
            an earlier edition. ``plan``: say what the build will take, and build nothing.

    Raises:
        FrescoError: see :func:`fresco.builder.pipeline.build` and :func:`fresco.builder.manifest.hydrate`.
        TypeError: there is no such option.
    """
    from fresco.builder.config import BuildConfig
    from fresco.builder.living import compare
    from fresco.builder.manifest import hydrate
    from fresco.builder.own_rows import SUFFIXES
    from fresco.builder.pipeline import build
    from fresco.builder.reader import window

    chosen = {name: value for name, value in options.items() if value is not None}
    drafts_to = chosen.pop("draft_relations", None)
    is_plan = bool(chosen.pop("plan", False))
    earlier = Path(chosen.pop("earlier")) if "earlier" in chosen else None
    if is_plan and (manifest or drafts_to or earlier):
        raise FrescoError("--plan is for a build from nothing: without --manifest, --draft-relations and --earlier")
    if unknown := chosen.keys() - {field.name for field in fields(BuildConfig)}:
        raise TypeError(f"build() has no option {min(unknown)!r}")
    if earlier is not None:
        _go_on_from(earlier, out, source, chosen)
    with source.open(out, progress) as opened:
        if manifest is not None:
            workers = {"workers": chosen["workers"]} if "workers" in chosen else {}
            hydrated = hydrate(manifest, opened, out, **workers)
            return Built(out, None, hydrated, dict(opened.report.counts()))
        if source.is_git:
            chosen = {"attribution": COMMIT, "licence": UNKNOWN_LICENCE, **chosen}
        if source.documents:
            chosen = {"per_interval": DOCUMENTS_READ, "attribution": ROW, "licence": OWN_LICENCE, **chosen}
            chosen["documents"] = True
        words = getattr(opened, "words", source.words)  # a repository's are those of its commit
        if str(chosen.get("facts", "")).endswith(SUFFIXES) and ":" not in chosen["facts"]:
            chosen["facts"] = f"table:{chosen['facts']}"
        if source.documents and chosen.get("facts", "infobox") in ("infobox", "fields"):
            raise FrescoError("--documents needs --facts FILE: documents without revisions do not tell what changed")
        config = BuildConfig(out=out, source=words, contact=source.contact, **chosen)
        if is_plan:
            return Built(out, None, None, {}, plan=_planned(config, opened, progress))
        if drafts_to is not None:
            return _drafted(config, opened, Path(drafts_to), progress)
        if config.facts == "fields" and not config.relation_folders:
            from fresco.builder.drafting import draft_relations

            folder = out / "relations"
            drafted = draft_relations(config, opened, folder, progress)
            keys = config.relations or tuple(path.stem for path in drafted)
            config = replace(config, relation_folders=(folder,), relations=keys)
        changed = opened.renew(window(config)[1]) if earlier is not None and source.wiki else 0
        funnel = build(config, opened, progress)
        moved = compare(earlier, out) if earlier is not None else None
        lost = dict(opened.report.counts())
        read = opened.read if source.is_git else None
        return Built(out, funnel, None, lost, moved=moved, read=read, changed=changed)


def _read_of_dump(progress: Progress, done: int, size: int) -> None:
    progress("dump (MB)", done // 1_000_000, size // 1_000_000)


def _go_on_from(earlier: Path, out: Path, source: Source, chosen: Mapping[str, Any]) -> None:
    from fresco.builder.living import CONTENTS, REVISIONS, take_over

    if source.documents or "edition" not in chosen:
        raise FrescoError("--earlier goes on from an edition of a wiki, a dump or files under git: --edition NAME, too")
    if earlier.resolve() == out.resolve():
        raise FrescoError(f"--earlier {earlier}: is the folder of --out; each edition has one of its own")
    take_over(earlier, out, CONTENTS if source.is_git else None if source.cache else REVISIONS)


def _drafted(config: BuildConfig, source: Any, folder: Path, progress: Progress) -> Built:
    from fresco.builder.drafting import draft_relations

    drafts = tuple(draft_relations(config, source, folder, progress))
    return Built(config.out, None, None, dict(source.report.counts()), drafts)


def _planned(config: BuildConfig, source: RevisionSource, progress: Progress) -> Plan:
    from fresco.builder.plan import plan

    if config.facts == "fields" and not config.relation_folders:
        raise FrescoError("--plan needs the relations of --facts fields: --draft-relations DIR, then --relations DIR")
    config.out.mkdir(parents=True, exist_ok=True)
    return plan(config, source, progress)
