from __future__ import annotations

import pytest

from fresco.rerank.first_token import trim
from tests import tiny_models

torch = pytest.importorskip("torch", reason="pip install 'fresco-ccs[models]'")
transformers = pytest.importorskip("transformers", reason="pip install 'fresco-ccs[models]'")


def load(folder, **options):
    return transformers.AutoModelForSequenceClassification.from_pretrained(folder, **options).eval()


def logits(model, ids, mask):
    with torch.inference_mode():
        return model(input_ids=ids, attention_mask=mask).logits[:, 0]


def trimmed(model):
    return trim(model, lambda ids, mask: logits(model, ids, mask))


@pytest.mark.parametrize("architecture", ["bert", "xlm-roberta"])
@pytest.mark.parametrize("padded", [True, False])
def test_scores_stay_the_same_and_the_rest_is_not_computed(tmp_path, architecture, padded):
    model = load(tiny_models.cross_encoder(tmp_path, architecture))
    ids = torch.randint(5, 100, (6, 40), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    if padded:
        mask[2:, 25:] = 0
    before = logits(model, ids, mask)
    assert trimmed(model)
    seen = []
    model.base_model.encoder.layer[-1].whole.intermediate.register_forward_hook(
        lambda _module, inputs, _output: seen.append(tuple(inputs[0].shape))
    )
    assert (logits(model, ids, mask) - before).abs().max() <= 1e-5
    assert seen == [(6, 1, 32)]
    assert before.std() > 1e-3


def test_a_head_that_reads_all_tokens_keeps_the_whole_layer(tmp_path):
    model = load(tiny_models.cross_encoder(tmp_path))

    class MeanPooler(torch.nn.Module):
        def forward(self, hidden):
            return hidden.mean(dim=1)

    model.bert.pooler = MeanPooler()
    last = model.bert.encoder.layer[-1]
    assert not trimmed(model)
    assert model.bert.encoder.layer[-1] is last


@pytest.mark.parametrize("options", [{"dtype": torch.bfloat16}, {"attn_implementation": "eager"}])
def test_other_settings_are_left_alone(tmp_path, options):
    assert not trimmed(load(tiny_models.cross_encoder(tmp_path), **options))


def test_decoders_are_left_alone(tmp_path):
    assert not trimmed(load(tiny_models.sequence_classifier(tmp_path)))
