"""The benchmark's folder: three Parquet tables, the card, the attribution; and the same as a BEIR folder."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fresco.builder.revisions import Revision
from fresco.io.files import lines, write_atomically
from fresco.records import Label, Passage, format_timestamp, parse_timestamp

#: Columns of each table, text but for ``superseded`` (true or false); see :mod:`fresco.benchmarks`.
COLUMNS = {
    "corpus": ("_id", "title", "section", "text", "timestamp"),
    "queries": ("_id", "text", "timestamp", "task", "kind", "subject", "relation", "answer"),
    "pools": ("query-id", "corpus-id", "label", "conflict", "superseded"),
}
#: Wikimedia's terms of use moved from CC BY-SA 3.0 to 4.0 on this day.
_NEW_LICENCE = parse_timestamp("2023-06-07T00:00:00Z")


def corpus_row(passage: Passage) -> dict[str, str]:
    """A passage as a row of the corpus."""
    return {
        "_id": passage.id,
        "title": passage.title,
        "section": passage.section,
        "text": passage.body,
        "timestamp": format_timestamp(passage.timestamp),
    }


def write_tables(folder: Path, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Write ``corpus.parquet``, ``queries.parquet`` and ``pools.parquet``; same rows, same bytes.

    Raises:
        FrescoError: a file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet

    for name, columns in COLUMNS.items():
        rows = tables[name]
        schema = pa.schema(
            [
                pa.field(column, pa.bool_() if column == "superseded" else pa.string(), nullable=column == "conflict")
                for column in columns
            ]
        )
        table = pa.table({column: [row[column] for row in rows] for column in columns}, schema=schema)
        buffer = io.BytesIO()
        # Small row groups let the hub's viewer and `datasets` read pages of it.
        pyarrow.parquet.write_table(table, buffer, compression="zstd", row_group_size=5000)
        write_atomically(folder / f"{name}.parquet", buffer.getvalue())


def licence(revision: Revision) -> str:
    """The licence of a revision of a Wikimedia wiki."""
    return "CC BY-SA 4.0" if revision.timestamp >= _NEW_LICENCE else "CC BY-SA 3.0"


def attribution(revisions: Iterable[Revision], address: str, terms: str | None = None) -> str:
    """A table of every revision with its address and licence (TSV).

    Args:
        revisions: In any order.
        address: Of a revision, with ``{revision_id}``.
        terms: The licence in words; None: that of Wikimedia's wikis.
    """
    rows = ["title\trevision_id\ttimestamp\tsha1\tlicence\turl"]
    for each in sorted(set(revisions), key=lambda each: (each.title, each.timestamp, each.revision_id)):
        url = address.format(revision_id=each.revision_id)
        when = format_timestamp(each.timestamp)
        rows.append(f"{each.title}\t{each.revision_id}\t{when}\t{each.sha1}\t{terms or licence(each)}\t{url}")
    return "\n".join(rows) + "\n"


def write_beir(folder: Path, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Write the benchmark as a BEIR folder: ``corpus.jsonl``, ``queries.jsonl``, ``qrels/test.tsv``.

    BEIR knows relevance only, so the pool of each query goes into ``candidates.trec`` besides, and labels and dates
    into ``metadata``.

    Raises:
        FrescoError: a file cannot be written.
    """
    corpus = (
        {
            "_id": row["_id"],
            "title": f"{row['title']}: {row['section']}" if row["section"] else row["title"],
            "text": row["text"],
            "metadata": {"timestamp": row["timestamp"], "title": row["title"], "section": row["section"]},
        }
        for row in tables["corpus"]
    )
    queries = (
        {
            "_id": row["_id"],
            "text": row["text"],
            "metadata": {key: row[key] for key in COLUMNS["queries"] if key not in ("_id", "text")},
        }
        for row in tables["queries"]
    )
    write_atomically(folder / "corpus.jsonl", lines(corpus))
    write_atomically(folder / "queries.jsonl", lines(queries))
    qrels = ["query-id\tcorpus-id\tscore"]
    pools: dict[str, list[str]] = {}
    for row in tables["pools"]:
        pools.setdefault(row["query-id"], []).append(row["corpus-id"])
        if row["label"] == Label.POSITIVE:
            qrels.append(f"{row['query-id']}\t{row['corpus-id']}\t1")
    # A pool has no order; ids are one that tells nothing.
    run = [
        f"{query} Q0 {passage} {rank} {1 / rank:.6f} pool"
        for query, passages in pools.items()
        for rank, passage in enumerate(sorted(passages), 1)
    ]
    write_atomically(folder / "qrels" / "test.tsv", "\n".join(qrels) + "\n")
    write_atomically(folder / "candidates.trec", "\n".join(run) + "\n")


def push_to_hub(folder: Path, dataset: str, *, private: bool = False, token: str | None = None) -> str:
    """Upload a built benchmark as a dataset of the Hugging Face hub; ``fresco score --benchmark USER/NAME`` opens it.

    Args:
        folder: A folder that :func:`fresco.builder.pipeline.build` made.
        dataset: ``user/name``.
        private: Whether only its owner may see it.
        token: Access token; the one that ``hf auth login`` stored where None.

    Returns:
        Address of the dataset.

    Raises:
        FrescoError: the hub refuses or cannot be reached.
    """
    import httpx
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    from fresco.errors import FrescoError

    api = HfApi(token=token)
    try:
        url = api.create_repo(dataset, repo_type="dataset", private=private, exist_ok=True)
        api.upload_folder(
            folder_path=folder,
            repo_id=dataset,
            repo_type="dataset",
            allow_patterns=[
                "*.parquet",
                "README.md",
                "attribution.tsv",
                "manifest.jsonl",
                "funnel.json",
                "benchmark.json",
            ],
            commit_message="fresco build",
        )
    except (HfHubHTTPError, HFValidationError, httpx.HTTPError, OSError, ValueError) as error:
        raise FrescoError(f"{dataset}: the hub refuses: {' '.join(str(error).split())[:200]}") from error
    return str(url)


def as_json(data: Any) -> str:
    """Readable JSON with a line break at its end."""
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def read_tables(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of the three tables of a built benchmark.

    Raises:
        FrescoError: a table is missing or damaged.
    """
    from fresco.benchmarks.folder import read_table

    return {name: [dict(row.fields) for row in read_table(folder, name)] for name in COLUMNS}
