"""The manifest that we ship, and the real revisions that it was built from."""

from __future__ import annotations

import hashlib
import json
import re
import resource
from pathlib import Path

import pytest

from fresco.benchmarks import open_benchmark
from fresco.builder.config import BuildConfig
from fresco.builder.manifest import hydrate, read_manifest
from fresco.builder.pipeline import build
from fresco.builder.wikipedia import Mirror
from fresco.records import Label, parse_timestamp

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = ROOT / "data" / "wikirev" / "manifest.jsonl"


def _processor_seconds() -> float:
    """Of this process and its children that ended: other than a clock's, the same on a busy machine."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def test_the_manifest_that_we_ship_is_whole_and_holds_no_text() -> None:
    manifest = read_manifest(MANIFEST)
    assert len(manifest.queries) >= 300
    assert len({(query["subject"], query["relation"]) for query in manifest.queries}) >= 150
    assert len({query["relation"] for query in manifest.queries}) >= 10
    known = {
        f"{re.sub(chr(92) + 's+', '_', row['title'])}@{row['timestamp']}#{number}"
        for row in manifest.revisions
        for number in row["passages"]
    }
    for query in manifest.queries:
        members = [each for label in Label for each in query["pool"][label.value]]
        assert 10 <= len(members) == len(set(members)) <= 51
        assert set(members) <= known
        assert query["pool"]["positive"]
        assert query["pool"]["outdated"]  # an EK query without a conflict is none
    for line in MANIFEST.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        longest = max((len(heading) for heading, _ in row.get("passages", {}).values()), default=0)
        assert longest < 200
        assert "body" not in row


def test_the_audit_says_what_it_judged_and_its_table_counts_it() -> None:
    folder = ROOT / "eval" / "label_audit"
    verdicts = [json.loads(line) for line in (folder / "verdicts.jsonl").read_text(encoding="utf-8").splitlines()]
    ids = {query["_id"] for query in read_manifest(MANIFEST).queries}
    assert len({verdict["query"] for verdict in verdicts}) == len(verdicts) == 80
    table = (folder / "README.md").read_text(encoding="utf-8")
    shipped = hashlib.sha256(MANIFEST.read_bytes()).hexdigest()
    of_this = f"`{shipped[:8]}…`" in table
    assert of_this or "The one shipped now is newer" in table
    assert not of_this or {verdict["query"] for verdict in verdicts} <= ids
    columns = ("query_natural", "answer_current", "positive_states_it", "negatives_right", "conflict_right")
    for column in (*columns, "outdated_state_former"):
        assert f"| {sum(verdict[column] for verdict in verdicts)} (" in table
    whole = sum(all(verdict[column] for column in (*columns, "outdated_state_former")) for verdict in verdicts)
    assert f"| everything | {whole} (" in table


def test_the_check_of_recall_is_of_this_manifest_and_its_text_counts_it() -> None:
    folder = ROOT / "eval" / "label_audit"
    changes = [json.loads(line) for line in (folder / "recall.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len({(each["page"], each["change"]) for each in changes}) == len(changes) == 40
    assert all(each["fact"] for each in changes if each["pair"])
    subjects = {query["subject"] for query in read_manifest(MANIFEST).queries}
    assert {each["page"] for each in changes if each["pair"]} <= subjects
    assert f"**{sum(each['fact'] for each in changes)} (" in (folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_it_is_what_the_real_revisions_give(jsonl: Path, tmp_path: Path) -> None:
    began = _processor_seconds()
    reference = parse_timestamp("2025-01-01T23:59:59Z")
    with Mirror(jsonl, tmp_path / "c.sqlite") as mirror:
        build(BuildConfig(tmp_path / "b", f"dump {jsonl.name}", reference=reference), mirror)
        assert _processor_seconds() - began < 1800  # about 500; cores that share their parts count more
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 4 * 1024**2  # KiB
        assert (tmp_path / "b" / "manifest.jsonl").read_bytes() == MANIFEST.read_bytes()
        found = hydrate(MANIFEST, mirror, tmp_path / "h")
    assert (found.queries_lost, found.gone) == (0, ())
    assert open_benchmark(str(tmp_path / "h")).fingerprint == open_benchmark(str(tmp_path / "b")).fingerprint
