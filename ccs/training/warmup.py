"""Warm-up: a policy learns to act by imitating the best of recorded trajectories, chosen by the reward, never by gold.

A base or small instruct model that does not keep the protocol earns nothing in nearly every group, and GRPO has nothing
to compare. Rejection sampling gets it over that: sample (its own traces under a longer prompt, or those of a stronger
served model), keep what earned most, fine-tune on it. Only what the policy says is learned, never what it reads.

    traces.jsonl       what is imitated: question, sample, reward, token ids, mask
    checkpoints/       to go on from
    model/             the policy, adapters merged; a folder for `model.path` of the training
    run.json           settings, what was left out and why, losses on held-out traces before and after

A rerun of the same command goes on from the newest whole checkpoint and ends in the same weights.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ccs.agent.trajectory import Trajectory
from ccs.rewards.base import Reward
from ccs.rewards.reward_file import digest
from ccs.training.config import TrainConfig
from ccs.training.journal import Journal
from ccs.training.scorer import totals
from ccs.training.traces import Trace, replay_all, select
from ccs.training.watch import number
from ccs.training.weights import save_policy
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
        loss_before: Mean negative log-likelihood of a token on the held-out traces (nats), before; NaN without any.
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
    from ccs.training.run import open_rewards, require_trl

    require_trl()
    if config.demo is not None:
        raise FrescoError("the demo warms its own model up; give the configuration of a training of your own")
    terms = list(rewards) if rewards is not None else open_rewards(config, folder)
    gold = [reward.name for _, reward in terms if reward.needs_gold]
    if gold:
        raise FrescoError(f"the reward {gold[0]} reads gold answers; warm up by one that does not")
    with locked(folder):
        _claim(folder, config, trajectories, plan, terms)
        if (folder / "run.json").exists():
            return _read(folder)
        return _Run(config, folder, plan, progress).run(trajectories, terms)


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
    """One warm-up."""

    def __init__(self, config: TrainConfig, folder: Path, plan: WarmUpPlan, progress: Progress) -> None:
        self._config, self._folder, self._plan, self._progress = config, folder, plan, progress
        self._journal = Journal(folder)

    def run(self, trajectories: Sequence[Trajectory], terms: Sequence[tuple[float, Reward]]) -> WarmedUp:
        import torch
        from transformers import AutoModelForCausalLM, DataCollatorForSeq2Seq, Trainer

        from ccs.training.callback import WarmingUp
        from ccs.training.run import open_tokenizer
        from ccs.training.trainer import adapter, loading

        config = self._config
        tokenizer = open_tokenizer(config)
        traces, left_out = self._traces(trajectories, terms, tokenizer)
        learned, looked_at = _parted(traces)
        torch.manual_seed(config.optimization.seed)
        model = AutoModelForCausalLM.from_pretrained(config.model.path, **loading(config.model))
        chosen = adapter(config)
        if chosen is not None:
            from peft import get_peft_model

            model = get_peft_model(model, chosen)
        resumed = self._journal.resume()
        trainer = Trainer(
            model=model,
            args=self._arguments(len(learned)),
            train_dataset=_rows(learned),
            eval_dataset=_rows(looked_at) if looked_at else None,
            data_collator=DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=_IGNORED),
            processing_class=tokenizer,
        )
        WarmingUp(self._journal, self._progress).attach(trainer)
        before = self._loss_before(trainer, looked_at)
        trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
        after = _loss(trainer, looked_at)
        save_policy(trainer, self._folder / "model", merged=chosen is not None)
        result = WarmedUp(self._folder / "model", len(learned), len(looked_at), left_out, before, after)
        self._record(result, learned)
        return result

    def _traces(
        self, trajectories: Sequence[Trajectory], terms: Sequence[tuple[float, Reward]], tokenizer: Any
    ) -> tuple[list[Trace], dict[str, int]]:
        """What is imitated; kept, since a rerun must imitate the same and pay for no reward twice."""
        from ccs.training.run import template_of

        path, counts = self._folder / "traces.jsonl", self._folder / "left_out.json"
        if path.exists():
            return [Trace(**row) for row in read_rows(path)], read_state(counts, {}, _MEND)
        ordered = _grouped(trajectories)
        values = totals(terms, ordered, {})
        if all(value is None for value in values):
            raise FrescoError("no trajectory could be rewarded; `ccs reward` says why of each")
        kept, left = select(ordered, values, best=self._plan.best, least=self._plan.least)
        traces, left_out = replay_all(kept, left, tokenizer, self._config.agent, template_of(self._config))
        write_state(counts, left_out)
        write_atomically(path, lines([asdict(each) for each in traces]))
        return traces, left_out

    def _arguments(self, traces: int) -> Any:
        from transformers import TrainingArguments

        from ccs.training.trainer import has_accelerator

        config, plan = self._config, self._plan
        micro = min(config.optimization.micro_batch, plan.batch)
        accumulation = max(1, plan.batch // micro)
        steps = plan.epochs * math.ceil(traces / (micro * accumulation))
        return TrainingArguments(
            output_dir=str(self._journal.checkpoints),
            use_cpu=not has_accelerator(),
            bf16=config.optimization.bf16,
            gradient_checkpointing=config.model.gradient_checkpointing,
            per_device_train_batch_size=micro,
            per_device_eval_batch_size=micro,
            gradient_accumulation_steps=accumulation,
            num_train_epochs=plan.epochs,
            learning_rate=plan.learning_rate,
            lr_scheduler_type="linear",
            warmup_steps=math.ceil(steps / 10),
            max_grad_norm=config.optimization.max_gradient,
            seed=config.optimization.seed,
            save_strategy="steps",
            save_steps=max(1, steps // 10),
            save_total_limit=config.keep.checkpoints,
            logging_steps=1,
            report_to=list(config.keep.report_to) or "none",
            disable_tqdm=True,
            remove_unused_columns=False,
        )

    def _loss_before(self, trainer: Any, looked_at: Sequence[Trace]) -> float:
        path = self._folder / "before.json"
        if not path.exists():
            write_state(path, {"loss": _clean(_loss(trainer, looked_at))})
        return number(read_state(path, {"loss": _LOSS}, _MEND)["loss"])

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


_MEND = "give another --out, or remove this folder"
_LOSS = (int, float, type(None))
_RECORD: Shape = {"traces": int, "held_out": int, "left_out": dict, "loss_before": _LOSS, "loss_after": _LOSS}


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
