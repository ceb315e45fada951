"""The dataset card of a built benchmark."""

from __future__ import annotations

from fresco.builder.config import BuildConfig
from fresco.builder.funnel import Funnel
from fresco.records import format_timestamp

_HEAD = """---
pretty_name: FRESCO benchmark built from dated Wikipedia revisions
language:
- en
license: cc-by-sa-4.0
task_categories:
- text-ranking
size_categories:
- {size}
configs:
- config_name: corpus
  data_files: corpus.parquet
- config_name: queries
  data_files: queries.parquet
- config_name: pools
  data_files: pools.parquet
---
"""

_BODY = """# FRESCO benchmark: does a re-ranker prefer what is valid now?

Built with `fresco build`, after the construction of arXiv 2604.14227: dated facts, aligned with the revisions of wiki
pages that were valid while each fact held. Open it with `fresco score --benchmark FOLDER`.

| | |
|---|---|
| revisions from | {source} |
| facts from | {facts} |
| queries asked at | {reference} |
| hard negatives by | {embedder} |
| data tables | {tables} |
| queries | {queries}, explicit and implicit |
| subject-relation pairs | {aligned} over {relation_count} relations |
| passages | {passages} |

## Pools

{candidates}

- *positive*: the section of the current revision that states the current value, soonest after its beginning.
- *outdated*: a section of an older revision that states the value of that revision's infobox and does not mention the
  current one.
- *insufficient*: another section of the current revision that does not mention the current value.
- *near-topic*: a section of another page, of any age, that mentions neither the current nor an earlier value.

A section that mentions the value without stating it clearly, and near-duplicates of the positive, are no candidates.
{without_outdated} of the pairs have no section that states an earlier value: their pools hold no outdated passage.

## Relations

{relations}

## What was dropped

{dropped}

## Licence and attribution

The passages are text of the wiki's authors, CC BY-SA (4.0; revisions from before 7 June 2023: 3.0); references,
pictures and layout were removed. `attribution.tsv` names every revision used, with its address, where its history names
the authors. Facts, ids and labels (`manifest.jsonl`) hold no text of theirs.

## Limits

- Values are matched by name: a section may state the fact in words that the cues of the relation miss; it is then no
  candidate where it names the value, and insufficient where it does not.
- A table by years ends with the latest: a model that reads only the beginning of a long section does not see it.
- What an infobox says is taken for true on that day.
- The dates of passages are those of the revisions, not of the events.
"""


def card(config: BuildConfig, funnel: Funnel) -> str:
    """The text of ``README.md``."""
    total = sum(funnel.candidates.values())
    candidates = ["| label | candidates | share |", "|---|---|---|"]
    candidates += [f"| {label} | {count} | {count / total:.1%} |" for label, count in funnel.candidates.items()]
    relations = ["| relation | pairs |", "|---|---|"]
    relations += [f"| {name} | {count} |" for name, count in funnel.relations.items()]
    dropped = [f"- {count} pairs: {reason}" for reason, count in funnel.dropped.items()] or ["- nothing"]
    return _HEAD.format(size="n<1K" if funnel.queries < 1000 else "1K<n<10K") + _BODY.format(
        source=config.source,
        facts=config.facts,
        reference=format_timestamp(config.reference),
        embedder=config.embedder or "BM25",
        tables="their rows are lines of the text" if config.tables else "dropped",
        queries=funnel.queries,
        aligned=funnel.aligned,
        relation_count=len(funnel.relations),
        passages=funnel.passages,
        candidates="\n".join(candidates),
        relations="\n".join(relations),
        dropped="\n".join(dropped),
        without_outdated=funnel.without_outdated,
    )
