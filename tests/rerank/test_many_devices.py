"""A re-ranker in a process a device: real processes, on the CPU."""

from __future__ import annotations

from pathlib import Path

import pytest

import fresco
from fresco.errors import FrescoError
from fresco.models.settings import Settings
from fresco.rerank import many_devices
from fresco.rerank.open import as_reranker, as_rerankers, open_rerankers
from fresco.rerank.registry import open_reranker
from tests import tiny_models

torch = pytest.importorskip("torch", reason="pip install 'fresco-ccs[models]'")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_models.cross_encoder(tmp_path_factory.mktemp("model") / "bert", max_position_embeddings=512)


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a run but the one that names the machine, and plots."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "run.json"
    }


def scored(model, tmp_path, device, name):
    out = tmp_path / name
    result = fresco.score(
        f"cross-encoder:{model}",
        limit=6,
        device=device,
        store=tmp_path / f"{name}.sqlite",
        out=out,
        progress=False,
        resamples=20,
        batch_tokens=1024,
    )
    return contents(out), result.record


@pytest.fixture
def started(monkeypatch):
    """Every process that is started."""
    workers: list[many_devices._Worker] = []
    start = many_devices._Worker.__init__

    def watched(self, *arguments):
        start(self, *arguments)
        workers.append(self)

    monkeypatch.setattr(many_devices._Worker, "__init__", watched)
    return workers


@pytest.mark.slow
def test_two_processes_make_the_bytes_of_one(model, tmp_path, started, monkeypatch):
    heard: set[int] = set()
    hear = many_devices._Worker.hear

    def watched(self):
        message = hear(self)
        if message[0] == many_devices.SCORES:
            heard.add(self.process.pid)
        return message

    wait, met = many_devices.wait, []

    def together(connections):
        """Nothing is handed out before both have asked: on a busy machine one might do all before the other is up."""
        if not met:
            met.extend(connection.poll(None) for connection in connections)
        return wait(connections)

    monkeypatch.setattr(many_devices._Worker, "hear", watched)
    monkeypatch.setattr(many_devices, "wait", together)
    alone, _ = scored(model, tmp_path, "cpu", "alone")
    assert not started
    both, record = scored(model, tmp_path, "cpu,cpu", "both")
    assert both == alone
    assert {worker.process.pid for worker in started} == heard
    assert len(heard) == 2
    own = next(each for each in record["rerankers"] if each["name"].startswith("cross-encoder"))
    assert (own["device"], own["max_length"], own["pairs_from_store"]) == ("cpu,cpu", 512, 0)
    assert all(worker.process.returncode is not None for worker in started)  # none is left behind


@pytest.mark.slow
def test_a_killed_process_leaves_its_work_to_the_other(model, tmp_path, started, monkeypatch, capfd):
    """It dies with a batch that it has asked for and been given."""
    say = many_devices._Worker.say
    killed: list[int] = []

    def deadly(self, message):
        say(self, message)
        if message is True and not killed and len(started) == 2:
            killed.append(self.process.pid)
            self.process.kill()
            self.process.wait()

    monkeypatch.setattr(many_devices._Worker, "say", deadly)
    both, record = scored(model, tmp_path, "cpu,cpu", "both")
    assert len(killed) == 1
    alone, _ = scored(model, tmp_path, "cpu", "alone")
    assert both == alone
    own = next(each for each in record["rerankers"] if each["name"].startswith("cross-encoder"))
    assert own["devices_lost"] == ["cpu"]
    assert "the process of cpu died; the others do its work" in capfd.readouterr().err


@pytest.mark.slow
def test_what_a_process_refuses_is_one_line(model, tmp_path, started):
    with pytest.raises(FrescoError, match="--device cuda:7: not usable here"):
        scored(model, tmp_path, "cpu,cuda:7", "out")
    assert all(worker.process.returncode is not None for worker in started)


def test_devices_that_cannot_be(model):
    if not torch.cuda.is_available():
        with pytest.raises(FrescoError, match="--device all: no CUDA device here"):
            open_reranker(f"cross-encoder:{model}", Settings(device="all"))
    with pytest.raises(FrescoError, match="a name is missing between its commas"):
        open_reranker(f"cross-encoder:{model}", Settings(device="cpu,"))
    assert open_reranker("bm25", Settings(device="cpu,cpu")).name == "bm25"


@pytest.mark.parametrize("asked", [{"device": "cpu,cpu"}, {"ray": "auto"}])
def test_devices_that_nothing_would_use_are_refused(asked, tmp_path, model):
    written = " ".join(f"--{option} {value}" for option, value in asked.items())
    with pytest.raises(FrescoError, match=f"{written}: nothing here would use it.*this is bm25"):
        fresco.score("bm25", baselines=False, limit=2, out=tmp_path / "out", **asked)
    settings = Settings(**asked)
    with pytest.raises(FrescoError, match="leave it out"):
        as_reranker("half-life:bm25,365", settings)
    with pytest.raises(FrescoError, match="leave it out"):
        as_rerankers(["bm25", "newest"], settings)
    spec = f"cross-encoder:{model}"
    for used in (spec, f"half-life:{spec},365", {"mine": spec}):
        assert len(open_rerankers(used, settings)[1]) > 1  # beside baselines, which compute without it
    assert [each.name for each in as_rerankers(["bm25", spec], settings)] == ["bm25", spec]


def test_families_that_rank_whole_pools_want_one_device(tmp_path):
    folder = tiny_models.causal_lm(tmp_path / "lm")
    with pytest.raises(FrescoError, match=f"attention:{folder} runs on one device; name one"):
        open_reranker(f"attention:{folder}", Settings(device="cpu,cpu"))


def test_the_scores_of_many_devices_are_found_by_the_same_fingerprint(model):
    spec = f"cross-encoder:{model}"
    one, many = (open_reranker(spec, Settings(device=device)) for device in ("cpu", "cpu,cpu"))
    assert one.fingerprint == many.fingerprint
    assert one.name == many.name
