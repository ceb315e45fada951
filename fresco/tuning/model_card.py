"""The card of an exported model: what it came from, on what it was trained, how to load it, what it is worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fresco.terminal.figures import interval
from fresco.tuning.card import COLUMNS

_HEAD = """---
library_name: sentence-transformers
pipeline_tag: text-ranking
base_model: {start}
tags:
- cross-encoder
- reranker
- fresco
---

# {name}: a re-ranker fine-tuned on evolving and static knowledge

From `{start}` by `fresco tune`, {kind} ({loss}), on the train split of `{benchmark}`: {queries} queries, {pairs} pairs
an epoch, dates {dates}; {steps} steps, seed {seed}{lora}. The weights are those of step {best}, where the area under EK
and NEK on validation was largest.

```python
from sentence_transformers import CrossEncoder

model = CrossEncoder("{name}")  # this folder
query = "Who leads the ECB?\\nTimestamp: 2025-01-01T23:59:59Z"
model.predict([(query, "Title: ECB\\nLagarde leads it.\\nTimestamp: 2024-03-01T00:00:00Z")])
```

A query and a passage end with a line that gives their dates, as above. Scores are raw outputs: higher is better, and
they are no probabilities.
"""


def model_card(benchmark: str, record: Mapping[str, Any], row: Mapping[str, Any] | None = None) -> str:
    """The card as Markdown.

    Args:
        benchmark: Its name.
        record: Of :class:`fresco.tuning.training.Trained`.
        row: Its figures on the test split, once it is proved.
    """
    plan = record["plan"]
    text = _HEAD.format(
        start=record["start"],
        name=record["name"],
        kind="list-wise" if record["listwise"] else "point-wise",
        loss=record["loss"],
        benchmark=benchmark,
        queries=record["queries"],
        pairs=record["pairs an epoch"],
        dates=", ".join(plan["dates"]),
        steps=record["steps"],
        seed=record["seed"],
        lora=f", low-rank updates of rank {plan['lora']}, merged" if plan["lora"] else "",
        best=record["best step"],
    )
    if row is None:
        return text
    figures = "".join(f"| {title} | {interval(row.get(key))} |\n" for title, key in COLUMNS)
    return (
        f"{text}\nOn the test split of `{benchmark}` (value [95 % interval over subjects]; gains are over the base; "
        f"`newer on top` is 1 for a re-ranker that only sorts by date):\n\n| measure | value |\n|---|---|\n{figures}"
    )
