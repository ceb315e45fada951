"""Logging in at a real MediaWiki: what it saves, and that no file or message holds the password."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from fresco.builder.wikipedia import Wiki, client
from fresco.builder.wikipedia.login import PASSWORD, USER, Login, login_of_environment
from fresco.cli import main
from fresco.errors import FrescoError
from tests.builder.conftest import DAYS
from tests.builder.servers import mediawiki


def _wiki(url: str, folder: Path, login: Login) -> Wiki:
    return Wiki(url, None, folder / "cache.sqlite", rate=1000.0, login=login)


ADMIN = Login("Admin", mediawiki.PASSWORD)
_TO_LOG_IN = 3  # requests: a token, the login, the rights


def test_a_login_with_higher_limits_saves_requests(long_wiki_url: str, tmp_path: Path) -> None:
    with _wiki(long_wiki_url, tmp_path, ADMIN) as wiki:
        history = wiki.history("Long")
        assert wiki.requests_made == _TO_LOG_IN + 1
        assert [text for _, text in wiki.texts(history)] == [f"Number {n}" for n in range(520)]
        assert wiki.requests_made == _TO_LOG_IN + 1 + math.ceil(520 / 500)
    with _wiki(long_wiki_url, tmp_path, ADMIN) as again:
        assert again.history("Long") == history
        assert len(list(again.texts(history))) == 520
        assert again.requests_made == 0  # nobody logs in to be asked nothing


def test_a_session_that_the_wiki_lost_is_begun_anew(
    long_wiki_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_FIRST_WAIT", 0.0)
    with _wiki(long_wiki_url, tmp_path, ADMIN) as wiki:
        history = wiki.history("Long")
        wiki._client._session.cookies.clear()
        before = wiki.requests_made
        assert len(list(wiki.texts(history))) == 520
        assert wiki.requests_made == before + 1 + _TO_LOG_IN + 2  # one is refused


def test_an_account_without_higher_limits_is_held_to_the_lower_ones(
    long_wiki_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with _wiki(long_wiki_url, tmp_path, Login("Reader", mediawiki.PASSWORD)) as wiki:
        history = wiki.history("Long", DAYS[460])
        before = wiki.requests_made
        assert len(list(wiki.texts(history))) == 60
        assert wiki.requests_made - before == math.ceil(60 / 50)
    assert "Reader has no higher limits; requests stay small" in caplog.text


def test_a_wrong_password_is_one_clear_line_without_it(wiki_url: str, tmp_path: Path) -> None:
    login = Login("Admin", "not-the-password-of-admin")
    with _wiki(wiki_url, tmp_path, login) as wiki, pytest.raises(FrescoError) as caught:
        wiki.history("Airbnb")
    assert "no login as Admin (" in str(caught.value)
    assert "check FRESCO_WIKI_USER and FRESCO_WIKI_PASSWORD" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert login.password not in str(caught.value) + repr(login)


def test_a_password_is_not_sent_in_the_clear(tmp_path: Path) -> None:
    with pytest.raises(FrescoError, match="FRESCO_WIKI_PASSWORD would be sent in the clear; give an https address"):
        _wiki("http://wiki.example/w/", tmp_path, ADMIN)


@pytest.mark.parametrize(("there", "missing"), [(USER, PASSWORD), (PASSWORD, USER)])
def test_half_a_login_is_one_clear_line(there: str, missing: str) -> None:
    with pytest.raises(FrescoError, match=f"{there} is set and {missing} is not"):
        login_of_environment({there: "something"})
    assert login_of_environment({}) is None


def test_no_file_and_no_message_holds_the_password(
    wiki_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(USER, "Admin")
    monkeypatch.setenv(PASSWORD, mediawiki.PASSWORD)
    monkeypatch.setenv("FRESCO_LOGS", str(tmp_path / "logs"))
    titles = tmp_path / "titles.txt"
    titles.write_text("AC Milan\nAirbnb\nBRICS\n", encoding="utf-8")
    options = ["--titles", str(titles), "--reference", "2025-01-01T23:59:59Z", "--workers", "1", "--rate", "1000"]
    main(["build", "--out", str(tmp_path / "b"), "--wiki", wiki_url, *options])
    shown = capsys.readouterr()
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or mediawiki.PASSWORD.encode() not in path.read_bytes(), path
    assert mediawiki.PASSWORD not in shown.out + shown.err
    assert (tmp_path / "b" / "stages" / "revisions.sqlite").exists()
