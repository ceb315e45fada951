"""Real servers and real data for the tests of the builder; each skips with what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.builder.servers import mediawiki
from tests.builder.servers.fault_proxy import FaultProxy, fault_proxy

#: When each revision of the page "Long" was saved.
DAYS = [datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=n) for n in range(520)]
#: Names of further pages of the wiki with that page.
NAMES = (
    "Ærø", "Москва", "Ναύπλιο", "تهران", "ירושלים", "東京", "서울", "தமிழ் நாடு", "ประเทศไทย", "თბილისი", "Đồng Tháp",
    "𐍅𐌿𐌻𐍆𐌹𐌻𐌰", "İzmir", "नई दिल्ली",
)  # fmt: skip
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def shared(name: str) -> Path:
    """A file of the shared data; the test is skipped where it is absent."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"needs ../shared/data/{name}")
    return path


@pytest.fixture(scope="session")
def export() -> Path:
    """XML export of 30 pages."""
    return shared("mediawiki_xml/revisions-30-pages.mediawiki.xml.xz")


@pytest.fixture(scope="session")
def jsonl() -> Path:
    """JSON Lines of 471 pages, among them those 30."""
    return shared("wikirev/revisions.jsonl.xz")


@pytest.fixture(scope="session")
def wiki_on_disk(export: Path, tmp_path_factory: pytest.TempPathFactory) -> mediawiki.MediaWiki:
    """A MediaWiki with the 30 pages, not running; copy it to change it."""
    if not mediawiki.is_installed():
        pytest.skip(f"needs MediaWiki: {mediawiki.HOW_TO_INSTALL}")
    wiki = mediawiki.make(tmp_path_factory.mktemp("mediawiki") / "wiki")
    wiki.import_export(export)
    return wiki


@pytest.fixture(scope="session")
def wiki_url(wiki_on_disk: mediawiki.MediaWiki) -> Iterator[str]:
    """Address of a running MediaWiki with the 30 pages; only for reading."""
    with mediawiki.serve(wiki_on_disk) as url:
        yield url


@pytest.fixture
def own_wiki_url(wiki_on_disk: mediawiki.MediaWiki, tmp_path: Path) -> Iterator[str]:
    """Address of a running MediaWiki with the 30 pages that the test may change."""
    with mediawiki.serve(wiki_on_disk.copy_to(tmp_path / "own-wiki")) as url:
        yield url


@pytest.fixture
def proxy(wiki_url: str) -> Iterator[FaultProxy]:
    """A proxy in front of the read-only wiki; its ``url`` is asked instead."""
    with fault_proxy(wiki_url) as running:
        yield running


@pytest.fixture(scope="session")
def long_wiki_url(wiki_on_disk: mediawiki.MediaWiki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A wiki with a page of one revision on each of :data:`DAYS` and pages of :data:`NAMES`; only for reading.

    Its user "Reader" has no rights beyond those of everybody.
    """
    made = wiki_on_disk.copy_to(tmp_path_factory.mktemp("long") / "wiki")
    revisions = "".join(
        f"<revision><id>{n + 1}</id><timestamp>{day:%Y-%m-%dT%H:%M:%SZ}</timestamp><contributor><ip>1.1.1.1</ip>"
        f"</contributor><model>wikitext</model><format>text/x-wiki</format><text>Number {n}</text></revision>"
        for n, day in enumerate(DAYS)
    )
    namespaces = '<siteinfo><namespaces><namespace key="0" /></namespaces></siteinfo>'
    page = f"<page><title>Long</title><ns>0</ns><id>77</id>{revisions}</page>"
    for number, name in enumerate(NAMES, 1000):
        page += (
            f"<page><title>{name}</title><ns>0</ns><id>{number}</id><revision><id>{number}</id>"
            "<timestamp>2020-01-01T00:00:00Z</timestamp><contributor><ip>1.1.1.1</ip></contributor>"
            f"<model>wikitext</model><format>text/x-wiki</format><text>A page of {name}.</text></revision></page>"
        )
    export = (
        f'<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11">{namespaces}{page}</mediawiki>'
    )
    made.maintain("importDump", "--no-updates", "--quiet", "--username-prefix=wp", text=export.encode())
    made.maintain("createAndPromote", "Reader", mediawiki.PASSWORD)
    with mediawiki.serve(made) as url:
        yield url
