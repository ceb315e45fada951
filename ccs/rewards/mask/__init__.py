"""Masking of queries: ``open_masker(spec)`` finds entities, ``mask_queries`` writes typed tags in their place."""

from __future__ import annotations

from ccs.rewards.mask.base import TAGS, Masker, Span
from ccs.rewards.mask.queries import MaskOptions, mask_queries, mask_trajectories
from ccs.rewards.mask.registry import MASKERS, open_masker

__all__ = [
    "MASKERS",
    "TAGS",
    "MaskOptions",
    "Masker",
    "Span",
    "mask_queries",
    "mask_trajectories",
    "open_masker",
]
