"""Models with a scoring head a layer: a tiny one whose code lies beside its weights, against its own outputs."""

from __future__ import annotations

import importlib.util
import json

import pytest

from fresco.errors import FrescoError
from fresco.models.settings import Settings
from fresco.models.trust import code_hash
from fresco.rerank.registry import open_reranker
from fresco.testing import check_reranker
from tests import tiny_models
from tests.factories import make_passage, make_query

torch = pytest.importorskip("torch", reason="pip install 'fresco-ccs[models]'")

LAYERS, FIRST = 3, 2
QUERY = make_query()
PASSAGES = [make_passage(f"p{n}", days_old=n, body="The club is led by a player. " * (1 + n)) for n in range(4)]
ASKED = (
    "Given a query A and a passage B, determine whether the passage contains an answer to the query by providing a "
    "prediction of either 'Yes' or 'No'."
)
CODE = """
import torch
from transformers import Qwen2Config, Qwen2Model, Qwen2PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

class LayersConfig(Qwen2Config):
    model_type = "layers-decoder"

class LayersForCausalLM(Qwen2PreTrainedModel):
    config_class = LayersConfig

    def __init__(self, config):
        super().__init__(config)
        self.model = Qwen2Model(config)
        layers = range(config.start_layer, config.num_hidden_layers + 1)
        self.lm_head = torch.nn.ModuleList([torch.nn.Linear(config.hidden_size, 1, bias=False) for _ in layers])
        self.post_init()

    def forward(self, input_ids, attention_mask=None, use_cache=None, cutoff_layers=None, **further):
        states = self.model(input_ids, attention_mask=attention_mask, output_hidden_states=True).hidden_states
        heads = {layer: self.lm_head[layer - self.config.start_layer] for layer in cutoff_layers}
        return CausalLMOutputWithPast(logits=tuple(head(states[layer])[..., 0] for layer, head in heads.items()))
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """The folder, and the model itself."""
    folder = tmp_path_factory.mktemp("layers") / "model"
    folder.mkdir()
    (folder / "layers.py").write_text(CODE)
    spec = importlib.util.spec_from_file_location("layers_of_test", folder / "layers.py")
    code = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(code)
    tokenizer = tiny_models.chat_tokenizer()
    torch.manual_seed(0)
    config = code.LayersConfig(
        **{"vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": LAYERS},
        **{"num_attention_heads": 2, "num_key_value_heads": 1, "initializer_range": 0.2, "pad_token_id": 0},
        **{"start_layer": FIRST, "head_type": "simple", "head_multi": True, "max_position_embeddings": 1024},
    )
    model = code.LayersForCausalLM(config).eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    saved = json.loads((folder / "config.json").read_text())
    saved["architectures"] = ["LayersForCausalLM"]
    saved["auto_map"] = {"AutoConfig": "layers.LayersConfig", "AutoModelForCausalLM": "layers.LayersForCausalLM"}
    (folder / "config.json").write_text(json.dumps(saved))
    return folder, model, tokenizer


@pytest.fixture
def trusted(loaded, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    return Settings(device="cpu", trust=(f"{loaded[0]}@{code_hash(loaded[0])[:12]}",))


def reference(model, tokenizer, layer):
    """A pair at a time, as FlagEmbedding lays it out."""
    found = []
    for passage in PASSAGES:
        parts = [f"A: {QUERY.text}", "\n", f"B: {passage.text}", "\n", ASKED]
        ids = [token for part in parts for token in tokenizer(part, add_special_tokens=False)["input_ids"]]
        with torch.no_grad():
            found.append(float(model(torch.tensor([ids]), cutoff_layers=[layer]).logits[0][0, -1]))
    return found


@pytest.mark.parametrize(("option", "layer"), [("", LAYERS), ("#layer=2", 2)])
def test_the_head_of_a_layer_gives_the_score(loaded, trusted, option, layer):
    folder, model, tokenizer = loaded
    ours = open_reranker(f"causal-lm:{folder}{option}", trusted)
    theirs = reference(model, tokenizer, layer)
    assert ours.score(QUERY, PASSAGES) == pytest.approx(theirs, abs=1e-5)
    assert len({round(each, 3) for each in theirs}) == len(theirs)
    said = ours.describe()
    assert said["score"] == f"the head of layer {layer}"
    assert said["used"] == "asked by published: bge-reranker-v2-minicpm"
    assert ours.name == f"causal-lm:{folder}{option}"
    check_reranker(ours)


def test_layers_are_told_apart_by_their_fingerprints(loaded, trusted):
    own = {open_reranker(f"causal-lm:{loaded[0]}#layer={layer}", trusted).fingerprint for layer in (FIRST, LAYERS)}
    assert len(own) == 2


def test_its_code_runs_only_where_it_is_trusted(loaded, trusted):
    with pytest.raises(FrescoError, match=f"--trust {trusted.trust[0]}"):
        open_reranker(f"causal-lm:{loaded[0]}", Settings(device="cpu")).score(QUERY, PASSAGES)


def test_a_layer_without_a_head_is_refused(loaded, tmp_path):
    with pytest.raises(FrescoError, match=r"#layer=1: it has heads at the layers 2 to 3"):
        open_reranker(f"causal-lm:{loaded[0]}#layer=1", Settings(device="cpu"))
    with pytest.raises(FrescoError, match="layer= wants the number of a layer"):
        open_reranker(f"causal-lm:{loaded[0]}#layer=top", Settings(device="cpu"))
    plain = tiny_models.causal_lm(tmp_path / "plain")
    with pytest.raises(FrescoError, match="has one output head; leave the layer out"):
        open_reranker(f"causal-lm:{plain}#layer=2", Settings(device="cpu"))
