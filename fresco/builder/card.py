"""The dataset card of a built benchmark."""

from __future__ import annotations

from fresco.builder.config import BuildConfig
from fresco.builder.funnel import Funnel
from fresco.records import format_timestamp

_HEAD = """---
pretty_name: FRESCO benchmark built from dated {what}
language:
- en
license: {licence}
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
| infoboxes | {infobox} |
| labels | {labels} |
| queries | {queries}, explicit and implicit |
| subject-relation pairs | {aligned} over {relation_count} relations |
| passages | {passages} |

## Pools

{candidates}

{rules}

## What dates say

AUROC of a passage's date alone, positive against outdated, mean over pools: **{date_auroc:.3f}** (1: dates decide, 0.5:
they say nothing). Outdated passages are {outdated_share:.1%} of a pool on average; the smallest pool has
{smallest_pool} candidates. `fresco audit` measures more such shortcuts.

| kind of conflict | outdated candidates |
|---|---|
{conflicts}

Infoboxes among the candidates: {infoboxes}.

## Relations

{relations}

## What was dropped

{dropped}

## Licence and attribution

{terms}

## Limits

- Values are matched by name: a section may state the fact in words that the cues of the relation miss; it is then no
  candidate where it names the value, and insufficient where it does not.
- What an infobox says is taken for true on that day.
- The dates of passages are those of the revisions, not of the events.
"""


_BY_CONTENT = """Labels follow from what a passage states, never from its age. Passages are windows of at most 400
tokens of the sections (and infoboxes) of every revision that was read; a text that stands in several revisions is one
candidate with the date of one of them, drawn by SHA-256.

- *positive*: states the current value; where it states a former one as well, it says which is which.
- *outdated*: states a former value (or one to come) and does not mention the current one. Kinds: *version*, in an older
  revision only; *history*, in the newest revision; *cross-document*, on another page, newer than the change;
  *announced*, a value that is to be valid later.
- *insufficient*: a passage of the same page that mentions neither, and nothing else that could be a value.
- *near-topic*: a passage of another page, of any age, that mentions neither the current nor a former value.

What mentions a value without stating it clearly is no candidate, and near-duplicates (word shingles, 0.8) never bear
two labels in one pool. {without_outdated} queries were left out because no passage states an earlier value."""

_BY_AGE = """Built like the published benchmark, for comparison: **labels follow from the age of a revision**, so dates
decide them.

- *positive*: the section of the current revision that states the current value, soonest after its beginning.
- *outdated*: a section of an older revision that states the value of that revision's infobox and does not mention the
  current one; and passages of other pages from an old snapshot.
- *insufficient*: another section of the current revision that does not mention the current value.

Sections are whole. {without_outdated} queries have no outdated passage."""


_WIKIMEDIA = """The passages are text of the wiki's authors, CC BY-SA (4.0; revisions from before 7 June 2023: 3.0);
references, pictures and layout were removed. `attribution.tsv` names every revision used, with its address, where its
history names the authors. Facts, ids and labels (`manifest.jsonl`) hold no text of theirs."""

_OTHER = """The passages are text of the documents' authors; licence: {licence}. `attribution.tsv` names every revision
used. Facts, ids and labels (`manifest.jsonl`) hold no text of theirs."""


def card(config: BuildConfig, funnel: Funnel) -> str:
    """The text of ``README.md``."""
    total = sum(funnel.candidates.values())
    candidates = ["| label | candidates | share |", "|---|---|---|"]
    candidates += [f"| {label} | {count} | {count / total:.1%} |" for label, count in funnel.candidates.items()]
    relations = ["| relation | pairs |", "|---|---|"]
    relations += [f"| {name} | {count} |" for name, count in funnel.relations.items()]
    dropped = [f"- {count} pairs: {reason}" for reason, count in funnel.dropped.items()] or ["- nothing"]
    head = _HEAD.format(
        size="n<1K" if funnel.queries < 1000 else "1K<n<10K",
        licence="other" if config.licence else "cc-by-sa-4.0",
        what="documents" if config.licence else "Wikipedia revisions",
    )
    return head + _BODY.format(
        terms=_OTHER.format(licence=config.licence) if config.licence else _WIKIMEDIA,
        source=f"{config.source}, edition {config.edition}" if config.edition else config.source,
        facts=config.facts,
        reference=format_timestamp(config.reference),
        embedder=config.embedder or "BM25",
        tables="their rows are lines of the text" if config.tables else "dropped",
        infobox="passages of their own" if config.infobox else "dropped",
        labels="by age, as published (--like-paper)" if config.like_paper else "by content",
        rules=(_BY_AGE if config.like_paper else _BY_CONTENT).format(without_outdated=funnel.without_outdated),
        conflicts="\n".join(f"| {kind} | {count} |" for kind, count in funnel.conflicts.items()),
        infoboxes=", ".join(f"{label} {count}" for label, count in funnel.infoboxes.items()),
        date_auroc=funnel.date_auroc,
        outdated_share=funnel.outdated_share,
        smallest_pool=funnel.smallest_pool,
        queries=funnel.queries,
        aligned=funnel.aligned,
        relation_count=len(funnel.relations),
        passages=funnel.passages,
        candidates="\n".join(candidates),
        relations="\n".join(relations),
        dropped="\n".join(dropped),
    )
