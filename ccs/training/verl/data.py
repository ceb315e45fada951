"""Questions as the Parquet file that verl reads: ``python -m ccs.training.verl.data QUESTIONS OUT.parquet``.

A row holds ``prompt`` (one user's message), ``data_source``, ``agent_name``, ``reward_model`` (the accepted answers,
which are watched and trained on by the rewards of gold answers alone) and ``extra_info`` (id, question, index).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ccs.agent import protocol
from ccs.agent.question import Question
from ccs.questions import load_questions
from ccs.training.verl.settings import AGENT
from fresco.errors import FrescoError


def to_rows(questions: Sequence[Question], *, gold: bool = True, template: str | None = None) -> list[dict[str, Any]]:
    """The rows.

    Args:
        questions: In this order.
        gold: Keep the accepted answers.
        template: Text of another prompt.
    """
    return [
        {
            "data_source": question.dataset or "questions",
            "agent_name": AGENT,
            "prompt": [{"role": "user", "content": protocol.write_prompt("search", question.text, template)}],
            "ability": "search",
            "reward_model": {"style": "rule", "ground_truth": {"target": list(question.answers) if gold else []}},
            # verl counts a question's rollouts by `index`.
            "extra_info": {"index": index, "id": question.id, "question": question.text},
        }
        for index, question in enumerate(questions)
    ]


def write_parquet(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write the file, whole or not at all.

    Raises:
        FrescoError: it cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    text, whole = pa.string(), pa.int64()
    # Named, because a file whose answers are all unknown would get a column of nulls, which joins with no other file.
    schema = pa.schema(
        [
            ("data_source", text),
            ("agent_name", text),
            ("prompt", pa.list_(pa.struct([("role", text), ("content", text)]))),
            ("ability", text),
            (
                "reward_model",
                pa.struct([("style", text), ("ground_truth", pa.struct([("target", pa.list_(text))]))]),
            ),
            ("extra_info", pa.struct([("index", whole), ("id", text), ("question", text)])),
        ]
    )
    partial = path.with_name(f"{path.name}.partial")
    try:
        pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), partial)
        partial.replace(path)
    except OSError as error:
        raise FrescoError(f"{path}: cannot be written ({error.strerror or error})") from error


def check_parquet(path: Path) -> None:
    """Refuse a file in which verl would run another agent.

    Raises:
        FrescoError: it cannot be read, or a row names no agent or another; without a name, verl falls back in silence.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    how = "make it by `python -m ccs.training.verl.data`"
    try:
        file = pq.ParquetFile(path)
        if "agent_name" not in file.schema_arrow.names:
            raise FrescoError(f"{path}: has no column agent_name; {how}")
        named = set(file.read(["agent_name"])["agent_name"].unique().to_pylist())
    except (OSError, pa.ArrowException) as error:
        raise FrescoError(f"{path}: cannot be read ({' '.join(str(error).split())[:200]}); {how}") from error
    if named != {AGENT}:
        raise FrescoError(f"{path}: agent_name is {', '.join(sorted(map(repr, named))) or 'nowhere'}; {how}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m ccs.training.verl.data", description="Questions as verl reads them."
    )
    parser.add_argument("questions", nargs="+", help="JSON Lines files, names (nq@train) or Hugging Face datasets")
    parser.add_argument("out", type=Path, help="the Parquet file")
    parser.add_argument("--limit", type=int, help="only the first so many of each source")
    parser.add_argument("--drop-gold", action="store_true", help="leave the accepted answers out: nothing to watch")
    parser.add_argument("--prompt", type=Path, help="file of another prompt, with {question} in it")
    options = parser.parse_args(arguments)
    try:
        template = protocol.read_template(options.prompt) if options.prompt else None
        questions = load_questions(options.questions, limit=options.limit)
        write_parquet(to_rows(questions, gold=not options.drop_gold, template=template), options.out)
    except FrescoError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 2
    print(f"{options.out}: {len(questions)} questions", file=sys.stderr)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
