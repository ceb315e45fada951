"""The measures, one file each; a new one is one new file, here or in a plug-in.

A measure is an object: :class:`~fresco.metrics.measures.base.Measure`. Its value is computed from the tiers of a pool
(:mod:`fresco.metrics.ties`), so that ties are the expectation over their orders; where nothing is tied and ir_measures
has the same measure, ir_measures computes it (:mod:`fresco.metrics.values`).
"""

from fresco.metrics.measures.base import Measure, Relevance, Staleness, Values
from fresco.metrics.measures.registry import (
    MEASURES,
    families,
    measures_among,
    notations,
    parse_measure,
    parse_measures,
)
from fresco.metrics.ties import Tiers

__all__ = [
    "MEASURES",
    "Measure",
    "Relevance",
    "Staleness",
    "Tiers",
    "Values",
    "families",
    "measures_among",
    "notations",
    "parse_measure",
    "parse_measures",
]
