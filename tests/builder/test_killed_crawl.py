"""A crawl of a real MediaWiki that is killed: run again, it ends in the same bytes and asks nothing twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from fresco.builder.wikipedia import Mirror
from tests.builder.servers.fault_proxy import FaultProxy
from tests.waiting import PATIENCE, wait_until


def start(url: str, titles: Path, out: Path, cache: Path) -> subprocess.Popen[bytes]:
    """``fresco build``, as it is typed, in a process group of its own."""
    options = ["--wiki", url, "--facts", "infobox", "--rate", "20", "--maxlag", "5", "--workers", "1"]
    options += ["--titles", str(titles), "--reference", "2025-01-01T23:59:59Z", "--cache", str(cache)]
    command = [sys.executable, "-m", "fresco", "build", "--out", str(out), *options]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and "sqlite" not in path.name)
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def asked(proxy: FaultProxy) -> Counter[tuple[tuple[str, str], ...]]:
    return Counter(tuple(sorted(request.parameters.items())) for request in proxy.seen)


@pytest.mark.parametrize(("kills", "pages"), [(2, 4), pytest.param(20, 15, marks=pytest.mark.slow)])
def test_a_killed_crawl_goes_on_where_it_was(
    proxy: FaultProxy, export: Path, tmp_path: Path, kills: int, pages: int
) -> None:
    with Mirror(export, tmp_path / "mirror.sqlite") as mirror:
        chosen = sorted(mirror.titles())[::2][:pages]
    titles = tmp_path / "titles.txt"
    titles.write_text("\n".join(chosen), encoding="utf-8")

    assert start(proxy.url, titles, tmp_path / "whole" / "built", tmp_path / "whole.sqlite").wait(PATIENCE) == 0
    whole = asked(proxy)
    assert set(whole.values()) == {1}

    proxy.seen.clear()
    for requests in sorted(random.Random(11).sample(range(1, sum(whole.values())), kills)):
        process = start(proxy.url, titles, tmp_path / "killed" / "built", tmp_path / "killed.sqlite")
        wait_until(lambda n=requests: len(proxy.seen) >= n, process)  # type: ignore[misc]
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert start(proxy.url, titles, tmp_path / "killed" / "built", tmp_path / "killed.sqlite").wait(PATIENCE) == 0
    # Only what was under way when the process died is asked again: at most one request a kill.
    assert sum(asked(proxy).values()) <= sum(whole.values()) + kills
    assert files(tmp_path / "killed" / "built") == files(tmp_path / "whole" / "built")

    proxy.seen.clear()
    assert start(proxy.url, titles, tmp_path / "third" / "built", tmp_path / "killed.sqlite").wait(PATIENCE) == 0
    assert not proxy.seen
    assert files(tmp_path / "third" / "built") == files(tmp_path / "whole" / "built")
