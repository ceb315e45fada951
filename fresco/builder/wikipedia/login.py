"""Who logs in at a wiki: named by the environment, so that no command line, file or log holds a password.

Users with higher limits (bots, administrators) get 500 texts and 5,000 rows in a request instead of 50 and 500. A bot
password (https://www.mediawiki.org/wiki/Manual:Bot_passwords) may be confined to "High-volume access", and is enough.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from fresco.errors import FrescoError

USER, PASSWORD = "FRESCO_WIKI_USER", "FRESCO_WIKI_PASSWORD"


@dataclass(frozen=True, slots=True)
class Login:
    """An account.

    Attributes:
        user: Its name; of a bot password, ``Name@Purpose``.
        password: Never shown.
    """

    user: str
    password: str = field(repr=False)


def login_of_environment(environment: Mapping[str, str] = os.environ) -> Login | None:
    """The account that the environment names; None where it names none.

    Raises:
        FrescoError: one of both variables is missing.
    """
    user, password = environment.get(USER, ""), environment.get(PASSWORD, "")
    if bool(user) != bool(password):
        missing, there = (PASSWORD, USER) if user else (USER, PASSWORD)
        raise FrescoError(f"{there} is set and {missing} is not; set both to log in at the wiki, or neither")
    return Login(user, password) if user else None
