"""What bends a benchmark and can be counted: dates against labels, twins with two labels, answers out of reach."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any, Final

import numpy as np

from fresco.auditing.surface import ages
from fresco.builder.near_duplicates import near_duplicates, shingles
from fresco.errors import FrescoError
from fresco.metrics.pairs import conflict_pairs
from fresco.records import Benchmark, Label, Passage, Pool, Task
from fresco.stats.arrays import FloatArray

#: Lengths, in tokens, beyond which an answer is out of reach for rerankers in common use.
LIMITS: Final = (256, 384, 512)
_PIECE: Final = re.compile(r"\w+|[^\w\s]")
#: Tokens of a subword vocabulary for each word or mark of English prose: 1.15 to 1.3 for those in common use.
_TOKENS_A_PIECE: Final = 1.25


def date_auroc(benchmark: Benchmark) -> tuple[float | None, float | None]:
    """How well the age alone tells positives from outdated passages.

    Returns:
        The area under the ROC curve over all EK pools together, and the mean over pools of the share of their pairs in
        which the positive is newer (ties count half); 0.5 is chance, None where no pool has a conflict.
    """
    positive, outdated = (
        np.concatenate([np.zeros(0), *(-ages(pool)[_is(pool, label)] for pool in _evolving(benchmark))])
        for label in (Label.POSITIVE, Label.OUTDATED)
    )
    if not len(positive) or not len(outdated):
        return None, None
    pairs = conflict_pairs(benchmark.pools)
    wins = (np.sign(pairs.gap_days) + 1) / 2
    by_pool = np.bincount(pairs.pool, weights=wins) / np.maximum(np.bincount(pairs.pool), 1)
    return _auroc(positive, outdated), float(by_pool[np.unique(pairs.pool)].mean())


def _auroc(high: FloatArray, low: FloatArray) -> float:
    ordered = np.sort(low)
    below = np.searchsorted(ordered, high, side="left")
    tied = np.searchsorted(ordered, high, side="right") - below
    return float((below + tied / 2).mean() / len(low))


def _is(pool: Pool, label: Label) -> FloatArray:
    return np.array([own is label for own in pool.labels], np.bool_)


def _evolving(benchmark: Benchmark) -> Iterator[Pool]:
    return (pool for pool in benchmark.pools if pool.query.task is Task.EK)


def newest_wrong(benchmark: Benchmark) -> float | None:
    """Share of EK pools in which no positive stands in the newest revision of its page, as far as the pool shows it."""
    wrong = []
    for pool in _evolving(benchmark):
        newest: dict[str, Any] = {}
        for passage in pool.passages:
            newest[passage.title] = max(passage.timestamp, newest.get(passage.title, passage.timestamp))
        wrong.append(all(each.timestamp < newest[each.title] for each in pool.labelled(Label.POSITIVE)))
    return float(np.mean(wrong)) if wrong else None


def conflicts(benchmark: Benchmark) -> dict[str, Any]:
    """Queries with a conflict, the share of outdated passages, and both by kind of conflict."""
    pools = list(_evolving(benchmark))
    if not pools:
        return {"queries": 0, "with_conflict": 0, "outdated_share": None, "kinds": {}}
    passages: Counter[str] = Counter()
    queries: Counter[str] = Counter()
    for pool in pools:
        kinds = [
            str(kind) if kind else "unknown"
            for label, kind in zip(pool.labels, pool.conflicts or (None,) * len(pool), strict=True)
            if label is Label.OUTDATED
        ]
        passages.update(kinds)
        queries.update(set(kinds))
    return {
        "queries": len(pools),
        "with_conflict": sum(Label.OUTDATED in pool.labels for pool in pools),
        "outdated_share": float(np.mean([_is(pool, Label.OUTDATED).mean() for pool in pools])),
        "kinds": {kind: {"passages": passages[kind], "queries": queries[kind]} for kind in sorted(passages)},
    }


def twins(benchmark: Benchmark) -> dict[str, int]:
    """Near-duplicates that bear two labels in one pool: passages that have such a twin, and pools that have any."""
    texts = {passage.id: shingles(passage.body) for passage in benchmark.passages()}
    alike: dict[tuple[str, str], bool] = {}
    found: set[tuple[str, str]] = set()
    pools = 0
    for pool in benchmark.pools:
        before = len(found)
        members = sorted(zip((p.id for p in pool.passages), pool.labels, strict=True))
        for (one, label), (other, other_label) in combinations(members, 2):
            if label is other_label:
                continue
            if (one, other) not in alike:
                alike[one, other] = near_duplicates(texts[one], texts[other])
            if alike[one, other]:
                found |= {(pool.query.id, one), (pool.query.id, other)}
        pools += len(found) > before
    return {"passages": len(found), "pools": pools}


def estimated_tokens(text: str) -> int:
    """Tokens of a text by its words and marks, where no tokenizer is at hand."""
    return round(len(_PIECE.findall(text)) * _TOKENS_A_PIECE)


def token_counter(model: str) -> Callable[[str], int]:
    """Counts tokens with the tokenizer of a model, special tokens left out.

    Raises:
        FrescoError: transformers is missing, or there is no such tokenizer.
    """
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise FrescoError("--tokenizer needs transformers: pip install 'fresco-ccs[models]'") from error
    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
    except Exception as error:  # whatever the hub's client and the tokenizer's files raise
        said = " ".join(str(error).split())[:200]
        raise FrescoError(f"--tokenizer {model}: cannot be loaded: {said}") from error
    return lambda text: len(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def out_of_reach(benchmark: Benchmark, count: Callable[[str], int]) -> dict[str, Any]:
    """How many answers end beyond so many tokens of the positive that states them soonest.

    Args:
        benchmark: Any; queries whose answer is unknown or in no positive are left out, and counted.
        count: Tokens of a text.
    """
    ends: list[int] = []
    missing = 0
    known: dict[tuple[str, str], int | None] = {}
    for pool in benchmark.pools:
        answer = pool.query.answer
        own = []
        for passage in pool.labelled(Label.POSITIVE) if answer else ():
            if (passage.id, answer) not in known:
                known[passage.id, answer] = _end(passage, answer, count)
            own.append(known[passage.id, answer])
        reached = [end for end in own if end is not None]
        missing += not reached
        ends += [min(reached)] if reached else []
    beyond: dict[str, Any] = {str(limit): _share(ends, limit) for limit in LIMITS}
    return {"beyond": beyond, "found": len(ends), "not_found": missing}


def _end(passage: Passage, answer: str, count: Callable[[str], int]) -> int | None:
    at = passage.content.find(answer)
    return None if at < 0 else count(passage.content[: at + len(answer)])


def _share(ends: Sequence[int], limit: int) -> float | None:
    return sum(end > limit for end in ends) / len(ends) if ends else None
