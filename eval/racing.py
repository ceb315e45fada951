"""What racing spares and what it costs: the candidates of a whole search, raced and fully scored, paired.

    pip install -e ".[test]" && python eval/train_instructed_reranker.py DIR && python eval/racing.py DIR

For each seed a search with full evaluation runs (``--selection full``); its rounds of candidates are then raced in the
same order, with the same queries and scores, against the front of what the race itself has kept so far. So both see the
same candidates, and every difference is the race's: a candidate that it dropped wrongly is missing from its front. The
hypervolume of all that a race kept, by its scores on all queries, is set against that of all candidates; the pair
scorings are those of the candidates, the base instruction's included. The base alone has most of that hypervolume: so
the gain above it that a race keeps stands beside what as many candidates keep as the same pairs score in full, drawn by
chance. Writes ``eval/results/racing.{json,md}``.

Which queries come first is drawn, and luck with three draws says little: so the race of each seed is repeated with
``--draws`` other orders of the queries, which costs no score. The share of candidates that a stage may drop and its
level were chosen on these candidates with ten further orders (seeds 100 to 109), on the validation split; how few
subjects a stage may hold, on worlds 1 and 2 of ``clause_reranker.py`` with subsets of about 60 queries.

The re-ranker is a stand-in (see ``train_instructed_reranker.py``) and the pools are cut to ``--passages``: the ratio of
pairs is one of queries, so it does not depend on how long a pool is.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import study
import torch
from optimize_studies import cut_pools, made

from fresco.benchmarks import limit_queries, open_benchmark, select_split
from fresco.models.settings import Settings
from fresco.optimizer.proposers.clauses import ClausesProposer, read_bank
from fresco.optimizer.report.console import ConsoleWatcher
from fresco.optimizer.search.objective import Objective
from fresco.optimizer.search.racing import DROPPED, LEAST, LEVEL, SHARES, draw_stages, ek_and_nek, race
from fresco.optimizer.search.rounds import Search
from fresco.optimizer.search.selection import hypervolume, non_dominated
from fresco.optimizer.search.settings import SearchSettings
from fresco.optimizer.search.storage import open_storage
from fresco.optimizer.search.study import SearchStudy
from fresco.optimizer.search.worker import Worker
from fresco.records import Benchmark, Pool
from fresco.rerank.base import fingerprint
from fresco.rerank.registry import open_reranker
from fresco.scoring.store import ScoreStore
from fresco.stats.arrays import FloatArray
from fresco.terminal.console import make_console

_HYPERVOLUME, _PAIRS = 0.99, 0.40  # what is aimed at
_SUBSETS = 200  # drawn by chance
_FIRST_DRAW = 1000  # seed of the first of the further orders of the queries


def search_fully(
    options: argparse.Namespace, seed: int, objective: Objective, part: Benchmark, train: Benchmark, folder: Path
) -> tuple[list[list[int]], dict[int, FloatArray], dict[int, str | None]]:
    """Candidates by round, their average precisions in the order of ``part.pools``, and their texts."""
    bank = read_bank()
    storage = open_storage(f"sqlite:///{folder / 'study.db'}")
    identity = {"reranker": fingerprint(objective.reranker), "benchmark": part.fingerprint, "seed": seed}
    study = SearchStudy(storage, f"full-seed{seed}", identity, Worker())
    settings = SearchSettings(options.rounds, options.population, options.children, seed, racing=False)
    with ConsoleWatcher(make_console()) as watch:
        search = Search(
            study,
            objective,
            part.pools,
            train.pools,
            [ClausesProposer(bank, "nsga2")],
            settings,
            None,
            bank.choices,
            watch,
        )
        search.run()
    rounds = [[trial.number for trial in study.of_round(number)] for number in range(options.rounds + 1)]
    trials = {trial.number: trial.user_attrs["text"] for trial in study.trials()}
    return rounds, {key: search.values_of(key) for key in trials}, trials


def race_again(
    rounds: Sequence[Sequence[int]], values: Mapping[int, FloatArray], pools: Sequence[Pool], seed: int
) -> dict[str, Any]:
    """Race the same candidates round by round."""
    stages = draw_stages(pools, seed=seed)
    place = {pool.query.id: index for index, pool in enumerate(pools)}
    order = [place[pool.query.id] for pool in stages.pools]
    staged = {key: own[order] for key, own in values.items()}
    starts = (0, *stages.ends)
    kept: list[int] = []
    scored, dropped = 0, []
    for candidates in rounds:
        rivals = _front(kept, values, pools)
        found = race(
            candidates,
            stages,
            lambda alive, stage: {key: staged[key][starts[stage] : starts[stage + 1]] for key in alive},
            rivals={key: staged[key] for key in rivals},
            seed=seed,
        )
        kept += found.survivors
        dropped += [each.stage for each in found.dropped.values()]
        scored += found.pairs_scored
    candidates = [key for own in rounds for key in own]
    full, raced, base = (_area(keys, values, pools) for keys in (candidates, kept, rounds[0]))
    lost = sorted(set(_front(candidates, values, pools)) - set(kept))
    everything = len(candidates) * stages.all_pairs
    by_chance = subset_by_chance(rounds[0], candidates, values, pools, scored // stages.all_pairs, seed)
    return {
        "candidates": len(candidates),
        "stages": list(stages.ends),
        "dropped_after_stage": [dropped.count(stage) for stage in range(len(stages.ends))],
        "hypervolume": {"base": base, "full": full, "raced": raced, "ratio": raced / full},
        "gain_kept": {
            "raced": share_of(raced - base, full - base),
            "by_chance": share_of(by_chance - base, full - base),
        },
        "pairs": {"full": everything, "raced": scored, "share": scored / everything},
        "front": _front(candidates, values, pools),
        "lost_from_front": lost,
    }


def race_often(
    rounds: Sequence[Sequence[int]], values: Mapping[int, FloatArray], pools: Sequence[Pool], draws: int
) -> dict[str, Any]:
    """Race the same candidates in other orders of the queries."""
    raced = [race_again(rounds, values, pools, seed) for seed in range(_FIRST_DRAW, _FIRST_DRAW + draws)]
    return {
        "first_seed": _FIRST_DRAW,
        "ratios": [each["hypervolume"]["ratio"] for each in raced],
        "shares": [each["pairs"]["share"] for each in raced],
        **{name: [each["gain_kept"][name] for each in raced] for name in ("raced", "by_chance")},
    }


def subset_by_chance(
    base: Sequence[int],
    candidates: Sequence[int],
    values: Mapping[int, FloatArray],
    pools: Sequence[Pool],
    count: int,
    seed: int,
) -> float:
    """Mean hypervolume of so many candidates scored in full, the base's always among them, over draws."""
    others = [key for key in candidates if key not in base]
    rng = np.random.default_rng(seed)
    drawn = min(max(count - len(base), 0), len(others))
    areas = [_area([*base, *rng.choice(others, drawn, replace=False).tolist()], values, pools) for _ in range(_SUBSETS)]
    return float(np.mean(areas))


def share_of(gain: float, whole: float) -> float:
    """A gain as a share of another; all of it where there was none to keep."""
    return gain / whole if whole > 0 else 1.0


def _points(keys: Sequence[int], values: Mapping[int, FloatArray], pools: Sequence[Pool]) -> tuple[Any, Any]:
    points = np.array([ek_and_nek(values[key], pools) for key in keys]).reshape(-1, 2)
    return points[:, 0], points[:, 1]


def _front(keys: Sequence[int], values: Mapping[int, FloatArray], pools: Sequence[Pool]) -> list[int]:
    return [key for key, on in zip(keys, non_dominated(*_points(keys, values, pools)), strict=True) if on]


def _area(keys: Sequence[int], values: Mapping[int, FloatArray], pools: Sequence[Pool]) -> float:
    return float(hypervolume(*_points(keys, values, pools)))


def report(record: dict[str, Any]) -> str:
    """The record as Markdown, with the verdict in words."""
    rows = record["seeds"]
    ratio = [row["hypervolume"]["ratio"] for row in rows]
    pairs_raced, pairs_full = (sum(row["pairs"][key] for row in rows) for key in ("raced", "full"))
    reached = min(ratio) >= _HYPERVOLUME, pairs_raced / pairs_full <= _PAIRS

    def verdict(good: bool) -> str:
        return "reached" if good else "MISSED"

    lines = [
        "# Racing against full evaluation",
        "",
        made("racing.py DIR", record),
        "How it is measured stands in the script; the re-ranker is a stand-in.",
        f"{record['queries']} queries of the validation split of `{record['benchmark']}`, "
        f"{record['settings']['rounds']} rounds of {record['settings']['children']} candidates from the clauses; "
        f"{record['pairs_computed']} pairs scored in this run, {record['pairs_from_store']} taken from the store. The "
        f"base instruction alone has a hypervolume of {rows[0]['hypervolume']['base']:.4f}.",
        "",
        "| seed | candidates | hypervolume, full | raced | ratio | pairs, full | raced | share | dropped after stage | "
        "lost from the front |",
        "|---" * 10 + "|",
    ]
    for row in rows:
        area, pairs = row["hypervolume"], row["pairs"]
        dropped = ", ".join(
            f"{count} at {end} queries"
            for count, end in zip(row["dropped_after_stage"][:-1], row["stages"][:-1], strict=True)
        )
        lines.append(
            f"| {row['seed']} | {row['candidates']} | {area['full']:.4f} | {area['raced']:.4f} | {area['ratio']:.4f} | "
            f"{pairs['full']} | {pairs['raced']} | {pairs['share']:.3f} | {dropped} | "
            f"{len(row['lost_from_front'])} of {len(row['front'])} |"
        )
    ratios, shares, raced, chance = (
        [value for row in rows for value in row["draws"][key]] for key in ("ratios", "shares", "raced", "by_chance")
    )
    lines += [
        "",
        f"Lowest ratio of hypervolumes {min(ratio):.4f} (aim: at least {_HYPERVOLUME}): {verdict(reached[0])}. "
        f"Pair scorings {pairs_raced / pairs_full:.3f} of full evaluation over all seeds (aim: at most {_PAIRS}): "
        f"{verdict(reached[1])}.",
        "",
        f"The same candidates in {len(ratios) // len(rows)} other orders of the queries for each seed: ratio of "
        f"hypervolumes {np.mean(ratios):.4f} in the mean, at least {_HYPERVOLUME} in "
        f"{np.mean(np.array(ratios) >= _HYPERVOLUME):.0%} of the races, {min(ratios):.4f} in the worst; pair scorings "
        f"{np.mean(shares):.3f} in the mean, at most {max(shares):.3f}.",
        "",
        f"Of the gain above the base, races in these orders keep {np.mean(raced):.3f} in the mean and {min(raced):.3f} "
        f"in the worst; as many candidates as the same pairs score in full, drawn by chance, keep "
        f"{np.mean(chance):.3f}.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Search, race, record."""
    parser = study.make_parser(__doc__)
    parser.add_argument("model", type=Path, help="folder of a cross-encoder that takes instructions")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--children", type=int, default=20)
    parser.add_argument("--population", type=int, default=4)
    parser.add_argument("--draws", type=int, default=20, help="other orders of the queries to race each seed in")
    parser.add_argument("--passages", type=int, default=8, help="most passages of a pool")
    parser.add_argument("--limit", type=int, help="about so many validation queries")
    parser.add_argument("--store", type=Path, help="score store to share with other studies (default: a passing one)")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    made = study.begin(options)
    if options.smoke:
        options.seeds, options.rounds, options.children, options.draws, options.limit = 1, 1, 3, 2, 8
    torch.set_num_threads(options.threads)
    started, load = time.perf_counter(), os.getloadavg()[0]
    mini = cut_pools(open_benchmark("mini"), options.passages)
    train, validation = (select_split(mini, part) for part in ("train", "validation"))
    if options.limit:
        validation = limit_queries(validation, options.limit)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with ScoreStore(options.store or folder / "scores.sqlite") as store:
            reranker = open_reranker(f"cross-encoder:{options.model}", Settings(device="cpu"))
            objective = Objective(reranker, mini, store)
            for seed in range(options.seeds):
                rounds, values, texts = search_fully(options, seed, objective, validation, train, folder)
                raced = race_again(rounds, values, validation.pools, seed)
                front = [{"trial": key, "text": texts[key]} for key in raced.pop("front")]
                draws = race_often(rounds, values, validation.pools, options.draws)
                rows.append({"seed": seed, **raced, "front": front, "draws": draws})
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "seconds": time.perf_counter() - started,
        "threads": options.threads,
        "load_average": load,
        "benchmark": mini.name,
        "queries": len(validation),
        "race": {"shares": SHARES, "level": LEVEL, "dropped": DROPPED, "least": LEAST},
        "reranker": fingerprint(reranker),
        "settings": {
            key: getattr(options, key) for key in ("rounds", "children", "population", "passages", "limit", "draws")
        },
        "pairs_computed": objective.computed,
        "pairs_from_store": objective.reused,
        "seeds": rows,
        "environment": made,
    }
    study.record(options, "racing", record, report(record))


if __name__ == "__main__":
    main()
