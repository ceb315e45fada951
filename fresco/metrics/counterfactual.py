"""The counterfactual pair test: same text under two dates, same date over two texts.

In a pool the date and the text change together, so which of them moved a score cannot be seen. Here a positive and an
outdated passage of one pool swap dates, which gives four candidates: each text under each date. What the date does is
then read with the text held fixed, and what the text does with the date held fixed. It only says something about a
re-ranker that sees the dates: where they are hidden, the two dates of a text are ties and "newer date wins" is 0.5.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from fresco.records import Benchmark, Label, Passage, Pool, Task, format_timestamp
from fresco.stats.arrays import FloatArray
from fresco.stats.intervals import SubjectBootstrap

#: The keys of a result: two win rates (ties count half) and two mean effects in units of the score.
EFFECTS: Final = ("newer date wins", "current text wins", "date effect", "text effect")


def probe_pools(benchmark: Benchmark) -> list[Pool]:
    """Small pools of four candidates, one for each EK pool in which a positive and an outdated passage can swap dates.

    The pair is that with the smallest age gap in either direction, then the first in pool order; pairs with the same
    date or the same text have nothing to swap.

    Returns:
        Pools with the query of the original and the labels of the texts (two positive, two outdated). A passage under
        its own date keeps its id, under the other's date it is named ``{id}@{timestamp}``. The order rotates from pool
        to pool, so that no role always comes first.
    """
    probes: list[Pool] = []
    for pool in benchmark.pools:
        pair = _nearest(pool) if pool.query.task is Task.EK else None
        if pair is None:
            continue
        new, old = pair
        four = [
            (new, Label.POSITIVE),
            (old, Label.OUTDATED),
            (_redated(new, old), Label.POSITIVE),
            (_redated(old, new), Label.OUTDATED),
        ]
        turn = len(probes) % 4
        passages, labels = zip(*(four[turn:] + four[:turn]), strict=True)
        probes.append(Pool(pool.query, passages, labels))
    return probes


def counterfactual(
    probes: Sequence[Pool],
    scores: Sequence[FloatArray],
    *,
    unit: float = 1.0,
    drawn: str = "subject",
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Read the effect of date and text from the scores of the probes.

    Args:
        probes: What :func:`probe_pools` gave.
        scores: One array of four for each probe, in the order of its passages.
        unit: What the effects are divided by; 0 or less leaves them undefined.
            :func:`fresco.metrics.evaluate.evaluate` takes the standard deviation of scores within EK pools.
        drawn: What is drawn as one: ``subject``, or ``relation``.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.

    Returns:
        ``n``, ``n_subjects``, ``unit`` and for each of :data:`EFFECTS` a mapping with ``value``, ``ci_low`` and
        ``ci_high`` (None where undefined). ``newer date wins``: share of texts that score higher under the newer of
        the two dates. ``current text wins``: share of dates under which the positive's text scores higher. The effects
        are the mean differences behind these, newer minus older and current minus outdated.
    """
    # Axes of the cube: probe, text (current, outdated), date (newer, older).
    cube = np.array([_cell(probe, own) for probe, own in zip(probes, scores, strict=True)]).reshape(-1, 2, 2)
    by_date = cube[:, :, 0] - cube[:, :, 1]
    by_text = cube[:, 0, :] - cube[:, 1, :]
    wins = [((np.sign(difference) + 1) / 2).mean(axis=1) for difference in (by_date, by_text)]
    scale = unit if unit > 0 else np.nan
    effects = [difference.mean(axis=1) / scale for difference in (by_date, by_text)]
    shares, means = np.stack(wins, axis=1), np.stack(effects, axis=1)
    units = [getattr(probe.query, drawn) for probe in probes]
    bootstrap = SubjectBootstrap(units, resamples=resamples, seed=seed)
    found = (bootstrap.share(shares, np.ones_like(shares)), bootstrap.ratio(means, np.ones_like(means)))
    bounds = [each for own in found for each in zip(own.value, own.low, own.high, strict=True)]
    return {
        "n": len(probes),
        "n_subjects": bootstrap.n_subjects,
        "unit": unit,
        **{
            name: {
                key: None if np.isnan(number) else float(number)
                for key, number in zip(("value", "ci_low", "ci_high"), numbers, strict=True)
            }
            for name, numbers in zip(EFFECTS, bounds, strict=True)
        },
    }


def _nearest(pool: Pool) -> tuple[Passage, Passage] | None:
    candidates = [
        (abs((new.timestamp - old.timestamp).total_seconds()), new, old)
        for new in pool.labelled(Label.POSITIVE)
        for old in pool.labelled(Label.OUTDATED)
        if new.timestamp != old.timestamp and new.content != old.content
    ]
    return min(candidates, key=lambda candidate: candidate[0])[1:] if candidates else None


def _redated(passage: Passage, other: Passage) -> Passage:
    return dataclasses.replace(
        passage, id=f"{passage.id}@{format_timestamp(other.timestamp)}", timestamp=other.timestamp
    )


def _cell(probe: Pool, scores: FloatArray) -> list[list[float]]:
    newer = max(passage.timestamp for passage in probe.passages)
    place = {
        (label, passage.timestamp == newer): index
        for index, (label, passage) in enumerate(zip(probe.labels, probe.passages, strict=True))
    }
    return [[float(scores[place[text, date]]) for date in (True, False)] for text in (Label.POSITIVE, Label.OUTDATED)]
