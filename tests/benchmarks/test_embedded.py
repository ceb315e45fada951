"""The embedded benchmark is found in a wheel and in a checkout, and opens."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from fresco.benchmarks import open_benchmark
from fresco.benchmarks.embedded import embedded_folder
from fresco.errors import FrescoError
from fresco.records import Kind, Label, Task

ROOT = Path(__file__).parents[2]

# Until the builder's script has run in a fresh tree there is nothing to open; a checkout always holds the files.
needs_mini = pytest.mark.skipif(
    not any((ROOT / "data" / "mini").glob("corpus.*")), reason="data/mini is not built: run its script"
)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An import package ``pretend`` in a folder of its own, as in site-packages."""
    folder = tmp_path / "site" / "pretend"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(folder.parent))
    importlib.invalidate_caches()
    monkeypatch.delitem(sys.modules, "pretend", raising=False)
    return folder


def test_package_data_comes_first_then_the_checkout(package: Path) -> None:
    beside = package.parent / "data" / "mini"
    inside = package / "_data" / "mini"
    with pytest.raises(FrescoError) as caught:
        embedded_folder("mini", "pretend")
    assert str(caught.value) == (
        f"the embedded benchmark 'mini' is not in this installation (looked in {inside} and {beside}); "
        "install fresco-ccs again"
    )
    beside.mkdir(parents=True)
    assert embedded_folder("mini", "pretend") == beside
    inside.mkdir(parents=True)
    assert embedded_folder("mini", "pretend") == inside


@needs_mini
def test_mini_opens_by_name_whatever_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mini").mkdir()
    benchmark = open_benchmark("mini")
    assert benchmark.name == "mini"
    assert benchmark.fingerprint == open_benchmark(str(ROOT / "data" / "mini")).fingerprint


@needs_mini
def test_mini_has_the_shape_that_the_metrics_need() -> None:
    benchmark = open_benchmark("mini")
    kinds = {kind: [pool for pool in benchmark.pools if pool.query.kind is kind] for kind in Kind}
    assert min(len(kinds[Kind.EXPLICIT]), len(kinds[Kind.IMPLICIT]), len(kinds[Kind.STATIC])) >= 150
    assert {len(pool) for pool in benchmark.pools} == {51}
    for pool in benchmark.pools:
        present = set(pool.labels)
        assert Label.OUTDATED in present or pool.query.task is Task.NEK
