from __future__ import annotations

import sys

import pytest

from fresco.errors import FrescoError
from fresco.models.settings import Settings
from fresco.rerank.registry import RERANKERS, open_reranker
from fresco.testing import check_reranker

PLUG_IN = """
class Longest:
    name = "longest"
    takes_instruction = False

    def score(self, query, passages, instruction=None):
        return [float(len(passage.text)) for passage in passages]

class WithSettings(Longest):
    def __init__(self, settings):
        self.name = f"seeded-{settings.seed}"

class Exploding:
    def __init__(self):
        raise OSError("no such file:\\n weights.bin")

class Empty:
    pass

number = 3
"""


@pytest.fixture
def plug_in(tmp_path, monkeypatch):
    (tmp_path / "my_ranker_plugin.py").write_text(PLUG_IN)
    (tmp_path / "broken_plugin.py").write_text("import a_module_that_is_not_there")
    (tmp_path / "failing_plugin.py").write_text("raise RuntimeError('at import')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("my_ranker_plugin", "broken_plugin", "failing_plugin"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("spec", ["random", "newest", "bm25", "half-life:bm25,365", "half-life:half-life:bm25,30,7.5"])
def test_specs_name_themselves(spec):
    assert open_reranker(spec, Settings()).name == spec


def test_plug_ins_come_from_the_current_folder(plug_in):
    check_reranker(open_reranker("my_ranker_plugin:Longest", Settings()))
    assert open_reranker("my_ranker_plugin:WithSettings", Settings(seed=5)).name == "seeded-5"


def test_a_prior_over_a_plug_in(plug_in):
    assert open_reranker("half-life:my_ranker_plugin:Longest,30", Settings()).name == "half-life:longest,30"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("bm52", "unknown; did you mean bm25? known are attention:MODEL, bm25, causal-lm:MODEL"),
        ("bm25:fast", "bm25 takes nothing after its name"),
        ("half-life:bm25", "write half-life:BASE,DAYS"),
        ("half-life:bm25,soon", "write half-life:BASE,DAYS"),
        ("half-life:bm25,-3", "above zero"),
        ("half-life:bm25,inf", "above zero"),
        ("half-life:,3", "write half-life:BASE,DAYS"),
        ("half-life:bm52,3", "--reranker bm52: unknown"),
        ("dense:", "as in"),
        ("cross-encoder", "as in"),
        ("nowhere_to_be_found:Class", "no module named nowhere_to_be_found"),
        ("my_ranker_plugin:Nothing", "module my_ranker_plugin has no Nothing"),
        ("my_ranker_plugin:Empty", "it lacks name, takes_instruction, score"),
        ("my_ranker_plugin:Exploding", "making it failed: OSError: no such file: weights.bin"),
        ("my_ranker_plugin:number", "3 is no class"),
        ("broken_plugin:X", "no module named a_module_that_is_not_there"),
        ("failing_plugin:X", "importing it failed: RuntimeError: at import"),
    ],
)
def test_bad_specs_get_one_line(plug_in, spec, said):
    with pytest.raises(FrescoError) as caught:
        open_reranker(spec, Settings())
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_family_says_what_it_needs():
    assert all(row.spec.startswith(name) and row.what and row.needs for name, row in RERANKERS.parts().items())


def test_an_installed_package_registers_by_entry_point(plug_in, tmp_path):
    """What `pip install` leaves of a package that declares a re-ranker: its metadata on the path."""
    metadata = tmp_path / "my_rankers-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-rankers\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[fresco.rerankers]\nlongest = my_ranker_plugin:Longest\n")
    sys.path.insert(0, str(tmp_path))
    assert open_reranker("longest", Settings()).name == "longest"
    assert RERANKERS.plug_ins() == {"longest": "my_ranker_plugin:Longest"}
