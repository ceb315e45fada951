"""An audit with its verdict: as a table, as a record, as a folder with plots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ccs.auditing.audit import FIGURES, Audit
from ccs.auditing.variants import VARIANTS
from ccs.auditing.verdict import Check, judge
from fresco.errors import FrescoError
from fresco.io.files import write_record

if TYPE_CHECKING:
    import pandas as pd

_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class AuditReport:
    """What an audit found and what that means.

    Attributes:
        audit: The figures.
        verdict: In one sentence.
        checks: What it rests on.
        settings: Of the resampling.
        circumstances: The reward's fingerprint and configuration, where trajectories and questions came from.
    """

    audit: Audit
    verdict: str
    checks: list[Check]
    settings: Mapping[str, Any] = field(default_factory=dict)
    circumstances: Mapping[str, Any] = field(default_factory=dict)

    def to_frame(self) -> pd.DataFrame:
        """A row for each figure and for the gain of each cheat: ``name, value, low, high, n, what``."""
        import pandas as pd

        rows = [{"name": name, **asdict(figure), "what": FIGURES[name]} for name, figure in self.audit.figures.items()]
        rows += [
            {"name": f"gain: {name}", **asdict(figures["gain"]), "what": VARIANTS[name].what}
            for name, figures in self.audit.variants.items()
        ]
        return pd.DataFrame(rows)

    def record(self) -> dict[str, Any]:
        """What ``audit.json`` holds, but for :attr:`circumstances`."""
        found = self.audit
        return {
            "schema_version": _SCHEMA_VERSION,
            "reward": found.reward,
            "verdict": self.verdict,
            "checks": [asdict(check) for check in self.checks],
            "figures": {name: {"what": FIGURES[name], **asdict(figure)} for name, figure in found.figures.items()},
            "cheats": {
                name: {
                    "what": VARIANTS[name].what,
                    "should": VARIANTS[name].should,
                    **{kind: asdict(figure) for kind, figure in figures.items()},
                }
                for name, figures in found.variants.items()
            },
            "counts": found.counts,
            **self.settings,
        }

    def save(self, folder: Path) -> None:
        """Write ``audit.json`` and the plots.

        Raises:
            FrescoError: the folder cannot be written.
        """
        from ccs.auditing.plots import draw_plots

        try:
            draw_plots(self.audit, folder)
        except OSError as error:
            raise FrescoError(f"--out {folder}: cannot be written: {error.strerror or error}") from error
        write_record(folder / "audit.json", self.record() | dict(self.circumstances))

    def _repr_html_(self) -> str:
        import html

        table: str = self.to_frame()._repr_html_()  # type: ignore[operator] # pandas escapes what it shows
        return f"<p><b>{html.escape(self.verdict)}</b></p>{table}"


def report(audit: Audit, settings: Mapping[str, Any], circumstances: Mapping[str, Any]) -> AuditReport:
    """Judge an audit."""
    verdict, checks = judge(audit)
    return AuditReport(audit, verdict, checks, settings, circumstances)
