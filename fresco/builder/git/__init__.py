"""Revisions of files under git: the history of each file is that of a page."""

from fresco.builder.git.source import GitSource, parse_spec

__all__ = ["GitSource", "parse_spec"]
