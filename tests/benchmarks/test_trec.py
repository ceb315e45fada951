"""Runs read for some of their queries: the same lines, numbers and errors as line by line."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fresco.benchmarks.tables import read_lines
from fresco.benchmarks.trec import read_run_lines, read_trec_run
from fresco.errors import FrescoError
from fresco.io.packed import Limits, blocks_of_lines, numbered_lines


def write(folder: Path, content: bytes, *, packed: bool = False) -> Path:
    path = folder / "run.trec"
    path.write_bytes(gzip.compress(content) if packed else content)
    return path


def slowly(path: Path, only: set[str]) -> list[tuple[str, str, str]]:
    """The reference: every line is read and most are thrown away."""
    lines = [(f"{path}, line {number}", line.split()) for number, line in read_lines(path)]
    return [(place, own[0], own[2]) for place, own in lines if own[0] in only]


@given(
    queries=st.lists(st.sampled_from(["q1", "q10", "q2", " q1", "q\u00e9", "q1\t"]), max_size=40),
    only=st.sets(st.sampled_from(["q1", "q2", "q\u00e9"])),
    ending=st.sampled_from(["\n", "\r\n", "\n\n"]),
    packed=st.booleans(),
)
def test_some_queries_are_read_as_line_by_line(
    queries: list[str], only: set[str], ending: str, packed: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = ending.join(f"{query} Q0 p{place} 1 0.5 tag" for place, query in enumerate(queries))
    path = write(tmp_path_factory.mktemp("run"), text.encode(), packed=packed)
    found = [(line.place, line.query_id, line.passage_id) for line in read_run_lines(path, only)]
    assert found == slowly(path, only)


@pytest.mark.parametrize("packed", [False, True])
def test_lines_over_the_borders_of_blocks_are_whole(packed: bool, tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf" + b"".join(b"q%d Q0 %s 1 0.5 t\n" % (n, b"p" * (n % 4096)) for n in range(2000)) + b"end"
    path = write(tmp_path, content, packed=packed)
    blocks = list(blocks_of_lines(path))
    assert len(blocks) > 2
    assert b"".join(block for _, block in blocks) == b"".join(line for _, line in numbered_lines(path))
    at = 1
    for number, block in blocks:
        assert number == at
        at += block.count(b"\n")


def test_a_line_beyond_the_limit_is_refused_with_its_number(tmp_path: Path) -> None:
    path = write(tmp_path, b"a\nb\n" + b"x" * (3 << 20) + b"\n")
    for reader in (blocks_of_lines, numbered_lines):
        with pytest.raises(FrescoError, match=f"{path}:3: a line longer than 1 MiB"):
            list(reader(path, Limits(line=1 << 20)))


def test_what_is_wrong_is_said_with_its_line(tmp_path: Path) -> None:
    good = b"q1 Q0 p1 1 0.5 t\n"
    path = write(tmp_path, good + b"q2 Q0 \xff 1 0.5 t\n")
    with pytest.raises(FrescoError, match=r"line 2: byte 7 \(0xff\) is not UTF-8"):
        read_trec_run(path, only={"q1"})
    path = write(tmp_path, good + b"q2 Q0 p1\n" + good)
    with pytest.raises(FrescoError, match="line 3: 'p1' is ranked for 'q1' already"):
        read_trec_run(path, only={"q1"})
    with pytest.raises(FrescoError, match="line 2"):
        read_trec_run(path, only={"q2"})
    path.write_bytes(gzip.compress(good * 9)[:-9])
    with pytest.raises(FrescoError, match="cannot be read"):
        read_trec_run(path, only={"q3"})
