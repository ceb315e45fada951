"""What every test shares: no user's score store is touched; real data where it lies beside the project."""

from __future__ import annotations

import contextlib
import json
import lzma
import os
import signal
from collections.abc import Iterable
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch loads: one test process a core, so one thread each
# A shell that starts the tests in the background makes them and all that they start ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

with contextlib.suppress(ImportError):  # the virtualenvs of vLLM and verl hold pytest alone
    from hypothesis import settings

    # A deadline fails whatever example a busy machine interrupts; how long code takes is for eval/ to say.
    settings.register_profile("fresco", deadline=None)
    settings.load_profile("fresco")

_HOTPOT = Path(__file__).parents[2] / "shared" / "data" / "qa" / "hotpotqa.jsonl.xz"


#: Folders and files whose tests start no process, server or model: the inner loop, `pytest -m fast`.
FAST = (
    "benchmarks",
    "metrics/test_metrics",
    "models",
    "stats",
    "terminal",
    "test_architecture",
    "test_records",
    "builder/test_infobox_facts",
    "builder/test_statements",
    "builder/test_templates",
    "builder/test_values",
    "ccs/auditing/test_statistics",
    "ccs/rewards/test_baselines",
    "ccs/rewards/test_bottleneck",
    "ccs/rewards/test_config",
    "ccs/rewards/test_gates",
    "ccs/test_environment",
    "ccs/test_protocol",
    "ccs/training/test_config",
    "optimizer/test_racing",
    "optimizer/test_selection",
    "rerank/test_baselines",
    "rerank/test_temporal",
    "scoring/test_store",
)


def _is_fast(path: Path) -> bool:
    root = Path(__file__).parent
    return path.is_relative_to(root) and path.relative_to(root).as_posix().startswith(FAST)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """`-m fast` does not even import the other tests, which wait for torch."""
    skipped = config.option.markexpr == "fast" and collection_path.suffix == ".py" and not _is_fast(collection_path)
    return True if skipped and collection_path.name.startswith("test_") else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the fast tests: those of :data:`FAST` that are not slow."""
    for item in items:
        if _is_fast(item.path) and item.get_closest_marker("slow") is None:
            item.add_marker(pytest.mark.fast)


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRESCO_STORE", str(tmp_path / "default-store.sqlite"))


@pytest.fixture(scope="session")
def hotpot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """HotpotQA as a BEIR folder: the passages of all questions are the corpus."""
    if not _HOTPOT.exists():
        pytest.skip("needs ../shared/data/qa/hotpotqa.jsonl.xz beside the project")
    folder = tmp_path_factory.mktemp("hotpotqa")
    (folder / "qrels").mkdir()
    with lzma.open(_HOTPOT, "rt", encoding="utf-8") as file:
        questions = [json.loads(line) for line in file]
    corpus: dict[tuple[str, str], str] = {}
    qrels = ["query-id\tcorpus-id\tscore\n"]
    for question in questions:
        for passage in question["passages"]:
            own = corpus.setdefault((passage["title"], passage["text"]), f"p{len(corpus)}")
            if passage["gold"]:
                qrels.append(f"{question['id']}\t{own}\t1\n")
    rows = [{"_id": own, "title": title, "text": text} for (title, text), own in corpus.items()]
    (folder / "corpus.jsonl").write_text(_jsonl(rows))
    (folder / "queries.jsonl").write_text(_jsonl([{"_id": q["id"], "text": q["question"]} for q in questions]))
    (folder / "qrels" / "test.tsv").write_text("".join(qrels))
    return folder


def _jsonl(rows: Iterable[dict[str, str]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)
