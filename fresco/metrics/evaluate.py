"""Scores in, everything that is reported out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from fresco.errors import FrescoError
from fresco.metrics.aggregate import mean_rows, rounded, rounded_frame, select
from fresco.metrics.bias import PreferenceRegression, differences
from fresco.metrics.catalog import ALL, FEWEST_SUBJECTS, HEADLINES, PRIMARY, SCOPES, check_unit
from fresco.metrics.compare import compare_all, groups
from fresco.metrics.counterfactual import counterfactual, probe_pools
from fresco.metrics.measures import Measure, parse_measure
from fresco.metrics.measures.stale import Stale
from fresco.metrics.pairs import conflict_pairs
from fresco.metrics.selfcheck import MISSED, check_per_query, check_rows, count_column, one_positive
from fresco.metrics.staleness import by_age_gap
from fresco.metrics.ties import Tiers
from fresco.metrics.values import chosen_measures, measure_pools
from fresco.records import Benchmark, Kind, Label, Pool, Task
from fresco.stats.arrays import FloatArray

#: One array of scores for each pool, in the order of its passages.
Scores = Sequence[FloatArray]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything that is reported of some re-rankers on one benchmark.

    Attributes:
        per_query: A row for each re-ranker and query: ``reranker``, ``query_id``, ``task``, ``kind``, ``subject``,
            ``relation``, ``n_passages`` and the counts by label, ``n_missed`` (relevant passages that are no
            candidates; only where a first stage was taken as it is), ``n_tied`` (passages that share their score with
            another one), ``ties_matter``, ``rank`` (expected, of the first positive), ``top_label`` (``tied`` where
            several labels share the top), and a column for each measure that a query has, NaN where undefined.
        rows: Means with intervals: ``reranker``, ``task``, ``kind``, ``metric``, ``value``, ``ci_low``, ``ci_high``,
            ``n`` (queries behind the value); None where undefined. A measure that is confined to one kind of conflict
            is named so, ``stale(of=version)@1``, and its row says it in ``conflict`` too.
        age_gap: ``reranker``, ``metric``, ``bin``, ``value``, ``ci_low``, ``ci_high``, ``n``; see
            :func:`fresco.metrics.staleness.by_age_gap`.
        comparisons: Pairs of re-rankers by the primary metric; see :func:`fresco.metrics.compare.compare_all`.
        groups: Letters for each scope of the primary metric and of the headlines that a query has a value of; see
            :func:`fresco.metrics.compare.groups`.
        bias: For each re-ranker ``regression`` and ``counterfactual`` (None where probes were not scored); empty where
            the benchmark holds no conflict.
        ties: For each re-ranker ``pools``, ``pools_with_ties``, ``pools_where_ties_matter``, ``tied_passages``,
            ``constant_pools`` (every passage scores the same).
        warnings: What a reader must know before the numbers, one sentence each.
    """

    per_query: pd.DataFrame
    rows: list[dict[str, Any]]
    age_gap: pd.DataFrame
    comparisons: pd.DataFrame
    groups: pd.DataFrame
    bias: dict[str, dict[str, Any]]
    ties: dict[str, dict[str, int]]
    warnings: list[str]

    def to_json_dict(self) -> dict[str, Any]:
        """All but the per-query values, as plain mappings, lists, numbers and None."""
        frames = {name: getattr(self, name).to_dict("records") for name in ("age_gap", "comparisons", "groups")}
        plain = {"rows": self.rows, **frames, "bias": self.bias, "ties": self.ties, "warnings": self.warnings}
        return {key: _as_json(value) for key, value in plain.items()}

    @classmethod
    def from_json_dict(cls, content: Mapping[str, Any], per_query: pd.DataFrame) -> Evaluation:
        """What :meth:`to_json_dict` gave, with the per-query values beside it.

        Raises:
            KeyError: a part is missing.
        """
        parts: dict[str, Any] = {field.name: content[field.name] for field in fields(cls) if field.name != "per_query"}
        for name in ("age_gap", "comparisons", "groups"):
            parts[name] = pd.DataFrame(parts[name])
        return cls(per_query=per_query, **parts)


def evaluate(
    benchmark: Benchmark,
    scores: Mapping[str, Scores],
    *,
    probes: Sequence[Pool] | None = None,
    probe_scores: Mapping[str, Scores] | None = None,
    measures: Sequence[Measure] = (),
    primary: str = PRIMARY,
    unit: str = "subject",
    seed: int = 0,
    resamples: int = 1000,
) -> Evaluation:
    """Measure re-rankers.

    Args:
        benchmark: The pools that were scored.
        scores: Re-ranker name to one array for each pool, in the order of its passages; higher is better.
        probes: The counterfactual probes that were scored; :func:`~fresco.metrics.counterfactual.probe_pools` of the
            benchmark where None.
        probe_scores: Re-ranker name to the scores of the probes; a re-ranker may be missing.
        measures: Beside the standard set and what the data adds to it, see
            :func:`fresco.metrics.values.chosen_measures`.
        primary: Notation of the measure of comparisons and groups, computed if need be.
        unit: What is drawn and flipped as one: ``subject``, or ``relation``, the coarser one.
        seed: Of resampling and of sign flips. The same input and seed give the same result.
        resamples: Of every bootstrap.

    Raises:
        FrescoError: scores that do not fit the pools, or that are NaN or infinite; an unknown primary metric or unit.
        InvariantError: a result that cannot be; a defect of this program.
    """
    pools = benchmark.pools
    if not pools or not scores:
        raise FrescoError("nothing to evaluate: give at least one query and the scores of one re-ranker")
    _check_queries(pools)
    check_unit(unit)
    checked = {name: _checked(name, pools, own) for name, own in scores.items()}
    flat = {name: np.concatenate(own) for name, own in checked.items()}
    pairs = conflict_pairs(pools)
    units = [str(getattr(pool.query, unit)) for pool in pools]
    measures = chosen_measures(pools, [*measures, *_primary(primary)])

    facts = _facts(pools)
    frames, gaps, ties = [], [], {}
    for name, own in checked.items():
        frame, tiers = _per_query(name, pools, own, measures, facts)
        frames.append(frame)
        ties[name] = _count_ties(tiers)
        stale = frame[Stale().name].to_numpy(np.float64)
        gap = by_age_gap(pairs, units, flat[name], stale, resamples=resamples, seed=seed)
        gap.insert(0, "reranker", name)
        gaps.append(gap)
    per_query = pd.concat(frames, ignore_index=True)
    check_per_query(per_query, measures)
    rows = mean_rows(per_query, measures, unit=unit, seed=seed, resamples=resamples)
    check_rows(rows, measures=measures, one_positive=bool(one_positive(per_query).all()))

    comparisons = compare_all(per_query, primary, unit=unit, seed=seed, resamples=resamples)
    bias: dict[str, dict[str, Any]] = {}
    if len(pairs):
        regression = PreferenceRegression(
            differences(pools, pairs), [units[i] for i in pairs.pool.tolist()], resamples=resamples, seed=seed
        )
        probes = probe_pools(benchmark) if probes is None else probes
        for name, own in checked.items():
            bias[name] = {
                "regression": regression.fit(flat[name][pairs.outdated] - flat[name][pairs.positive]),
                "counterfactual": None,
            }
            if probe_scores is not None and name in probe_scores and probes:
                bias[name]["counterfactual"] = counterfactual(
                    probes,
                    _checked(name, probes, probe_scores[name]),
                    unit=_spread_within_pools(pools, own),
                    drawn=unit,
                    resamples=resamples,
                    seed=seed,
                )
    return Evaluation(
        per_query=per_query,
        rows=rows,
        age_gap=rounded_frame(pd.concat(gaps, ignore_index=True)),
        comparisons=comparisons,
        groups=_letters(per_query, primary, comparisons, unit=unit, seed=seed, resamples=resamples),
        bias=bias,
        ties=ties,
        warnings=_warnings(ties, per_query, unit),
    )


def _letters(
    per_query: pd.DataFrame, primary: str, comparisons: pd.DataFrame, *, unit: str, seed: int, resamples: int
) -> pd.DataFrame:
    """Letters by every measure that the table of results shows and that has a value for each query."""
    found = [groups(comparisons, per_query, primary, unit=unit)]
    for metric in HEADLINES:
        if parse_measure(metric).per_query and metric in per_query and metric != primary:
            pairs = compare_all(per_query, metric, unit=unit, seed=seed, resamples=resamples)
            found.append(groups(pairs, per_query, metric, unit=unit))
    return pd.concat([each for each in found if len(each)], ignore_index=True) if len(found) > 1 else found[0]


def _primary(metric: str) -> list[Measure]:
    try:
        return [parse_measure(metric)]
    except FrescoError as error:
        raise FrescoError(f"cannot compare by {metric!r}: {error}") from error


def _check_queries(pools: Sequence[Pool]) -> None:
    seen: set[str] = set()
    for query in (pool.query for pool in pools):
        if query.id in seen:
            raise FrescoError(f"query {query.id!r} occurs twice; give each query an id of its own")
        seen.add(query.id)
        if query.task is Task.EK and query.kind is Kind.STATIC:
            raise FrescoError(f"query {query.id!r}: an EK query is explicit or implicit, not static; mend its kind")


def _checked(name: str, pools: Sequence[Pool], scores: Scores) -> list[FloatArray]:
    if len(scores) != len(pools):
        raise FrescoError(f"re-ranker {name!r}: scores for {len(scores)} pools, but the benchmark has {len(pools)}")
    checked = []
    for pool, own in zip(pools, scores, strict=True):
        array = np.asarray(own, np.float64)
        if array.shape != (len(pool),):
            raise FrescoError(
                f"re-ranker {name!r}, query {pool.query.id!r}: {array.size} scores for {len(pool)} passages; "
                "return one float for each passage"
            )
        if not np.isfinite(array).all():
            worst = int(np.flatnonzero(~np.isfinite(array))[0])
            raise FrescoError(
                f"re-ranker {name!r}, query {pool.query.id!r}, passage {pool.passages[worst].id!r}: score "
                f"{array[worst]}; a score must be finite to be ranked (float16 overflow? try --dtype float32)"
            )
        checked.append(array)
    return checked


def _facts(pools: Sequence[Pool]) -> pd.DataFrame:
    """What is known of each query before it is scored."""
    counts = {label: [sum(own is label for own in pool.labels) for pool in pools] for label in Label}
    queries = [pool.query for pool in pools]
    return pd.DataFrame(
        {
            "query_id": [query.id for query in queries],
            "task": [str(query.task) for query in queries],
            "kind": [str(query.kind) for query in queries],
            "subject": [query.subject for query in queries],
            "relation": [query.relation for query in queries],
            "n_passages": [len(pool) for pool in pools],
            **{count_column(label): counts[label] for label in Label},
            **({MISSED: [len(pool.missed) for pool in pools]} if any(pool.missed for pool in pools) else {}),
        }
    )


def _per_query(
    name: str,
    pools: Sequence[Pool],
    scores: Scores,
    measures: Sequence[Measure],
    facts: pd.DataFrame,
) -> tuple[pd.DataFrame, list[Tiers]]:
    tiers = [Tiers.of(pool, own) for pool, own in zip(pools, scores, strict=True)]
    tops = []
    for pool, own in zip(pools, scores, strict=True):
        top = {str(pool.labels[index]) for index in np.flatnonzero(own == own.max())}
        tops.append(top.pop() if len(top) == 1 else "tied")
    frame = facts.assign(
        n_tied=[tier.tied for tier in tiers],
        ties_matter=[tier.ties_matter for tier in tiers],
        rank=[tier.expected_rank for tier in tiers],
        top_label=tops,
        **measure_pools(measures, tiers),
    )
    frame.insert(0, "reranker", name)
    return frame, tiers


def _count_ties(tiers: Sequence[Tiers]) -> dict[str, int]:
    return {
        "pools": len(tiers),
        "pools_with_ties": sum(tier.tied > 0 for tier in tiers),
        "pools_where_ties_matter": sum(tier.ties_matter for tier in tiers),
        "tied_passages": sum(tier.tied for tier in tiers),
        "constant_pools": sum(len(tier.size) == 1 and int(tier.size[0]) > 1 for tier in tiers),
    }


def _spread_within_pools(pools: Sequence[Pool], scores: Scores) -> float:
    """Root mean variance of scores within EK pools: the unit in which a difference of scores can change a rank."""
    variances = [float(own.var()) for pool, own in zip(pools, scores, strict=True) if pool.query.task is Task.EK]
    return math.sqrt(float(np.mean(variances)))


def _warnings(ties: Mapping[str, Mapping[str, int]], per_query: pd.DataFrame, unit: str) -> list[str]:
    warnings = []
    for name, count in ties.items():
        if count["constant_pools"]:
            warnings.append(
                f"{name}: every passage has the same score in {count['constant_pools']} of {count['pools']} pools; "
                "their values are those of a random order"
            )
        if count["pools_where_ties_matter"] > count["constant_pools"]:
            warnings.append(
                f"{name}: ties matter in {count['pools_where_ties_matter']} of {count['pools']} pools; "
                "values are expectations under random order of the tied"
            )
    for task, kind in SCOPES:
        if kind == ALL and 0 < (n := select(per_query, task, kind)[unit].nunique()) < FEWEST_SUBJECTS:
            warnings.append(f"{task}: {n} {unit}s are few: no letters below {FEWEST_SUBJECTS}, and wide intervals")
    return warnings


def _as_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_json(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return rounded(value) if isinstance(value, float) else value
