"""Which form a model is asked in, and that each published one gives the published scores, token by token."""

from __future__ import annotations

import json
import shutil

import pytest

from fresco.errors import FrescoError
from fresco.models.settings import Settings
from fresco.rerank.causal_lm import CausalLmReranker
from fresco.rerank.cross_encoder import CrossEncoderReranker
from fresco.rerank.dense import Dense
from fresco.rerank.registry import open_reranker
from fresco.testing import check_reranker
from tests import tiny_models
from tests.factories import make_passage, make_query

torch = pytest.importorskip("torch", reason="pip install 'fresco-ccs[models]'")
transformers = pytest.importorskip("transformers", reason="pip install 'fresco-ccs[models]'")

CPU = Settings(device="cpu")
QUERY = make_query()
PASSAGES = [make_passage("a", body="The club is led by a former player."), make_passage("b", body="It was founded.")]
PAIRS = [(QUERY.text, passage.text) for passage in PASSAGES]
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
NO_SYSTEM = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}[assistant] "
)


@pytest.fixture(scope="module")
def lm(tmp_path_factory):
    return tiny_models.causal_lm(tmp_path_factory.mktemp("model") / "lm")


def with_template(lm, folder, template):
    shutil.copytree(lm, folder)
    (folder / "chat_template.jinja").write_text(template)
    return folder


def logits(folder, rows):
    """The last position's logits of token rows, one at a time, and the tokenizer."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.no_grad():
        return [model(torch.tensor([ids])).logits[0, -1] for ids in rows]


def close(ours, theirs):
    return max(abs(a - float(b)) for a, b in zip(ours, theirs, strict=True)) <= 1e-5


def test_bge_gemma_as_flag_embedding_computes_it(lm, tmp_path):
    folder = tmp_path / "bge-reranker-v2-gemma"  # the name of the published model
    shutil.copytree(lm, folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"bos_token": "<|im_start|>"})
    tokenizer.add_tokens(["Yes"])  # random BPE would cut it in two
    tokenizer.save_pretrained(folder)

    def ids(text):
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    prompt = (
        "Given a query A and a passage B, determine whether the passage contains an answer to the query by providing "
        "a prediction of either 'Yes' or 'No'."
    )
    # A prediction of "Yes" or "No" inside the prompt is the added token, as the tokenizer has it.
    rows = [
        [tokenizer.bos_token_id, *ids(f"A: {q}"), *ids("\n"), *ids(f"B: {p}"), *ids("\n"), *ids(prompt)]
        for q, p in PAIRS
    ]
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    model.resize_token_embeddings(len(tokenizer))
    model.save_pretrained(folder)
    expected = [row[ids("Yes")[0]] for row in logits(folder, rows)]
    ours = open_reranker(f"causal-lm:{folder}", CPU)
    assert close(ours.score(QUERY, PASSAGES), expected)
    assert ours.describe()["template_source"] == "published: bge-reranker-v2-gemma"
    assert ours.describe()["score"] == "logit(yes)"


@pytest.mark.parametrize("instruction", [None, "Prefer the most recent."])
def test_mxbai_v2_as_its_library_computes_it(lm, instruction):
    tokenizer = transformers.AutoTokenizer.from_pretrained(lm)

    def ids(text):
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    task = (
        "You are a search relevance expert who evaluates how well documents match search queries. For each "
        "query-document pair, carefully analyze the semantic relationship between them, then provide your binary "
        "relevance judgment (0 for not relevant, 1 for relevant).\nRelevance:"
    )
    before = "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
    rows = []
    for query, passage in PAIRS:
        asked = f"query: {query}" if instruction is None else f"instruction: {instruction}\nquery: {query}"
        parts = [before + "<|im_start|>user\n", asked, "\n", f"document: {passage}", "\n", task]
        rows.append([each for part in [*parts, "<|im_end|>\n<|im_start|>assistant\n"] for each in ids(part)])
    expected = [row[ids("1")[0]] - row[ids("0")[0]] for row in logits(lm, rows)]
    ours = open_reranker(f"causal-lm:{lm}#profile=mxbai-v2", CPU)
    assert close(ours.score(QUERY, PASSAGES, instruction), expected)


def test_a_chat_model_is_asked_through_its_own_template(lm, tmp_path):
    """For Qwen3's template that is Qwen3-Reranker's prompt, to the last token."""
    folder = with_template(lm, tmp_path / "chat", CHATML)
    ours, published = CausalLmReranker(str(folder), CPU), CausalLmReranker(str(lm), CPU)
    assert close(ours.score(QUERY, PASSAGES), published.score(QUERY, PASSAGES))
    assert ours.describe()["template_source"] == "the model's chat template"
    check_reranker(ours)


def test_a_template_without_system_turns_gets_the_question_in_the_users(lm, tmp_path):
    ours = CausalLmReranker(str(with_template(lm, tmp_path / "chat", NO_SYSTEM)), CPU)
    assert ours.describe()["template"].startswith("[user] Judge whether the Document")
    with pytest.raises(FrescoError, match=r"chat template cannot be used.*--template FILE"):
        open_reranker(f"causal-lm:{with_template(lm, tmp_path / 'deaf', 'hello')}", CPU).score(QUERY, PASSAGES)


def test_a_template_of_the_users_own(lm, tmp_path):
    file = tmp_path / "mine.txt"
    file.write_text("Q: {query}\nP: {document}\nGood (y/n)? {instruction}\n")
    settings = Settings(device="cpu", template=str(file), answers=("y", "n"))
    tokenizer = transformers.AutoTokenizer.from_pretrained(lm)
    texts = [f"Q: {query}\nP: {passage}\nGood (y/n)? now" for query, passage in PAIRS]
    y, n = (tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in ("y", "n"))
    expected = [row[y] - row[n] for row in logits(lm, [tokenizer(text)["input_ids"] for text in texts])]
    ours = open_reranker(f"causal-lm:{lm}", settings)
    assert close(ours.score(QUERY, PASSAGES, "now"), expected)
    assert ours.describe()["used"] == 'asked by file mine.txt, answers "y/n"'
    assert ours.fingerprint != open_reranker(f"causal-lm:{lm}", CPU).fingerprint
    file.write_text("Q: {query}")
    with pytest.raises(FrescoError, match=r"it has no \{document\}"):
        open_reranker(f"causal-lm:{lm}", settings)


@pytest.mark.parametrize(
    ("answers", "message"),
    [(("definitely", "no"), "cuts 'definitely' into .* tokens"), (("no", "no"), "one token for both answers")],
)
def test_answers_that_no_token_can_be(lm, answers, message):
    with pytest.raises(FrescoError, match=message):
        open_reranker(f"causal-lm:{lm}", Settings(device="cpu", answers=answers)).score(QUERY, PASSAGES)


def test_what_a_cross_encoder_saved_is_what_both_families_score_by(lm, tmp_path):
    from sentence_transformers import CrossEncoder
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.cross_encoder.modules import LogitScore

    base = with_template(lm, tmp_path / "base", CHATML.replace("assistant", "judge"))
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    one, zero = (tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in "10")
    first = Transformer(str(base), transformer_task="text-generation")
    model = CrossEncoder(modules=[first, LogitScore(true_token_id=one, false_token_id=zero)], device="cpu")
    model.save_pretrained(str(tmp_path / "saved"))
    expected = model.predict(PAIRS, activation_fn=torch.nn.Identity()).tolist()
    handed = open_reranker(f"causal-lm:{tmp_path / 'saved'}", CPU)
    own = open_reranker(f"cross-encoder:{tmp_path / 'saved'}", CPU)
    assert close(handed.score(QUERY, PASSAGES), expected)
    assert close(own.score(QUERY, PASSAGES), expected)
    assert handed.name.startswith("causal-lm:")
    assert "sentence-transformers" in handed.describe()["used"]
    assert handed.fingerprint == own.fingerprint


def test_no_family_sends_the_user_in_a_circle(lm, tmp_path):
    """What one family's refusal names, opens."""
    folders = {
        "lm": lm,
        "classifier": tiny_models.sequence_classifier(tmp_path / "classifier"),
        "encoder": tiny_models.cross_encoder(tmp_path / "encoder"),
    }
    for folder in folders.values():
        for family in ("cross-encoder", "causal-lm", "dense"):
            try:
                open_reranker(f"{family}:{folder}", CPU)
            except FrescoError as error:
                named = next(word for word in str(error).split() if word.endswith(f":{folder}") and family not in word)
                assert open_reranker(named, CPU)


def test_a_classifier_of_several_outputs_wants_to_know_which(tmp_path):
    two = tiny_models.cross_encoder(tmp_path / "two", num_labels=2)
    with pytest.raises(FrescoError, match=r"has 2 outputs.*#label=N"):
        CrossEncoderReranker(str(two), CPU)  # before any weights
    ours = open_reranker(f"cross-encoder:{two}#label=1", CPU)
    tokenizer = transformers.AutoTokenizer.from_pretrained(two)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(two).eval()
    with torch.no_grad():
        expected = [model(**tokenizer(*pair, return_tensors="pt")).logits[0, 1] for pair in PAIRS]
    assert close(ours.score(QUERY, PASSAGES), expected)
    with pytest.raises(FrescoError, match="write 0 to 1"):
        open_reranker(f"cross-encoder:{two}#label=2", CPU)
    with pytest.raises(FrescoError, match="unknown option 'lable'; known are label="):
        open_reranker(f"cross-encoder:{two}#lable=1", CPU)


def test_a_decoder_without_template_is_scored_with_a_warning_or_a_template(tmp_path):
    folder = tiny_models.sequence_classifier(tmp_path / "classifier")
    (warning,) = CrossEncoderReranker(str(folder), CPU).describe()["warnings"]
    assert "without a template" in warning
    assert "warnings" not in CrossEncoderReranker(str(tiny_models.cross_encoder(tmp_path / "bert")), CPU).describe()
    (tmp_path / "form").write_text("{instruction} Q: {query} D: {document} relevant:")
    ours = CrossEncoderReranker(str(folder), Settings(device="cpu", template=str(tmp_path / "form")))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        expected = [
            model(**tokenizer(f"now Q: {query} D: {passage} relevant:", return_tensors="pt")).logits[0, 0]
            for query, passage in PAIRS
        ]
    assert close(ours.score(QUERY, PASSAGES, "now"), expected)
    assert "warnings" not in ours.describe()


def test_dense_warns_of_a_model_that_embeds_nothing(lm):
    (warning,) = Dense(str(lm), CPU).describe()["warnings"]
    assert "no embedding model" in warning


def test_a_tokenizer_config_that_is_no_object_is_one_line(lm, tmp_path):
    folder = with_template(lm, tmp_path / "odd", CHATML)
    (folder / "chat_template.jinja").unlink()
    (folder / "tokenizer_config.json").write_text(json.dumps([1]))
    with pytest.raises(FrescoError, match=r"tokenizer_config\.json is no JSON object"):
        CausalLmReranker(str(folder), CPU)
