"""Tiny models with random weights, saved to a folder as a user's model would be.

They load through the same code as real ones, offline and in well under a second. Weights come from a fixed seed:
the same call writes the same model.
"""

from __future__ import annotations

import json
import re
import string
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

#: Words of the texts that the tests score; a tokenizer trained on them cuts them into few tokens.
CORPUS = [
    "yes no yes no",
    "system user assistant",
    'Judge whether the Document meets the requirements. Note that the answer can only be "yes" or "no".',
    "<Instruct>: Given a web search query, retrieve relevant passages that answer the query",
    "<Query>: Who is the current head coach of the club?\nTimestamp: 2025-08-31T23:59:59Z",
    "<Document>: Title: The club\n##Coaches\nThe head coach of the club is a former player.",
    "Who is the most recent chief executive officer of the company?",
    "As of the date of this page, the company is led by its chief executive officer, who took office in the spring.",
    "The latest release of the software is version 3.2; version 3.1 came before it and is now unsupported.",
    "History: the club was founded by workers of the railway and plays its home matches at the stadium.",
    "Timestamp: 2019-01-02T03:04:05Z",
    "Timestamp: 2023-06-17T18:09:00Z",
]
#: Qwen3's control tokens (``special``) and its tags (not special), as in the published tokenizer.
CONTROL_TOKENS = ("<|im_start|>", "<|im_end|>")
TAGS = ("<think>", "</think>")
#: How a served sequence-classification re-ranker lays out a pair: {0} is the query, {1} the document.
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
)


def chat_tokenizer(*, chat_template: str | None = None) -> PreTrainedTokenizerBase:
    """A byte-level BPE tokenizer of Qwen's kind: any text has an encoding, "yes" and "no" are single tokens."""
    from transformers import AddedToken, Qwen2Tokenizer

    tokenizer = Qwen2Tokenizer().train_new_from_iterator(CORPUS * 4, vocab_size=600, show_progress=False)
    tokenizer.add_special_tokens({"additional_special_tokens": list(CONTROL_TOKENS)})
    tokenizer.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in TAGS])
    tokenizer.pad_token = "<|endoftext|>"
    tokenizer.eos_token = "<|im_end|>"
    if chat_template is not None:
        tokenizer.chat_template = chat_template
    return tokenizer


def _word_pieces() -> dict[str, int]:
    """The corpus's words, and every character at the start and inside of a word (training orders them at random)."""
    words = re.findall(r"\w+|[^\w\s]", " ".join(CORPUS).lower())
    characters = sorted({character for word in words for character in word} | set(string.printable.lower().strip()))
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters, *(f"##{each}" for each in characters)]
    return {piece: number for number, piece in enumerate(dict.fromkeys([*pieces, *sorted(set(words))]))}


def _save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> Path:
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _decoder_config(architecture: str, tokenizer: PreTrainedTokenizerBase, **overrides: Any) -> Any:
    from transformers import Qwen2Config, Qwen3Config

    shape = {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 1024,
        "initializer_range": 0.2,  # 0.02 would make all scores nearly equal
        "tie_word_embeddings": False,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": None,
    }
    if architecture == "qwen3":
        return Qwen3Config(**{**shape, "head_dim": 32, **overrides})
    if architecture == "qwen2":
        return Qwen2Config(**{**shape, **overrides})
    raise ValueError(f"no tiny decoder of architecture {architecture!r}")


def causal_lm(folder: Path, architecture: str = "qwen3", *, seed: int = 0, **overrides: Any) -> Path:
    """A Qwen2 or Qwen3 language model in the form of Qwen3-Reranker.

    Args:
        folder: Where to write; created.
        architecture: ``qwen3`` or ``qwen2``.
        seed: Of the weights.
        **overrides: Fields of the model's config.

    Returns:
        The folder.
    """
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = chat_tokenizer()
    torch.manual_seed(seed)
    return _save(
        AutoModelForCausalLM.from_config(_decoder_config(architecture, tokenizer, **overrides)), tokenizer, folder
    )


def chat_model(folder: Path, *, seed: int = 0) -> Path:
    """A language model that answers conversations, long ones too.

    Args:
        folder: Where to write; created.
        seed: Of the weights.

    Returns:
        The folder.
    """
    causal_lm(folder, seed=seed, max_position_embeddings=8192)
    asks = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    chat_tokenizer(chat_template=CHAT_TEMPLATE + asks).save_pretrained(folder)
    return folder


def sequence_classifier(folder: Path, *, chat_template: str | None = None, seed: int = 0, **overrides: Any) -> Path:
    """A Qwen3ForSequenceClassification with one label: what vLLM serves as a re-ranker.

    Args:
        folder: Where to write; created.
        chat_template: Saved with the tokenizer; ``CHAT_TEMPLATE`` is a plain one.
        seed: Of the weights.
        **overrides: Fields of the model's config.

    Returns:
        The folder.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    tokenizer = chat_tokenizer(chat_template=chat_template)
    torch.manual_seed(seed)
    config = _decoder_config("qwen3", tokenizer, **{"num_labels": 1, **overrides})
    return _save(AutoModelForSequenceClassification.from_config(config), tokenizer, folder)


def cross_encoder(folder: Path, architecture: str = "bert", *, seed: int = 0, **overrides: Any) -> Path:
    """An encoder with a classification head over the pair.

    Args:
        folder: Where to write; created.
        architecture: ``bert`` (segment ids, WordPiece) or ``xlm-roberta`` (positions offset by the padding id).
        seed: Of the weights.
        **overrides: Fields of the model's config.

    Returns:
        The folder.
    """
    import torch
    from transformers import (
        AutoModelForSequenceClassification,
        BertConfig,
        BertTokenizer,
        RobertaTokenizer,
        XLMRobertaConfig,
    )

    tokenizer: Any
    config: Any
    if architecture == "bert":
        tokenizer = BertTokenizer(vocab=_word_pieces())
        config = BertConfig(**{**_bert_shape(tokenizer), "num_labels": 1, **overrides})
    elif architecture == "xlm-roberta":
        tokenizer = RobertaTokenizer().train_new_from_iterator(CORPUS * 4, vocab_size=600, show_progress=False)
        shape = {
            **_bert_shape(tokenizer),
            "num_labels": 1,
            "max_position_embeddings": 256 + tokenizer.pad_token_id + 1,
            "type_vocab_size": 1,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
        }
        config = XLMRobertaConfig(**{**shape, **overrides})
        tokenizer.model_max_length = 256
    else:
        raise ValueError(f"no tiny cross-encoder of architecture {architecture!r}")
    torch.manual_seed(seed)
    return _save(AutoModelForSequenceClassification.from_config(config), tokenizer, folder)


def _bert_shape(tokenizer: Any) -> dict[str, Any]:
    return {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "initializer_range": 0.2,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 256,
        "pad_token_id": tokenizer.pad_token_id,
    }


def masked_lm(folder: Path, *, seed: int = 0, **overrides: Any) -> Path:
    """A BertForMaskedLM: what SPLADE's checkpoints are.

    Args:
        folder: Where to write; created.
        seed: Of the weights.
        **overrides: Fields of the model's config.

    Returns:
        The folder.
    """
    import torch
    from transformers import BertConfig, BertForMaskedLM, BertTokenizer

    tokenizer = BertTokenizer(vocab=_word_pieces(), model_max_length=256)
    torch.manual_seed(seed)
    return _save(BertForMaskedLM(BertConfig(**{**_bert_shape(tokenizer), **overrides})), tokenizer, folder)


def colbert(folder: Path, *, seed: int = 0, **overrides: Any) -> Path:
    """A late-interaction model as Stanford's ColBERT saves it: a BERT, a projection beside it, its settings.

    Args:
        folder: Where to write; created.
        seed: Of the weights.
        **overrides: Of the settings, such as ``query_maxlen``.

    Returns:
        The folder.
    """
    import torch
    from safetensors.torch import save_file
    from transformers import BertConfig, BertModel, BertTokenizer

    tokenizer = BertTokenizer(
        vocab={**_word_pieces(), "[unused0]": len(_word_pieces()), "[unused1]": len(_word_pieces()) + 1}
    )
    torch.manual_seed(seed)
    config = BertConfig(**_bert_shape(tokenizer))
    config.architectures = ["HF_ColBERT"]
    bert = BertModel(config, add_pooling_layer=False).eval()
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    weights = {f"bert.{name}": each.contiguous() for name, each in bert.state_dict().items()}
    save_file({**weights, "linear.weight": torch.randn(16, 32)}, folder / "model.safetensors", {"format": "pt"})
    settings = {"query_maxlen": 32, "doc_maxlen": 180, "mask_punctuation": True, "attend_to_mask_tokens": False}
    settings |= {"query_token_id": "[unused0]", "doc_token_id": "[unused1]", **overrides}
    (folder / "artifact.metadata").write_text(json.dumps(settings))
    return folder


def encoder_decoder(folder: Path, *, seed: int = 0, **overrides: Any) -> Path:
    """A T5 with a SentencePiece-like tokenizer that knows MonoT5's answers and RankT5's score token.

    Args:
        folder: Where to write; created.
        seed: Of the weights.
        **overrides: Fields of the model's config.

    Returns:
        The folder.
    """
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

    pieces = {"<pad>": 0.0, "</s>": 0.0, "<unk>": 0.0, "<extra_id_10>": 0.0}
    pieces |= {f"▁{word}": -5.0 for word in sorted({*re.findall(r"\w+", " ".join(CORPUS)), "true", "false"})}
    pieces |= dict.fromkeys(["▁", *string.printable.strip()], -12.0)
    words = Tokenizer(models.Unigram(list(pieces.items()), unk_id=2))
    words.pre_tokenizer = pre_tokenizers.Metaspace()
    words.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=256,
        additional_special_tokens=["<extra_id_10>"],
    )
    torch.manual_seed(seed)
    shape = {"d_model": 32, "d_kv": 16, "d_ff": 48, "num_layers": 2, "num_heads": 2, "initializer_factor": 2.0}
    config = T5Config(
        **{
            **shape,
            "vocab_size": len(tokenizer),
            "decoder_start_token_id": 0,
            "pad_token_id": 0,
            "eos_token_id": 1,
            **overrides,
        }
    )
    return _save(T5ForConditionalGeneration(config), tokenizer, folder)
