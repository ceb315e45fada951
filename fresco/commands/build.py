"""``fresco build``: facts and dated revisions to a benchmark; or a manifest to a benchmark."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fresco.errors import FrescoError
from fresco.terminal.arguments import address, number_in, positive
from fresco.terminal.options import add_device, add_ray

if TYPE_CHECKING:
    from fresco.builder.job import Built


def add_build(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command to the parser."""
    build = commands.add_parser(
        "build",
        help="build a benchmark from dated facts and wiki revisions",
        description="Build a benchmark of changing facts from the revisions of a wiki or of files. "
        "Interrupted at any point, the same command goes on where it stopped.",
    )
    build.add_argument("--out", required=True, metavar="DIR", help="folder of the benchmark")
    build.add_argument(
        "--plan",
        action="store_true",
        help="say what requests, hours, disk and memory the build will take, by a sample of its pages, and stop",
    )
    build.add_argument("--status", action="store_true", help="say how far the build in --out is, and stop")

    where = build.add_argument_group("revisions from")
    where.add_argument(
        "--wiki",
        type=address,
        metavar="URL",
        help="a live MediaWiki, e.g. https://en.wikipedia.org/w/; FRESCO_WIKI_USER and FRESCO_WIKI_PASSWORD log in",
    )
    where.add_argument(
        "--mirror",
        metavar="FILE",
        help="a dump instead: MediaWiki XML or JSON Lines, packed or not, or 'command:WORDS' whose output is one and "
        "which is run twice; or files under git: git:PATH[@BRANCH]",
    )
    where.add_argument(
        "--include",
        action="append",
        default=[],
        metavar="GLOB",
        help="of files under git, those whose paths match, e.g. 'docs/**/*.md'; repeatable",
    )
    where.add_argument(
        "--documents",
        metavar="FILE",
        help="dated documents without revisions instead: CSV, JSON Lines or Parquet with id, title, text, date; "
        "needs --facts FILE",
    )
    where.add_argument("--contact", metavar="MAIL-OR-URL", help="for the operator; Wikimedia's hosts require it")
    where.add_argument(
        "--rate",
        type=number_in(0, 1000, above=True),
        default=5.0,
        metavar="N",
        help="most requests a second to the wiki",
    )
    where.add_argument("--maxlag", type=positive, default=5, metavar="S", help="wait while the wiki lags by S seconds")
    where.add_argument("--cache", metavar="FILE", help="cache of revisions (default: DIR/stages/revisions.sqlite)")
    where.add_argument("--keep-damaged", action="store_true", help="use what can be read of a damaged dump")

    what = build.add_argument_group("what")
    what.add_argument(
        "--facts",
        default="infobox",
        metavar="SPEC",
        help="infobox (default), fields (front matter, key-value tables, lists), wikidata, a file (CSV, JSON Lines, "
        "Parquet), or your own; see `fresco parts`",
    )
    what.add_argument(
        "--draft-relations",
        metavar="DIR",
        help="write a relation for each field that changes into DIR, to be edited and given with --relations, and stop",
    )
    what.add_argument(
        "--sparql", type=address, default="https://query.wikidata.org/sparql", metavar="URL", help="SPARQL service"
    )
    what.add_argument("--relation", action="append", default=[], metavar="R", help="only this relation; repeatable")
    what.add_argument(
        "--relations", action="append", default=[], metavar="DIR", help="folder of further relations; repeatable"
    )
    what.add_argument("--titles", metavar="FILE", help="only these pages, one title a line")
    what.add_argument(
        "--reference", type=_timestamp, metavar="TIME", help="when queries are asked, YYYY-MM-DDThh:mm:ssZ"
    )
    what.add_argument("--since", type=_timestamp, metavar="TIME", help="beginning of the window of facts")
    what.add_argument(
        "--edition",
        metavar="NAME",
        help="name of this edition of a corpus that lives on, e.g. 2026-12; what is read is kept for the next",
    )
    what.add_argument(
        "--earlier", metavar="DIR", help="an earlier edition: only what is new since is read; says what moved"
    )
    what.add_argument("--sample-days", type=positive, default=30, metavar="N", help="infobox: one revision in N days")
    what.add_argument("--pool-size", type=positive, default=51, metavar="N", help="candidates of a query at most")
    what.add_argument(
        "--outdated-share",
        type=number_in(0, 1),
        default=0.3,
        metavar="X",
        help="a pool is so small that X of it is outdated, where there is anything outdated (default 0.3; 0: any size)",
    )
    what.add_argument(
        "--tables",
        choices=("rows", "drop"),
        default="rows",
        help="data tables: rows as lines of the text (default), or no tables at all",
    )
    what.add_argument(
        "--infobox",
        choices=("passage", "drop"),
        default="passage",
        help="infoboxes: passages of their own (default), or no text at all",
    )
    what.add_argument(
        "--like-paper",
        action="store_true",
        help="the published construction: labels by the age of a revision, whole sections, no tables, no infoboxes, "
        "near-topic passages of an old snapshot that count as outdated",
    )
    what.add_argument("--embedder", metavar="MODEL", help="finds the hard negatives; BM25 without one")
    add_device(what, of="the embedder")
    what.add_argument(
        "--workers",
        type=positive,
        metavar="N",
        help="processes that parse, align and choose pools (default: all cores)",
    )
    add_ray(what)

    manifest = build.add_argument_group("manifest")
    manifest.add_argument("--manifest", metavar="FILE", help="hydrate this manifest instead of building")
    manifest.add_argument("--manifest-out", metavar="FILE", help="copy the manifest of the benchmark to this file")

    after = build.add_argument_group("and then")
    after.add_argument("--beir-out", metavar="DIR", help="write the benchmark as a BEIR folder, too")
    after.add_argument("--push-to-hub", metavar="USER/NAME", help="upload it as a Hugging Face dataset")
    after.add_argument("--private", action="store_true", help="upload it so that only you see it")
    build.set_defaults(run=run_build)


def run_build(options: argparse.Namespace) -> int:
    """Run the command; see :func:`fresco.cli.main` for the exit codes."""
    out = Path(options.out)
    if options.status:
        from fresco.builder.pipeline import status

        sys.stdout.writelines(f"{line}\n" for line in status(out))
        return 0
    built = _build(options, out)
    if built.plan:
        sys.stdout.writelines(f"{line}\n" for line in built.plan.lines())
        return 0
    if built.drafts:
        sys.stdout.writelines(f"{path}\n" for path in built.drafts)
        folder = options.draft_relations
        sys.stdout.write(
            f"{len(built.drafts)} relations; edit them, then fresco build --facts fields --relations {folder}\n"
        )
        return 0
    if built.funnel:
        sys.stdout.writelines(f"{line}\n" for line in built.funnel.lines())
    if built.read is not None:
        sys.stdout.write(f"  source                    {built.read} contents read from the repository\n")
    if built.changed is None:
        sys.stdout.write(
            "  source                    the wiki no longer knows what changed: all pages are listed again\n"
        )
    elif built.changed:
        sys.stdout.write(f"  source                    {built.changed} pages have changed since the earlier edition\n")
    if built.moved:
        sys.stdout.writelines(f"{line}\n" for line in built.moved.lines())
    for gone in built.hydrated.gone if built.hydrated else ():
        sys.stderr.write(
            f"gone: {gone.title}, revision {gone.revision_id} of {gone.timestamp}: {gone.reason} "
            f"({gone.passages} passages)\n"
        )
    for reason, count in built.lost.items():  # what the source could not give
        sys.stdout.write(f"  source                    {count}: {reason}\n")
    if found := built.hydrated:
        sys.stdout.write(
            f"{found.queries} queries ({found.queries_lost} lost), {found.passages} passages, {len(found.gone)} "
            "revisions gone or different\n"
        )
    sys.stdout.write(f"benchmark: {out}; fresco score --benchmark {out}\n")
    _after(options, out)
    return 0


def _build(options: argparse.Namespace, out: Path) -> Built:
    from fresco import api

    return api.build(
        out,
        wiki=options.wiki,
        mirror=options.mirror,
        documents=options.documents,
        manifest=options.manifest,
        contact=options.contact,
        rate=options.rate,
        maxlag=options.maxlag,
        cache=options.cache,
        keep_damaged=options.keep_damaged,
        include=tuple(options.include),
        draft_relations=options.draft_relations,
        reference=options.reference,
        edition=options.edition,
        plan=options.plan,
        earlier=options.earlier,
        since=options.since,
        facts=options.facts,
        relations=tuple(options.relation),
        relation_folders=tuple(Path(folder) for folder in options.relations),
        titles=_titles(options.titles),
        sample_days=options.sample_days,
        pool_size=options.pool_size,
        outdated_share=options.outdated_share,
        tables=options.tables == "rows" and not options.like_paper,
        infobox=options.infobox == "passage" and not options.like_paper,
        like_paper=options.like_paper,
        embedder=options.embedder,
        device=options.device,
        sparql=options.sparql,
        workers=options.workers,
        ray=options.ray,
    )


def _after(options: argparse.Namespace, out: Path) -> None:
    if options.manifest_out:
        from fresco.io.files import write_atomically

        write_atomically(Path(options.manifest_out), (out / "manifest.jsonl").read_bytes())
    if options.beir_out:
        from fresco.builder.tables import read_tables, write_beir

        write_beir(Path(options.beir_out), read_tables(out))
    if options.push_to_hub:
        from fresco.builder.tables import push_to_hub

        sys.stdout.write(f"pushed: {push_to_hub(out, options.push_to_hub, private=options.private)}\n")


def _titles(path: str | None) -> tuple[str, ...]:
    if path is None:
        return ()
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FrescoError(f"--titles {path}: cannot be read as UTF-8 text: {error}") from error
    titles = tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not titles:
        raise FrescoError(f"--titles {path}: holds no title")
    return titles


def _timestamp(text: str) -> datetime:
    from fresco.records import parse_timestamp

    try:
        return parse_timestamp(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
