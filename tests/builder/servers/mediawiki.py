"""A real MediaWiki on 127.0.0.1: Debian's package, SQLite, PHP's own web server."""

from __future__ import annotations

import lzma
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mwclient

from tests.waiting import wait_until

HOME = Path("/usr/share/mediawiki")
HOW_TO_INSTALL = (
    "apt-get install -y --no-install-recommends mediawiki php-cli php-sqlite3 php-mbstring php-xml php-intl"
)
PASSWORD = "a-long-test-password"
#: What PHP's web server writes once it listens, the port that it found free included.
_STARTED = re.compile(r"Development Server \((http://[\d.]+:\d+)\) started")

_SETTINGS = """
$wgGroupPermissions['sysop']['deleterevision'] = true;
$wgGroupPermissions['sysop']['suppressrevision'] = true;
$wgCompressRevisions = true;
$wgRateLimits = [];
"""
# Tests need no wiki that survives a power cut; importing waits for the disk at every revision otherwise.
_DATABASE = """
$wgSQLiteDataDir = '{data}';
$wgDBservers = [['type' => 'sqlite', 'dbname' => $wgDBname, 'dbDirectory' => $wgSQLiteDataDir, 'load' => 1,
    'host' => '', 'user' => '', 'password' => '', 'flags' => 0, 'variables' => ['synchronous' => 'OFF']]];
"""


def is_installed() -> bool:
    """Whether MediaWiki and PHP's command line are here."""
    return HOME.is_dir() and shutil.which("php") is not None


@dataclass(frozen=True)
class MediaWiki:
    """A wiki on disk; :func:`serve` runs it."""

    folder: Path

    @property
    def settings(self) -> Path:
        return self.folder / "LocalSettings.php"

    def maintain(self, script: str, *arguments: str, text: bytes = b"") -> None:
        """Run one of MediaWiki's maintenance scripts."""
        command = ["php", str(HOME / "maintenance" / f"{script}.php"), "--conf", str(self.settings), *arguments]
        done = subprocess.run(command, input=text, capture_output=True, check=False)
        assert done.returncode == 0, (done.stdout + done.stderr).decode()

    def import_export(self, export: Path) -> None:
        """Import a packed XML export."""
        text = lzma.decompress(export.read_bytes())
        self.maintain("importDump", "--no-updates", "--username-prefix=wp", "--quiet", text=text)

    def copy_to(self, folder: Path) -> MediaWiki:
        """A wiki of its own with the same pages, to be changed by a test."""
        shutil.copytree(self.folder, folder, symlinks=True)
        copy = MediaWiki(folder)
        copy.settings.write_text(copy.settings.read_text() + _DATABASE.format(data=folder / "data"))
        return copy


def make(folder: Path) -> MediaWiki:
    """Set up an empty wiki in a folder that does not exist yet; about a second."""
    (folder / "data").mkdir(parents=True)
    (folder / "www").mkdir()
    (folder / "www" / "w").symlink_to(HOME)
    options = {
        "confpath": folder, "dbtype": "sqlite", "dbpath": folder / "data", "dbname": "testwiki",
        "server": "http://127.0.0.1", "scriptpath": "/w", "lang": "en", "pass": PASSWORD,
    }  # fmt: skip
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    command = ["php", str(HOME / "maintenance" / "install.php"), *arguments, "TestWiki", "Admin"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    wiki = MediaWiki(folder)
    wiki.settings.write_text(wiki.settings.read_text() + _SETTINGS + _DATABASE.format(data=folder / "data"))
    return wiki


@contextmanager
def serve(wiki: MediaWiki) -> Iterator[str]:
    """Run a wiki on a free port and end its whole process group afterwards.

    Yields:
        Address of the folder with api.php.
    """
    log_file = wiki.folder / "server.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            ["php", "-d", "memory_limit=512M", "-S", "127.0.0.1:0", "-t", str(wiki.folder / "www")],
            env={**os.environ, "MW_CONFIG_FILE": str(wiki.settings)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_until(lambda: _STARTED.search(log_file.read_text()), process)
        address = _STARTED.search(log_file.read_text())
        assert address is not None
        yield f"{address[1]}/w/"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def as_admin(url: str) -> mwclient.Site:
    """A session that may edit, move, delete and hide."""
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    site = mwclient.Site(host, f"/{path}", scheme=scheme, clients_useragent="fresco-tests")
    site.login("Admin", PASSWORD)
    return site
