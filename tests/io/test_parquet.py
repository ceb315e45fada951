"""Parquet within limits: what it says is what pyarrow reads, and a small file that would fill the memory ends soon."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fresco.errors import FrescoError
from fresco.io import parquet
from fresco.io.parquet import read_parquet, read_parquet_table
from fresco.io.parquet_pages import unpacked_sizes

ROWS = [
    {"id": number, "text": f"text {number % 7}", "tags": ["a", f"{number}"] if number % 3 else None,
     "nested": {"name": "x" * (number % 5), "raw": b"\xff"}, "score": None if number % 4 else number / 3}
    for number in range(3000)
]  # fmt: skip


@pytest.mark.parametrize("at_once", [1, 1 << 24])
@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_rows_are_those_of_pyarrow(
    at_once: int, compression: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "_AT_ONCE", at_once)
    path = tmp_path / "t.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS), path, compression=compression, row_group_size=700)
    assert [row for _, row in read_parquet(path)] == ROWS
    assert [where for where, _ in read_parquet(path)][-1] == f"{path}, row 3000"
    assert [row for _, row in read_parquet(path, ["text"])] == [{"text": row["text"]} for row in ROWS]
    assert read_parquet_table(path).equals(pq.read_table(path))


def test_an_empty_table_keeps_its_columns(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": pa.array([], pa.string())}), tmp_path / "t.parquet")
    assert list(read_parquet(tmp_path / "t.parquet")) == []
    assert read_parquet_table(tmp_path / "t.parquet").equals(pq.read_table(tmp_path / "t.parquet"))


def repeated(path: Path, column: pa.Array) -> Path:
    """One value in each of 2,300 rows."""
    rows = pa.DictionaryArray.from_arrays(pa.array([0] * 2300, pa.int32()), column)
    pq.write_table(pa.table({"id": [str(number) for number in range(2300)], "text": rows}), path, compression="zstd")
    return path


_READ = {
    "rows": "from fresco.io.parquet import read_parquet as read; held = list(read(path))",
    "benchmark": "from fresco.benchmarks.tables import read_parquet as read; held = read(path)",
    "corpus": "from ccs.retrieve.corpus import read_corpus as read; held = list(read(str(path)))",
    "table": "from fresco.io.parquet import read_parquet_table as read; held = read(path)",
}


@pytest.mark.skipif(sys.platform != "linux", reason="counts resident memory as Linux does")
@pytest.mark.parametrize("reader", _READ)
def test_kilobytes_that_stand_for_gigabytes(reader: str, tmp_path: Path) -> None:
    path = repeated(tmp_path / "t.parquet", pa.array(["x" * 1_000_000]))
    assert path.stat().st_size < 20_000  # and 2.3 GB when all of its rows are made
    if reader == "rows":  # inside lists, too
        rows = pq.read_table(path, read_dictionary=["text"])["text"].combine_chunks()
        pq.write_table(pa.table({"text": pa.ListArray.from_arrays(list(range(2301)), rows)}), path, compression="zstd")
    code = (
        f"import sys; from pathlib import Path; path = Path(sys.argv[1])\ntry:\n  {_READ[reader]}\n"
        "except Exception as error: print(str(error))\n"
        "print(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    said, peak = done.stdout.splitlines()
    assert said.startswith(f"{path}: unpacks to over 2000 times its size") and "FRESCO_MAX_RATIO" in said
    assert int(peak) < 400_000  # kB


def test_the_ratio_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = repeated(tmp_path / "t.parquet", pa.array(["x" * 50_000]))
    with pytest.raises(FrescoError, match="FRESCO_MAX_RATIO"):
        list(read_parquet(path))
    monkeypatch.setenv("FRESCO_MAX_RATIO", "99999")
    assert sum(len(row["text"]) for _, row in read_parquet(path)) == 2300 * 50_000


def test_pages_that_unpack_to_much_are_not_unpacked(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["x" * 140_000_000]}), tmp_path / "t.parquet", compression="zstd")
    with pytest.raises(FrescoError, match="unpacks to over 2000 times its size"):
        list(read_parquet(tmp_path / "t.parquet"))


@pytest.mark.parametrize("spoil", [lambda data: data[:-20], lambda data: b"PAR1" + data[99:], lambda _: b""])
def test_a_damaged_file_is_one_line(spoil, tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "t.parquet")
    data = (tmp_path / "t.parquet").read_bytes()
    (tmp_path / "t.parquet").write_bytes(spoil(data))
    with pytest.raises(FrescoError, match=r"t\.parquet: cannot be read as Parquet after row 0") as caught:
        list(read_parquet(tmp_path / "t.parquet"))
    assert "\n" not in str(caught.value)


def test_a_text_that_is_not_utf_8_is_one_line(tmp_path: Path) -> None:
    spoilt = pa.StringArray.from_buffers(1, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe"))
    pq.write_table(pa.table({"text": spoilt}), tmp_path / "t.parquet")
    with pytest.raises(FrescoError, match=r"row 1, field .text.: byte 1 is not UTF-8"):
        list(read_parquet(tmp_path / "t.parquet"))


def lying(path: Path, mib: int) -> Path:
    """A file of zeros in one page, whose footer says that it unpacks to next to nothing."""
    table = pa.table({"n": pa.array(np.zeros(mib << 17))})
    size = 1 << 40
    options = {"use_dictionary": False, "write_statistics": False, "write_batch_size": size, "max_rows_per_page": size}
    pq.write_table(table, path, compression="zstd", data_page_size=1 << 30, row_group_size=size, **options)
    group = pq.read_metadata(path).row_group(0)
    content = path.read_bytes()
    length = int.from_bytes(content[-8:-4], "little")
    pages, footer = content[: -8 - length], content[-8 - length : -8]
    for number in {group.total_byte_size, group.column(0).total_uncompressed_size}:
        assert varint(2 * number) in footer  # zigzag
        footer = footer.replace(varint(2 * number), varint(2 * 100, len(varint(2 * number))))
    path.write_bytes(pages + footer + content[-8:])
    return path


def varint(number: int, width: int = 0) -> bytes:
    """A Thrift number, filled up with zeros to a width."""
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.append(number & 0x7F)
    digits += [0] * (width - len(digits))
    return bytes([*(digit | 0x80 for digit in digits[:-1]), digits[-1]])


def test_a_footer_that_lies_about_its_pages_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRESCO_MAX_RATIO", "50")
    path = lying(tmp_path / "t.parquet", 96)
    assert pq.read_metadata(path).row_group(0).total_byte_size == 100
    assert path.stat().st_size < 1 << 20
    for reader in (read_parquet_table, lambda file: list(read_parquet(file))):
        with pytest.raises(FrescoError, match="unpacks to over 50 times its size"):
            reader(path)


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_the_pages_of_a_true_file_add_up_to_what_it_says(compression: str, version: str, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    options = {"row_group_size": 700, "data_page_size": 500, "data_page_version": version}
    pq.write_table(pa.Table.from_pylist(ROWS), path, compression=compression, **options)
    stated = pq.read_metadata(path)
    with path.open("rb") as raw:
        sizes = list(unpacked_sizes(path, raw, stated))
    said = sum(stated.row_group(number).total_byte_size for number in range(stated.num_row_groups))
    assert len(sizes) > stated.num_row_groups * stated.num_columns
    assert 0.9 * said - 64 * len(sizes) < sum(sizes) <= said  # which counts the headers, too


@pytest.mark.parametrize("page", [b"", b"\x00", b"\xff" * 99, b"\x15\x00", b"\x1c" * 99, b"\x19\xf3" + b"\xff" * 9])
def test_what_is_no_page_is_one_line(page: bytes, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": ["x"] * 200}), path)
    content = bytearray(path.read_bytes())
    content[4 : 4 + max(len(page), 1)] = page or b"\x0d"
    path.write_bytes(content)
    with pytest.raises(FrescoError, match=str(path)) as caught:
        list(read_parquet(path))
    assert "\n" not in str(caught.value)
