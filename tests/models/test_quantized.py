"""``--dtype int8`` against rounding written out, and over every family that takes it."""

from __future__ import annotations

import pytest

import fresco
from fresco.errors import FrescoError
from fresco.models.quantized import FAMILIES, check_device, quantize
from fresco.models.settings import Settings
from fresco.rerank.base import describe, tolerance_of
from fresco.rerank.conformance import same
from fresco.rerank.registry import open_reranker
from fresco.rerank.timestamp_attention import timestamp_attention
from tests import tiny_models
from tests.factories import make_benchmark, make_pool

torch = pytest.importorskip("torch", reason="pip install 'fresco-ccs[models]'")

INT8 = Settings(device="cpu", dtype="int8")
MODELS = {
    "cross-encoder": tiny_models.cross_encoder,
    "causal-lm": tiny_models.causal_lm,
    "likelihood": tiny_models.causal_lm,
    # Of larger random weights any rounding, that of bfloat16 too, makes other scores.
    "seq2seq": lambda folder: tiny_models.encoder_decoder(folder, initializer_factor=0.7),
    "dense": tiny_models.masked_lm,
    "sparse": tiny_models.masked_lm,
    "late": tiny_models.colbert,
}


def by_hand(inputs, layer):
    """The layer with its weights in 8 bits, a scale a row, and what comes in in 7, a scale for all of it."""
    scale = layer.weight.abs().amax(dim=1, keepdim=True) / 127.5
    weights = (layer.weight / scale).round().clamp(-128, 127) * scale
    low, high = min(float(inputs.min()), 0.0), max(float(inputs.max()), 0.0)
    step = (high - low) / 127
    zero = round(-low / step)
    rounded = ((inputs / step).round() + zero).clamp(0, 127) - zero
    return rounded * step @ weights.T + layer.bias


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.encoder, self.classifier = torch.nn.Linear(48, 32), torch.nn.Linear(32, 1)

    def forward(self, inputs):
        return self.classifier(self.encoder(inputs))


def test_a_layer_is_what_rounding_by_hand_makes_of_it():
    model, inputs = Model(), torch.randn(20, 48, generator=torch.Generator().manual_seed(1))
    expected = model.classifier(by_hand(inputs, model.encoder))
    exact = model(inputs)
    found = quantize(model, INT8)(inputs)
    assert (found - expected).abs().max() <= 5e-4
    assert (found - exact).abs().max() > 2e-3  # so the comparison above says something
    assert type(model.classifier) is torch.nn.Linear


def test_nothing_happens_where_it_is_not_asked_for():
    model = Model()
    assert type(quantize(model, Settings(device="cpu")).encoder) is torch.nn.Linear


def test_every_family_that_is_named_is_tried():
    assert MODELS.keys() == set(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_move_a_little_and_repeat(family, tmp_path):
    MODELS[family](tmp_path / "model")
    pool = make_pool(0, outdated=3, near=3)
    exact = open_reranker(f"{family}:{tmp_path / 'model'}", Settings(device="cpu"))
    rough = open_reranker(f"{family}:{tmp_path / 'model'}", INT8)
    theirs, ours = (each.score(pool.query, pool.passages) for each in (exact, rough))
    spread = max(theirs) - min(theirs)
    largest = max(abs(one - other) for one, other in zip(ours, theirs, strict=True))
    assert 0 < largest <= 0.5 * max(1.0, spread)
    assert describe(rough)["dtype"] == "int8" != describe(exact)["dtype"]
    assert rough.fingerprint != exact.fingerprint
    alone = [rough.score(pool.query, [passage])[0] for passage in pool.passages]
    assert all(same(one, other, tolerance_of(rough)) for one, other in zip(alone, ours, strict=True))
    assert rough.score(pool.query, pool.passages) == ours


def test_it_is_refused_where_it_means_nothing(tmp_path):
    folder = tiny_models.chat_model(tmp_path / "model")
    for family in ("attention", "listwise"):
        with pytest.raises(FrescoError, match=f"--dtype int8: {family}: does not know it, only cross-encoder"):
            fresco.score(f"{family}:{folder}", make_benchmark(1), dtype="int8", device="cpu", baselines=False)
    with pytest.raises(FrescoError, match="--dtype int8 computes on a CPU, not on cuda:0; add --device cpu"):
        check_device(torch.device("cuda:0"), INT8)
    with pytest.raises(FrescoError, match="--dtype int8 is for scoring pairs"):
        timestamp_attention(str(folder), [(make_pool().query, make_pool().passages)], settings=INT8)
