"""Which prompt a language model was made to be asked in: its own files first, then what was published, then the rest.

In this order: ``--template``; the published form of a model of the table below, found by its exact name on the hub (or
the same name of a folder) or chosen by ``#profile=``; the model's own chat template; Qwen3-Reranker's form where the
tokenizer knows ChatML's tokens but no template came along; else plain text, as for a model that was never tuned. What a
sentence-transformers ``CrossEncoder`` saved with the model goes before all but the first; ``causal-lm:`` hands such a
model to that library's loader.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fresco.errors import FrescoError
from fresco.models.loading import ModelFiles
from fresco.rerank.prompt_form import PromptForm, read_form, with_spellings

_SYSTEM = (
    "Judge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".'
)
_USER = "<Instruct>: {instruction}\n<Query>: {query}\n<Document>: {document}"
_NAMES = ("<Instruct>:", "<Query>:", "<Document>:")
#: Default of the model card's code.
MODEL_CARD_INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"

QWEN3 = PromptForm(
    "published: Qwen3-Reranker",
    (
        f"<|im_start|>system\n{_SYSTEM}<|im_end|>\n<|im_start|>user\n",
        _USER,
        "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
    ),
    instruction=MODEL_CARD_INSTRUCTION,
    names=_NAMES,
    begins=False,
    max_length=8192,  # of the model card's code
)
# FlagEmbedding 1.4.2, FlagLLMReranker: the logit of "Yes" is the score, there is no second answer.
BGE = PromptForm(
    "published: bge-reranker-v2-gemma",
    ("A: {query}", "\n", "B: {document}", "\n", "{instruction}"),
    yes=("Yes",),
    no=(),
    instruction=(
        "Given a query A and a passage B, determine whether the passage contains an answer to the query by providing a "
        "prediction of either 'Yes' or 'No'."
    ),
    begins=True,
    max_length=1024,
)
# mxbai-rerank 0.1.6, MxbaiRerankV2: an instruction is a line of its own, and there is none by default.
MXBAI = PromptForm(
    "published: mxbai-rerank-v2",
    (
        "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\n",
        "{instruction}query: {query}",
        "\n",
        "document: {document}",
        "\n",
        "You are a search relevance expert who evaluates how well documents match search queries. For each "
        "query-document pair, carefully analyze the semantic relationship between them, then provide your binary "
        "relevance judgment (0 for not relevant, 1 for relevant).\nRelevance:",
        "<|im_end|>\n<|im_start|>assistant\n",
    ),
    yes=("1",),
    no=("0",),
    lead="instruction: {instruction}\n",
    begins=False,
    max_length=8192,
)
PLAIN = PromptForm(
    "plain text: the model has no template",
    (f"{_SYSTEM}\n\n{_USER}\n<Answer>:",),
    yes=(" yes", "yes"),
    no=(" no", "no"),
    instruction=MODEL_CARD_INSTRUCTION,
    names=(*_NAMES, "<Answer>:"),
)


@dataclass(frozen=True)
class Profile:
    """A row of the table: a form and the hub's names of the models that were trained with it."""

    form: PromptForm
    models: tuple[str, ...]


PROFILES: dict[str, Profile] = {
    "qwen3-reranker": Profile(QWEN3, ("Qwen/Qwen3-Reranker-0.6B", "Qwen/Qwen3-Reranker-4B", "Qwen/Qwen3-Reranker-8B")),
    "bge-gemma": Profile(BGE, ("BAAI/bge-reranker-v2-gemma",)),
    "bge-minicpm": Profile(
        replace(BGE, source="published: bge-reranker-v2-minicpm"), ("BAAI/bge-reranker-v2-minicpm-layerwise",)
    ),
    "mxbai-v2": Profile(MXBAI, ("mixedbread-ai/mxbai-rerank-base-v2", "mixedbread-ai/mxbai-rerank-large-v2")),
    "plain": Profile(PLAIN, ()),
}
CHAT = "chat"


def check_profile(name: str) -> str:
    """The name of a profile.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in PROFILES and name != CHAT:
        raise ValueError(name)
    return name


def choose_form(
    files: ModelFiles, template: str | None, answers: Sequence[str], profile: str | None = None
) -> PromptForm | None:
    """The form of a model, told by its files; None where it is the model's chat template, which only a tokenizer reads.

    Args:
        files: Of the model.
        template: File of the user's own.
        answers: Of the user's own; none for those of the form.
        profile: A key of :data:`PROFILES`, or ``chat``.

    Raises:
        FrescoError: the file cannot be read.
    """
    if template is not None:
        return read_form(template, answers)
    name = profile or _published(files.model)
    if name is None and has_chat_template(files):
        name = CHAT
    if name == CHAT:
        return None
    form = PROFILES[name].form if name else QWEN3 if _knows_chatml(files) else PLAIN
    if not name and form is QWEN3:
        form = replace(QWEN3, source="Qwen3-Reranker's form: the tokenizer knows ChatML and has no template")
    return with_answers(form, answers)


def with_answers(form: PromptForm, answers: Sequence[str]) -> PromptForm:
    """The form with the user's own answers, where there are any."""
    if not answers:
        return form
    yes, no = with_spellings(answers)
    return replace(form, yes=yes, no=no)


def chat_form(spec: str, tokenizer: Any, answers: Sequence[str]) -> PromptForm:
    """The model's own chat template around Qwen3-Reranker's question, without thoughts where it can leave them out.

    A template that knows no system turn gets the whole question in the user's.

    Raises:
        FrescoError: the template cannot be rendered, or changes the question.
    """
    turns = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": _USER}]
    alone = [{"role": "user", "content": f"{_SYSTEM}\n\n{_USER}"}]
    rendered, said = "", "it leaves the question out"
    for messages in (turns, alone):
        try:
            # A template that writes today's date would score otherwise tomorrow: it gets Llama 3.1's own default.
            rendered = tokenizer.apply_chat_template(
                messages,
                tokenize=False,
                add_generation_prompt=True,
                enable_thinking=False,
                date_string="26 Jul 2024",
            )
        except Exception as error:  # a template can raise whatever it likes
            said = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            continue
        if rendered.count(_USER) == 1 and _SYSTEM in rendered:
            break
    else:
        raise FrescoError(f"{spec}: its chat template cannot be used ({said}); write one in a file: --template FILE")
    before, _, after = rendered.partition(_USER)
    form = PromptForm(
        "the model's chat template",
        (before, _USER, after),
        instruction=MODEL_CARD_INSTRUCTION,
        names=_NAMES,
        begins=False,  # the template writes it where it wants it
        max_length=8192,
    )
    return with_answers(form, answers)


def has_chat_template(files: ModelFiles) -> bool:
    """Whether a chat template came with the model."""
    return files.has("chat_template.jinja") or bool(files.json("tokenizer_config.json").get("chat_template"))


def _published(model: str) -> str | None:
    """The profile of a model of the hub, or of a folder that bears such a model's name."""
    last = model.rstrip("/").rpartition("/")[2].lower()
    for name, profile in PROFILES.items():
        if any(known.rpartition("/")[2].lower() == last for known in profile.models):
            return name
    return None


def _knows_chatml(files: ModelFiles) -> bool:
    added = files.json("tokenizer.json").get("added_tokens")
    words = {token.get("content") for token in added if isinstance(token, dict)} if isinstance(added, list) else set()
    return {"<|im_start|>", "<|im_end|>"} <= words


def describe_form(form: PromptForm) -> str:
    """What was used, in a line."""
    answers = f", answers {json.dumps(form.answers)}" if form.yes else ""
    return f"asked by {form.source}{answers}"
