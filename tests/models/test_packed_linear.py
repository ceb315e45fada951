"""Linear layers laid out for oneDNN: the same scores as torch's own layers, or no change at all."""

from __future__ import annotations

import pytest

from fresco.models.packed_linear import pack

torch = pytest.importorskip("torch", reason="pip install 'fresco-ccs[models]'")

if not torch.backends.mkldnn.is_available():
    pytest.skip("this torch comes without oneDNN", allow_module_level=True)

SHAPE = {"vocab_size": 50, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
IDS = torch.randint(3, 50, (5, 17), generator=torch.Generator().manual_seed(0))


def made(architecture, **further):
    from transformers import AutoConfig, AutoModel

    torch.manual_seed(0)
    config = AutoConfig.for_model(architecture, **SHAPE, initializer_range=0.3, pad_token_id=0, **further)
    return AutoModel.from_config(config).eval()


def states(model, ids=IDS):
    with torch.inference_mode():
        return model(input_ids=ids).last_hidden_state


def linear_layers(model):
    return [each for each in model.modules() if type(each) is torch.nn.Linear]


@pytest.mark.parametrize(
    ("architecture", "further"),
    [
        ("bert", {}),
        ("bert", {"hidden_act": "relu"}),  # which no layer takes over
        ("xlm-roberta", {}),
        ("llama", {"num_key_value_heads": 2}),
        ("gemma3_text", {"num_key_value_heads": 2, "head_dim": 8}),
        ("gpt2", {"n_embd": 32, "n_head": 4}),  # its layers are none of torch's
    ],
)
def test_no_state_changes(architecture, further):
    model = made(architecture, **further)
    before, layers = states(model), linear_layers(model)
    assert pack(model, lambda: states(model)) is bool(layers)
    assert not linear_layers(model)
    for ids in (IDS, IDS[:1, :3], IDS.repeat(30, 1)):
        whole = states(made(architecture, **further), ids)
        assert (states(model, ids) - whole).abs().max() <= 1e-5 * max(1.0, float(whole.abs().max()))
    assert before.std() > 0.1


def test_other_models_stay_as_they_are():
    half = made("bert").to(torch.bfloat16)
    assert not pack(half, lambda: states(half))
    model = made("bert")
    scores = iter([torch.zeros(3), torch.ones(3)])  # as if packing had changed them
    before, activations = (
        linear_layers(model),
        [layer.intermediate.intermediate_act_fn for layer in model.encoder.layer],
    )
    assert not pack(model, lambda: next(scores))
    assert linear_layers(model) == before
    assert [layer.intermediate.intermediate_act_fn for layer in model.encoder.layer] == activations


def test_output_heads_stay_as_they_are():
    from transformers import AutoModelForSequenceClassification, BertConfig

    model = AutoModelForSequenceClassification.from_config(BertConfig(**SHAPE, num_labels=1)).eval()
    assert pack(model, lambda: model(input_ids=IDS).logits)
    assert linear_layers(model) == [model.classifier]
