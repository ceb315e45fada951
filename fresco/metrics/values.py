"""The values of measures, pool by pool: ir_measures where the order is certain, else the exact expectation."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from fresco.errors import FrescoError
from fresco.metrics.catalog import BY_CONFLICT, OF_SUPERSEDED, STANDARD
from fresco.metrics.measures import Measure, parse_measures
from fresco.metrics.measures.base import running
from fresco.metrics.ties import SUPERSEDED, Tiers
from fresco.records import Conflict, Pool, Task
from fresco.stats.arrays import FloatArray


def chosen_measures(pools: Sequence[Pool], extra: Sequence[Measure] = ()) -> list[Measure]:
    """The measures of a run.

    Args:
        pools: Whose data decides whether there is a kind of conflict to tell apart, and superseded passages.
        extra: What the user asked for beside the standard set.

    Returns:
        Each once: the standard set, by kind of conflict, of superseded passages, the extra ones, what they need.

    Raises:
        FrescoError: the data cannot give an extra one.
    """
    evolving = [pool for pool in pools if pool.query.task is Task.EK]
    present = {kind for pool in evolving for kind in pool.conflicts}
    confined: list[tuple[str, Sequence[str]]] = [(str(kind), BY_CONFLICT) for kind in Conflict if kind in present]
    if any(pool.superseded for pool in evolving):
        confined.append((SUPERSEDED, OF_SUPERSEDED))
    measures = parse_measures(STANDARD)
    for of, names in confined:
        measures += _confined(of, names)
    for measure in extra:
        with running(measure, "what it lacks"):
            lacking = "" if measure in measures else measure.lacks(pools)
        if lacking:
            raise FrescoError(f"measure {measure}: the benchmark has no {lacking}")
        measures.append(measure)
    return list(dict.fromkeys([*measures, *(need for measure in measures for need in measure.needs())]))


def extra_measures(pools: Sequence[Pool], asked: Sequence[Measure]) -> list[Measure]:
    """Of the measures that somebody asked for those that the run would not have without being asked, each once."""
    own = chosen_measures(pools)
    return [measure for measure in dict.fromkeys(asked) if measure not in own]


def asked_for(names: Iterable[str]) -> list[str]:
    """Of the measures of a run those that somebody asked for: neither standard nor told apart by the data alone."""
    own = set(STANDARD)
    for of, wanted in [*((str(kind), BY_CONFLICT) for kind in Conflict), (SUPERSEDED, OF_SUPERSEDED)]:
        own |= {measure.name for measure in _confined(of, wanted)}
    return [name for name in dict.fromkeys(names) if name not in own]


def _confined(of: str, names: Sequence[str]) -> list[Measure]:
    return [dataclasses.replace(measure, of=of) for measure in parse_measures(names)]  # type: ignore[call-arg]


def measure_pools(measures: Sequence[Measure], tiers: Sequence[Tiers]) -> dict[str, FloatArray]:
    """Every measure that a single query has.

    Args:
        measures: What to compute.
        tiers: The pools, grouped by score.

    Returns:
        Name of the measure to values, shape (pools,), NaN where undefined and for tasks that a measure is not for.

    Raises:
        FrescoError: a measure of somebody else fails.
    """
    values: dict[str, FloatArray] = {}
    references = {}
    certain = [index for index, tier in enumerate(tiers) if not tier.tied]
    for measure in measures:
        if not measure.per_query:
            continue
        reference = measure.reference()
        if reference is not None:
            references[reference] = measure
        values[measure.name] = np.array(
            [
                _value(measure, tier)
                if tier.pool.query.task in measure.tasks and (tier.tied or reference is None)
                else np.nan
                for tier in tiers
            ]
        )
    for reference, index, value in _by_ir_measures(list(references), certain, tiers):
        measure = references[reference]
        if tiers[index].pool.query.task in measure.tasks:
            values[measure.name][index] = value
    return values


def _value(measure: Measure, tiers: Tiers) -> float:
    with running(measure, f"query {tiers.pool.query.id!r}"):
        return float(measure.value(tiers))


def _by_ir_measures(
    references: Sequence[Any], certain: Sequence[int], tiers: Sequence[Tiers]
) -> Iterator[tuple[Any, int, float]]:
    if not certain or not references:
        return
    import ir_measures

    qrels: dict[str, dict[str, int]] = {}
    run: dict[str, dict[str, float]] = {}
    for index in certain:
        tier = tiers[index]
        qrels[str(index)] = {str(i): grade for i, grade in enumerate(tier.pool.grades) if grade}
        qrels[str(index)] |= {f"missed {i}": grade for i, (_, grade) in enumerate(tier.pool.missed)}
        # Ranks, not scores: trec_eval compares float32 and would tie, by id, what differs in float64.
        run[str(index)] = {str(i): -float(rank) for i, rank in enumerate(tier.place.tolist())}
    for result in ir_measures.iter_calc(list(references), qrels, run):
        yield result.measure, int(result.query_id), float(result.value)
