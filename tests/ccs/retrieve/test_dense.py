"""faiss indexes over embeddings that are given: the approximate ones against the exact one, none read into memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest

from ccs.retrieve.corpus import Document
from ccs.retrieve.dense import DenseIndex, Encoder, build_dense
from ccs.retrieve.passages import Passages

pytest.importorskip("faiss", reason="needs faiss-cpu: pip install -e '.[test]'")
ROOT = Path(__file__).parents[3]
COUNT, DIMENSIONS, QUERIES = 10_000, 64, 100


class Given:
    """Embeddings in the order of the passages, clustered as those of texts are; near the passages those of queries."""

    def __init__(self) -> None:
        draw = np.random.default_rng(0)
        centres = draw.standard_normal((200, DIMENSIONS))
        near = centres[draw.integers(0, 200, COUNT)] + 0.7 * draw.standard_normal((COUNT, DIMENSIONS))
        asked = near[draw.choice(COUNT, QUERIES, replace=False)]
        self.vectors = _unit(near)
        self.asked = _unit(asked + 0.3 * draw.standard_normal((QUERIES, DIMENSIONS)))

    def passages(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return self.vectors[[int(text) for text in texts]]

    def queries(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return self.asked[: len(texts)]


def _unit(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize(("kind", "least"), [("flat", 1.0), ("hnsw", 0.95), ("ivfpq", 0.9)])
def test_recall_of_the_exact_search(kind: str, least: float, tmp_path: Path) -> None:
    given: Any = Given()
    passages = [Document(str(number), str(number)) for number in range(COUNT)]
    build_dense(tmp_path / "d", cast(Passages, passages), cast(Encoder, given), kind, lambda _: None)
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["index.faiss"]
    similarities = given.asked @ given.vectors.T
    index = DenseIndex(tmp_path / "d", given)
    for k in (1, 3, 10):
        found = index.search([""] * QUERIES, k)
        assert all(len(row) == k for row in found)
        best = np.argsort(-similarities, axis=1)[:, :k]
        pairs = zip(found, best.tolist(), strict=True)
        assert np.mean([len({number for number, _ in row} & set(own)) / k for row, own in pairs]) >= least
        for number, row in enumerate(found):
            np.testing.assert_allclose([s for _, s in row], similarities[number][[n for n, _ in row]], atol=0.01)
            assert [s for _, s in row] == sorted((s for _, s in row), reverse=True)
    if sys.platform == "linux":
        size = (tmp_path / "d" / "index.faiss").stat().st_size / 2**10
        assert _own_memory(tmp_path / "d") < size / 2


def _own_memory(folder: Path) -> int:
    """KiB that opening an index costs a process beside what it maps from files."""
    code = """if True:
        import sys
        from pathlib import Path
        from ccs.retrieve.dense import DenseIndex, import_faiss
        def own():
            lines = Path("/proc/self/status").read_text().splitlines()
            return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
        import_faiss()
        before = own()
        index = DenseIndex(Path(sys.argv[1]), None)
        sys.stdout.write(str(own() - before))
    """
    command = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)
