"""Score re-rankers for retrieval-augmented generation on knowledge that changes."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("fresco-ccs")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
