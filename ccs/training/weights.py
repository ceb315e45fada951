"""The policy's weights, whole, where several processes hold parts of them: for ``best/``, ``final/`` and servers.

Transformers' ``save_model`` writes no usable folder under ZeRO-3 unless its configuration says so beforehand, and
nothing at all under FSDP with sharded checkpoints; so the weights are gathered here, whatever the checkpoints are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ccs.training.processes import sharded
from fresco.errors import FrescoError
from fresco.io.files import fresh_folder, publish


def allow_gathering(trainer: Any, *, merged: bool = False) -> None:
    """Have ZeRO-3 keep what it needs to gather its weights; before the training begins.

    Args:
        trainer: TRL's, with or without DeepSpeed.
        merged: Whether adapters are to be saved merged, see :func:`save_policy`.

    Raises:
        FrescoError: they cannot be merged, because the weights are sharded.
    """
    if merged and sharded(trainer):
        raise FrescoError(
            "keep.merged: adapters are not merged while FSDP or ZeRO-3 shard the weights; set it to false, and merge "
            "final/ afterwards with peft's merge_and_unload"
        )
    plugin = getattr(trainer.accelerator.state, "deepspeed_plugin", None)
    if plugin is None:
        return
    zero = plugin.deepspeed_config.get("zero_optimization", {})
    if zero.get("stage") == 3:
        zero["stage3_gather_16bit_weights_on_model_save"] = True


def whole_state(trainer: Any) -> tuple[dict[str, Any], Any]:
    """Weights of the whole model, gathered where they are sharded, adapters merged; and the model that names them.

    Collective; where weights are sharded, only the main process gets them.
    """
    model = trainer.accelerator.unwrap_model(trainer.model)
    if not hasattr(model, "merge_adapter"):
        return trainer.accelerator.get_state_dict(trainer.model_wrapped), model
    model.merge_adapter()
    try:
        base = model.get_base_model()
        state = {
            name.replace(".base_layer", ""): value.clone()
            for name, value in base.state_dict().items()
            if ".lora_" not in name
        }
    finally:
        model.unmerge_adapter()
    return state, base


def save_policy(trainer: Any, folder: Path, *, merged: bool = False) -> None:
    """Write the policy as transformers (or peft, an adapter) loads it, whole or not at all; collective.

    Args:
        trainer: TRL's.
        folder: Where; one that is there already is replaced.
        merged: An adapter as the whole model that it makes of its base.
    """
    if merged:
        state, model = whole_state(trainer)
    else:
        state = trainer.accelerator.get_state_dict(trainer.model_wrapped)
        model = trainer.accelerator.unwrap_model(trainer.model)
    if trainer.accelerator.is_main_process:
        fresh = fresh_folder(folder)
        model.save_pretrained(fresh, state_dict=state)
        trainer.processing_class.save_pretrained(fresh)
        publish(fresh, folder)
    trainer.accelerator.wait_for_everyone()
