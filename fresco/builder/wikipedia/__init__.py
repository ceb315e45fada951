"""Dated revisions of wiki pages: from a live MediaWiki (:class:`Wiki`) or from a dump (:class:`Mirror`).

Both keep what they read in one :class:`Cache` and note in a :class:`Report` what could not be had and why.
"""

from fresco.builder.wikipedia.cache import Cache
from fresco.builder.wikipedia.mirror import Mirror
from fresco.builder.wikipedia.report import Problem, Reason, Report
from fresco.builder.wikipedia.wiki import Wiki

__all__ = ["Cache", "Mirror", "Problem", "Reason", "Report", "Wiki"]
