"""TRL's GRPOTrainer around our rollouts and rewards: nothing of GRPO itself is ours.

TRL calls :meth:`SearchTraining.roll` for each batch (its ``rollout_func``) and :meth:`SearchTraining.reward` for the
numbers. Written against TRL 1.16, whose ``rollout_func`` and ``env_mask`` are experimental; hence the narrow pin.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ccs.agent.question import Question
from ccs.training.config import TrainConfig
from ccs.training.engines import SERVED_BY_NCCL
from ccs.training.rewards import Rewarded, RewardMix
from ccs.training.rollout import BatchedRollouts, Rollout
from ccs.training.settings import ModelConfig
from ccs.training.watch import step_figures
from ccs.training.weights import allow_gathering
from fresco.errors import FrescoError

_FAILED = Rewarded(None, {})
_WAIT = 1800.0  # seconds that processes wait for each other, beside what they wait for others
_SUSPICIOUS = 32  # searches in a row that found nothing: a bad policy asks a few, a wrong index answers none


class SearchTraining:
    """What TRL's trainer asks back.

    Args:
        roller: Makes rollouts.
        mix: Rewards them.
        questions: By id.
        group: Rollouts of each question.

    Attributes:
        asked: Ids of the questions of the last step, each once, of all processes.
    """

    def __init__(self, roller: BatchedRollouts, mix: RewardMix, questions: dict[str, Question], group: int) -> None:
        self._roller, self._mix = roller, mix
        self._questions, self._group = questions, group
        self._rollouts: list[Rollout] = []
        self._numbers: list[int] = []
        self._seconds: dict[str, float] = {}
        self._found_nothing = 0  # searches in a row
        self.asked: list[str] = []

    def roll(self, prompts: Sequence[str], trainer: Any) -> dict[str, list[Any]]:
        """TRL's ``rollout_func``: one rollout for each prompt, which is a question's id, repeated for its group.

        Raises:
            FrescoError: nothing came of any rollout.
        """
        from accelerate.utils import gather_object

        started = time.perf_counter()
        self._roller.engine.prepare(trainer)
        prepared = time.perf_counter()
        group = self._group
        tasks = [(self._questions[name], number % group) for number, name in enumerate(prompts)]
        ended: dict[int, list[Any]] = {}
        self._numbers = [-1] * (len(tasks) // group)

        def on_done(number: int, trajectory: Any) -> None:
            members = ended.setdefault(number // group, [None] * group)
            members[number % group] = trajectory
            if all(members):
                self._numbers[number // group] = self._mix.submit(members)

        self._rollouts = self._roller.roll(tasks, step=trainer.state.global_step, on_done=on_done, on_again=ended.clear)
        self.asked = gather_object(list(dict.fromkeys(prompts)))
        self._check(trainer)
        seconds = self._roller.seconds
        self._seconds = {
            "seconds of weights": prepared - started,
            "seconds of generation": seconds.generation,
            "seconds of retrieval": seconds.retrieval,
            "seconds of the rest of rolling out": time.perf_counter()
            - prepared
            - seconds.generation
            - seconds.retrieval,
        }
        logprobs = [rollout.logprobs for rollout in self._rollouts]
        return {
            "prompt_ids": [rollout.prompt_ids for rollout in self._rollouts],
            "completion_ids": [rollout.ids for rollout in self._rollouts],
            "env_mask": [rollout.mask for rollout in self._rollouts],
            "logprobs": None if any(each is None for each in logprobs) else logprobs,  # type: ignore[dict-item]
        }

    def reward(self, completions: Sequence[Any], log_metric: Any, **_: Any) -> list[float | None]:
        """TRL's reward function: what the rollouts of the last :meth:`roll` earned.

        Raises:
            FrescoError: none could be rewarded.
        """
        results = self._mix.collect()
        lost = [_FAILED] * self._group
        rewarded = [each for number in self._numbers for each in results.get(number, lost)]
        if all(each.total is None for each in rewarded):
            raise FrescoError(f"no rollout of this step could be rewarded: {self._mix.error or 'all ended in errors'}")
        if any(each is _FAILED for each in rewarded):
            names = dict.fromkeys(self._mix.names)
            rewarded = [Rewarded(None, names) if each is _FAILED else each for each in rewarded]
        figures = step_figures(self._rollouts, rewarded, self._questions, self._group)
        figures |= self._seconds | {"seconds of waiting for rewards": self._mix.seconds}
        apart = getattr(self._roller.engine, "apart", None)
        figures |= {} if apart is None else {"weights apart": apart}
        for name, value in figures.items():
            if not math.isnan(value):
                log_metric(f"agent/{name}", value)
        assert len(rewarded) == len(completions)
        return [each.total for each in rewarded]

    def _check(self, trainer: Any) -> None:
        trajectories = [rollout.trajectory for rollout in self._rollouts]
        errors = [each.error for each in trajectories if each.stop == "error"]
        step = trainer.state.global_step + 1
        if len(errors) == len(trajectories):
            raise FrescoError(
                f"step {step}: every rollout ended with an error ({errors[0]}); mend it, and the same command goes on "
                "from the last checkpoint"
            )
        searches = [turn for each in trajectories for turn in each.searches]
        self._found_nothing = 0 if any(turn.hits for turn in searches) else self._found_nothing + len(searches)
        if self._found_nothing >= _SUSPICIOUS:
            raise FrescoError(
                f"step {step}: the retriever returned no passage for the last {self._found_nothing} searches; does it "
                "serve the right index? The same command goes on from the last checkpoint"
            )


def build_trainer(
    config: TrainConfig, checkpoints: Path, training: SearchTraining, names: Sequence[str], tokenizer: Any
) -> Any:
    """TRL's trainer.

    Args:
        config: The run.
        checkpoints: Where they go.
        training: Rollouts and rewards.
        names: Ids of the training questions.
        tokenizer: Of the policy.

    Raises:
        FrescoError: sizes that do not fit the number of processes.
    """
    # TRL warns of its own rollout_func at each start; the pin of its version is the answer to that.
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    from ccs.training.curves import backends

    chosen, model = config.optimization, config.model
    accumulation = _accumulation(config, int(os.environ.get("WORLD_SIZE", "1")))
    engine = config.generation.engine
    vllm: dict[str, Any] = {}
    if engine in (*SERVED_BY_NCCL, "vllm-colocate"):
        stops = {"stop": ["</search>", "</answer>"], "include_stop_str_in_output": True}
        vllm = {"use_vllm": True, "generation_kwargs": stops}
        if engine in SERVED_BY_NCCL:
            vllm |= {"vllm_mode": "server", "vllm_server_base_url": config.generation.server}
        else:
            vllm |= {"vllm_mode": "colocate", "vllm_max_model_length": config.agent.context_tokens}
            vllm |= {
                "vllm_gpu_memory_utilization": config.generation.memory,
                "vllm_tensor_parallel_size": config.generation.tensor_parallel,
                "vllm_enable_sleep_mode": config.generation.sleep,
            }
    if config.generation.correction == "none":
        vllm["vllm_importance_sampling_correction"] = False
    else:
        vllm["vllm_importance_sampling_mode"] = config.generation.correction
    arguments = GRPOConfig(
        output_dir=str(checkpoints),
        use_cpu=not has_accelerator(),
        bf16=chosen.bf16,
        gradient_checkpointing=model.gradient_checkpointing,
        model_init_kwargs=loading(model),
        per_device_train_batch_size=chosen.micro_batch,
        gradient_accumulation_steps=accumulation,
        steps_per_generation=accumulation,
        num_generations=chosen.group,
        max_completion_length=config.agent.context_tokens,
        temperature=config.generation.temperature,
        beta=chosen.kl,
        loss_type=chosen.loss,
        epsilon=chosen.clip,
        scale_rewards="group" if chosen.normalize else "none",
        learning_rate=chosen.learning_rate,
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=math.ceil(chosen.steps * chosen.warmup),
        max_grad_norm=chosen.max_gradient,
        max_steps=chosen.steps,
        seed=chosen.seed,
        save_strategy="steps",
        save_steps=config.keep.save_every,
        logging_steps=1,
        report_to=backends(config.keep.report_to),
        ddp_timeout=longest_wait(config),
        disable_tqdm=True,
        dataloader_num_workers=0,
        **vllm,
    )
    trainer = GRPOTrainer(
        model=model.path,
        reward_funcs=_named(training),
        args=arguments,
        train_dataset=Dataset.from_dict({"prompt": list(names)}),
        processing_class=tokenizer,
        peft_config=adapter(config),
        rollout_func=training.roll,
    )
    allow_gathering(trainer, merged=config.keep.merged)
    return trainer


def loading(model: ModelConfig) -> dict[str, Any]:
    """Arguments of transformers' ``from_pretrained`` for a policy."""
    own = {"dtype": model.dtype, "revision": model.revision or "main"}
    return own | ({"attn_implementation": model.attention} if model.attention else {})


def has_accelerator() -> bool:
    """Whether there is more than a CPU to train on."""
    import torch

    return bool(torch.cuda.is_available() or torch.backends.mps.is_available())


def longest_wait(config: TrainConfig) -> int:
    """Seconds that a process may wait for the others: for one whose server and whose rewards take all they may."""
    return math.ceil(_WAIT + config.reward_timeout + config.generation.patience)


def correct_for_server(trainer: Any, sync: Any) -> None:
    """Have TRL correct for what the server computes otherwise than the trainer, as it does for its own vLLM.

    TRL then calls ``sync_weights`` before a rollout and weighs each token by the ratio of the two probabilities.
    """
    trainer.use_vllm = True
    trainer.vllm_generation = sync
    trainer._last_loaded_step = -1


def _named(training: SearchTraining) -> Any:
    def reward(completions: Sequence[Any], log_metric: Any, **others: Any) -> list[float | None]:
        return training.reward(completions, log_metric, **others)

    return reward


def adapter(config: TrainConfig) -> Any:
    """Peft's configuration of the low-rank adapter that is trained; None where all weights are.

    Raises:
        FrescoError: peft is not installed.
    """
    if config.model.lora_rank is None:
        return None
    try:
        from peft import LoraConfig
    except ImportError:
        raise FrescoError('model.lora_rank needs peft: pip install "fresco-ccs[train]"') from None
    targets: Any = list(config.model.lora_targets)
    if targets == ["all-linear"]:
        targets = "all-linear"
    return LoraConfig(
        r=config.model.lora_rank,
        lora_alpha=config.model.lora_alpha,
        target_modules=targets,
        task_type="CAUSAL_LM",
    )


def _accumulation(config: TrainConfig, processes: int) -> int:
    """Passes of one update on each process, which must hold whole groups: some rewards compare their members."""
    chosen = config.optimization
    total = chosen.questions_per_step * chosen.group
    if chosen.questions_per_step % processes:
        raise FrescoError(
            f"optimization.questions_per_step is {chosen.questions_per_step}: no multiple of {processes} processes, "
            "each of which takes whole groups"
        )
    if (total // processes) % chosen.micro_batch:
        raise FrescoError(
            f"optimization.micro_batch is {chosen.micro_batch}: {total // processes} rollouts of a process "
            "(questions_per_step x group / processes) are no multiple of it"
        )
    return total // processes // chosen.micro_batch
