"""Warm-up: a policy learns to act by imitating the best of recorded trajectories, chosen by the reward, never by gold.

A base or small instruct model that does not keep the protocol earns nothing in nearly every group, and GRPO has nothing
to compare. Rejection sampling gets it over that: sample (its own traces under a longer prompt, or those of a stronger
served model), keep what earned most, fine-tune on it. Only what the policy says is learned, never what it reads.

    traces.jsonl       what is imitated: question, sample, reward, token ids, mask
    checkpoints/       to go on from
    model/             the policy, adapters merged; a folder for `model.path` of the training
    run.json           settings, what was left out and why, losses on held-out traces before and after

A rerun of the same command goes on from the newest whole checkpoint and ends in the same weights. Several processes, as
a launcher starts them, share each update's traces: the weights are those of one process up to rounding, but for the
last update of a pass, to which some traces are added again where they cannot be shared out evenly.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ccs.agent.trajectory import Trajectory
from ccs.rewards.base import Reward
from ccs.rewards.reward_file import digest
from ccs.training.config import TrainConfig
from ccs.training.journal import Journal, step_of
from ccs.training.processes import on_main, peers_lost
from ccs.training.scorer import totals
from ccs.training.traces import Trace, replay_all, select
from ccs.training.watch import number
from ccs.training.weights import allow_gathering, save_policy
from fresco.errors import FrescoError
from fresco.io.files import lines, locked, read_rows, write_atomically
from fresco.io.secrets import redacted
from fresco.io.state import Shape, read_state, write_state
from fresco.terminal.progress import Progress, no_progress

_HELD_OUT = 10  # one question in so many is not learned from, where there are as many
_IGNORED = -100  # transformers' label of a token that is not learned


@dataclass(frozen=True, slots=True)
class WarmUpPlan:
    """How traces are chosen and imitated.

    Attributes:
        best: Traces of a question at most.
        least: Reward that each must exceed; None is the mean of all.
        epochs: Passes over the traces.
        learning_rate: After a tenth of the steps, falling to 0.
        batch: Traces of an update.
    """

    best: int = 1
    least: float | None = None
    epochs: int = 2
    learning_rate: float = 1e-5
    batch: int = 16

    def __post_init__(self) -> None:
        for name in ("best", "epochs", "batch"):
            if getattr(self, name) < 1:
                raise FrescoError(f"{name} is {getattr(self, name)}; at least 1 is wanted")
        if not 0 < self.learning_rate <= 1:
            raise FrescoError(f"learning_rate is {self.learning_rate}; above 0, at most 1 is wanted")


@dataclass(frozen=True, slots=True)
class WarmedUp:
    """What a warm-up ended with.

    Attributes:
        model: Folder of the policy.
        traces: How many were imitated.
        held_out: How many were only looked at.
        left_out: How many trajectories were not used, by reason.
        loss_before: Negative log-likelihood of a token (nats), mean over the held-out traces, before; NaN without any.
        loss_after: After.
    """

    model: Path
    traces: int
    held_out: int
    left_out: Mapping[str, int]
    loss_before: float
    loss_after: float


def warm_up(
    config: TrainConfig,
    trajectories: Sequence[Trajectory],
    folder: Path,
    plan: WarmUpPlan,
    *,
    rewards: Sequence[tuple[float, Reward]] | None = None,
    progress: Progress = no_progress,
) -> WarmedUp:
    """Warm a policy up, or go on with it.

    Args:
        config: Of the training to come: its model, agent, rewards, ``optimization.micro_batch``, ``bf16`` and ``seed``.
        trajectories: Whole groups of training questions.
        folder: Output.
        plan: What to imitate, and how long.
        rewards: Weights and rewards in place of the configured ones.
        progress: Told of the steps.

    Raises:
        FrescoError: a reward that reads gold answers, nothing to imitate, bad input, or another run's folder.
    """
    from ccs.training.run import join, open_rewards, require_trl

    require_trl()
    process = join(config)
    with ExitStack() as held:
        held.enter_context(peers_lost())

        def begin() -> WarmedUp | None:
            if config.demo is not None:
                raise FrescoError("the demo warms its own model up; give the configuration of a training of your own")
            terms = list(rewards) if rewards is not None else open_rewards(config, folder)
            gold = [reward.name for _, reward in terms if reward.needs_gold]
            if gold:
                raise FrescoError(f"the reward {gold[0]} reads gold answers; warm up by one that does not")
            held.enter_context(locked(folder))
            _claim(folder, config, trajectories, plan, terms)
            if (folder / "run.json").exists():
                return _read(folder)
            _keep_traces(config, folder, plan, trajectories, terms)
            return None

        done = on_main(process, begin)
        return done or _Run(config, folder, plan, process, progress if process.is_main_process else no_progress).run()


def _claim(
    folder: Path,
    config: TrainConfig,
    trajectories: Sequence[Trajectory],
    plan: WarmUpPlan,
    terms: Sequence[tuple[float, Reward]],
) -> None:
    chosen = config.optimization
    mine = {
        "model": asdict(config.model),
        "agent": asdict(config.agent),
        "rewards": [[weight, reward.fingerprint] for weight, reward in terms],
        "optimization": {"bf16": chosen.bf16, "micro_batch": chosen.micro_batch, "seed": chosen.seed},
        "plan": asdict(plan),
        "trajectories": [digest(each) for each in trajectories],
    }
    mine = redacted(json.loads(json.dumps(mine)))
    path = folder / "identity.json"
    if not path.exists():
        write_state(path, mine)
        return
    found = read_state(path, {}, _MEND)
    changed = [key for key in mine if found.get(key) != mine[key]]
    if changed:
        raise FrescoError(
            f"--out {folder}: holds a warm-up with another {', '.join(changed)}; give another folder, or remove it"
        )


class _Run:
    """One warm-up, by one process or several, which share each update's traces."""

    def __init__(self, config: TrainConfig, folder: Path, plan: WarmUpPlan, process: Any, progress: Progress) -> None:
        self._config, self._folder, self._plan = config, folder, plan
        self._process, self._progress = process, progress
        self._journal = Journal(folder)

    def run(self) -> WarmedUp:
        import torch
        from transformers import AutoModelForCausalLM, DataCollatorForSeq2Seq, Trainer

        from ccs.training.callback import WarmingUp, go_on
        from ccs.training.curves import add_curves
        from ccs.training.run import open_tokenizer
        from ccs.training.trainer import adapter, loading

        config = self._config
        traces, left_out = on_main(self._process, lambda: _kept_traces(self._folder))
        learned, looked_at = _parted(traces)
        arguments = on_main(self._process, lambda: self._sizes(len(learned)))
        tokenizer = open_tokenizer(config)
        torch.manual_seed(config.optimization.seed)
        model = AutoModelForCausalLM.from_pretrained(config.model.path, **loading(config.model))
        chosen = adapter(config)
        if chosen is not None:
            from peft import get_peft_model

            model = get_peft_model(model, chosen)
        resumed = on_main(self._process, self._journal.resume)
        trainer = Trainer(
            model=model,
            args=self._arguments(**arguments),
            train_dataset=_rows(learned),
            eval_dataset=_rows(looked_at) if looked_at else None,
            data_collator=DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=_IGNORED),
            processing_class=tokenizer,
        )
        allow_gathering(trainer, merged=chosen is not None)
        # Not before the training has begun: a model that accelerate prepared for evaluation alone is never wrapped
        # again, so that several processes would each learn from their own traces.
        first = partial(self._look_first, trainer, looked_at)
        add_curves(trainer, config.keep.report_to, self._folder, step_of(resumed))
        WarmingUp(self._journal, config.keep.checkpoints, self._progress, first).attach(trainer)
        go_on(trainer, resumed)
        before = on_main(self._process, self._loss_before)
        after = _loss(trainer, looked_at)
        save_policy(trainer, self._folder / "model", merged=chosen is not None)
        result = WarmedUp(self._folder / "model", len(learned), len(looked_at), left_out, before, after)
        on_main(self._process, lambda: self._record(result, learned))
        return result

    def _sizes(self, traces: int) -> dict[str, int]:
        """Traces of a pass of one process, passes of an update, updates.

        Raises:
            FrescoError: the processes cannot share an update's traces evenly.
        """
        processes, batch = self._process.num_processes, self._plan.batch
        if batch % processes:
            raise FrescoError(
                f"batch is {batch}: no multiple of {processes} processes, which share each update's traces"
            )
        share = batch // processes
        micro = max(n for n in range(1, min(self._config.optimization.micro_batch, share) + 1) if share % n == 0)
        accumulation = share // micro
        return {
            "micro": micro,
            "accumulation": accumulation,
            "steps": self._plan.epochs * math.ceil(traces / batch),
        }

    def _arguments(self, *, micro: int, accumulation: int, steps: int) -> Any:
        from transformers import TrainingArguments

        from ccs.training.curves import backends
        from ccs.training.trainer import has_accelerator, longest_wait

        config, plan = self._config, self._plan
        return TrainingArguments(
            output_dir=str(self._journal.checkpoints),
            use_cpu=not has_accelerator(),
            bf16=config.optimization.bf16,
            gradient_checkpointing=config.model.gradient_checkpointing,
            per_device_train_batch_size=micro,
            per_device_eval_batch_size=1,  # a mean over traces, however many processes share them
            gradient_accumulation_steps=accumulation,
            num_train_epochs=plan.epochs,
            learning_rate=plan.learning_rate,
            lr_scheduler_type="linear",
            warmup_steps=math.ceil(steps / 10),
            max_grad_norm=config.optimization.max_gradient,
            seed=config.optimization.seed,
            save_strategy="steps",
            save_steps=max(1, steps // 10),
            logging_steps=1,
            report_to=backends(config.keep.report_to),
            ddp_timeout=longest_wait(config),
            disable_tqdm=True,
            remove_unused_columns=False,
        )

    def _look_first(self, trainer: Any, looked_at: Sequence[Trace]) -> None:
        loss = _loss(trainer, looked_at)
        on_main(self._process, lambda: write_state(self._folder / _BEFORE, {"loss": _clean(loss)}))

    def _loss_before(self) -> float:
        return number(read_state(self._folder / _BEFORE, {"loss": _LOSS}, _MEND)["loss"])

    def _record(self, result: WarmedUp, learned: Sequence[Trace]) -> None:
        from fresco.io.provenance import environment

        content = {
            "schema_version": 1,
            **{key: _clean(value) for key, value in asdict(result).items() if key != "model"},
            "mean_reward": sum(each.reward for each in learned) / len(learned),
            "questions": len({each.question_id for each in learned}),
            "plan": asdict(self._plan),
            "rewards": list(self._config.rewards),
            "base": self._config.model.path,
            "environment": environment(),
        }
        write_state(self._folder / "run.json", content)


_TRACES, _COUNTS, _BEFORE = "traces.jsonl", "left_out.json", "before.json"
_MEND = "give another --out, or remove this folder"
_LOSS = (int, float, type(None))
_RECORD: Shape = {"traces": int, "held_out": int, "left_out": dict, "loss_before": _LOSS, "loss_after": _LOSS}


def _keep_traces(
    config: TrainConfig,
    folder: Path,
    plan: WarmUpPlan,
    trajectories: Sequence[Trajectory],
    terms: Sequence[tuple[float, Reward]],
) -> None:
    """Write down what is imitated, once: a rerun must imitate the same and pay for no reward twice."""
    from ccs.training.run import open_tokenizer, template_of

    if (folder / _TRACES).exists():
        return
    tokenizer = open_tokenizer(config)
    ordered = _grouped(trajectories)
    values = totals(terms, ordered, {})
    if all(value is None for value in values):
        raise FrescoError("no trajectory could be rewarded; `ccs reward` says why of each")
    kept, left = select(ordered, values, best=plan.best, least=plan.least)
    traces, left_out = replay_all(kept, left, tokenizer, config.agent, template_of(config))
    write_state(folder / _COUNTS, left_out)
    write_atomically(folder / _TRACES, lines([asdict(each) for each in traces]))


def _kept_traces(folder: Path) -> tuple[list[Trace], dict[str, int]]:
    return [Trace(**row) for row in read_rows(folder / _TRACES)], read_state(folder / _COUNTS, {}, _MEND)


def _clean(value: Any) -> Any:
    """JSON has no NaN."""
    return None if isinstance(value, float) and math.isnan(value) else value


def _read(folder: Path) -> WarmedUp:
    found = read_state(folder / "run.json", _RECORD, _MEND)
    losses = [number(found[name]) for name in ("loss_before", "loss_after")]
    return WarmedUp(folder / "model", found["traces"], found["held_out"], found["left_out"], *losses)


def _grouped(trajectories: Sequence[Trajectory]) -> list[Trajectory]:
    """The trajectories of each question side by side."""
    groups: dict[str, list[Trajectory]] = {}
    for each in trajectories:
        groups.setdefault(each.question_id, []).append(each)
    return [each for group in groups.values() for each in group]


def _parted(traces: Sequence[Trace]) -> tuple[list[Trace], list[Trace]]:
    """Those to learn from, and those only looked at: every tenth question, where there are ten."""
    questions = list(dict.fromkeys(each.question_id for each in traces))
    looked_at = set(questions[_HELD_OUT - 1 :: _HELD_OUT])
    return (
        [each for each in traces if each.question_id not in looked_at],
        [each for each in traces if each.question_id in looked_at],
    )


def _rows(traces: Sequence[Trace]) -> list[dict[str, list[int]]]:
    return [
        {
            "input_ids": each.ids,
            "attention_mask": [1] * len(each.ids),
            "labels": [token if said else _IGNORED for token, said in zip(each.ids, each.mask, strict=True)],
        }
        for each in traces
    ]


def _loss(trainer: Any, looked_at: Sequence[Trace]) -> float:
    return float(trainer.evaluate()["eval_loss"]) if looked_at else math.nan


def describe(result: WarmedUp) -> str:
    """A warm-up in a line or two."""
    text = f"{result.traces} traces imitated: {result.model}"
    if result.held_out:
        text += (
            f"\n{result.held_out} held-out traces: {result.loss_before:.3f} nats a token before, "
            f"{result.loss_after:.3f} after"
        )
    if result.left_out:
        text += "\nleft out: " + ", ".join(f"{count} {reason}" for reason, count in result.left_out.items())
    return text
