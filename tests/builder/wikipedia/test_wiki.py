"""The live wiki, against a real MediaWiki."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from pathlib import Path

import pytest

from fresco.builder.revisions import Revision
from fresco.builder.wikipedia import Mirror, Reason, Wiki
from fresco.errors import FrescoError
from tests.builder.conftest import DAYS
from tests.builder.servers import mediawiki
from tests.builder.servers.fault_proxy import FaultProxy


def _wiki(url: str, folder: Path, **options: object) -> Wiki:
    return Wiki(url, None, folder / "cache.sqlite", **{"rate": 1000.0, **options})  # type: ignore[arg-type]


def test_history_and_texts_of_a_real_page(wiki_url: str, tmp_path: Path) -> None:
    with _wiki(wiki_url, tmp_path) as wiki:
        history = wiki.history("Baltimore_Orioles")
        assert [r.timestamp for r in history] == sorted(r.timestamp for r in history)
        assert len(history) == 5
        assert {r.title for r in history} == {"Baltimore Orioles"}
        assert history[0].timestamp == datetime(2022, 12, 30, 21, 22, 45, tzinfo=UTC)
        for revision, text in wiki.texts(history):
            assert sha1(text.encode()).hexdigest() == revision.sha1
        assert len(list(wiki.texts(history))) == 5
        assert len(wiki.report) == 0


def test_a_window_begins_with_its_start_and_ends_before_its_end(wiki_url: str, tmp_path: Path) -> None:
    with _wiki(wiki_url, tmp_path) as wiki:
        times = [r.timestamp for r in wiki.history("Airbnb")]
    second = timedelta(seconds=1)
    for folder, asked in (("whole", wiki_url), ("parts", wiki_url)):
        (tmp_path / folder).mkdir()
        with _wiki(asked, tmp_path / folder) as wiki:
            if folder == "whole":  # then the windows below are cut from one listing, else each is asked for
                wiki.history("Airbnb")
            requests = wiki.requests_made
            assert [r.timestamp for r in wiki.history("Airbnb", times[1], times[3])] == times[1:3]
            assert [r.timestamp for r in wiki.history("Airbnb", times[1] + second, times[3] + second)] == times[2:4]
            assert wiki.history("Airbnb", times[3], times[1]) == ()
            assert wiki.requests_made == requests + (0 if folder == "whole" else 2)


def test_a_window_that_ends_after_the_listing_is_listed_again(proxy: FaultProxy, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    with _wiki(proxy.url, tmp_path) as wiki:
        wiki.history("Airbnb", None, now - timedelta(days=1))
        wiki.history("Airbnb", None, now - timedelta(days=2))
        assert len(proxy.seen) == 1
        wiki.history("Airbnb", None, now + timedelta(days=1))
        assert len(proxy.seen) == 2
        wiki.history("Airbnb", None, now + timedelta(days=1))
        assert len(proxy.seen) == 2


def test_requests_are_bounded_and_nothing_is_asked_twice(proxy: FaultProxy, tmp_path: Path) -> None:
    with _wiki(proxy.url, tmp_path) as wiki:
        titles = list(wiki.titles())
        listing = len(proxy.seen)
        assert listing == 1
        histories = {title: wiki.history(title) for title in titles}
        # A page that is nothing but a redirect is excluded from titles(): each page is one listing.
        assert len(proxy.seen) - listing == len(titles)
        before = len(proxy.seen)
        needed = [revision for history in histories.values() for revision in history]
        got = list(wiki.texts(needed))
        assert len(proxy.seen) - before == math.ceil(len(needed) / 50)
    (tmp_path / "again").mkdir()
    with _wiki(proxy.url, tmp_path) as again:
        assert {title: again.history(title) for title in again.titles()} == histories
        assert list(again.texts(needed)) == got
        assert again.requests_made == 0
    assert len(proxy.seen) == listing + len(titles) + math.ceil(len(needed) / 50)


def test_a_page_with_many_revisions_costs_what_is_promised(long_wiki_url: str, tmp_path: Path) -> None:
    with _wiki(long_wiki_url, tmp_path) as wiki:
        history = wiki.history("Long")
        assert [r.timestamp for r in history] == DAYS
        assert wiki.requests_made == math.ceil(520 / 500)
        needed = history[::10]
        assert [text for _, text in wiki.texts(needed)] == [f"Number {n}" for n in range(0, 520, 10)]
        assert wiki.requests_made == math.ceil(520 / 500) + math.ceil(len(needed) / 50)


@pytest.mark.parametrize(("first", "requests"), [(510, 1), (21, 1), (20, 2), (0, 2)])
def test_what_lies_before_the_window_is_not_listed(
    long_wiki_url: str, tmp_path: Path, first: int, requests: int
) -> None:
    with _wiki(long_wiki_url, tmp_path) as wiki:
        history = wiki.history("Long", DAYS[first], standing=True)
        assert [r.timestamp for r in history] == DAYS[max(0, first - 1) :]
        assert wiki.requests_made == requests
        assert [r.timestamp for r in wiki.history("Long", DAYS[first])] == DAYS[first:]
        assert wiki.requests_made == requests


def test_a_window_of_the_wiki_is_that_of_a_mirror(wiki_url: str, export: Path, tmp_path: Path) -> None:
    """The mirror holds whole histories and cuts the window out of them."""
    with Mirror(export, tmp_path / "mirror.sqlite") as mirror, _wiki(wiki_url, tmp_path) as wiki:
        for title in sorted(mirror.titles())[::4]:
            times = [each.timestamp for each in mirror.history(title)]
            for start, end in ((times[2], times[4]), (times[1] + timedelta(hours=1), None), (times[0], times[3])):
                for standing in (True, False):
                    expected = mirror.history(title, start, end, standing=standing)
                    found = wiki.history(title, start, end, standing=standing)
                    assert [(r.timestamp, r.sha1) for r in found] == [(r.timestamp, r.sha1) for r in expected]
                    assert len(found) > 0


def test_answers_that_would_be_too_large_are_continued(wiki_url: str, own_wiki_settings: str, tmp_path: Path) -> None:
    with _wiki(own_wiki_settings, tmp_path) as wiki:
        needed = [revision for title in ("Airbnb", "AC Milan", "BRICS") for revision in wiki.history(title)]
        before = wiki.requests_made
        assert len(list(wiki.texts(needed))) == len(needed)
        assert wiki.requests_made - before > 1  # the wiki gives out a part at a time


@pytest.fixture
def own_wiki_settings(wiki_on_disk: mediawiki.MediaWiki, tmp_path: Path) -> object:
    """A wiki that answers with half a megabyte at most."""
    made = wiki_on_disk.copy_to(tmp_path / "small-answers")
    made.settings.write_text(made.settings.read_text() + "$wgAPIMaxResultSize = 500000;\n")
    with mediawiki.serve(made) as url:
        yield url


def test_missing_and_impossible_titles_are_reported(wiki_url: str, tmp_path: Path) -> None:
    with _wiki(wiki_url, tmp_path) as wiki:
        for _ in range(2):
            for title in ("No such page", "Bad<title>", "A|B", ""):
                assert wiki.history(title) == ()
        assert [(p.title, p.reason) for p in wiki.report] == [
            ("No such page", Reason.MISSING),
            ("Bad<title>", Reason.INVALID),
            ("A|B", Reason.INVALID),
            ("", Reason.INVALID),
        ]
        assert wiki.requests_made == 2


def test_moved_redirected_deleted_and_hidden(own_wiki_url: str, tmp_path: Path) -> None:
    admin = mediawiki.as_admin(own_wiki_url)
    token = admin.get_token("csrf", force=True)
    with _wiki(own_wiki_url, tmp_path) as wiki:
        moved = wiki.history("Airbnb")
        hidden = wiki.history("BRICS")
        deleted = wiki.history("Apple Watch")
        admin.post("move", **{"from": "Airbnb", "to": "Airbnb, Inc.", "reason": "test", "token": token})
        admin.post(
            "revisiondelete",
            type="revision",
            ids=str(hidden[0].revision_id),
            hide="content",
            token=token,
            target="BRICS",
        )
        admin.post(
            "revisiondelete",
            type="revision",
            ids=str(hidden[1].revision_id),
            hide="content",
            suppress="yes",
            token=token,
            target="BRICS",
        )
        admin.post("delete", title="Apple Watch", token=token)

        got = dict(wiki.texts([*moved, *hidden, *deleted]))
        assert [r for r in moved if r in got] == list(moved)
        assert [r for r in hidden if r in got] == list(hidden[2:])
        assert not any(r in got for r in deleted)
        reasons = {p.revision_id: (p.reason, p.detail) for p in wiki.report}
        assert {reasons[r.revision_id] for r in moved} == {(Reason.MOVED, "now of 'Airbnb, Inc.'")}
        assert reasons[hidden[0].revision_id][0] is Reason.TEXT_HIDDEN
        assert reasons[hidden[1].revision_id][0] is Reason.SUPPRESSED
        assert {reasons[r.revision_id][0] for r in deleted} == {Reason.DELETED}
        assert len(wiki.report) == len(moved) + 2 + len(deleted)

    # Known from the cache: the same again, without a request.
    with _wiki(own_wiki_url, tmp_path) as again:
        assert dict(again.texts([*moved, *hidden, *deleted])) == got
        assert {p.revision_id: (p.reason, p.detail) for p in again.report} == reasons
        assert again.requests_made == 0

    # Seen for the first time after all that.
    (tmp_path / "later").mkdir()
    with _wiki(own_wiki_url, tmp_path / "later") as later:
        followed = later.history("Airbnb")
        assert {r.title for r in followed} == {"Airbnb, Inc."}
        assert [r.revision_id for r in followed if r.revision_id in {m.revision_id for m in moved}] == [
            m.revision_id for m in moved
        ]
        before = later.requests_made
        assert later.history("Airbnb, Inc.") == followed
        assert later.requests_made == before
        assert ("Airbnb", Reason.FOLLOWED) in {(p.title, p.reason) for p in later.report}
        assert later.history("Apple Watch") == ()
        listed = later.history("BRICS")
        assert [r.sha1 for r in listed[:2]] == ["", ""]
        before = later.requests_made
        assert [r for r, _ in later.texts(listed[:2])] == []
        assert later.requests_made == before  # the listing said that their hashes are hidden: no need to ask
        assert {p.reason for p in later.report if p.revision_id} == {Reason.SHA1_HIDDEN, Reason.SUPPRESSED}


def test_a_redirect_that_was_an_article_keeps_its_own_history(own_wiki_url: str, tmp_path: Path) -> None:
    admin = mediawiki.as_admin(own_wiki_url)
    admin.pages["Airbnb"].edit("#REDIRECT [[BRICS]]", "merged")
    with _wiki(own_wiki_url, tmp_path) as wiki:
        history = wiki.history("Airbnb")
        assert {r.title for r in history} == {"Airbnb"}
        texts = dict(wiki.texts(history))
        assert len(texts) == len(history) - 1
        assert [(p.revision_id, p.reason) for p in wiki.report] == [(history[-1].revision_id, Reason.REDIRECT)]
        assert "Airbnb" not in set(wiki.titles())


def test_a_redirect_to_nowhere_is_reported(wiki_url: str, tmp_path: Path, own_wiki_url: str) -> None:
    mediawiki.as_admin(own_wiki_url).pages["Old name"].edit("#REDIRECT [[Never written]]", "test")
    with _wiki(own_wiki_url, tmp_path) as wiki:
        assert wiki.history("Old name") == ()
        assert [(p.title, p.reason) for p in wiki.report] == [("Old name", Reason.MISSING)]


def test_pages_that_are_no_wikitext_are_reported(wiki_url: str, own_wiki_url: str, tmp_path: Path) -> None:
    admin = mediawiki.as_admin(own_wiki_url)
    admin.pages["User:Admin/common.css"].edit("a { color: red }", "test")
    with _wiki(own_wiki_url, tmp_path) as wiki:
        assert list(wiki.texts(wiki.history("User:Admin/common.css"))) == []
        assert [(p.reason, p.detail) for p in wiki.report] == [(Reason.NOT_WIKITEXT, "css")]


def test_a_revision_needs_no_listing_and_is_held_to_its_hash(wiki_url: str, tmp_path: Path) -> None:
    with _wiki(wiki_url, tmp_path) as wiki:
        first, second, third, *_ = wiki.history("Airbnb")
    (tmp_path / "fresh").mkdir()
    when = first.timestamp
    asked = [
        Revision("Airbnb", 0, first.revision_id, when, first.sha1),
        Revision("Airbnb", 0, second.revision_id, when),
        Revision("Airbnb", 0, third.revision_id, when, "0" * 40),
        Revision("Airbnb", 0, 10**9, when),
    ]
    with _wiki(wiki_url, tmp_path / "fresh") as fresh:
        for _ in range(2):
            assert [r for r, _ in fresh.texts(asked)] == asked[:2]
            assert [(p.revision_id, p.reason) for p in fresh.report] == [
                (third.revision_id, Reason.SHA1_MISMATCH),
                (10**9, Reason.DELETED),
            ]
        assert fresh.requests_made == 1


def test_a_good_guest_says_who_asks(proxy: FaultProxy, tmp_path: Path) -> None:
    with Wiki(proxy.url, "someone@example.org", tmp_path / "cache.sqlite", rate=1000.0, maxlag=3) as wiki:
        list(wiki.texts(wiki.history("Airbnb")))
    assert len(proxy.seen) == 2
    for request in proxy.seen:
        assert request.headers["User-Agent"].startswith("fresco-ccs/")
        assert "(someone@example.org)" in request.headers["User-Agent"]
        assert request.headers["Accept-Encoding"] == "gzip"
        assert request.parameters["maxlag"] == "3"
    assert len({request.connection for request in proxy.seen}) == 1


@pytest.mark.parametrize(
    ("url", "contact", "message"),
    [
        ("https://en.wikipedia.org/w/", None, "asks every program for a contact"),
        ("https://www.wikidata.org/w/", "me", "asks every program for a contact"),
        ("https://wiki.example/w/", "a@b\r\nX: y", "HTTP header"),
        ("en.wikipedia.org", "a@b.org", "no address of a wiki"),
        ("ftp://wiki.example/w/", None, "no address of a wiki"),
    ],
)
def test_bad_addresses_and_contacts(url: str, contact: str | None, message: str, tmp_path: Path) -> None:
    with pytest.raises(FrescoError, match=message) as caught:
        Wiki(url, contact, tmp_path / "cache.sqlite")
    assert "\n" not in str(caught.value)


def test_wikipedia_is_never_crawled_whole(tmp_path: Path) -> None:
    with (
        Wiki("https://en.wikipedia.org/w/api.php", "a@b.org", tmp_path / "cache.sqlite") as wiki,
        pytest.raises(FrescoError, match="too large to list every page"),
    ):
        next(iter(wiki.titles()))
