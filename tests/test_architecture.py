"""The plan of the house: what may import what, no circles, no package that a function of the root would hide."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import ccs
import fresco

ROOT = Path(__file__).parents[1]
#: What `ccs` may use of `fresco`.
COMMON = {"records", "errors", "io", "clients", "models", "stats", "terminal"}
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ("fresco", "ccs")
    for path in sorted((ROOT / package).rglob("*.py"))
}


def imports(path: Path, *, only_at_import: bool) -> Iterator[str]:
    """The modules that a file imports: all, or those that importing it imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if only_at_import and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if only_at_import and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending += node.orelse
            continue
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
            yield from (f"{node.module}.{each.name}" for each in node.names)
        pending += ast.iter_child_nodes(node)


def ours(path: Path, *, only_at_import: bool) -> set[str]:
    """Those of them that are modules of this project."""
    return {name for name in imports(path, only_at_import=only_at_import) if name in MODULES}


def test_the_modules_are_found() -> None:
    assert len(MODULES) > 200
    assert "fresco.scoring.runner" in ours(MODULES["fresco.scoring.pipeline"], only_at_import=True)


@pytest.mark.parametrize("name", sorted(name for name in MODULES if name.split(".")[0] == "ccs"))
def test_ccs_uses_of_fresco_the_common_ground(name: str) -> None:
    used = {each for each in imports(MODULES[name], only_at_import=False) if each.split(".")[0] == "fresco"}
    strangers = {each for each in used if each.count(".") and each.split(".")[1] not in COMMON | {"__version__"}}
    assert not strangers


@pytest.mark.parametrize(
    "name", sorted(name for name in MODULES if name.split(".")[0] == "fresco" and name.split(".")[1:2] != [])
)
def test_fresco_never_uses_ccs_and_the_common_ground_nothing_above_it(name: str) -> None:
    used = {each for each in imports(MODULES[name], only_at_import=False) if each.split(".")[0] in ("fresco", "ccs")}
    assert not {each for each in used if each.split(".")[0] == "ccs"}
    if name.split(".")[1] in COMMON:
        above = {each for each in used if each.count(".") and each.split(".")[1] not in COMMON | {"__version__"}}
        assert not above


def test_there_is_no_circle_of_imports() -> None:
    graph = {name: ours(path, only_at_import=True) - {name} for name, path in MODULES.items()}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail[trail.index(name) :], name))
        if name in done:
            return
        for other in sorted(graph[name]):
            visit(other, (*trail, name))
        done.add(name)

    for name in sorted(graph):
        visit(name, ())


@pytest.mark.parametrize("package", [fresco, ccs])
def test_no_function_of_the_root_has_a_subpackages_name(package: object) -> None:
    name = package.__name__  # type: ignore[attr-defined]
    folders = {path.name for path in (ROOT / name).iterdir() if path.is_dir()}
    assert not folders & set(package.__all__)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", sorted(MODULES))
def test_files_stay_small(name: str) -> None:
    assert len(MODULES[name].read_text(encoding="utf-8").splitlines()) <= 440
