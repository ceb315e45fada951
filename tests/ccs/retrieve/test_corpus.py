from __future__ import annotations

import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ccs.retrieve.corpus import Document, read_corpus
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
        ({"id": "a", "contents": "  "}, "empty"),
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


def test_a_lone_surrogate_is_no_crash(tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_text('{"id": "a", "contents": "x \\ud800 y"}\n')
    assert list(read_corpus(str(tmp_path / "c.jsonl"))) == [Document("a", "x ? y")]
