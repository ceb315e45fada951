"""One fine-tuning: sentence-transformers' trainer and losses, checkpoints, TensorBoard, an exported folder.

Killed at any point, the same call goes on from the last whole checkpoint and ends in the same weights: the trainer
keeps optimizer, schedule and random states in each, and whether training had stopped is told by the checkpoint alone.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from fresco.benchmarks.pools import fingerprint
from fresco.errors import FrescoError
from fresco.io.files import fresh_folder, publish, recover, write_atomically
from fresco.models.settings import Settings
from fresco.records import Pool
from fresco.tuning.examples import list_rows, lists, pair_rows
from fresco.tuning.look import METRIC, FrontLook
from fresco.tuning.model import Start, export, fitting, merged, open_trainable, own_prompt
from fresco.tuning.plan import LOSSES, FineTuning
from fresco.tuning.trainer import BEST, PlainTrainer, Watch, has_stopped

#: In an exported folder, written last: what was trained, and how the looks at validation went.
TRAINING = "training.json"
_WARMUP = 0.1  # of the steps
_STATE = "trainer_state.json"


@dataclass(frozen=True)
class Trained:
    """An exported model.

    Attributes:
        name: Of its row.
        folder: What ``cross-encoder:FOLDER`` opens.
        record: Loss, seed, steps, the looks at validation and which of them was best.
    """

    name: str
    folder: Path
    record: dict[str, Any]


@dataclass(frozen=True)
class Trainable:
    """What all fine-tunings of one command share.

    Attributes:
        start: The model to start from.
        pools: Of the train split.
        looked_at: Of the validation split.
        base: EK and NEK MAP of the base on those.
        settings: Device and lengths.
        card: Makes the model's card of its record.
    """

    start: Start
    pools: Sequence[Pool]
    looked_at: Sequence[Pool]
    base: tuple[float, float]
    settings: Settings
    card: Callable[[dict[str, Any]], str]


def fine_tune(
    what: Trainable,
    plan: FineTuning,
    name: str,
    loss: str,
    seed: int,
    folder: Path,
    tell: Callable[[int, int], None],
) -> Trained:
    """Train one model, or go on with it, or find it done.

    Args:
        what: Data and start.
        plan: Of the command.
        name: Of the row.
        loss: Of :data:`fresco.tuning.plan.LOSSES`.
        seed: Of new weights, drawn negatives and order.
        folder: Of the command: ``models/NAME``, ``training/NAME`` and ``tensorboard/NAME`` are made in it.
        tell: Told steps done and steps in all.

    Raises:
        FrescoError: the model cannot be loaded, the disk is full, or the loss is no number any more.
    """
    target = folder / "models" / name
    identity = _identity(what, plan, loss, seed)
    recover(target)
    if (target / TRAINING).is_file():
        done = json.loads((target / TRAINING).read_text(encoding="utf-8"))
        if done["identity"] == identity:
            return Trained(name, target, done)
    work = folder / "training" / name
    _claim(work, identity)
    model = open_trainable(what.start, what.settings, seed, plan.lora)
    listed = list(lists(what.pools, plan.dates, plan.negatives, seed))
    listwise = LOSSES[loss]
    try:
        trainer = _trainer(model, what, plan, loss, seed, listed, work, folder / "tensorboard" / name, tell)
        checkpoint = _last_whole(work)
        if checkpoint is None or not has_stopped(_state(checkpoint), plan.patience):
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        state = _state(_last_whole(work) or work)
        trainer.load_checkpoint(work / Path(state["best_model_checkpoint"]).name)
    except OSError as error:
        raise FrescoError(f"{work}: cannot be written: {error.strerror or error}; mend it and run it again") from error
    looks = [
        {"step": row["step"], "EK": row["eval_EK"], "NEK": row["eval_NEK"], METRIC: row[BEST]}
        for row in state["log_history"]
        if BEST in row
    ]
    record = {
        "name": name,
        "loss": loss,
        "seed": seed,
        "start": what.start.files.model,
        "identity": identity,
        "plan": plan.record(),
        "queries": len(what.pools),
        "pairs an epoch": sum(len(each.passages) for each in listed),
        "listwise": listwise,
        "steps": state["global_step"],
        "best step": state["best_global_step"],
        "looks": looks,
    }
    _publish(merged(model), what.card(record), record, target)
    shutil.rmtree(work, ignore_errors=True)
    return Trained(name, target, record)


def _identity(what: Trainable, plan: FineTuning, loss: str, seed: int) -> str:
    """SHA-256 over what makes two trainings the same."""
    data = [fingerprint(what.pools), fingerprint(what.looked_at), what.base]
    form = what.start.form
    start = [what.start.files.identity, form and form.digest, what.start.instruction, what.settings.max_length]
    parts = [loss, seed, {**plan.record(), "losses": [], "seeds": 0}, data, start]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _claim(work: Path, identity: str) -> None:
    """Drop what another training of this name left there, as ``--overwrite`` allows."""
    mark = work / "identity"
    if not mark.is_file() or mark.read_text(encoding="utf-8") != identity:
        shutil.rmtree(work, ignore_errors=True)
        write_atomically(mark, identity)


def _publish(model: Any, card: str, record: dict[str, Any], target: Path) -> None:
    """Export beside the target and rename, so that a folder of that name is a whole model."""
    try:
        scratch = fresh_folder(target)
        export(model, scratch, card)
        write_atomically(scratch / TRAINING, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
        publish(scratch, target)
    except OSError as error:
        raise FrescoError(
            f"{target}: cannot be written: {error.strerror or error}; mend it and run it again"
        ) from error


def _trainer(
    model: Any,
    what: Trainable,
    plan: FineTuning,
    loss: str,
    seed: int,
    listed: Sequence[Any],
    work: Path,
    board: Path,
    tell: Callable[[int, int], None],
) -> Any:
    from datasets import Dataset
    from sentence_transformers.cross_encoder import CrossEncoderTrainingArguments
    from torch.utils.tensorboard import SummaryWriter
    from transformers.integrations import TensorBoardCallback
    from transformers.trainer_callback import PrinterCallback, ProgressCallback

    listwise = LOSSES[loss]
    rows = (list_rows if listwise else pair_rows)(listed, fitting(model))
    length = sum(len(each.passages) for each in listed) / len(listed)
    batch = max(1, round(plan.batch / length)) if listwise else plan.batch
    data = Dataset.from_dict(rows)
    every = max(1, -(-len(data) // batch) // plan.evaluations)
    arguments = CrossEncoderTrainingArguments(
        output_dir=str(work),
        num_train_epochs=plan.epochs,
        per_device_train_batch_size=batch,
        learning_rate=plan.learning_rate,
        warmup_steps=_WARMUP,
        prompts=own_prompt(model),
        seed=seed,
        data_seed=seed,
        use_cpu=model.device.type == "cpu",
        eval_strategy="steps",
        save_strategy="steps",
        eval_steps=every,
        save_steps=every,
        save_total_limit=2,
        load_best_model_at_end=False,  # done by the caller, whether this call trained or found it done
        metric_for_best_model=BEST,
        greater_is_better=True,
        logging_steps=max(1, every // 5),
        logging_first_step=True,
        logging_nan_inf_filter=False,  # a loss that is no number must be seen
        dataloader_pin_memory=False,
        report_to="none",
        disable_tqdm=True,
    )
    trainer = PlainTrainer(
        model=model,
        args=arguments,
        train_dataset=data,
        loss=_loss(model, loss, rows, plan.batch),
        evaluator=FrontLook(what.looked_at, what.base, replace(what.settings, max_length=None)),
        callbacks=[TensorBoardCallback(SummaryWriter(str(board))), Watch(plan.patience, tell)],
    )
    for printed in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(printed)
    return trainer


def _loss(model: Any, name: str, rows: dict[str, list[Any]], batch: int) -> Any:
    from sentence_transformers.cross_encoder import losses
    from torch import tensor

    if name == "bce":
        right = sum(rows["label"])
        return losses.BinaryCrossEntropyLoss(model, pos_weight=tensor((len(rows["label"]) - right) / max(1.0, right)))
    if name == "listnet":
        return losses.ListNetLoss(model, mini_batch_size=batch)
    make = partial(losses.LambdaLoss, weighting_scheme=losses.LambdaRankScheme())
    return make(model, mini_batch_size=batch)


def _state(checkpoint: Path) -> dict[str, Any]:
    state: dict[str, Any] = json.loads((checkpoint / _STATE).read_text(encoding="utf-8"))
    return state


def _last_whole(work: Path) -> Path | None:
    """The newest checkpoint that was written to its end: the trainer's state comes last. What is not goes."""
    whole: list[tuple[int, Path]] = []
    for each in work.glob("checkpoint-*"):
        try:
            whole.append((int(_state(each)["global_step"]), each))
        except (OSError, ValueError, KeyError):
            shutil.rmtree(each)
    return max(whole)[1] if whole else None
