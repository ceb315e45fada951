"""Dated revisions of wiki pages: from a live MediaWiki (:class:`Wiki`) or from a dump.

:class:`Dump` reads a dump twice and keeps what is wanted, :class:`Mirror` reads it once and keeps every text. All keep
what they read in one :class:`Cache` and note in a :class:`Report` what could not be had and why.
"""

from fresco.builder.wikipedia.cache import Cache
from fresco.builder.wikipedia.dump_command import Command
from fresco.builder.wikipedia.dump_source import Dump
from fresco.builder.wikipedia.mirror import Mirror
from fresco.builder.wikipedia.report import Problem, Reason, Report
from fresco.builder.wikipedia.wiki import Wiki

__all__ = ["Cache", "Command", "Dump", "Mirror", "Problem", "Reason", "Report", "Wiki"]
