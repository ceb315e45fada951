"""Re-rankers in production: a base and its cure behind one object."""

from __future__ import annotations

from fresco.serving.fresh import Document, FreshReranker, Ranked

__all__ = ["Document", "FreshReranker", "Ranked"]
