"""One registry for every kind of part: re-rankers, benchmarks, fact sources, proposers, rewards, maskers, retrievers.

A kind is one :class:`Registry`, made beside the protocol of its parts::

    RERANKERS: Registry[Reranker] = Registry(
        "re-ranker", flag="--reranker", package="fresco.rerank", group="fresco.rerankers", columns=("instruction",),
        members=("name", "takes_instruction", "score"),
    )

A built-in part is one file in the kind's package that registers itself; no list is edited::

    @RERANKERS.register("half-life:BASE,DAYS", "a recency prior", needs="what BASE needs", example="bm25,365")
    def _open(arguments: str, settings: Settings) -> Reranker: ...

The first use of a registry imports those modules of the package whose source says ``.register(``, so such a module
must import what is heavy (torch, an extra) inside ``make``. One that cannot be imported takes no other part down: it
is named where a spec is not found, and by ``fresco parts``.

``RERANKERS.open(spec, settings=settings)`` understands, in this order:

``NAME`` or ``NAME:REST``
    A built-in part. ``make`` gets REST as one string, and of the keyword arguments of ``open`` those that it names.
    Whether there may be a REST is read off the part's own spec: ``random``, ``dense:MODEL`` or ``clauses[:SAMPLER]``.
``NAME``, ``NAME:ARGUMENTS`` or ``NAME,ARGUMENTS``
    What an installed package registers under the kind's entry point group.
``MODULE:ATTRIBUTE`` or ``FILE.py:ATTRIBUTE``, either with ``,ARGUMENTS``
    A class or function of the user's own; modules in the current folder are found. See :func:`read_arguments`:
    ``my_rankers:Deep,2,name='a, b'`` calls ``Deep(2, name="a, b")``. Of the keyword arguments of ``open`` it gets
    those that it names, too. An object that is a part already is taken as it is.

Files and folders named in the environment variable ``FRESCO_PARTS`` are imported before anything is looked up: a file
there registers parts of any kind, as the built-in files do, without being installed.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import pkgutil
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar

from fresco.errors import FrescoError
from fresco.io.call_arguments import read_arguments
from fresco.io.foreign import foreign_code, import_file

T = TypeVar("T")

_OURS = ("fresco", "ccs")  # what these raise besides FrescoError is a defect, and must look like one

#: Files and folders of parts, separated as in ``PATH``.
PARTS_VARIABLE = "FRESCO_PARTS"


@dataclass(frozen=True)
class Part(Generic[T]):
    """A built-in part, and a row of ``fresco parts``.

    Attributes:
        spec: How it is written: ``random``, ``dense:MODEL``, ``clauses[:SAMPLER]``.
        what: What it is, in a few words.
        make: Makes it: called with what follows the colon, and what it names of the keyword arguments of
            :meth:`Registry.open`.
        needs: What must be installed or running besides the core.
        example: What may follow the colon, for error messages: ``bm25,365``.
        columns: Further cells, by the titles that the registry declares.
    """

    spec: str
    what: str
    make: Callable[..., T]
    needs: str = "nothing"
    example: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What stands before the colon."""
        return re.split(r"[\[:@]", self.spec, maxsplit=1)[0]

    def open(self, where: str, arguments: str, context: Mapping[str, Any]) -> T:
        """Make the part.

        Args:
            where: The flag and the spec, for messages.
            arguments: What follows the colon.
            context: Keyword arguments of :meth:`Registry.open`.

        Raises:
            FrescoError: something follows that should not, or nothing where something should.
        """
        optional = self.spec.startswith(f"{self.name}[")
        if arguments and self.spec == self.name:
            raise FrescoError(f"{where}: {self.name} takes nothing after its name; write just {self.name}")
        if not arguments and self.spec != self.name and not optional:
            raise FrescoError(f"{where}: write {self.usage}")
        if self.make.__module__.split(".")[0] in _OURS:
            return self.make(arguments, **_named(self.make, context))
        with foreign_code(f"{where}: making it failed"):
            return self.make(arguments, **_named(self.make, context))

    @property
    def usage(self) -> str:
        """The spec with its example."""
        return f"{self.spec}, as in {self.name}:{self.example}" if self.example else self.spec


class Registry(Generic[T]):
    """The parts of one kind.

    Args:
        kind: What one of them is called: ``re-ranker``.
        flag: The option that names one: ``--reranker``.
        package: Whose modules register the built-in parts; None where there is no such package.
        group: Entry point group of installed packages.
        columns: Titles of what parts say besides spec, what and needs.
        members: What an object must have to be such a part.
        check: Says what is wrong with an object that a plug-in made, None where nothing is.
        listing: The command that lists the parts, for messages.
    """

    def __init__(
        self,
        kind: str,
        *,
        flag: str,
        package: str | None,
        group: str,
        columns: Sequence[str] = (),
        members: Sequence[str] = (),
        check: Callable[[Any], str | None] | None = None,
        listing: str = "fresco parts",
    ) -> None:
        self.kind, self.flag, self.package, self.group = kind, flag, package, group
        self.columns, self.members, self.check, self.listing = tuple(columns), tuple(members), check, listing
        self._parts: dict[str, Part[T]] = {}
        self._discovered = False
        #: Files that should register parts and could not be imported, with the reason.
        self.broken: dict[str, str] = {}

    def register(
        self, spec: str, what: str, *, needs: str = "nothing", example: str = "", **columns: str
    ) -> Callable[[Callable[..., T]], Callable[..., T]]:
        """Register what is decorated as the ``make`` of a part; see :class:`Part` for the arguments.

        Raises:
            FrescoError: another file has registered that name, or the cells are not those of this kind.
        """
        if set(columns) != set(self.columns):
            raise FrescoError(f"{self.kind} {spec}: give {', '.join(self.columns) or 'no further cells'}")

        def decorate(make: Callable[..., T]) -> Callable[..., T]:
            part = Part(spec, what, make, needs, example, columns)
            before = self._parts.get(part.name)
            if before is not None and before.make.__module__ != make.__module__:  # the same file again: imported anew
                raise FrescoError(
                    f"two files register the {self.kind} {part.name!r}: {before.make.__module__} and "
                    f"{make.__module__}; give one another name"
                )
            self._parts[part.name] = part
            return make

        return decorate

    def parts(self) -> dict[str, Part[T]]:
        """The registered parts by name, in alphabetical order of name."""
        self._discover()
        return dict(sorted(self._parts.items()))

    def plug_ins(self) -> dict[str, str]:
        """What installed packages register: name to ``module:attribute``."""
        return {entry.name: entry.value for entry in entry_points(group=self.group)}

    def open(self, spec: str, /, *, flag: str | None = None, **context: Any) -> T:
        """Make the part that a spec names.

        Args:
            spec: See the module's text.
            flag: The option or key that the spec comes from, where it is not the registry's own.
            context: What the parts of this kind may ask for by name.

        Raises:
            FrescoError: an unknown spec, wrong arguments, or a plug-in that fails; one line with flag and spec.
        """
        where = f"{flag or self.flag} {spec}"
        name, _, rest = spec.partition(":")
        if part := self.parts().get(name):
            return part.open(where, rest, context)
        if entry := self._entry_point(spec):
            arguments = spec[len(entry.name) + 1 :]
            return self.adopt(where, _loaded(where, entry.load, self.listing), arguments, **context)
        if rest:
            attribute, _, arguments = _after_file(spec).partition(",")
            source = spec[: -len(_after_file(spec)) - 1]
            return self.adopt(where, self._attribute(where, source, attribute), arguments, **context)
        raise FrescoError(f"{where}: unknown; {self._hint(name)}")

    def _discover(self) -> None:
        if self._discovered:
            return
        added = _added_files()
        self._discovered = True
        for name in _registering_modules(self.package) if self.package else ():
            self._try(name, lambda name=name: importlib.import_module(name))  # type: ignore[misc]
        for path in added:
            self._try(str(path), lambda path=path: import_file(path))  # type: ignore[misc]

    def _try(self, name: str, load: Callable[[], Any]) -> None:
        try:
            with foreign_code(f"{name}: importing it failed"):
                load()
        except FrescoError as error:
            self.broken[name] = str(error)

    def _entry_point(self, spec: str) -> EntryPoint | None:
        for entry in entry_points(group=self.group):
            if spec == entry.name or spec.startswith((f"{entry.name}:", f"{entry.name},")):
                return entry
        return None

    def _attribute(self, where: str, source: str, attribute: str) -> Any:
        if source.endswith(".py"):
            path = Path(source)
            if not path.is_file():
                raise FrescoError(f"{where}: there is no file {source}")
            module = _loaded(where, lambda: import_file(path), self.listing)
        else:
            here = str(Path.cwd())  # as with `python -m`; a console script alone would not look there
            if here not in sys.path:
                sys.path.insert(0, here)
            module = _loaded(where, lambda: importlib.import_module(source), self._hint(source))
        if not hasattr(module, attribute):
            raise FrescoError(
                f"{where}: {'' if source.endswith('.py') else 'module '}{source} has no {attribute}; write module:Class"
            )
        return getattr(module, attribute)

    def adopt(self, where: str, target: Any, written: str = "", **context: Any) -> T:
        """Make a part of a class, a function or an object that the user holds.

        Args:
            where: The flag and the spec, or what it is, for messages.
            target: A class or function is called, an object that is such a part already is taken as it is.
            written: Arguments of the call, see :func:`~fresco.io.call_arguments.read_arguments`.
            context: See :meth:`open`.

        Raises:
            FrescoError: it cannot be called, fails, or what comes back is no such part.
        """
        lacks = self._lacks(where, target)
        if not written and not isinstance(target, type) and self.members and len(lacks) < len(self.members):
            made = target  # all of the members or some: it is meant as a part, and told below what it lacks
        elif not callable(target):
            raise FrescoError(f"{where}: {_shown(target)} is no class; write module:Class")
        else:
            arguments, keywords = read_arguments(where, written)
            known = {name: value for name, value in _named(target, context).items() if name not in keywords}
            with foreign_code(f"{where}: making it failed", hint=_takes(target)):
                made = target(*arguments, **keywords, **known)
        if lacks := self._lacks(where, made):
            raise FrescoError(f"{where}: it lacks {', '.join(lacks)}; a {self.kind} has {', '.join(self.members)}")
        with foreign_code(f"{where}: looking at it failed"):
            fault = self.check(made) if self.check else None
        if fault:
            raise FrescoError(f"{where}: {fault}")
        part: T = made
        return part

    def _lacks(self, where: str, target: Any) -> list[str]:
        with foreign_code(f"{where}: looking at it failed"):
            return [member for member in self.members if not hasattr(target, member)]

    def _hint(self, name: str) -> str:
        """What is known, the likeliest first, and what could not be imported."""
        close = get_close_matches(name, [*self.parts(), *self.plug_ins()], n=1)
        meant = f"did you mean {close[0]}? " if close else ""
        known = ", ".join([*(part.spec for part in self.parts().values()), *self.plug_ins()])
        broken = "".join(f"; {reason}" for reason in self.broken.values())
        return f"{meant}known are {known}, or module:Class for your own (see `{self.listing}`){broken}"


def _registering_modules(package: str) -> list[str]:
    """Names of the package's own modules that register a part, in alphabetical order."""
    found = []
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
        spec = importlib.util.find_spec(module.name)
        source = getattr(spec.loader, "get_source", lambda _: None)(module.name) if spec else None
        if not module.ispkg and (source is None or ".register(" in source):
            found.append(module.name)
    return sorted(found)


def _added_files() -> list[Path]:
    """The files that ``FRESCO_PARTS`` names, itself or by their folder."""
    found: list[Path] = []
    for name in filter(None, os.environ.get(PARTS_VARIABLE, "").split(os.pathsep)):
        path = Path(name)
        if path.is_dir():
            found += sorted(path.glob("*.py"))
        elif path.is_file():
            found.append(path)
        else:
            raise FrescoError(f"{PARTS_VARIABLE}: there is no file or folder {name}")
    return found


def _after_file(spec: str) -> str:
    """What follows ``MODULE:`` or ``FILE.py:``; a path may hold colons itself."""
    _, mark, rest = spec.partition(".py:")
    return rest if mark else spec.partition(":")[2]


def _loaded(where: str, load: Callable[[], Any], hint: str) -> Any:
    with foreign_code(f"{where}: importing it failed", hint=f"; {hint}"):
        try:
            return load()
        except ModuleNotFoundError as error:
            raise FrescoError(f"{where}: no module named {error.name}; install it, or else: {hint}") from error


def _named(make: Callable[..., Any], context: Mapping[str, Any]) -> dict[str, Any]:
    try:
        parameters = inspect.signature(make).parameters
    except (TypeError, ValueError):  # built in C
        return {}
    return {name: value for name, value in context.items() if name in parameters}


def _takes(target: Callable[..., Any]) -> str:
    try:
        return f"; it takes {inspect.signature(target)}"
    except (TypeError, ValueError):
        return ""


def _shown(target: Any) -> str:
    text = " ".join(repr(target).split())
    return text if len(text) <= 80 else f"{text[:77]}..."
