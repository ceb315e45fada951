"""Does a search agent learn from questions alone, and what is each guard worth? The demo of ``ccs train``, many times.

    pip install -e ".[test]" && PYTHONPATH=eval python eval/search_training.py DIR

trains the demo's policy (half a million parameters, a made-up world) for each seed with the shipped reward, with the
guards taken away one by one, with a shuffled reward, and with the paper's baselines; all from the same warmed-up model.
Held-out people, greedy answers. It writes ``eval/results/search_training.json``, ``.md`` and ``.png``. Killed, the
same command goes on. A tiny model in a made-up world proves the machinery and its guards, not quality at real size.
"""

from __future__ import annotations

import json
import math
import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import study
import torch
from training_rewards import (
    LocalModel,
    OwnConfidence,
    RuleJudge,
    Shuffled,
    open_bottleneck_without_mask,
)
from transformers import TrainerCallback

from ccs.rewards.base import Reward
from ccs.rewards.baselines import ConstitutionalJudge
from ccs.rewards.config import RewardConfig, open_bottleneck, open_reward, parse_config
from ccs.rewards.cycle import CycleReward
from ccs.rewards.gates import Gated, Gates
from ccs.rewards.reconstruct import Identity
from ccs.rewards.similarity import open_similarity
from ccs.training.config import TrainConfig, read_train_config
from ccs.training.demo import prepare
from ccs.training.demo.reader import FOLDER as READER
from ccs.training.demo.reader import open_reconstruction
from ccs.training.run import open_tokenizer, train
from fresco.io.files import write_atomically

_SMOKE = ("optimization.steps=2", "demo.warm_up_steps=5", "keep.evaluate_every=2")
_SHOWN = ("exact match", "reward", "answered", "searches", "query overlap", "malformed turns")


@dataclass
class Setting:
    """What a variant's reward may need."""

    config: TrainConfig
    seed: int
    tokenizer: Any
    world_folder: Path
    changes: Sequence[str]
    policy: list[Any]  # the trainer's model, once there is one


def _cycle(**gates: float) -> Callable[[Setting], Reward]:
    def make(setting: Setting) -> Reward:
        [(_, term)] = setting.config.reward_terms
        inner = open_reward(term)
        return Gated(inner.inner, Gates(**gates)) if gates and isinstance(inner, Gated) else inner

    return make


def _words(*, masked: bool) -> Callable[[Setting], Reward]:
    def make(_: Setting) -> Reward:
        bottleneck = open_bottleneck(RewardConfig()) if masked else open_bottleneck_without_mask()
        return Gated(CycleReward(bottleneck, Identity(), open_similarity("token-f1")))

    return make


def _plain(name: str) -> Callable[[Setting], Reward]:
    return lambda _: open_reward(parse_config({"reward": name}))


def _shuffled(setting: Setting) -> Reward:
    return Shuffled(_cycle()(setting), setting.seed)


def _confidence(setting: Setting) -> Reward:
    return OwnConfidence(LocalModel("the policy", setting.tokenizer, lambda: setting.policy[0]))


def _judge(_: Setting) -> Reward:
    return ConstitutionalJudge(RuleJudge())  # type: ignore[arg-type]


def _likelihood(setting: Setting) -> Reward:
    """The reward of the preset demo-reconstruction."""
    prepare(read_train_config("demo-reconstruction", setting.changes), setting.world_folder, print)
    return Gated(open_reconstruction(setting.world_folder / READER))


#: Name of each variant, what it is, and its reward.
VARIANTS: dict[str, tuple[str, Callable[[Setting], Reward]]] = {
    "cycle": ("the shipped default: evidence behind gates, no gold", _cycle()),
    "cycle, gates off": ("nothing asks for an answer", _cycle(answer=0.0, search=0.0)),
    "cycle, shuffled": ("its values change places within each group", _shuffled),
    "words, mask on": ("the trace compared with the question word by word, queries masked", _words(masked=True)),
    "words, mask off": ("the same, queries as asked: pasting the question pays", _words(masked=False)),
    "exact match": ("gold answers (Search-R1)", _plain("exact-match")),
    "majority vote": ("the group's commonest answer (TTRL)", _plain("majority-vote")),
    "self-confidence": ("the policy's own confidence in its answer (RLIF)", _confidence),
    "judge by rules": ("a stand-in with three rules", _judge),
    "likelihood": ("log-probability of the question, by a small frozen model", _likelihood),
}


class _Policy(TrainerCallback):  # type: ignore[misc]  # transformers is not typed
    """Lends the model that is trained to the confidence reward."""

    def __init__(self, box: list[Any]) -> None:
        self._box = box

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        self._box[:] = [model]


def run(work: Path, variant: str, seed: int, changes: Sequence[str]) -> dict[str, Any]:
    """Train one variant; or read what it gave."""
    folder = work / f"{variant.replace(', ', '-').replace(' ', '-')}-{seed}"
    done = folder / "study.json"
    if done.exists():
        finished: dict[str, Any] = json.loads(done.read_text(encoding="utf-8"))
        return finished
    seeds = (f"optimization.seed={seed}", f"demo.seed={seed}")
    # Rewards that teach nothing are among those compared: they, too, go to the end.
    unguarded = ("keep.collapse=0", "keep.dead=0", "keep.preflight=0")
    config = read_train_config("demo", [*seeds, *unguarded, *changes])
    shared = work / f"world-{seed}"
    ready = prepare(config, shared, print)
    if not (folder / "demo" / "done.json").exists():
        shutil.copytree(shared, folder / "demo", dirs_exist_ok=True)
    setting = Setting(config, seed, open_tokenizer(ready), shared, [*seeds, *changes], [])
    reward = VARIANTS[variant][1](setting)
    started = time.perf_counter()
    outcome = train(config, folder, rewards=[(1.0, reward)], tell=print, callbacks=[_Policy(setting.policy)])
    rows = [{"step": row["step"], **{name: row.get(name) for name in _SHOWN}} for row in outcome.evaluations]
    result = {"variant": variant, "seed": seed, "reward": reward.name, "evaluations": rows}
    result["seconds"] = round(time.perf_counter() - started, 1)
    write_atomically(done, json.dumps(result))
    return result


def _table(results: Sequence[dict[str, Any]]) -> list[str]:
    lines = [
        "| reward | EM before | EM after | by seed | answered | searches | query overlap |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, (what, _) in VARIANTS.items():
        own = [each for each in results if each["variant"] == name]
        if not own:
            continue
        first = [each["evaluations"][0]["exact match"] for each in own]
        last = [each["evaluations"][-1]["exact match"] for each in own]
        ends = {key: _mean([each["evaluations"][-1][key] for each in own]) for key in _SHOWN}
        lines.append(
            f"| {name}: {what} | {_mean(first):.2f} | {_mean(last):.2f} {_interval(last)} | "
            f"{', '.join(f'{value:.2f}' for value in last)} | {ends['answered']:.2f} | {ends['searches']:.2f} | "
            f"{ends['query overlap']:.2f} |"
        )
    return lines


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else math.nan


def _interval(values: Sequence[float]) -> str:
    """95 % of a mean of few runs: Student's t."""
    from scipy.stats import t

    if len(values) < 2:
        return ""
    half = float(t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
    return f"± {half:.2f}"


def _draw(results: Sequence[dict[str, Any]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.4), layout="constrained")
    guards = [name for name in VARIANTS if "," in name or name == "cycle"]
    others = ["cycle", *(name for name in VARIANTS if name not in guards)]
    for axes, names in zip(figure.subplots(1, 2, sharey=True), (guards, others), strict=True):
        for name in names:
            own = [each["evaluations"] for each in results if each["variant"] == name]
            if own:
                steps = [row["step"] for row in own[0]]
                means = [_mean([rows[number]["exact match"] for rows in own]) for number in range(len(steps))]
                axes.plot(steps, means, marker="o", markersize=3, label=name, linewidth=2.5 if name == "cycle" else 1.2)
        axes.set_xlabel("step")
        axes.set_ylim(0, 1.04)
        axes.legend(frameon=False, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("held-out exact match, greedy, mean over seeds")
    figure.savefig(path, dpi=150)


def main() -> None:
    """Train what is missing, and write the table."""
    parser = study.make_parser(__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], help="as of `ccs train`")
    options = parser.parse_args()
    made = study.begin(options)
    if options.smoke:
        options.seeds, options.variants = 1, options.variants[:1]
        options.set = [*options.set, *_SMOKE]
    torch.set_num_threads(options.threads)
    results = [run(options.work, name, seed, options.set) for name in options.variants for seed in range(options.seeds)]
    record = {"date": datetime.now(UTC).date().isoformat(), "results": results, "set": options.set, "environment": made}
    steps = results[0]["evaluations"][-1]["step"]
    commit = (made["git"] or {}).get("commit", "unknown")[:12]
    head = f"""# What a search agent learns, by reward

Written by `eval/search_training.py`, which says what is measured. The demo of `ccs train`: {steps} steps,
{options.seeds} seeds, held-out questions answered greedily; ± is a 95 % interval of the mean over seeds (Student's t).
{record["date"]}, {made["cpu"]}, {options.threads} thread(s), commit {commit}.
"""
    text = "\n".join([head, *_table(results), "", "![curves](search_training.png)", ""])
    study.record(options, "search_training", record, text)
    if folder := study.folder(options):
        _draw(results, folder / "search_training.png")


if __name__ == "__main__":
    main()
