from __future__ import annotations

import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ccs.cli import main
from ccs.retrieve.corpus import Document, read_corpus
from ccs.retrieve.index import open_index
from fresco.errors import FrescoError
from tests.ccs.retrieve.corpora import write_rows

ROWS = [{"id": 1, "title": "Aden", "text": "A port."}, {"_id": "b", "contents": "Bergen is wet."}]
READ = [Document("1", '"Aden"\nA port.'), Document("b", "Bergen is wet.")]


def test_lines_plain_and_packed(tmp_path: Path) -> None:
    text = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    for name, data in (("c.jsonl", text), ("c.jsonl.gz", gzip.compress(text)), ("c.jsonl.xz", lzma.compress(text))):
        (tmp_path / name).write_bytes(data)
        assert list(read_corpus(str(tmp_path / name))) == READ


def test_parquet(tmp_path: Path) -> None:
    frame = pd.DataFrame([{"id": "a", "title": "Aden", "text": "A port."}, {"id": "b", "title": "", "text": "Rain."}])
    frame.to_parquet(tmp_path / "c.parquet")
    assert list(read_corpus(str(tmp_path / "c.parquet"))) == [Document("a", '"Aden"\nA port.'), Document("b", "Rain.")]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"id": "a", "contents": 5}, "contents is 5"),
        ({"id": "a", "title": "t"}, "text is None"),
        ({"id": "a", "title": ["t"], "text": "x"}, "title is ['t']"),
        ({"id": True, "contents": "x"}, "id is True"),
        ({"contents": "x"}, "id is None"),
        ({"id": "a", "contents": "x" * 10_000_000}, "10,000,000 characters"),
        (["a"], "a JSON object is wanted"),
    ],
)
def test_a_bad_row_is_named_with_its_line(row: Any, said: str, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "c.jsonl", [{"id": "fine", "contents": "x"}, row])
    with pytest.raises(FrescoError) as caught:
        list(read_corpus(str(path)))
    assert f"{path}:2: " in str(caught.value)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_torn_file_is_named_with_its_line(tmp_path: Path) -> None:
    packed = gzip.compress(b'{"id": "a", "contents": "x"}\n' * 2000)
    (tmp_path / "c.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(FrescoError, match=r"c\.jsonl\.gz: cannot be read after line"):
        list(read_corpus(str(tmp_path / "c.jsonl.gz")))
    (tmp_path / "d.jsonl").write_text('{"id": "a", "contents": "x"}\n{"id": "b", "cont')
    with pytest.raises(FrescoError, match=r"d\.jsonl:2: no valid JSON"):
        list(read_corpus(str(tmp_path / "d.jsonl")))
    (tmp_path / "e.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(FrescoError, match=r"e\.parquet: cannot be read as Parquet"):
        list(read_corpus(str(tmp_path / "e.parquet")))


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(FrescoError, match="no such file"):
        list(read_corpus(str(tmp_path / "none.jsonl")))


PSGS = 'id\ttext\ttitle\n1\t"Passage ""one"" about bridges."\tBridge\n2\tPassage two.\tRiver\n'
OF_PSGS = [Document("1", '"Bridge"\nPassage "one" about bridges.'), Document("2", '"River"\nPassage two.')]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize(("name", "pack"), [("p.tsv", bytes), ("p.tsv.gz", gzip.compress), ("p.tsv.xz", lzma.compress)])
def test_dpr_tsv(mark: str, name: str, pack: Any, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(pack((mark + PSGS.replace("\n", "\r\n" if mark else "\n")).encode()))
    assert list(read_corpus(str(tmp_path / name))) == OF_PSGS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1\tPassage one.\tBridge\n", "c.tsv:1: the header is '1, Passage one., Bridge'"),
        ("", "the header is ''"),
        (PSGS + "3\tno title\n", "c.tsv:4: 2 cells, and the header has 3"),
        (PSGS + '3\t"never closed\tT\n4\tx\tU\n', "c.tsv:4: 2 cells"),
        ("id\ttext\n\tx\n", "c.tsv:2: id is ''"),
        ("id\ttext\n1\t\udcff\n", "c.tsv: cannot be read after line"),
    ],
)
def test_a_bad_tsv_is_named_with_its_line(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "c.tsv").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(FrescoError) as caught:
        list(read_corpus(str(tmp_path / "c.tsv")))
    assert said in str(caught.value)


def test_parquet_of_flashrag_and_search_r1(tmp_path: Path) -> None:
    for columns in ({"id": [7], "contents": ['"T"\nx']}, {"docid": ["7"], "title": ["T"], "text": ["x"]}):
        pd.DataFrame(columns).to_parquet(tmp_path / "c.parquet")
        assert list(read_corpus(str(tmp_path / "c.parquet"))) == [Document("7", '"T"\nx')]


def test_empty_and_repeated_passages_are_left_out_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"id": 1, "contents": "x"}, {"id": 2, "contents": " "}, {"id": 1, "contents": "x"}, {"id": 3, "text": ""}]
    corpus = write_rows(tmp_path / "c.jsonl", [*rows, {"id": 4, "contents": "y"}])
    for _ in range(2):  # the second finds the index whole
        assert main(["index", "--corpus", str(corpus), "--out", str(tmp_path / "index")]) == 0
        said = capsys.readouterr()
        assert "index of 2 passages" in said.out
        assert "ccs: left out 2 empty and 1 repeated passages of the corpus\n" in said.err
    assert open_index(tmp_path / "index").manifest["skipped"] == {"empty": 2, "repeated": 1}


def test_a_lone_surrogate_is_no_crash(tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_text('{"id": "a", "contents": "x \\ud800 y"}\n')
    assert list(read_corpus(str(tmp_path / "c.jsonl"))) == [Document("a", "x ? y")]


@pytest.mark.parametrize("name", ["c.jsonl", "c.jsonl.gz"])
def test_a_byte_order_mark_is_passed_over(name: str, tmp_path: Path) -> None:
    text = "\ufeff".encode() + "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    assert list(read_corpus(str(tmp_path / name))) == READ
