"""Files from outside within limits: small files that would fill the memory end in one line, soon."""

from __future__ import annotations

import bz2
import gzip
import lzma
import subprocess
import sys

import pytest

from fresco.errors import FrescoError
from fresco.io.config_file import read_yaml
from fresco.io.jsonlines import read_objects
from fresco.io.packed import Limits, numbered_lines, read_text

ROWS = b'{"id": "a"}\n\n{"id": "b"}\n'


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("name", ["c.jsonl", "c.jsonl.gz", "c.jsonl.xz", "c.json"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_packing_is_told_from_the_content(tmp_path, pack, name, mark):
    (tmp_path / name).write_bytes(pack(mark + ROWS))
    rows = list(read_objects(tmp_path / name, "passage"))
    assert rows == [(f"{tmp_path / name}:1", {"id": "a"}), (f"{tmp_path / name}:3", {"id": "b"})]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_separators_inside_a_text_end_no_line(tmp_path, end):
    """U+2028 and its like end a line for ``str.splitlines``, and may stand in JSON."""
    texts = ["one\u2028two", "one\u2029two", "one\x85two", "one\x7f\x1etwo".replace("\x1e", "\\u001e")]
    (tmp_path / "c.jsonl").write_bytes("".join(f'{{"text": "{text}"}}{end}' for text in texts).encode())
    rows = [row["text"] for _, row in read_objects(tmp_path / "c.jsonl", "passage")]
    assert rows == [text.replace("\\u001e", "\x1e") for text in texts]


def test_members_behind_one_another_are_one_file(tmp_path):
    (tmp_path / "c.gz").write_bytes(gzip.compress(ROWS) + gzip.compress(ROWS))
    assert len(list(read_objects(tmp_path / "c.gz", "passage"))) == 4


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lzma.compress(b"a" * (300 << 20), preset=0), "longer than 64 MiB"),
        (lzma.compress(b"\n" * (20 << 20), preset=0), "over 2000 times its size"),
        (gzip.compress(b"[" * (1 << 20), mtime=0), "nested"),
        (b'{"id": NaN}', "NaN is no JSON number"),
        (b'{"id": ' + b"1" * 9000 + b"}", "no valid JSON"),
        ('{"id": "é"}'.encode("utf-16"), "UTF-16"),
        (b"\x28\xb5\x2f\xfd1234", "zstd; unpack it first"),
        # Without the time of day, which would give the workers of one run different tests.
        (gzip.compress(ROWS * 99, mtime=0)[:-9], "cannot be read after line"),
        (gzip.compress(ROWS, mtime=0)[:20] + b"garbage" * 9, "cannot be read after line"),
        (b'{"id": "\xff"}', "no valid JSON"),
        (b"7", "a JSON object is wanted, this is int"),
    ],
)
def test_hostile_files_end_in_one_line(tmp_path, content, said):
    path = tmp_path / "c.jsonl"
    path.write_bytes(content)
    with pytest.raises(FrescoError, match=said) as caught:
        for _ in read_objects(path, "passage"):
            pass
    assert len(str(caught.value)) < 500 + len(str(path))


def test_the_limits_can_be_chosen(tmp_path, monkeypatch):
    path = tmp_path / "c.jsonl.xz"
    path.write_bytes(lzma.compress(b"\n" * (2 << 20), preset=0))
    with pytest.raises(FrescoError, match="set FRESCO_MAX_RATIO higher"):
        list(read_objects(path, "passage"))
    monkeypatch.setenv("FRESCO_MAX_RATIO", "9999999")
    assert list(read_objects(path, "passage")) == []
    monkeypatch.setenv("FRESCO_MAX_RATIO", "many")
    with pytest.raises(FrescoError, match="FRESCO_MAX_RATIO is 'many'"):
        list(read_objects(path, "passage"))
    path.write_bytes(b"x" * 100)
    with pytest.raises(FrescoError, match=":1: a line longer"):
        list(numbered_lines(path, Limits(line=99)))
    assert len(list(numbered_lines(path, Limits(line=100)))) == 1


def test_yaml_that_stands_for_billions_of_values(tmp_path):
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    (tmp_path / "c.yaml").write_text("\n".join(lines))
    with pytest.raises(FrescoError, match="aliases"):
        read_yaml(tmp_path / "c.yaml")
    (tmp_path / "c.yaml").write_text("[" * 5000)
    with pytest.raises(FrescoError, match="nested more than 50 deep"):
        read_yaml(tmp_path / "c.yaml")
    (tmp_path / "c.yaml").write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_yaml(tmp_path / "c.yaml") == {"a": 1}


def test_a_text_that_is_none(tmp_path):
    (tmp_path / "t").write_bytes(b"one\ntwo \xff")
    with pytest.raises(FrescoError, match=r"--titles .*t:2: byte 0xff is not UTF-8"):
        read_text(tmp_path / "t", "--titles ")
    with pytest.raises(FrescoError, match="Is a directory"):
        read_text(tmp_path)
    with pytest.raises(FrescoError, match="longer than"):
        read_text(tmp_path / "t", limits=Limits(file=3))


@pytest.mark.skipif(sys.platform != "linux", reason="counts resident memory as Linux does")
def test_reading_a_large_file_takes_no_memory(tmp_path):
    path = tmp_path / "large.jsonl.gz"
    path.write_bytes(
        gzip.compress(b"".join(b'{"id": "%d", "text": "%s"}\n' % (n, b"w" * 900) for n in range(120_000)), 1)
    )
    code = (
        "import sys; from pathlib import Path\n"
        "from fresco.io.jsonlines import read_objects\n"
        "print(sum(1 for _ in read_objects(Path(sys.argv[1]), 'x')), \n"
        "  Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    count, peak = map(int, done.stdout.split())
    assert count == 120_000
    assert peak < 100_000  # kB; the file unpacks to 110 MB
