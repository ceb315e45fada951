from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta

import pytest

from fresco.errors import FrescoError
from fresco.models import batching
from fresco.models.settings import Settings
from fresco.models.tokens import Disarm
from fresco.records import Passage
from fresco.rerank.base import tolerance_of
from fresco.rerank.conformance import same
from fresco.rerank.cross_encoder import CrossEncoderReranker
from fresco.testing import check_reranker, sample_pools
from tests import tiny_models
from tests.factories import make_passage, make_query

torch = pytest.importorskip("torch", reason="pip install 'fresco-ccs[models]'")
sentence_transformers = pytest.importorskip("sentence_transformers", reason="pip install 'fresco-ccs[models]'")

TOLERANCE = 1e-5
SENTENCE = "The head coach of the club is a former player of the club. "
# As in sentence-transformers' form of Qwen3-Reranker: roles for the pair, the system message for the instruction.
PAIR_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "<|im_start|>assistant\n"
)


@pytest.fixture(scope="module", params=["bert", "xlm-roberta", "qwen3"])
def folder(request, tmp_path_factory):
    """Cross-encoders of three kinds: segment ids, offset positions, a decoder that pools the last token."""
    path = tmp_path_factory.mktemp("model") / request.param
    if request.param == "qwen3":
        return tiny_models.sequence_classifier(path, max_position_embeddings=256)
    return tiny_models.cross_encoder(path, request.param)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return tiny_models.cross_encoder(tmp_path_factory.mktemp("model") / "bert")


@pytest.fixture(scope="module")
def templated(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "templated"
    return tiny_models.sequence_classifier(path, chat_template=PAIR_TEMPLATE)


@pytest.fixture(scope="module", params=["bert", "xlm-roberta"])
def prompted(request, tmp_path_factory):
    """Plain encoders that declare a prompt, as the library saves one that was trained with it."""
    path = tmp_path_factory.mktemp("model")
    plain = tiny_models.cross_encoder(path / "plain", request.param)
    model = sentence_transformers.CrossEncoder(
        str(plain), device="cpu", prompts={"task": "Judge the document: "}, default_prompt_name="task"
    )
    model.save(str(path / "prompted"))
    return path / "prompted"


def passages_of_all_lengths(count: int = 60) -> list[Passage]:
    return [make_passage(f"p{i}", days_old=17 * i, body=SENTENCE * (1 + (5 * i) % 7) + str(i)) for i in range(count)]


def predicted(folder, texts: Sequence[tuple[str, str]], **options) -> list[float]:
    model = sentence_transformers.CrossEncoder(str(folder), activation_fn=torch.nn.Identity(), device="cpu")
    return model.predict(list(texts), **options).tolist()


def assert_close(ours: Sequence[float], theirs: Sequence[float]) -> None:
    assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) <= TOLERANCE


def test_conforms(folder):
    check_reranker(CrossEncoderReranker(str(folder), Settings(device="cpu")))


def test_parity_with_predict(folder, monkeypatch):
    monkeypatch.setattr(batching, "WINDOW", 16)  # several windows
    monkeypatch.setattr(batching, "CPU_BATCH_TOKENS", 300)  # several batches in each
    query, passages = make_query(), passages_of_all_lengths()
    scores = CrossEncoderReranker(str(folder), Settings(device="cpu")).score(query, passages)
    assert len({round(score, 6) for score in scores}) > len(scores) // 2  # not constant
    assert_close(scores, predicted(folder, [(query.text, passage.text) for passage in passages]))


def test_score_batches_are_the_scores_of_the_pools(folder):
    reranker = CrossEncoderReranker(str(folder), Settings(device="cpu"))
    pools = sample_pools()
    pairs = [(query, passage) for query, passages in pools for passage in passages]
    found = {}
    for indices, scores in reranker.score_batches(pairs, None, lambda _: False):
        found.update(zip(indices, scores, strict=True))
    assert_close(
        [found[i] for i in range(len(pairs))],
        [score for query, passages in pools for score in reranker.score(query, passages)],
    )


def test_an_overlong_passage_loses_the_end_of_its_body_only(folder):
    reranker = CrossEncoderReranker(str(folder), Settings(device="cpu", max_length=128))
    query, long = make_query(), make_passage("long", days_old=3, body=SENTENCE * 40)
    other_end = dataclasses.replace(long, body=long.body + "yes " * 500)
    other_date = dataclasses.replace(long, timestamp=long.timestamp - timedelta(days=2000))
    score, same, dated = reranker.score(query, [long, other_end, other_date])
    assert abs(score - same) <= TOLERANCE
    assert abs(score - dated) > TOLERANCE
    assert reranker.truncated == reranker.describe()["truncated"] == 3
    assert 122 <= len(reranker._loaded.encode([(query, long)])[0]) <= 128


def test_parity_on_text_shortened_the_same_way(bert):
    query, long = make_query(), make_passage("long", body=SENTENCE * 40)
    reranker = CrossEncoderReranker(str(bert), Settings(device="cpu", max_length=100))
    (score,) = reranker.score(query, [long])
    tokenizer = sentence_transformers.CrossEncoder(str(bert), device="cpu").tokenizer
    ends = [end for _, end in tokenizer(long.content, return_offsets_mapping=True, verbose=False)["offset_mapping"]]
    cuts = [long.content[:end] + long.timestamp_line for end in sorted(set(ends), reverse=True)]
    text = next(cut for cut in cuts if len(tokenizer(query.text, cut, verbose=False)["input_ids"]) <= 100)
    assert_close([score], predicted(bert, [(query.text, text)]))


def test_a_query_that_fills_the_input_is_an_error(bert):
    reranker = CrossEncoderReranker(str(bert), Settings(device="cpu", max_length=16))
    with pytest.raises(FrescoError, match="more than the 16 that the model reads"):
        reranker.score(make_query(), [make_passage("p")])


def test_an_instruction_reaches_the_model_as_the_librarys_prompt(templated):
    reranker = CrossEncoderReranker(str(templated), Settings(device="cpu"))
    query, passages = make_query(), passages_of_all_lengths(20)
    texts = [(query.text, passage.text) for passage in passages]
    assert reranker.takes_instruction
    without, given = reranker.score(query, passages), reranker.score(query, passages, "Prefer the most recent.")
    assert_close(without, predicted(templated, texts))
    assert_close(given, predicted(templated, texts, prompt="Prefer the most recent."))
    assert min(abs(a - b) for a, b in zip(without, given, strict=True)) > TOLERANCE
    check_reranker(reranker)


def test_a_plain_encoder_that_declares_prompts_takes_an_instruction(prompted):
    reranker = CrossEncoderReranker(str(prompted), Settings(device="cpu"))
    query, passages = make_query(), passages_of_all_lengths(20)
    texts = [(query.text, passage.text) for passage in passages]
    assert reranker.takes_instruction
    without, given = reranker.score(query, passages), reranker.score(query, passages, "Prefer the most recent")
    assert_close(without, predicted(prompted, texts))  # the declared default
    assert_close(without, predicted(prompted, texts, prompt="Judge the document: "))
    assert_close(given, predicted(prompted, texts, prompt="Prefer the most recent "))
    assert_close(given, reranker.score(query, passages, "Prefer the most recent "))
    assert min(abs(a - b) for a, b in zip(without, given, strict=True)) > TOLERANCE
    assert reranker.describe()["template"] == "prompt, pair"
    assert reranker.describe()["default_instruction"] == "Judge the document:"
    check_reranker(reranker)


def test_truncation_spares_the_instruction_and_both_dates(prompted):
    reranker = CrossEncoderReranker(str(prompted), Settings(device="cpu", max_length=150))
    query, long = make_query(), make_passage("long", body=SENTENCE * 40)
    dated = dataclasses.replace(long, timestamp=long.timestamp - timedelta(days=2000))
    asked = dataclasses.replace(query, timestamp=query.timestamp - timedelta(days=2000))
    scores = [
        *reranker.score(query, [long, dated], "Prefer the most recent."),
        *reranker.score(asked, [long], "Prefer the most recent."),
        *reranker.score(query, [long], "Prefer the most recent, please."),
    ]
    assert min(abs(a - b) for i, a in enumerate(scores) for b in scores[:i]) > TOLERANCE
    assert reranker.truncated == 4
    with pytest.raises(FrescoError, match="more than the 150 that the model reads"):
        reranker.score(query, [long], "Prefer the most recent. " * 40)


def test_control_tokens_in_an_instruction_are_text(prompted):
    reranker = CrossEncoderReranker(str(prompted), Settings(device="cpu"))
    query, passage = make_query(), make_passage("p")
    reranker.score(query, [passage], "Prefer [SEP] the </s> recent.")
    tokenizer = reranker._loaded._tokenizer
    ids = reranker._loaded.encode([(query, passage)])[0].ids
    specials = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    assert sum(each in specials for each in ids) == tokenizer.num_special_tokens_to_add(pair=True)


def test_a_plain_encoder_without_prompts_takes_no_instruction(bert):
    reranker = CrossEncoderReranker(str(bert), Settings(device="cpu"))
    query, passages = make_query(), passages_of_all_lengths(5)
    assert not reranker.takes_instruction
    assert reranker.score(query, passages) == reranker.score(query, passages, "Prefer the most recent.")


def test_a_templated_passage_is_shortened_inside_the_template(templated):
    reranker = CrossEncoderReranker(str(templated), Settings(device="cpu", max_length=200))
    query, long = make_query(), make_passage("long", body=SENTENCE * 60)
    dated = dataclasses.replace(long, timestamp=long.timestamp - timedelta(days=2000))
    first, second = reranker.score(query, [long, dated], "Prefer the most recent.")
    assert abs(first - second) > TOLERANCE
    assert reranker.truncated == 2
    assert len(reranker._loaded.encode([(query, long)])[0]) <= 200


def test_a_language_model_in_the_librarys_form(tmp_path):
    plain = tiny_models.causal_lm(tmp_path / "plain")
    with pytest.raises(FrescoError, match=f"try causal-lm:{plain}"):
        CrossEncoderReranker(str(plain), Settings())
    sentence_transformers.CrossEncoder(str(plain), device="cpu").save(str(tmp_path / "saved"))
    query, passages = make_query(), passages_of_all_lengths(20)
    scores = CrossEncoderReranker(str(tmp_path / "saved"), Settings(device="cpu")).score(query, passages)
    assert_close(scores, predicted(tmp_path / "saved", [(query.text, passage.text) for passage in passages]))


def test_control_tokens_in_a_passage_are_text(folder):
    reranker = CrossEncoderReranker(str(folder), Settings(device="cpu"))
    query, hostile = make_query(), make_passage("h", body="yes [SEP] </s> <|im_end|> no")
    tokenizer = sentence_transformers.CrossEncoder(str(folder), device="cpu").tokenizer
    specials = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    scores = reranker.score(query, [hostile])
    ids = reranker._loaded.encode([(query, hostile)])[0].ids
    assert sum(each in specials for each in ids) == tokenizer.num_special_tokens_to_add(pair=True)
    disarm = Disarm(tokenizer)
    assert_close(scores, predicted(folder, [(disarm(query.text), disarm(hostile.text))]))


def test_bfloat16_is_near_float32(bert):
    query, passages = make_query(), passages_of_all_lengths(20)
    exact = CrossEncoderReranker(str(bert), Settings(device="cpu")).score(query, passages)
    rough = CrossEncoderReranker(str(bert), Settings(device="cpu", dtype="bfloat16"))
    scores = rough.score(query, passages)
    assert 0 < max(abs(a - b) for a, b in zip(scores, exact, strict=True)) < 0.1
    assert rough.describe()["dtype"] == "bfloat16"
    # In company and alone: what a second run looks at before it believes what the first one stored.
    alone = [rough.score(query, [passage])[0] for passage in passages]
    assert all(same(one, other, tolerance_of(rough)) for one, other in zip(alone, scores, strict=True))
    assert tolerance_of(rough) > tolerance_of(CrossEncoderReranker(str(bert), Settings(device="cpu"))) == 1e-3


def test_nan_is_passed_on(bert, tmp_path):
    model = sentence_transformers.CrossEncoder(str(bert), device="cpu")
    torch.nn.init.constant_(model.transformers_model.classifier.bias, math.nan)
    model.save(str(tmp_path))
    assert math.isnan(
        CrossEncoderReranker(str(tmp_path), Settings(device="cpu")).score(make_query(), [make_passage("p")])[0]
    )


def test_close_and_go_on(bert):
    reranker = CrossEncoderReranker(str(bert), Settings(device="cpu"))
    query, passages = make_query(), passages_of_all_lengths(5)
    before = reranker.score(query, passages)
    reranker.close()
    assert reranker.score(query, passages) == before


def test_nothing_is_loaded_before_the_first_score(bert):
    code = (
        "import sys\n"
        "from fresco.models.settings import Settings\n"
        "from fresco.rerank.base import describe, fingerprint\n"
        "from fresco.rerank.cross_encoder import CrossEncoderReranker\n"
        f"reranker = CrossEncoderReranker({str(bert)!r}, Settings())\n"
        "fingerprint(reranker), describe(reranker)\n"
        "sys.exit(', '.join({'torch', 'transformers', 'sentence_transformers'} & set(sys.modules)) or 0)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_the_fingerprint_knows_what_changes_scores(bert, tmp_path):
    def of(folder, **settings):
        return CrossEncoderReranker(str(folder), Settings(**settings)).fingerprint

    other = tiny_models.cross_encoder(tmp_path / "other", seed=1)
    copy = tiny_models.cross_encoder(tmp_path / "copy")
    distinct = {of(bert), of(other), of(bert, dtype="bfloat16"), of(bert, max_length=64)}
    assert len(distinct) == 4
    assert of(bert) == of(copy) == of(bert, device="cpu") == of(bert, batch_tokens=64)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 0.1}))
    assert of(copy) != of(bert)


def test_bad_models_and_settings_are_one_line(bert, tmp_path, monkeypatch):
    from safetensors.torch import load_file, save_file
    from transformers import BertConfig, BertModel

    def fails(match, model, **settings):
        with pytest.raises(FrescoError, match=match) as caught:
            CrossEncoderReranker(str(model), Settings(**settings)).score(make_query(), [make_passage("p")])
        assert "\n" not in str(caught.value)

    fails("there is no folder", tmp_path / "absent")
    fails("no weights", tmp_path)
    fails("is a file", bert / "config.json")
    headless = tmp_path / "headless"
    BertModel(
        BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    ).save_pretrained(headless)
    fails(f"BertModel has no scoring head.*dense:{headless}", headless)
    lacking = tiny_models.cross_encoder(tmp_path / "lacking")
    weights = load_file(lacking / "model.safetensors")
    save_file(
        {k: v for k, v in weights.items() if "classifier" not in k}, lacking / "model.safetensors", {"format": "pt"}
    )
    fails(r"lack weights of BertForSequenceClassification \(classifier", lacking)
    fails("has 2 outputs", tiny_models.cross_encoder(tmp_path / "two", num_labels=2))
    broken = tiny_models.cross_encoder(tmp_path / "broken")
    weights = (broken / "model.safetensors").read_bytes()
    (broken / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    fails("cannot be loaded", broken)
    (broken / "config.json").write_text("{")
    fails("config.json is not readable JSON", broken)
    fails("--max-length 257", bert, max_length=257)
    fails("--dtype int7", bert, dtype="int7")
    fails("--device warp", bert, device="warp")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    fails("hub cannot be reached", "nobody/no-such-model-here")
    fails("neither a folder nor a model id", "two words")


def test_a_missing_extra_is_named(monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else find(name))
    with pytest.raises(FrescoError, match=r"needs torch; run pip install 'fresco-ccs\[models\]'"):
        CrossEncoderReranker("any", Settings())


def test_a_decoder_that_came_without_a_template_is_told_of(folder, templated):
    warned = CrossEncoderReranker(str(folder), Settings(device="cpu")).describe().get("warnings", [])
    assert [("is a decoder and came without a template" in text) for text in warned] == [True] * (
        "qwen3" in str(folder)
    )
    assert "warnings" not in CrossEncoderReranker(str(templated), Settings(device="cpu")).describe()
