"""What is saved of a policy: whole where it is sharded, adapters as such or merged."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("trl", reason="needs TRL: pip install -e '.[train]'")

from accelerate import Accelerator

from ccs.training import weights
from ccs.training.demo.model import make_model, make_tokenizer
from ccs.training.demo.world import make_world
from ccs.training.weights import allow_gathering, save_policy
from fresco.errors import FrescoError
from tests.ccs.training.launch import ROOT, launch


def test_two_processes_with_half_of_the_weights_save_the_whole(tmp_path: Path) -> None:
    launch([ROOT / "tests" / "ccs" / "training" / "sharded.py", tmp_path])
    seen = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    for each in seen:
        assert (each["size"], each["backend"]) == (2, "gloo") and each["held"] < 0.6 * each["whole"]
    before, after = (load(tmp_path / name) for name in ("before", "after"))
    assert before.keys() == after.keys()
    assert all(before[name].equal(after[name]) for name in before)
    assert (tmp_path / "after" / "tokenizer.json").exists()


def load(folder: Path) -> dict[str, Any]:
    from transformers import AutoModelForCausalLM

    return dict(AutoModelForCausalLM.from_pretrained(folder).state_dict())


def test_an_adapter_is_saved_as_one_or_merged(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft", reason="needs peft: pip install -e '.[train]'")
    import torch

    tokenizer = make_tokenizer(make_world(8, 2, 0))
    base = make_model(tokenizer, 0)
    plain = {name: value.clone() for name, value in base.state_dict().items()}
    adapted = peft.get_peft_model(base, peft.LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    for name, value in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value)
    trainer = SimpleNamespace(
        accelerator=Accelerator(cpu=True), model=adapted, model_wrapped=adapted, processing_class=tokenizer
    )
    save_policy(trainer, tmp_path / "adapter")
    save_policy(trainer, tmp_path / "merged", merged=True)
    assert (tmp_path / "adapter" / "adapter_model.safetensors").exists()
    merged = load(tmp_path / "merged")
    assert merged.keys() == plain.keys() and any(not merged[name].equal(plain[name]) for name in plain)
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        from transformers import AutoModelForCausalLM

        mine = adapted.eval()(ids).logits
        theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "merged").eval()(ids).logits
    assert torch.allclose(mine, theirs, atol=1e-5)


def test_zero_3_is_told_to_gather_and_sharded_adapters_are_not_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = SimpleNamespace(deepspeed_config={"zero_optimization": {"stage": 3}})
    state = SimpleNamespace(deepspeed_plugin=plugin)
    trainer = SimpleNamespace(accelerator=SimpleNamespace(state=state, num_processes=1))
    allow_gathering(trainer)
    assert plugin.deepspeed_config["zero_optimization"]["stage3_gather_16bit_weights_on_model_save"] is True
    plugin.deepspeed_config = {"zero_optimization": {"stage": 2}}
    allow_gathering(trainer, merged=True)
    assert plugin.deepspeed_config == {"zero_optimization": {"stage": 2}}
    monkeypatch.setattr(weights, "sharded", lambda _: True)
    with pytest.raises(FrescoError, match=r"keep\.merged: adapters are not merged"):
        allow_gathering(trainer, merged=True)
