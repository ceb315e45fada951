"""What ``fresco parts`` and ``ccs parts`` print: every part that can be named, and what each needs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fresco.io.registry import Registry


@dataclass(frozen=True)
class Listing:
    """The parts of one kind.

    Attributes:
        kind: What they are called, in the plural: ``re-rankers``.
        named_by: The option that names one, and how one of the user's own is written.
        columns: Titles.
        rows: One text for each column.
        broken: Files that could not be imported, with the reason.
    """

    kind: str
    named_by: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    broken: Sequence[str] = ()


#: Makes the listing of a kind; what it needs is imported there.
MakeListing = Callable[[], Listing]


def list_registry(kind: str, registry: Registry[Any]) -> Listing:
    """The built-in parts of a registry, what packages have installed, and how to name one of the user's own."""
    parts = [
        (part.spec, part.what, part.needs, *(part.columns[title] for title in registry.columns))
        for part in registry.parts().values()
    ]
    rest = ["as it says"] * len(registry.columns)
    installed = [(name, f"plug-in {target}", "installed", *rest) for name, target in registry.plug_ins().items()]
    own = ("module:Class,ARGUMENTS", "your own, or FILE.py:Class", "importable from here", *rest)
    columns = ("spec", "what", "needs", *registry.columns)
    return Listing(kind, registry.flag, columns, [*parts, *installed, own], list(registry.broken.values()))


def add_parts(
    commands: argparse._SubParsersAction[Any], name: str, kinds: Mapping[str, MakeListing], only: str | None = None
) -> None:
    """Add a command that lists parts to a parser.

    Args:
        commands: Of the parser.
        name: Of the command.
        kinds: What makes the listing of each kind.
        only: The one kind that the command lists; None for all, or those that the user names.
    """
    what = f"list the {only} and what each needs" if only else "list every part that can be named, and what each needs"
    parser = commands.add_parser(name, help=what)
    if only is None:
        parser.add_argument("kind", nargs="*", metavar="KIND", help=f"only these: {', '.join(kinds)}")
    parser.add_argument("--json", action="store_true", help="print one JSON object a part")
    parser.set_defaults(run=lambda options: _run(options, kinds, [only] if only else options.kind))


def _run(options: argparse.Namespace, kinds: Mapping[str, MakeListing], chosen: Sequence[str]) -> int:
    from fresco.errors import FrescoError

    for name in chosen:
        if name not in kinds:
            raise FrescoError(f"there is no kind of part {name!r}; there are: {', '.join(kinds)}")
    listings = [kinds[name]() for name in chosen or kinds]
    if options.json:
        for listing in listings:
            for row in listing.rows:
                cells = dict(zip(listing.columns, row, strict=True))
                sys.stdout.write(json.dumps({"kind": listing.kind, **cells}) + "\n")
    else:
        _print(listings)
    for listing in listings:
        sys.stderr.writelines(f"warning: {reason}\n" for reason in listing.broken)
    return 0


def _print(listings: Sequence[Listing]) -> None:
    from rich.table import Table

    from fresco.terminal.console import literal, make_console

    console = make_console()
    for listing in listings:
        title = f"{listing.kind} ({listing.named_by})"
        table = Table(*listing.columns, header_style="bold", title=literal(title), title_justify="left")
        for row in listing.rows:
            table.add_row(*(literal(cell) for cell in row))
        console.print(table)
