"""``front.json`` and ``proposals.jsonl``: what a search found, proved on unseen data, and all that it tried."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fresco.metrics.aggregate import rounded
from fresco.optimizer.baselines import TunedBaseline
from fresco.optimizer.proposers.base import ScoredInstruction
from fresco.optimizer.report.proof import Split, gains_without_loss, over_seeds
from fresco.optimizer.search.objective import Objective, precisions
from fresco.optimizer.search.racing import ek_and_nek
from fresco.optimizer.search.rounds import Search
from fresco.optimizer.search.settings import RoundReport, Watcher
from fresco.optimizer.search.study import text_digest
from fresco.optimizer.seen import digests
from fresco.records import SCHEMA_VERSION, Benchmark, Pool
from fresco.rerank.base import fingerprint
from fresco.scoring.runner import score
from fresco.stats.arrays import FloatArray

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

BASE = "base"


@dataclass(frozen=True)
class Found:
    """What the search of one seed found.

    Attributes:
        search: The search.
        reports: Its rounds.
    """

    search: Search
    reports: Sequence[RoundReport]

    @cached_property
    def candidates(self) -> Sequence[ScoredInstruction]:
        """What it proposes: twice as many as a population, so that a close rival is not left out by luck."""
        return self.search.proposed(2 * self.search.settings.population)

    @property
    def seed(self) -> int:
        """Of the search."""
        return self.search.settings.seed


@dataclass(frozen=True)
class Splits:
    """The parts of the benchmark that a search uses.

    Attributes:
        whole: What they are parts of.
        train: What proposers look at; None where the benchmark has no such queries.
        search: What is selected by: validation, or a part of it.
        validation: All of it.
        test: What nothing is chosen by.
    """

    whole: Benchmark
    train: Benchmark | None
    search: Benchmark
    validation: Benchmark
    test: Benchmark


def prove(
    found: Sequence[Found],
    splits: Splits,
    objective: Objective,
    baselines: Sequence[TunedBaseline],
    *,
    seed: int = 0,
    resamples: int = 1000,
    watch: Watcher | None = None,
) -> dict[str, Any]:
    """Score the fronts of all seeds on validation and test, and put them together.

    Returns:
        The content of ``front.json``: a function of benchmark, scores and settings alone, without times.
    """
    base = found[0].search.base
    texts: dict[str | None, None] = {base: None}
    for each in found:
        texts |= dict.fromkeys(member.text for member in each.candidates)
    validation, test = (
        _Scoring(part.pools, objective, watch, name)
        for part, name in ((splits.validation, "validation"), (splits.test, "test"))
    )
    # Most EK first: the order of the front from one end to the other.
    others = sorted((text for text in texts if text != base), key=lambda text: (-validation.mean_ek(text), str(text)))
    ids = {base: BASE, **{text: f"i{place}" for place, text in enumerate(others, start=1)}}
    parts = {
        part.name: Split(part.pools, part.all_values(ids, baselines), BASE, seed, resamples)
        for part in (validation, test)
    }
    rows = {name: part.rows() for name, part in parts.items()}
    fronts = {each.seed: [ids[member.text] for member in each.candidates] for each in found}
    union = parts["validation"].front(list(ids.values()))
    standing = parts["validation"].standing(list(ids.values()))
    members = [
        {
            "id": key,
            "text": text,
            "sha256": text_digest(text),
            "on_front": key in union,
            "standing": rounded(standing[key]),
            "seeds": [own for own, keys in fronts.items() if key in keys],
            **{part: rows[part][key] for part in rows},
            "lineage": [entry for each in found for entry in _lineage(each.search.study.trials(), text)],
        }
        for text, key in ids.items()
    ]
    seeds: list[dict[str, Any]] = [
        {
            "seed": each.seed,
            "front": fronts[each.seed],
            "hypervolume": {name: part.hypervolume(fronts[each.seed]) for name, part in parts.items()},
            "rounds": [_round(report) for report in each.reports],
            "pairs_scored": each.reports[-1].pairs_scored,
            "pairs_spared": each.reports[-1].pairs_spared,
        }
        for each in found
    ]
    used = (("search", splits.search), ("validation", splits.validation), ("test", splits.test))
    return {
        "schema_version": SCHEMA_VERSION,
        "reranker": {"name": objective.reranker.name, "fingerprint": fingerprint(objective.reranker)},
        "benchmark": {
            "name": splits.whole.name,
            "fingerprint": splits.whole.fingerprint,
            "edition": splits.whole.edition,
            "seed": seed,
            "chosen_on": "validation",
            "proved_on": "test",
            **{name: {"fingerprint": part.fingerprint, "queries": len(part)} for name, part in used},
            "seen": digests([*(splits.train.pools if splits.train else ()), *splits.validation.pools]),
        },
        "base": {**members[0], "default_text": objective.default_text},
        "members": members[1:],
        "front": union,
        "baselines": [
            {**each.record(), **{part: rows[part][_baseline_key(each)] for part in rows}} for each in baselines
        ],
        "hypervolume": {
            name: {
                "front": part.hypervolume(union),
                "base": part.hypervolume([BASE]),
                "over_seeds": over_seeds([seed["hypervolume"][name]["value"] for seed in seeds]),
            }
            for name, part in parts.items()
        },
        "seeds": seeds,
        "warnings": _stalls(found) + _warnings(splits, rows["test"], [key for key in union if key != BASE], parts),
    }


def proposals(found: Sequence[Found]) -> Iterator[str]:
    """The lines of ``proposals.jsonl``: every trial of every seed, and what was rejected, with the reason."""
    for each in found:
        study = each.search.study
        trials = study.trials()
        for report in each.reports:
            for trial in trials:
                if trial.user_attrs["round"] == report.round:
                    yield json.dumps(_proposal(each.seed, trial), ensure_ascii=False) + "\n"
            for rejection in (study.planned(report.round) or {}).get("rejections", ()):
                row = {"seed": each.seed, "round": report.round, "state": "REJECTED", **rejection}
                yield json.dumps(row, ensure_ascii=False) + "\n"


class _Scoring:
    """One split while it is scored."""

    def __init__(self, pools: Sequence[Pool], objective: Objective, watch: Watcher | None, name: str) -> None:
        self.pools, self.name = pools, name
        self._objective, self._watch = objective, watch
        self._values: dict[str | None, FloatArray] = {}

    def mean_ek(self, text: str | None) -> float:
        return ek_and_nek(self._instruction(text), self.pools)[0]

    def all_values(self, ids: Mapping[str | None, str], baselines: Sequence[TunedBaseline]) -> dict[str, FloatArray]:
        """Average precision of each instruction by its id, and of each baseline by its key."""
        values = {key: self._instruction(text) for text, key in ids.items()}
        return values | {_baseline_key(each): self._baseline(each) for each in baselines}

    def _instruction(self, text: str | None) -> FloatArray:
        if text not in self._values:
            self._values[text] = self._objective.average_precisions(text, self.pools, self._progress)
        return self._values[text]

    def _baseline(self, tuned: TunedBaseline) -> FloatArray:
        candidates = [(pool.query, pool.passages) for pool in self.pools]
        store, text = self._objective.store, tuned.instruction
        return precisions(
            self.pools, score(tuned.reranker, candidates, store, instruction=text, progress=self._progress).scores
        )

    def _progress(self, done: int, total: int) -> None:
        if self._watch:
            self._watch.scored(f"the front on {self.name}", done, total)


def _baseline_key(tuned: TunedBaseline) -> str:
    return f"baseline:{tuned.name}"  # no id of an instruction has a colon


def _lineage(trials: Sequence[FrozenTrial], text: str | None) -> list[dict[str, Any]]:
    """An instruction's trial in one study and those of its ancestors, youngest first; none where it was not tried."""
    by_number = {trial.number: trial for trial in trials}
    todo = [trial.number for trial in trials if trial.user_attrs["text"] == text]
    found: set[int] = set()
    while todo:
        number = todo.pop()
        if number in by_number and number not in found:
            found.add(number)
            todo += by_number[number].user_attrs["parents"]
    return [_origin(by_number[number]) for number in sorted(found, reverse=True)]


def _origin(trial: FrozenTrial) -> dict[str, Any]:
    attributes = trial.user_attrs
    return {
        "trial": trial.number,
        **{key: attributes[key] for key in ("seed", "round", "operator", "parents", "text", "detail")},
        "params": trial.params,
    }


def _proposal(seed: int, trial: FrozenTrial) -> dict[str, Any]:
    attributes = trial.user_attrs
    return {
        **{key: value for key, value in _origin(trial).items() if key != "seed"},
        "seed": seed,
        "state": trial.state.name,
        "values": trial.values,
        **{
            key: attributes[key]
            for key in ("estimate", "stage", "standing", "queries_scored", "pairs_scored", "pairs_charged")
            if key in attributes
        },
    }


def _round(report: RoundReport) -> dict[str, Any]:
    return {
        "round": report.round,
        "population": [{"trial": member.number, "EK": member.ek, "NEK": member.nek} for member in report.population],
        "tried": report.tried,
        "dropped": report.dropped,
        "rejected": sum(report.rejected.values()),
        "pairs_scored": report.pairs_scored,
        "pairs_spared": report.pairs_spared,
        "hypervolume": report.hypervolume,
        "gain": dict(report.gain),
    }


def _stalls(found: Sequence[Found]) -> list[str]:
    """What a search whose proposers failed must say: it looks like one that found nothing better."""
    warnings = []
    for each in found:
        rounds = each.reports[1:]
        empty = [report for report in rounds if report.refilled or not report.tried]
        if not empty:
            continue
        rejected = sum((Counter(report.rejected) for report in rounds), Counter[str]())
        usable = sum(report.tried for report in rounds if not report.refilled)
        reasons = ", ".join(f"{count} {reason}" for reason, count in rejected.most_common()) or "nothing was proposed"
        instead = sum(report.tried for report in rounds if report.refilled)
        warnings.append(
            f"seed {each.seed}: {len(empty)} of {len(rounds)} rounds had nothing to try; {usable} of "
            f"{usable + rejected.total()} proposals usable: {reasons}"
            + (f"; {instead} instructions of the clauses were tried instead" if instead else "")
        )
    return warnings


def _warnings(
    splits: Splits, test: Mapping[str, Mapping[str, Any]], front: Sequence[str], parts: Mapping[str, Split]
) -> list[str]:
    warnings = []
    if not front:
        warnings.append("no instruction found is on the front on validation: keep the base instruction")
    elif not gains_without_loss(test, front):
        warnings.append(
            "the front is inside the noise: on test no instruction gains EK over the base (95 % interval above zero) "
            "without a loss of NEK beyond its interval"
        )
    if len(splits.search) < len(splits.validation):
        warnings.append(
            f"the search selected by {len(splits.search)} of {len(splits.validation)} validation queries (--limit)"
        )
    return [*warnings, *(warning for name, part in parts.items() for warning in part.warnings(name))]
