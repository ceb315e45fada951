"""Faults between us and a real MediaWiki: the run goes on or ends with one clear line, and never hammers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from fresco.builder.wikipedia import Reason, Wiki, client
from fresco.errors import FrescoError
from tests.builder.servers import fault_proxy as fault
from tests.builder.servers.fault_proxy import Fault, FaultProxy

_RATE = 50.0  # requests a second


@pytest.fixture
def opened(proxy: FaultProxy, tmp_path: Path) -> Iterator[Wiki]:
    """A wiki behind the proxy."""
    with Wiki(proxy.url, None, tmp_path / "cache.sqlite", rate=_RATE) as wiki:
        yield wiki


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_FIRST_WAIT", 0.2)


def _in_three_seconds(refusal: Callable[[str], Fault]) -> Fault:
    """A refusal until a date, made when it is sent. A date has whole seconds: three of them are at least two."""

    def fault(handler: Any) -> None:
        until = datetime.now(UTC) + timedelta(seconds=3)
        refusal(format_datetime(until, usegmt=True))(handler)

    return fault


def _announced(caplog: pytest.LogCaptureFixture) -> list[float]:
    """The waits that the log tells of, in seconds."""
    return [record.args[2] for record in caplog.records if record.name == client.__name__]  # type: ignore[index, misc]


@pytest.mark.parametrize(
    ("spoilt", "least", "most"),
    [
        (fault.status(429, Retry_After="1"), 1.0, 1.0),
        (_in_three_seconds(lambda date: fault.status(429, Retry_After=date)), 2.0, 3.0),
        (fault.status(429), 0.2, 0.2),
        (fault.status(429, Retry_After="soon"), 0.2, 0.2),
        (fault.status(503, Retry_After="1"), 1.0, 1.0),
        (fault.status(503), 0.2, 0.2),
        (fault.status(502), 0.2, 0.2),
        (fault.lagged("1"), 1.0, 1.0),
        (_in_three_seconds(fault.lagged), 2.0, 3.0),
        (fault.api_error("ratelimited"), 0.2, 0.2),
        (fault.api_error("readonly"), 0.2, 0.2),
        (fault.api_error("internal_api_error_DBQueryError"), 0.2, 0.2),
        (fault.api_error("internal_api_error_MWException"), 0.2, 0.2),
        (fault.api_error("badtoken"), 0.2, 0.2),
        (fault.api_error("assertuserfailed"), 0.2, 0.2),
        (fault.reset, 0.2, 0.2),
        (fault.reset_within, 0.2, 0.2),
        (fault.cut_off, 0.2, 0.2),
        (fault.half_json, 0.2, 0.2),
        (fault.saying(b"[]"), 0.2, 0.2),
        (fault.saying(b"[1]"), 0.2, 0.2),
        (fault.saying(b'{"batchcomplete": ""}'), 0.2, 0.2),
        (fault.saying(b"\xff\xfe"), 0.2, 0.2),
    ],
)
def test_one_fault_in_a_listing_costs_time_and_nothing_else(
    spoilt: Fault, least: float, most: float, proxy: FaultProxy, opened: Wiki, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.script.append(spoilt)
    assert len(opened.history("Airbnb")) == 5
    assert len(opened.report) == 0
    assert len(proxy.seen) == 2
    assert proxy.spacing()[0] >= least
    (wait,) = _announced(caplog)
    assert wait <= most


def test_an_answer_that_drips_is_given_up_and_asked_for_again(proxy: FaultProxy, tmp_path: Path) -> None:
    proxy.script.append(fault.dripping(0.02))  # its thousands of bytes would take minutes
    with Wiki(proxy.url, None, tmp_path / "cache.sqlite", rate=_RATE, request_limit=2.0) as wiki:
        assert len(wiki.history("Airbnb")) == 5
    assert len(wiki.report) == 0
    assert len(proxy.seen) >= 2  # a busy machine may be late by itself


@pytest.mark.parametrize("spoilt", [fault.lagged("1"), fault.reset_within, fault.cut_off, fault.half_json])
def test_one_fault_in_the_texts_costs_time_and_nothing_else(spoilt: Fault, proxy: FaultProxy, opened: Wiki) -> None:
    history = opened.history("Airbnb")
    proxy.script.append(spoilt)
    assert [r for r, _ in opened.texts(history)] == list(history)
    assert len(opened.report) == 0
    assert len(proxy.seen) == 3
    assert proxy.spacing()[1] >= 0.2


def test_faults_in_a_row_are_waited_out_ever_longer(proxy: FaultProxy, opened: Wiki) -> None:
    proxy.script.extend([fault.status(503), fault.reset, fault.half_json, fault.status(500)])
    assert len(opened.history("Airbnb")) == 5
    for waited, least in zip(proxy.spacing(), (0.2, 0.4, 0.8, 1.6), strict=True):
        assert waited >= least


def test_the_rate_is_kept_over_good_and_bad_answers(proxy: FaultProxy, tmp_path: Path) -> None:
    proxy.script.extend([fault.passed, fault.status(429, Retry_After="0"), fault.lagged("0")])
    began = time.monotonic()
    with Wiki(proxy.url, None, tmp_path / "cache.sqlite", rate=5.0) as wiki:
        for title in ("Airbnb", "BRICS", "AC Milan"):
            wiki.history(title)
    assert len(proxy.seen) == 5
    for number, request in enumerate(proxy.seen):
        assert request.at - began >= number * 0.2


def test_giving_up_says_so_and_keeps_what_was_read(proxy: FaultProxy, tmp_path: Path) -> None:
    options = {"rate": _RATE, "attempts": 3}
    with Wiki(proxy.url, None, tmp_path / "cache.sqlite", **options) as wiki:  # type: ignore[arg-type]
        wiki.history("Airbnb")
        proxy.script.extend([fault.status(503)] * 3)
        with pytest.raises(FrescoError, match="gave up after 3 requests: HTTP status 503") as caught:
            wiki.history("BRICS")
        assert "\n" not in str(caught.value)
        assert len(proxy.seen) == 4
    with Wiki(proxy.url, None, tmp_path / "cache.sqlite", **options) as again:  # type: ignore[arg-type]
        assert len(again.history("Airbnb")) == 5
        assert again.requests_made == 0
        assert len(again.history("BRICS")) == 5


def test_a_wait_beyond_our_patience_is_not_slept(proxy: FaultProxy, opened: Wiki) -> None:
    proxy.script.append(fault.status(429, Retry_After="86400"))
    with pytest.raises(FrescoError, match="asks to wait 86400 s"):  # which would outlast any run of the tests
        opened.history("Airbnb")
    assert len(proxy.seen) == 1


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        (fault.status(403), "HTTP status 403"),
        (fault.status(404), "HTTP status 404"),
        (fault.page, "answers text/html, not JSON"),
        (fault.api_error("readapidenied"), "the wiki refuses: readapidenied"),
    ],
)
def test_what_no_wait_mends_is_not_asked_again(spoilt: Fault, message: str, proxy: FaultProxy, opened: Wiki) -> None:
    proxy.script.append(spoilt)
    with pytest.raises(FrescoError, match=message) as caught:
        opened.history("Airbnb")
    assert "\n" not in str(caught.value)
    assert len(proxy.seen) == 1


def test_nobody_at_home(tmp_path: Path) -> None:
    with (
        Wiki("http://127.0.0.1:9/w/", None, tmp_path / "cache.sqlite", rate=_RATE) as wiki,
        pytest.raises(FrescoError, match="gave up after 3 requests: ConnectionError"),
    ):
        wiki.history("Airbnb")


def test_a_text_damaged_on_its_way_is_fetched_again(proxy: FaultProxy, opened: Wiki) -> None:
    history = opened.history("Airbnb")
    proxy.script.append(fault.altered("}}", "}!"))
    proxy.script.extend([fault.passed] * 3)
    before = len(proxy.seen)
    assert [r for r, _ in opened.texts(history)] == list(history)
    assert len(proxy.seen) - before == 2


def test_a_text_that_never_matches_its_hash_is_left_out_and_reported(proxy: FaultProxy, opened: Wiki) -> None:
    history = opened.history("Airbnb")
    proxy.script.extend([fault.altered("}}", "}!")] * 2)
    assert [r for r, _ in opened.texts(history)] == list(history[1:])
    assert [(p.revision_id, p.reason) for p in opened.report] == [(history[0].revision_id, Reason.SHA1_MISMATCH)]
