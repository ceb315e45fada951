"""The mirror: what it finds in a dump, in agreement with a real wiki, in bounded memory and after kills."""

from __future__ import annotations

import json
import lzma
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from hashlib import sha1
from itertools import pairwise
from pathlib import Path

import pytest

from fresco.builder.revisions import Revision, RevisionSource
from fresco.builder.wikipedia import Mirror, Reason, Wiki
from fresco.builder.wikipedia.cached import CachedSource
from tests.builder.conftest import shared
from tests.builder.wikipedia.dump_samples import (
    BIG_READER,
    ROWS,
    big_export,
    jsonl_bytes,
    row,
    write,
    xml_bytes,
)


def _content(source: RevisionSource) -> dict[str, list[tuple[datetime, str, str]]]:
    """Everything that must not depend on where it came from: titles, times, hashes, texts."""
    pages = {}
    for title in source.titles():
        texts = source.texts(source.history(title))
        pages[title] = [(r.timestamp, r.sha1, sha1(text.encode()).hexdigest()) for r, text in texts]
    return pages


def _problems(source: CachedSource) -> list[tuple[str, Reason]]:
    return sorted((p.title, p.reason) for p in source.report)


def test_xml_json_lines_and_the_real_wiki_agree(export: Path, jsonl: Path, wiki_url: str, tmp_path: Path) -> None:
    with Mirror(export, tmp_path / "xml.sqlite") as mirror:
        of_xml, problems = _content(mirror), _problems(mirror)
    some = set(of_xml) | {"Asus ROG Phone", "Lionsgate"}
    with lzma.open(jsonl, "rt") as lines:
        kept = [line for line in lines if json.loads(line)["title"] in some]
    rows = write(tmp_path, "some.jsonl", "".join(kept).encode())
    with Mirror(rows, tmp_path / "jsonl.sqlite") as mirror:
        of_jsonl = _content(mirror)
        assert _problems(mirror) == problems
    with Wiki(wiki_url, None, tmp_path / "wiki.sqlite", rate=1000.0) as wiki:
        of_wiki = _content(wiki)
        assert [problem for problem in _problems(wiki) if problem[0] != "Main Page"] == problems
    of_wiki.pop("Main Page")  # comes with every MediaWiki
    assert len(of_xml) > 20
    assert all(stated == own for page in of_xml.values() for _, stated, own in page)
    assert of_xml == of_jsonl == of_wiki


@pytest.mark.slow
def test_xml_and_json_lines_agree_on_all_pages(jsonl: Path, tmp_path: Path) -> None:
    with Mirror(jsonl, tmp_path / "jsonl.sqlite") as mirror:
        of_jsonl, problems = _content(mirror), _problems(mirror)
    with Mirror(shared("mediawiki_xml/revisions.mediawiki.xml.xz"), tmp_path / "xml.sqlite") as mirror:
        assert _content(mirror) == of_jsonl
        assert _problems(mirror) == problems
    assert len(of_jsonl) == 452  # 471 less 18 that were redirects throughout and one that became one


def test_a_real_old_dump_keeps_its_hashes(tmp_path: Path) -> None:
    # Revisions of 2001 were hashed with CR LF, which XML turns into LF.
    with Mirror(shared("mediawiki_xml/enwiki-20140102.tiny.xml.gz"), tmp_path / "c.sqlite") as mirror:
        history = mirror.history("Anarchism")
        assert len(history) == 97
        got = dict(mirror.texts(history))
        assert all(sha1(text.encode()).hexdigest() == revision.sha1 for revision, text in got.items())
        assert len(got) + mirror.report.counts()[Reason.SHA1_MISMATCH] == 97
        assert len(got) >= 90  # the rest differ in more than line ends, and are reported
        assert history[0].timestamp.year == 2001


def test_the_second_use_reads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "d.jsonl", jsonl_bytes([row("A", 1, "one"), row("A", 2, "two")]))
    with Mirror(path, tmp_path / "c.sqlite") as mirror:
        first = _content(mirror)
    with monkeypatch.context() as patched:
        patched.setattr("fresco.builder.wikipedia.mirror.rows", None)
        with Mirror(path, tmp_path / "c.sqlite") as mirror:
            assert _content(mirror) == first
    path.write_bytes(jsonl_bytes([row("A", 1, "one"), row("A", 2, "two"), row("B", 3, "three")]))
    with Mirror(path, tmp_path / "c.sqlite") as mirror:  # the file changed
        assert list(mirror.titles()) == ["A", "B"]


def test_a_folder_of_dumps_is_one_mirror(tmp_path: Path) -> None:
    folder = tmp_path / "dumps"
    folder.mkdir()
    write(folder, "2.xml", xml_bytes(ROWS[:1]))
    write(folder, "1.jsonl", jsonl_bytes(ROWS[1:]))
    with Mirror(folder, tmp_path / "c.sqlite") as mirror:
        assert [r.revision_id for r in mirror.history("A")] == [1, 2]
        assert list(mirror.titles()) == ["A", "B"]


def test_redirects_are_followed_and_left_out(tmp_path: Path) -> None:
    rows = [
        row("Old", 1, "#REDIRECT [[New_name]]"),
        row("New name", 2, "#REDIRECT [[elsewhere]]"),
        row("New name", 3, "An article. " * 100),
        row("Merged", 4, "Once an article. " * 100),
        row("Merged", 5, "#REDIRECT [[New name]]"),
        row("Lost", 6, "#REDIRECT [[Nowhere]]"),
        row("Round", 7, "#REDIRECT [[Round]]"),
        row("Localized", 8, "~umleitung: New name", is_redirect=True),
    ]
    with Mirror(write(tmp_path, "d.jsonl", jsonl_bytes(rows)), tmp_path / "c.sqlite") as mirror:
        assert list(mirror.titles()) == ["New name"]
        assert [r.revision_id for r in mirror.history("Old")] == [2, 3]
        assert [r.revision_id for r, _ in mirror.texts(mirror.history("Old"))] == [3]
        assert [r.revision_id for r in mirror.history("merged")] == [4, 5]
        assert [r.revision_id for r, _ in mirror.texts(mirror.history("Merged"))] == [4]
        assert list(mirror.texts(mirror.history("Localized"))) == []
        assert mirror.history("Lost") == []
        assert mirror.history("Never there") == []
        assert list(mirror.texts(mirror.history("Round"))) == []
        problems = {(p.title, p.revision_id): p.reason for p in mirror.report}
    assert problems[("Old", None)] is Reason.FOLLOWED
    assert problems[("Lost", None)] is Reason.MISSING
    assert problems[("Never there", None)] is Reason.MISSING
    assert [problems[key] for key in (("New name", 2), ("Merged", 5), ("Localized", 8))] == [Reason.REDIRECT] * 3


def test_hidden_missing_foreign_and_false_texts_are_reported(tmp_path: Path) -> None:
    wrong = "<sha1>" + "0" * 30 + "1</sha1>"
    rows = [
        row("A", 1, "good"),
        row("A", 2, "", attributes=' deleted="deleted"'),
        row("A", 3, "", attributes=' bytes="120" id="9"'),
        row("A", 4, "other", more=wrong),
        row("A", 5, "{}", more="<model>json</model>"),
    ]
    data = xml_bytes(rows).replace(b"</mediawiki>", b"")
    talk = b"<page><title>Talk:A</title><ns>1</ns><id>2</id><revision><id>6</id></revision></page></mediawiki>"
    with Mirror(write(tmp_path, "d.xml", data + talk), tmp_path / "c.sqlite") as mirror:
        assert list(mirror.titles()) == ["A"]
        assert [text for _, text in mirror.texts(mirror.history("A"))] == ["good"]
        assert [(p.revision_id, p.reason) for p in mirror.report] == [
            (2, Reason.TEXT_HIDDEN),
            (3, Reason.TEXT_MISSING),
            (4, Reason.SHA1_MISMATCH),
            (5, Reason.NOT_WIKITEXT),
        ]


def test_second_slots_are_passed_over(tmp_path: Path) -> None:
    slot = "<content><role>mediainfo</role><text>not the article</text></content>"
    path = write(tmp_path, "d.xml", xml_bytes([row("A", 1, "the article", more=slot)]))
    with Mirror(path, tmp_path / "c.sqlite") as mirror:
        assert [text for _, text in mirror.texts(mirror.history("A"))] == ["the article"]


def test_revisions_of_another_source_are_found(tmp_path: Path) -> None:
    path = write(tmp_path, "d.jsonl", jsonl_bytes([row("A", 1, "one"), row("A", 2, "two")]))
    with Mirror(path, tmp_path / "c.sqlite") as mirror:
        one, two = mirror.history("A")
        by_hash = Revision("Elsewhere", 9, 901, datetime(1999, 1, 1, tzinfo=UTC), one.sha1)
        by_time = Revision("a", 9, 902, two.timestamp)
        other_text = Revision("A", 9, 903, two.timestamp, "f" * 40)
        unknown = Revision("A", 9, 904, datetime(1999, 1, 1, tzinfo=UTC))
        got = list(mirror.texts([by_hash, by_time, other_text, unknown]))
        assert got == [(by_hash, "one"), (by_time, "two")]
        assert [(p.revision_id, p.reason) for p in mirror.report] == [(903, Reason.ABSENT), (904, Reason.ABSENT)]


# Size and interruption


@pytest.mark.skipif(sys.platform != "linux", reason="counts resident memory as Linux does")
def test_memory_does_not_grow_with_the_dump(tmp_path: Path) -> None:
    grown = []
    for revisions in (500, 1500):
        path = tmp_path / f"{revisions}.xml.gz"
        big_export(path, revisions)
        command = [sys.executable, "-c", BIG_READER, str(path), str(tmp_path / f"{revisions}.sqlite")]
        count, extra = map(int, subprocess.run(command, capture_output=True, check=True, text=True).stdout.split())
        assert count == revisions
        grown.append(extra / 1024**2)
    assert grown[1] < 100  # of 150 MB of wikitext
    assert grown[1] - grown[0] < 15


def test_a_killed_indexing_is_made_good(tmp_path: Path) -> None:
    path, cache = tmp_path / "d.xml.gz", tmp_path / "c.sqlite"
    big_export(path, 600)
    command = [sys.executable, "-c", BIG_READER, str(path), str(cache)]
    for wait in (0.4, 0.9):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            process.wait(wait)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
    with Mirror(path, cache) as mirror:
        history = mirror.history("Big")
        assert len(history) == 600
        assert all(a.timestamp <= b.timestamp for a, b in pairwise(history))
        assert sum(1 for _ in mirror.texts(history)) == 600


def test_two_processes_index_one_dump_into_one_cache(tmp_path: Path) -> None:
    path, cache = tmp_path / "d.xml.gz", tmp_path / "c.sqlite"
    big_export(path, 300)
    command = [sys.executable, "-c", BIG_READER, str(path), str(cache)]
    for process in [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(2)]:
        assert process.wait() == 0
    with Mirror(path, cache) as mirror:
        assert sum(1 for _ in mirror.texts(mirror.history("Big"))) == 300


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = write(tmp_path, "d.jsonl", jsonl_bytes(ROWS))
    with Mirror(path, tmp_path / "c.sqlite", progress=lambda done, size: seen.append((done, size))):
        assert seen[-1] == (path.stat().st_size, path.stat().st_size)


def test_links_lead_through_redirects_and_moves(tmp_path: Path) -> None:
    rows = [
        row("Wanda Park", 1, "#REDIRECT [[The Park]]", page_id=7),
        row("The Park", 2, "A ground.", page_id=8),
        row("Old Name", 3, "A person.", page_id=9),
        row("New Name", 4, "A person.", page_id=9),
        row("Her Brother", 5, "#REDIRECT [[New Name#Family]]", page_id=10),
    ]
    with Mirror(write(tmp_path, "d.jsonl", jsonl_bytes(rows)), tmp_path / "c.sqlite") as mirror:
        asked = ("wanda_Park", "The Park", "Old Name", "Her Brother", "Nowhere")
        assert list(mirror.resolve(asked).values()) == ["The Park", "The Park", "New Name", "Her Brother", "Nowhere"]
