"""Editions of a real wiki and of dumps: the next asks for what has changed, and has the bytes of one from nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fresco.builder.job import Built, Source, run_build
from fresco.builder.wikipedia import Wiki
from fresco.records import format_timestamp
from tests.builder.own_pages import club_rows, row, write
from tests.builder.servers import mediawiki
from tests.builder.servers.fault_proxy import FaultProxy, fault_proxy
from tests.builder.test_living import files

CLUBS = ("Northport United", "Easthaven Rovers", "Westmere Athletic", "Southgate Town", "Midvale Harriers")
FIRST, SECOND, THIRD = ("Alma Berg", "Emil Falk", "Karl Lind", "Olaf Prim", "[[Rosa Sund]]"), "Greta Holm", "Mona Nord"
#: A recent change is kept for 90 days: all of this is younger.
NOW = datetime.now(UTC).replace(microsecond=0)


def text(name: str, manager: str) -> str:
    plain = manager.strip("[]")
    return (
        f"{{{{Infobox football club\n| clubname = {name}\n| manager = {manager}\n}}}}\n'''{name}''' is a football club "
        "of the coast, and its colours are green and white.\n\n== Staff ==\n"
        f"The manager of the club is {plain}, who trains the first team on four days of the week beside the river.\n\n"
        f"== Ground ==\nMatches of {name} are played by the harbour wall, where the wind decides about every goal.\n"
    )


def page(number: int, name: str, texts: dict[int, str]) -> str:
    """A page in an export: its texts by the days ago on which they were saved."""
    revisions = "".join(
        f"<revision><id>{number * 10 + place}</id><timestamp>{format_timestamp(NOW - timedelta(days=ago))}</timestamp>"
        "<contributor><ip>1.1.1.1</ip></contributor><model>wikitext</model><format>text/x-wiki</format>"
        f"<text>{own}</text></revision>"
        for place, (ago, own) in enumerate(texts.items())
    )
    return f"<page><title>{name}</title><ns>0</ns><id>{number}</id>{revisions}</page>"


@pytest.fixture
def wiki(tmp_path: Path) -> Iterator[tuple[str, FaultProxy]]:
    """Address of a wiki of clubs that the test may change, and a proxy before it."""
    if not mediawiki.is_installed():
        pytest.skip(f"needs MediaWiki: {mediawiki.HOW_TO_INSTALL}")
    made = mediawiki.make(tmp_path / "wiki")
    pages = "".join(
        page(number, name, {60: text(name, first), 30: text(name, "[[Second One]]" if "[" in first else SECOND)})
        for number, (name, first) in enumerate(zip(CLUBS, FIRST, strict=True), 100)
    )
    pages += page(200, "Rosa Sund", {60: "A trainer."}) + page(201, "Second One", {60: "Another trainer."})
    export = (
        '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11"><siteinfo><namespaces>'
        f'<namespace key="0" /></namespaces></siteinfo>{pages}</mediawiki>'
    )
    made.maintain("importDump", "--no-updates", "--quiet", "--username-prefix=wp", text=export.encode())
    made.maintain("rebuildrecentchanges")
    with mediawiki.serve(made) as url, fault_proxy(url) as proxy:
        yield url, proxy


def build(url: str, out: Path, edition: str, reference: datetime, **options: object) -> Built:
    window = {"since": NOW - timedelta(days=85), "reference": reference, "workers": 1}
    chosen = {"edition": edition, "relations": ("head_coach",), **window, **options}
    return run_build(out, Source(wiki=url, rate=1000), None, lambda *_: None, chosen)


def listed(proxy: FaultProxy) -> set[str]:
    return {each.parameters["titles"] for each in proxy.seen if "rvlimit" in each.parameters}


def test_an_edition_of_a_wiki_lists_what_has_changed(wiki: tuple[str, FaultProxy], tmp_path: Path) -> None:
    url, proxy = wiki
    build(proxy.url, tmp_path / "1" / "b", "1", NOW - timedelta(days=10))
    assert listed(proxy) >= set(CLUBS)

    site = mediawiki.as_admin(url)
    site.pages[CLUBS[0]].edit(text(CLUBS[0], THIRD))
    site.pages[CLUBS[1]].move("Easthaven Wanderers", reason="a new name")
    site.pages[CLUBS[2]].delete(reason="gone")
    site.pages["Second One"].move("Second Two", reason="a new name")
    site.pages["Eastwold Rangers"].edit(text("Eastwold Rangers", THIRD))
    proxy.seen.clear()
    second = build(proxy.url, tmp_path / "2" / "b", "2", NOW + timedelta(days=1), earlier=tmp_path / "1" / "b")
    # The wiki's main page was made with it, behind the first edition's end.
    changed = {CLUBS[0], "Easthaven Wanderers", "Eastwold Rangers", "Second Two", "Main Page"}
    assert listed(proxy) == changed
    assert second.changed == 5  # listed before: three clubs, one of which is gone now, the trainer, the main page
    asked = len(proxy.seen)
    proxy.seen.clear()
    nothing = build(proxy.url, tmp_path / "nothing" / "b", "2", NOW + timedelta(days=1))
    assert listed(proxy) > changed
    assert asked < len(proxy.seen)
    assert files(second.folder) == files(nothing.folder)
    assert second.moved is not None and (CLUBS[0], "head coach", SECOND, THIRD) in second.moved.changed.values()
    assert any(key.startswith("Easthaven_Wanderers") for key in second.moved.new)

    proxy.seen.clear()  # the same command again asks nothing
    build(proxy.url, tmp_path / "2" / "b", "2", NOW + timedelta(days=1), earlier=tmp_path / "1" / "b")
    assert not proxy.seen


def test_where_the_wiki_does_not_tell_all_pages_are_listed_again(proxy: FaultProxy, tmp_path: Path) -> None:
    first, second = NOW - timedelta(days=400), NOW
    with Wiki(proxy.url, None, tmp_path / "c.sqlite", rate=1000) as wiki:
        wiki.history("AC Milan", None, first)
        assert wiki.renew(second) is None  # its pages were imported without a word in the list of changes
        proxy.seen.clear()
        wiki.history("AC Milan", None, second)
        assert listed(proxy) == {"AC Milan"}
        assert wiki.renew(second) == 0


def test_an_edition_of_a_dump_parses_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = club_rows()
    later = [each for each in rows if str(each["revision_timestamp"]) > "2024-06"]
    dumps = (
        write(tmp_path / "1.jsonl", [each for each in rows if each not in later]),
        write(tmp_path / "2.jsonl", [*rows, row("Street", 90, 9001, "2024-01-01T00:00:00Z", "A street of the town.")]),
    )

    def built(dump: Path, out: Path, reference: datetime, **options: object) -> Built:
        chosen = {"edition": out.parent.name, "reference": reference, "workers": 1, **options}
        return run_build(out, Source(mirror=dump), None, lambda *_: None, chosen)

    built(dumps[0], tmp_path / "1" / "b", datetime(2024, 6, 1, tzinfo=UTC))
    reference = datetime(2025, 1, 1, tzinfo=UTC)
    second = built(dumps[1], tmp_path / "2" / "b", reference, earlier=tmp_path / "1" / "b", edition="x")
    nothing = built(dumps[1], tmp_path / "nothing" / "b", reference, edition="x")
    assert files(second.folder) == files(nothing.folder)
    assert second.moved is not None and second.moved.changed
