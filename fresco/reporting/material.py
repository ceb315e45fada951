"""What a report is made of: each path opened as what it is; runs one at a time, as a hundred do not fit in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fresco.answering.pipeline import AnswerResult
from fresco.auditing import Audit
from fresco.auditing.shown import figure_rows, rule_rows
from fresco.errors import FrescoError
from fresco.io.jsonlines import parse_json
from fresco.io.names import one_line
from fresco.io.packed import read_text
from fresco.optimizer.report.result import SearchResult
from fresco.reporting.opening import READERS, kind_of, load
from fresco.results.reader import read_run
from fresco.results.result import Result
from fresco.tuning.pipeline import TuneResult

_PARTS = ("benchmark", "rows", "figures", "conflicts", "lengths", "verdict")


@dataclass(frozen=True)
class AuditFile:
    """An audit that ``fresco audit --out FILE.json`` wrote.

    Attributes:
        title: What was audited.
        command: That did; None where the file does not say.
        shown: ``verdict``, ``header`` and ``rows`` of the rules, ``figures``, ``counted`` (how tokens were).
    """

    title: str
    command: str | None
    shown: Mapping[str, Any]


@dataclass
class Material:
    """What was opened, in the order of the paths.

    Attributes:
        runs: Of ``fresco score``; to be read once.
        searches: Of ``fresco optimize``.
        audits: Of ``fresco audit``.
        tunings: Of ``fresco tune``.
        answers: Of ``fresco answer``.
    """

    runs: Iterable[Result] = ()
    searches: Sequence[SearchResult] = field(default_factory=list)
    audits: Sequence[AuditFile] = field(default_factory=list)
    tunings: Sequence[TuneResult] = field(default_factory=list)
    answers: Sequence[AnswerResult] = field(default_factory=list)


def read_material(paths: Sequence[Path]) -> Material:
    """Open what a report is asked of; runs are read when they are come to.

    Args:
        paths: Folders, files of audits, or the file by which a folder is known (``tuning.json``) in its stead.

    Raises:
        FrescoError: a file is no audit, or a folder incomplete or damaged; a run that is none says so later.
    """
    folders = [path.parent if path.name in READERS and path.is_file() else path for path in paths]
    files = [path for path in folders if path.is_file()]
    runs = [path for path in folders if path not in files and kind_of(path) is None]
    opened = [load(path) for path in folders if path not in files and path not in runs]
    return Material(
        _read(runs),
        [each for each in opened if isinstance(each, SearchResult)],
        [_audit(path) for path in files],
        [each for each in opened if isinstance(each, TuneResult)],
        [each for each in opened if isinstance(each, AnswerResult)],
    )


def _read(folders: Sequence[Path]) -> Iterator[Result]:
    for folder in folders:
        yield read_run(folder)


def _audit(path: Path) -> AuditFile:
    try:
        content = parse_json(read_text(path))
        audit = Audit(**{part: content[part] for part in _PARTS})
        header, rows = rule_rows(audit)
        shown = {
            "verdict": [str(line) for line in audit.verdict],
            "header": header,
            "rows": rows,
            "figures": figure_rows(audit),
            "counted": str(audit.lengths["counted_by"]),
        }
        title = f"{audit.benchmark['name']}: {audit.benchmark['queries']} queries"
        return AuditFile(title, str(content["command"]) if content.get("command") else None, shown)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FrescoError(
            f"{path} is no audit ({type(error).__name__}: {one_line(str(error), 120)}); give folders of "
            "`fresco score`, `optimize`, `tune` and `answer`, and JSON files of `fresco audit --out`"
        ) from error
