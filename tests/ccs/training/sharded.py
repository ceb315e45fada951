"""Run by torch.distributed.run: a policy that two processes hold half of each, by FSDP2, is saved whole."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import torch
from accelerate import Accelerator
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from ccs.training.demo.model import make_model, make_tokenizer
from ccs.training.demo.world import make_world
from ccs.training.run import leave
from ccs.training.weights import save_policy


def main(folder: Path) -> None:
    accelerator = Accelerator(cpu=True)
    tokenizer = make_tokenizer(make_world(8, 2, 0))
    model = make_model(tokenizer, 0)
    if accelerator.is_main_process:
        model.save_pretrained(folder / "before")
    accelerator.wait_for_everyone()
    mesh = init_device_mesh("cpu", (accelerator.num_processes,))
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    held = sum(each.to_local().numel() for each in model.parameters())
    trainer = SimpleNamespace(
        accelerator=accelerator, model=model, model_wrapped=model, processing_class=tokenizer
    )  # accelerate itself turns FSDP on for accelerators alone
    with mock.patch.object(Accelerator, "is_fsdp2", True):
        save_policy(trainer, folder / "after")
    found = {
        "held": held,
        "whole": sum(each.numel() for each in model.parameters()),
        "size": torch.distributed.get_world_size(),
        "backend": torch.distributed.get_backend(),
    }
    (folder / f"{accelerator.process_index}.json").write_text(json.dumps(found))
    leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
