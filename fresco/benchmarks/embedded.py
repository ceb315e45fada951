"""Find the benchmarks that come with the package."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from fresco.errors import FrescoError

#: Names of the benchmarks that every installation carries.
EMBEDDED = ("mini",)


def embedded_folder(name: str, package: str = "fresco") -> Path:
    """Folder of an embedded benchmark.

    A wheel carries it as package data (``fresco/_data/NAME``); a checkout keeps it in ``data/NAME`` beside the package,
    where the script that makes it writes. Both are the same files.

    Args:
        name: One of :data:`EMBEDDED`.
        package: The import package it comes with.

    Raises:
        FrescoError: it is in neither place.
    """
    root = Path(str(resources.files(package)))
    places = (root / "_data" / name, root.parent / "data" / name)
    for place in places:
        if place.is_dir():
            return place
    raise FrescoError(
        f"the embedded benchmark {name!r} is not in this installation (looked in {places[0]} and {places[1]}); "
        "install fresco-ccs again"
    )
