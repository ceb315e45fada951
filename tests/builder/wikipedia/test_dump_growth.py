"""Packed dumps that unpack to far more than dumps do, whichever program unpacks them."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest

from fresco.builder.wikipedia.dump_stream import chunks
from fresco.errors import FrescoError
from tests.builder.wikipedia.dump_samples import packed_by, seven_zip

_MIB = 1 << 20


@pytest.mark.parametrize(
    "pack",
    [
        gzip.compress,
        bz2.compress,
        lzma.compress,
        packed_by("zstd", "-q", "{plain}", "-o", "{target}"),
        seven_zip,
    ],
)
def test_a_dump_that_only_grows_is_refused_while_it_is_read(
    pack: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRESCO_MAX_RATIO", "50")
    path = tmp_path / "dump"
    path.write_bytes(pack(bytes(96 * _MIB)))
    read = 0
    with pytest.raises(FrescoError, match=r"unpacks to over 50 times its size .* FRESCO_MAX_RATIO"):
        for chunk in chunks(path):
            read += len(chunk)
    assert read < 66 * _MIB  # and not all of it
    monkeypatch.setenv("FRESCO_MAX_RATIO", "1000000")
    assert sum(map(len, chunks(path))) == 96 * _MIB
