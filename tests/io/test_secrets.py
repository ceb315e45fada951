from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fresco.io import secrets
from fresco.io.secrets import hide, redacted, remember


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("http:http://user:PW@host/rerank?token=T0k", "http:http://user:***@host/rerank?token=***"),
        ("llm:https://h:8000/v1?key=abc&x=1#Qwen/Qwen3&concurrency=4", "llm:https://h:8000/v1?key=***&x=***#Qwen/Qwen3&concurrency=4"),
        ("https://TOKEN@github.com/x", "https://***@github.com/x"),
        ("postgresql+psycopg2://me:p%40ss@db/x", "postgresql+psycopg2://me:***@db/x"),
        ("mysql://me:p@ss:w@db:33/x", "mysql://me:***@db:33/x"),
        ("http://h/?abc", "http://h/?***"),
        ("http:http://h/rerank,key=sk-123abc", "http:http://h/rerank,key=***"),
        ("http:http://h/rerank,key=MY_KEY", "http:http://h/rerank,key=MY_KEY"),
        ("sqlite:////tmp/study.db", "sqlite:////tmp/study.db"),
        ("mail me@host or http://h/a@b", "mail me@host or http://h/a@b"),
        ("who asks? a=b", "who asks? a=b"),
    ],
)  # fmt: skip
def test_secrets_go_and_the_rest_stays(text, without):
    assert redacted(text) == without
    assert redacted({"deep": [text, 1, None]}) == {"deep": [without, 1, None]}


_WORD = st.text("abcXYZ019-._~", min_size=6, max_size=12)


@given(_WORD, _WORD, st.sampled_from(["http", "https", "postgresql", "redis"]), _WORD)
def test_no_password_and_no_token_survives(password, token, scheme, name):
    token, password = f"T{token}T", f"P{password}P"
    shown = redacted(f"cross {scheme}://{name}:{password}@example.org:80/p?{name}={token}#model")
    assert password not in shown and token not in shown
    assert shown.startswith("cross ") and shown.endswith("#model")


def test_what_was_given_is_hidden_wherever_a_library_repeats_it(monkeypatch):
    monkeypatch.setattr(secrets, "_known", set())
    monkeypatch.setenv("SOME_API_KEY", "sk-environment-value")
    remember(["--storage", "mysql://me:s3cret%21@h/x", "http://h/?token=tok-9876"])
    said = hide("cannot connect as me with s3cret! or s3cret%21 and tok-9876, sk-environment-value")
    assert said == "cannot connect as me with *** or *** and ***, ***"


def test_short_ones_of_our_own_variables_and_those_that_an_address_names_are_hidden(monkeypatch):
    monkeypatch.setattr(secrets, "_known", set())
    monkeypatch.setenv("FRESCO_WIKI_PASSWORD", "hunter2")
    monkeypatch.setenv("MY_VARIABLE", "named-by-me")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    monkeypatch.setenv("FRESCO_MAX_TOKENS", "1024")
    remember(["http:http://h/rerank,key=MY_VARIABLE"])
    assert hide("wrong: hunter2, named-by-me; false 1024") == "wrong: ***, ***; false 1024"
