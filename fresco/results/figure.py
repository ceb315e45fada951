"""A matplotlib figure that a notebook shows as a picture, whether or not pyplot was imported."""

from __future__ import annotations

import io

from matplotlib.figure import Figure


class NotebookFigure(Figure):
    """As its base; drawn on white, since a dark notebook would swallow black text."""

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        self.savefig(picture, format="png", dpi=110, facecolor="white")
        return picture.getvalue()
