"""Audit a benchmark: every blind rule scored, what can be counted counted, and a verdict in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from fresco.auditing.counts import LIMITS, conflicts, date_auroc, estimated_tokens, newest_wrong, out_of_reach, twins
from fresco.auditing.probe import Features, learned
from fresco.auditing.rules import RULES
from fresco.metrics.evaluate import evaluate
from fresco.records import Benchmark, Label, Task
from fresco.stats.arrays import FloatArray
from fresco.terminal.progress import Progress, no_progress

#: Rules and probes in the order of the table, and what each may look at.
WHAT: Final[Mapping[str, str]] = {
    "query-only": "the query, no passage (chance)",
    "newest": "dates: the newest first",
    "latest-of-page": "dates: rank within the page",
    "dates-learned": "dates, fitted",
    "length-and-place": "length and position, fitted",
    "passage-only": "the passage, no query and no date, fitted",
    "bm25": "words shared with the query",
    "latest-bm25": "BM25 over the latest revision of each page",
    "fifteen-lines": "title overlap, a name not in the title, the date",
    "probe": "all surface features, fitted",
}
#: Rules that look at dates alone.
_DATES: Final = ("newest", "latest-of-page", "dates-learned")
#: From here on a date tells positive from outdated so often that little is left to read.
_DECIDES: Final = 0.9
_EASY: Final = 0.6

#: How tokens are counted where no tokenizer is named.
ESTIMATE: Final = "words and marks, times 1.25 (an estimate)"


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        benchmark: ``name``, ``edition``, ``fingerprint``, ``queries``, ``passages``.
        rows: As :attr:`fresco.metrics.evaluate.Evaluation.rows`, a rule in the place of a re-ranker.
        figures: Everything that is one number, by the name that ``--fail-if`` takes; None where undefined.
        conflicts: Queries with a conflict and its kinds.
        lengths: Answers beyond so many tokens, and how tokens were counted.
        verdict: What follows, one sentence each.
    """

    benchmark: dict[str, Any]
    rows: list[dict[str, Any]]
    figures: dict[str, float | None]
    conflicts: dict[str, Any]
    lengths: dict[str, Any]
    verdict: list[str] = field(default_factory=list)

    def value(self, rule: str, task: str, metric: str) -> float | None:
        """A figure of a rule over all queries of a task."""
        wanted = (rule, task, "all", metric)
        for row in self.rows:
            if (row["reranker"], row["task"], row["kind"], row["metric"]) == wanted:
                return None if row["value"] is None else float(row["value"])
        return None

    def to_json_dict(self) -> dict[str, Any]:
        """All of it, as plain mappings, lists, numbers and None."""
        names = ("benchmark", "rows", "figures", "conflicts", "lengths", "verdict")
        return {name: getattr(self, name) for name in names}


def audit_benchmark(
    benchmark: Benchmark,
    *,
    tokens: Callable[[str], int] | None = None,
    counted_by: str = ESTIMATE,
    resamples: int = 200,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Audit:
    """Measure how much of a benchmark blind rules solve.

    Args:
        benchmark: Any, with dates shown or hidden: rules that read dates read those of the passages.
        tokens: Counts the tokens of a text; an estimate from words where None.
        counted_by: How ``tokens`` counts, for the record.
        resamples: Bootstrap samples for each interval.
        seed: Of the resampling.
        progress: Told the rule at work, and how many of how many are done.

    Raises:
        FrescoError: the benchmark cannot be evaluated (a query twice).
    """
    scores = _scores(benchmark, progress)
    rows = evaluate(benchmark, scores, probes=(), resamples=resamples, seed=seed).rows
    together, within = date_auroc(benchmark)
    alike = twins(benchmark)
    lengths = out_of_reach(benchmark, tokens or estimated_tokens)
    found = conflicts(benchmark)
    queries = found["queries"]
    audit = Audit(
        benchmark={
            "name": benchmark.name,
            "edition": benchmark.edition,
            "fingerprint": benchmark.fingerprint,
            "queries": len(benchmark),
            "passages": len(list(benchmark.passages())),
        },
        rows=rows,
        figures={
            "date-auroc": together,
            "date-auroc-within": within,
            "newest-wrong": newest_wrong(benchmark),
            "conflict-share": found["with_conflict"] / queries if queries else None,
            "outdated-share": found["outdated_share"],
            "twins": float(alike["passages"]),
            "twin-pools": float(alike["pools"]),
            **{f"beyond-{limit}": lengths["beyond"][str(limit)] for limit in LIMITS},
        },
        conflicts=found,
        lengths={**lengths, "counted_by": counted_by},
    )
    audit.verdict.extend(_verdict(audit))
    return audit


def _scores(benchmark: Benchmark, progress: Progress) -> dict[str, Sequence[FloatArray]]:
    scores: dict[str, Sequence[FloatArray]] = {}
    features: Features | None = None
    for done, name in enumerate(WHAT):
        progress(name, done, len(WHAT))
        if name in RULES:
            scores[name] = RULES[name](benchmark)
            continue
        features = features or Features(benchmark)
        scores[name] = learned(features, name, lambda own: _mean_precision(benchmark, own))
    progress("counts", len(WHAT), len(WHAT))
    return scores


def _mean_precision(benchmark: Benchmark, scores: Sequence[FloatArray]) -> float:
    """Mean average precision without care for ties: to choose a penalty by, not to report."""
    values = []
    for pool, own in zip(benchmark.pools, scores, strict=True):
        positive = np.array([label is Label.POSITIVE for label in pool.labels])[np.argsort(-own, kind="stable")]
        places = np.flatnonzero(positive) + 1
        values.append(float((np.arange(1, len(places) + 1) / places).mean()))
    return float(np.mean(values))


def _verdict(audit: Audit) -> list[str]:
    lines = []
    auroc = audit.figures["date-auroc-within"]
    evolving, static = str(Task.EK), str(Task.NEK)
    if auroc is not None:
        said = "decide" if auroc >= _DECIDES or auroc <= 1 - _DECIDES else "help" if auroc > 0.55 else "do not help"
        lines.append(f"Dates {said}: in {auroc:.0%} of the pairs in a pool the current passage is newer than the old.")
        lines += _by_conflict(audit, evolving)
        lines += _best(audit, evolving, [*_DATES, "latest-bm25"], "without reading, by dates")
    if probe := audit.value("probe", evolving, "MAP"):
        chance = audit.value("query-only", evolving, "MAP") or 0.0
        said = "so its figures say little of reading" if probe > _EASY else "so most of it is left to be read"
        lines.append(f"A probe fitted on the surface reaches EK MAP {probe:.3f} (chance {chance:.3f}), {said}.")
    if probe := audit.value("probe", static, "MAP"):
        lines.append(f"On the static side the same probe reaches MAP {probe:.3f}: that side checks topicality.")
    if twins := audit.figures["twins"]:
        lines.append(
            f"{twins:.0f} passages have a near-duplicate with another label in their pool "
            f"({audit.figures['twin-pools']:.0f} pools): no reader can be right on both."
        )
    beyond = audit.figures["beyond-512"]
    if beyond:
        lines.append(f"{beyond:.0%} of the answers end beyond 512 tokens, where most re-rankers have stopped reading.")
    share = audit.figures["conflict-share"]
    if share is not None and share < 1:
        lines.append(f"{1 - share:.0%} of the EK queries have no outdated passage: nothing there can be stale.")
    return lines


def _by_conflict(audit: Audit, task: str) -> list[str]:
    """How far the date alone gets against each kind of outdated passage: it may decide one and mislead in another."""
    found = {kind: audit.value("newest", task, f"current>obsolete(of={kind})") for kind in audit.conflicts["kinds"]}
    said = ", ".join(f"{kind} {value:.0%}" for kind, value in found.items() if value is not None)
    return [f"By kind of conflict the newer passage is the current one in: {said} of the pairs."] if said else []


def _best(audit: Audit, task: str, rules: Sequence[str], how: str) -> list[str]:
    found = {name: value for name in rules if (value := audit.value(name, task, "current>obsolete")) is not None}
    if not found:
        return []
    name = max(found, key=lambda each: found[each])
    return [f"Best {how}: {name} puts the current passage above an outdated one in {found[name]:.0%} of the pairs."]
