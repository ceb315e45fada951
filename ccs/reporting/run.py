"""``ccs.report``: from paths to the page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ccs.inputs import Place
from ccs.reporting.material import read_material
from ccs.reporting.page import render_report
from ccs.rewards.bottleneck import open_bottleneck
from ccs.rewards.config import as_config
from fresco.errors import FrescoError
from fresco.io.files import write_atomically


def report(*paths: Place, config: Place | Mapping[str, Any] | None = None, out: Place = "report.html") -> Path:
    """Write rollouts, rewards, audits and training runs as one HTML page that loads nothing from anywhere.

    Args:
        *paths: Files of :func:`ccs.rollout` and :func:`ccs.reward`, folders of :func:`ccs.audit` and :func:`ccs.train`;
            rewards are shown with the trajectories that they belong to.
        config: Of the reward whose masks are shown; its defaults where None.
        out: The page; one that is there is replaced.

    Raises:
        FrescoError: there is no path, or one is none of these.
    """
    if not paths:
        raise FrescoError("nothing to report: name files of `ccs rollout` or folders of `ccs train`")
    material = read_material([Path(path) for path in paths])
    bottleneck = open_bottleneck(as_config(config, "--config").mask) if material.rollouts else None
    write_atomically(Path(out), render_report(material, bottleneck))
    return Path(out)
