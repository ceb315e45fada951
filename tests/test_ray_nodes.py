"""A machine of a Ray cluster is lost: simulated here by a second node, which is taken away at work."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ray = pytest.importorskip("ray", reason="pip install 'fresco-ccs[ray]'")

from ray.cluster_utils import Cluster as Nodes  # noqa: E402

from fresco.errors import FrescoError  # noqa: E402
from fresco.io.ray_workers import Cluster, RayWorker  # noqa: E402
from fresco.io.workers import opened  # noqa: E402
from tests.io.test_workers import square_and_place  # noqa: E402


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    made = Nodes(initialize_head=True, head_node_args={"num_cpus": 1})
    yield made
    ray.shutdown()
    made.shutdown()


def test_the_work_of_a_lost_machine_is_done_by_the_others(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    second = nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()
    lost, one_at_a_time, ask = threading.Event(), threading.Lock(), RayWorker.ask

    def losing(self: Any, item: Any) -> Any:
        with one_at_a_time:
            if item >= 4 and not lost.is_set():
                nodes.remove_node(second, allow_graceful=False)
                lost.set()
        return ask(self, item)

    monkeypatch.setattr(RayWorker, "ask", losing)
    with opened(2, nodes.address) as workers:
        found = list(workers.map(square_and_place, range(12)))
        assert lost.is_set()
        assert int(ray.cluster_resources()["CPU"]) == 1
    assert [value for value, _ in found] == [number * number for number in range(12)]


def test_a_worker_makes_room_only_where_there_is_too_little(nodes: Nodes) -> None:
    ray.init(nodes.address, logging_level="ERROR", log_to_driver=False)
    cluster = Cluster(1, 0)
    one, other = cluster.start(lambda: square_and_place), cluster.start(lambda: square_and_place)
    assert isinstance(one, RayWorker)
    assert isinstance(other, RayWorker)
    assert cluster.leave(other, for_lack_of="CPU")
    assert not cluster.leave(one, for_lack_of="CPU")  # the last one has room
    with pytest.raises(FrescoError, match="the cluster has no GPU left"):
        cluster.leave(one, for_lack_of="GPU")
    one.end()
    other.end()
