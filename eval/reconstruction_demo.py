"""The method in the loop at the smallest size: the preset ``demo-reconstruction`` as it ships, beside its controls.

    pip install -e ".[test]" && PYTHONPATH=eval python eval/reconstruction_demo.py DIR

For each seed (of the made-up world, the first weights and the sampling) the preset trains with all its guards: queries
masked, gates, the preflight, stops at a collapse and at a dead signal, the best checkpoint chosen by a reward that is
not trained on. The controls begin with the same warmed-up policy and go to the end whatever they learn: the same reward
whose values change places within groups, title overlap (the reward of the preset ``demo``), and exact match with gold.

Beside it stands what explains a plateau at a third: a page bears a person's name and there are three for each, so a
policy that asks for the name alone finds the right one once in three. So the study says what each reward gives the
right page and the wrong ones, and for what the policy asked before training and after it.

Killed, the same command goes on. A made-up world and half a million parameters prove the machinery and its guards.
"""

from __future__ import annotations

import json
import shutil
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import study
import torch
from training_rewards import Shuffled

from ccs.agent.trajectory import Hit, Trajectory, Turn
from ccs.rewards.base import Reward
from ccs.rewards.config import RewardConfig, open_bottleneck, open_reward, parse_config
from ccs.rewards.gates import Gated
from ccs.rollouts.file import read_trajectories
from ccs.training.config import TrainConfig, read_train_config
from ccs.training.demo import prepare
from ccs.training.demo.reader import FOLDER as READER
from ccs.training.demo.reader import open_reconstruction
from ccs.training.demo.world import Fact, World, make_world
from ccs.training.journal import Journal
from ccs.training.run import train
from fresco.io.files import write_atomically

_SMOKE = (
    *("demo.warm_up_steps=5", "demo.people=40", "demo.held_out=6", "keep.preflight=0", "keep.audited=0"),
    *("optimization.steps=1", "optimization.questions_per_step=2", "optimization.micro_batch=16"),
)
#: Rewards that teach nothing are among the controls: they, too, go to the end.
_UNGUARDED = ("keep.collapse=0", "keep.dead=0", "keep.preflight=0")
_SHOWN = ("exact match", "reward", "unseen reward", "answered", "searches", "query overlap", "malformed turns")
#: What a query asks for, and which page is found.
_ASKED = ("name and matter", "name alone", "matter alone", "neither", "no search")
_OUTLIVES = "names that outlive the mask"
_PAGES = ("the right page", "the same person's other page", "another's page of the matter")


def _reconstruction(world: Path) -> Reward:
    return Gated(open_reconstruction(world / READER))


def _overlap() -> Reward:
    [(_, term)] = read_train_config("demo").reward_terms
    return open_reward(term)


#: What each run is, and its reward; None is the preset's own.
VARIANTS: dict[str, tuple[str, Callable[[Path, int], Reward] | None]] = {
    "reconstruction": ("the preset as it ships, all guards on", None),
    "shuffled": (
        "the same reward, its values changing places within groups",
        lambda world, seed: Shuffled(_reconstruction(world), seed),
    ),
    "title overlap": ("words of the question in the page found, no model", lambda *_: _overlap()),
    "exact match": ("gold answers", lambda *_: open_reward(parse_config({"reward": "exact-match"}))),
}


def make(work: Path, seed: int, changes: Sequence[str]) -> tuple[TrainConfig, Path, float]:
    """The preset of a seed, the folder of its world, and the CPU seconds that the world and both models took."""
    config = read_train_config("demo-reconstruction", [f"optimization.seed={seed}", f"demo.seed={seed}", *changes])
    folder, kept = work / f"world-{seed}", work / f"world-{seed}.json"
    started = time.process_time()
    prepare(config, folder, print)
    if not kept.exists():
        write_atomically(kept, json.dumps(time.process_time() - started))
    return config, folder, float(json.loads(kept.read_text(encoding="utf-8")))


def run(work: Path, variant: str, seed: int, changes: Sequence[str]) -> dict[str, Any]:
    """Train one variant; or read what it gave."""
    folder = work / f"{variant.replace(' ', '-')}-{seed}"
    done = folder / "study.json"
    if done.exists():
        finished: dict[str, Any] = json.loads(done.read_text(encoding="utf-8"))
        return finished
    _, make_reward = VARIANTS[variant]
    config, world, made = make(work, seed, [*changes, *(_UNGUARDED if make_reward else ())])
    whole = not folder.exists()  # of a run that was killed, the seconds of the last part would say nothing
    if whole:
        shutil.copytree(world, folder / "demo")
    started, cpu = time.perf_counter(), time.process_time()
    rewards = [(1.0, make_reward(world, seed))] if make_reward else None
    outcome = train(config, folder, rewards=rewards, tell=print)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    journal, steps = Journal(folder), outcome.steps
    rows = [{name: row.get(name) for name in ("step", *_SHOWN)} for row in outcome.evaluations]
    result = {
        "variant": variant,
        "seed": seed,
        "steps": steps,
        "stopped": outcome.stopped,
        "best": outcome.best,
        "evaluations": rows,
        "asked": {name: asked(journal.held_out(step), config) for name, step in (("before", 0), ("after", steps))},
        "cpu_seconds": {"world and models": made, "training": cpu if whole else None},
        "seconds": seconds if whole else None,
        "flat groups": [row.get("flat groups") for row in journal.rows("steps.jsonl")],
    }
    write_atomically(done, json.dumps(result))
    return result


def _world(config: TrainConfig) -> World:
    assert config.demo is not None
    return make_world(config.demo.people, config.demo.held_out, config.demo.seed)


def asked(path: Path, config: TrainConfig) -> dict[str, float]:
    """Held-out rollouts by what their first query asks for, and of queries in which a name outlives the mask."""
    facts = {fact.question: fact for fact in _world(config).held_out}
    rollouts = read_trajectories(path)
    kinds = Counter(_kind(each, facts[each.question]) for each in rollouts)
    masked = open_bottleneck(RewardConfig())(rollouts)
    steps = [
        (step.query, facts[each.question]) for each, trace in zip(rollouts, masked, strict=True) for step in trace.steps
    ]
    found = {kind: kinds[kind] / len(rollouts) for kind in _ASKED}
    survived = [any(part in query for part in fact.name.split()) for query, fact in steps]
    return found | {_OUTLIVES: statistics.fmean(survived) if survived else 0.0}


def _kind(trajectory: Trajectory, fact: Fact) -> str:
    if not trajectory.searches:
        return "no search"
    query = trajectory.searches[0].query or ""
    name, matter = fact.name in query, fact.relation in query
    return "name and matter" if name and matter else "name alone" if name else "matter alone" if matter else "neither"


def told_apart(work: Path, seed: int, changes: Sequence[str]) -> dict[str, Any]:
    """What the rewards give each kind of page, on held-out people, and how often the right page is given more."""
    config, folder, _ = make(work, seed, changes)
    facts = _world(config).held_out
    groups = [[_found(fact, page) for page in _pages(fact, facts)] for fact in facts]
    batch = [each for group in groups for each in group]
    found: dict[str, Any] = {}
    for name, reward in (("reconstruction", open_reconstruction(folder / READER)), ("title overlap", _overlap())):
        values = [value or 0.0 for value in reward.score(batch)]
        rows = [values[start : start + len(_PAGES)] for start in range(0, len(values), len(_PAGES))]
        found[name] = {
            page: {
                "mean": statistics.fmean(row[place] for row in rows),
                "right page above it": statistics.fmean(row[0] > row[place] for row in rows),
                "spreads between": _spreads([row[0] for row in rows], [row[place] for row in rows]),
            }
            for place, page in enumerate(_PAGES)
        }
    return found


def _pages(fact: Fact, facts: Sequence[Fact]) -> list[Fact]:
    same = next(each for each in facts if each.name == fact.name and each.relation != fact.relation)
    other = next(each for each in facts if each.name != fact.name and each.relation == fact.relation)
    return [fact, same, other]


def _found(fact: Fact, page: Fact) -> Trajectory:
    """Who asked for the name and the matter, and was given this page."""
    hit = Hit(page.page, f'"{page.name}"\n{page.page}')
    turns = (Turn("<search>", query=f"{fact.name} {fact.relation}", hits=(hit,)), Turn("<answer>", answer=page.value))
    return replace(Trajectory(fact.question, fact.question, 0, (), "answer"), turns=turns)


def _spreads(right: Sequence[float], wrong: Sequence[float]) -> float | None:
    """The difference of the means in standard deviations of the right page's reward over questions."""
    spread = statistics.pstdev(right)
    return (statistics.fmean(right) - statistics.fmean(wrong)) / spread if spread else None


def table(record: Mapping[str, Any], head: str) -> str:
    """All of it as Markdown."""
    return f"""# The method in the loop of the demo

Written by `eval/reconstruction_demo.py`, which says what is measured. Held-out questions answered greedily, by seed.
{head}

{_learned(record["results"])}
## What the policy asks for

Of its first queries, the mean over seeds, and of all queries those in which a name outlives the mask.

{_queries(record["results"])}
## What each reward tells apart

On held-out people, the mean over seeds; "above" is how often the right page of a question is given more than the wrong
one, "spreads" their difference in standard deviations of the right page's reward over questions.

{_apart(record["told apart"])}"""


def _learned(results: Sequence[Mapping[str, Any]]) -> str:
    text = "| reward | steps | EM before | EM after | answered | searches | query overlap | CPU seconds of training |\n"
    text += f"{'|---' * 8}|\n"
    for name, own in _by_variant(results):
        ends = [_by_seed(row["evaluations"][-1][key] for row in own) for key in _SHOWN[3:6]]
        cells = [
            f"{name}: {VARIANTS[name][0]}",
            _by_seed((row["steps"] for row in own), "d"),
            _by_seed(row["evaluations"][0]["exact match"] for row in own),
            _by_seed(row["evaluations"][-1]["exact match"] for row in own),
            *ends,
            _by_seed((row["cpu_seconds"]["training"] for row in own), ".0f"),
        ]
        text += f"| {' | '.join(cells)} |\n"
    first = next(own for _, own in _by_variant(results))
    made = _by_seed((row["cpu_seconds"]["world and models"] for row in first), ".0f")
    stopped = "; ".join(f"{row['variant']} {row['seed']}: {row['stopped']}" for row in results if row["stopped"])
    return (
        f"{text}\nWorld, index, policy and reader of a seed take {made} CPU seconds more, once for all rewards. "
        f"Stopped by a guard: {stopped or 'none'}.\n"
    )


def _queries(results: Sequence[Mapping[str, Any]]) -> str:
    kinds = [*_ASKED, _OUTLIVES]
    text = f"| reward | at | {' | '.join(kinds)} |\n|---|---{'|---' * len(kinds)}|\n"
    for name, own in _by_variant(results):
        for when in ("before", "after"):
            cells = [f"{statistics.fmean(row['asked'][when][kind] for row in own):.2f}" for kind in kinds]
            text += f"| {name} | {when} | {' | '.join(cells)} |\n"
    return text


def _apart(seeds: Sequence[Mapping[str, Any]]) -> str:
    text = "| reward | page | mean | right page above it | spreads between |\n|---|---|---|---|---|\n"
    for name in ("reconstruction", "title overlap"):
        for page in _PAGES:
            rows = [each[name][page] for each in seeds]
            mean, above = (statistics.fmean(row[key] for row in rows) for key in ("mean", "right page above it"))
            known = [row["spreads between"] for row in rows if row["spreads between"] is not None]
            cells = [f"{above:.2f}", f"{statistics.fmean(known):.1f}" if known else "-"]
            text += f"| {name} | {page} | {mean:.3f} | {' | '.join(cells if page != _PAGES[0] else '--')} |\n"
    return text


def _by_variant(results: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    return [(name, own) for name in VARIANTS if (own := [each for each in results if each["variant"] == name])]


def _by_seed(values: Iterable[Any], form: str = ".2f") -> str:
    return ", ".join("-" if each is None else format(each, form) for each in values)


def main() -> None:
    """Train what is missing, and write the table."""
    parser = study.make_parser(__doc__)
    parser.add_argument("work", type=Path, help="folder that keeps the state")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--threads", type=int, default=2, help="more than the demo's model can use are slower")
    parser.add_argument("--set", action="append", default=[], help="as of `ccs train`")
    options = parser.parse_args()
    made = study.begin(options)
    if options.smoke:
        options.seeds, options.variants, options.set = 1, options.variants[:2], [*options.set, *_SMOKE]
    torch.set_num_threads(options.threads)
    apart = [told_apart(options.work, seed, options.set) for seed in range(options.seeds)]
    results = [run(options.work, name, seed, options.set) for name in options.variants for seed in range(options.seeds)]
    record = {"results": results, "told apart": apart, "set": options.set, "environment": made}
    head = f"{options.seeds} seeds, {options.threads} thread(s). {study.made_by(made)}."
    study.record(options, "reconstruction_demo", record, table(record, head))


if __name__ == "__main__":
    main()
