"""``likelihood:MODEL``: how likely a language model finds the query, given the passage (UPR, arXiv 2204.07496).

The score is the mean log-probability of the query's tokens after ``Passage: ... Please write a question based on this
passage.`` An encoder-decoder reads the passage in its encoder and the query, its end included, in its decoder, as
published. A decoder reads one after the other: a chat model through its template, the query standing where its answer
would; a base model as plain text. ``--template FILE`` gives another form, which must end in ``{query}``.

Logits are computed at the query's positions alone. A decoder reads a passage once for all queries whose pools hold it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from fresco.errors import FrescoError
from fresco.models import loading
from fresco.models.batching import Batch, Tokens
from fresco.models.quantized import dtype_name
from fresco.models.reading import share
from fresco.models.settings import Settings
from fresco.models.tokens import Disarm, encode, fast
from fresco.records import Pair
from fresco.rerank.asked_model import load_language_model
from fresco.rerank.model_reranker import PairReranker
from fresco.rerank.output_head import finish_logits
from fresco.rerank.profiles import has_chat_template
from fresco.rerank.prompt_form import PromptForm, read_form
from fresco.rerank.registry import MODELS_EXTRA, RERANKERS
from fresco.rerank.seq2seq import ending, load_encoder_decoder

if TYPE_CHECKING:
    import torch

_FAMILY = "likelihood"
_INSTRUCTION = "Please write a question based on this passage."
_PASSAGE = "Passage: {document}. {instruction}"
_QUERY = "{query}"
UPR = PromptForm("published: UPR", (_PASSAGE, _QUERY), instruction=_INSTRUCTION, begins=False)
PLAIN = replace(UPR, source="UPR as plain text", segments=(f"{_PASSAGE}\nQuestion:", " {query}"), begins=None)


class LikelihoodReranker(PairReranker["QueryModel"]):
    """Scores pairs by the mean log-probability of the query's tokens, given the passage.

    Attributes:
        name: ``likelihood:MODEL``.
        truncated: Pairs of which this process cut the passage's end.
    """

    family = _FAMILY
    _files: loading.ModelFiles

    def __init__(self, model: str, settings: Settings, *, revision: str | None = None) -> None:
        """Check the model's files; weights load at the first score.

        Args:
            model: A folder or a Hugging Face model id.
            settings: Device, dtype, lengths, a template of the user's own.
            revision: Branch, tag or commit of a hub model.

        Raises:
            FrescoError: the model cannot be found, or writes no text.
        """
        super().__init__(loading.find_model(_FAMILY, model, settings, revision), settings)
        kind = self._files.architecture
        self._encodes = kind.endswith("ForConditionalGeneration")
        if not (self._encodes or kind.endswith("ForCausalLM")):
            raise FrescoError(f"{self.name}: architecture {kind} writes no text; likelihood: wants a language model")
        self._own = None
        if settings.template is not None:
            form = read_form(settings.template, ())
            if not form.text.endswith(_QUERY) or form.text.count(_QUERY) > 1:
                raise FrescoError(f"--template {settings.template}: for likelihood: it must end in {{query}}, its only")
            before = form.text.removesuffix(_QUERY)
            blank = " " if before.endswith(" ") else ""  # a blank belongs to the word after it
            self._own = replace(form, segments=(before.removesuffix(" "), blank + _QUERY))
        self.takes_instruction = self._own is None or self._own.takes_instruction

    @cached_property
    def form(self) -> PromptForm:
        """How the model is asked; reading a chat template loads the tokenizer."""
        if self._own is not None:
            return self._own
        if self._encodes:
            return UPR
        return _chat_form(self.name, self._files) if has_chat_template(self._files) else PLAIN

    def _load(self) -> QueryModel:
        make = _EncoderDecoder if self._encodes else _Decoder
        return make(self.name, self._files, self._settings, self.form)

    def _instruct(self, loaded: QueryModel, instruction: str | None) -> None:
        loaded.instruction = self.form.instruction if instruction is None else instruction

    def _identity(self) -> str:
        default = hashlib.sha256((self.form.instruction or "").encode()).hexdigest()
        return f"|prompt={self.form.digest},{default}"

    def _details(self, loaded: QueryModel | None) -> Mapping[str, Any]:
        return {
            "template": self.form.text,
            "template_source": self.form.source,
            "default_instruction": self.form.instruction,
            "score": "mean log-probability of the query's tokens",
            "used": f"the query's likelihood by {self.form.source}",
            "tokens_saved_by_sharing": loaded.sharing.saved if isinstance(loaded, _Decoder) else None,
        }


def _chat_form(spec: str, files: loading.ModelFiles) -> PromptForm:
    try:
        rendered = loading.tokenizer(files).apply_chat_template(
            [{"role": "user", "content": _PASSAGE}],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=False,
            date_string="26 Jul 2024",  # see fresco.rerank.profiles.chat_form
        )
    except FrescoError:
        raise
    except Exception as error:  # a template can raise whatever it likes
        raise FrescoError(f"{spec}: its chat template cannot be used ({type(error).__name__})") from error
    if rendered.count(_PASSAGE) != 1:
        raise FrescoError(f"{spec}: its chat template leaves the passage out; write one in a file: --template FILE")
    before, _, after = rendered.partition(_PASSAGE)
    return replace(UPR, source="UPR through the model's chat template", segments=(before, _PASSAGE, after, _QUERY))


class QueryModel:
    """What all kinds share: the query's tokens are marked by segment id 1, the rest is what stands before them.

    Attributes:
        limit: Most tokens of a pair; set by who loads the weights.
        instruction: Of the pairs to come.
        truncated: Pairs of which the passage's end was cut.
    """

    device: torch.device
    dtype: str
    limit: int
    padding_side: Literal["left", "right"] = "right"

    def __init__(self, tokenizer: Any, form: PromptForm) -> None:
        self._tokenizer = tokenizer
        self._before = replace(form, segments=form.segments[:-1])
        self._query = replace(form, segments=form.segments[-1:], begins=False)
        self.pad_id: int = tokenizer.pad_token_id or 0
        self._disarm = Disarm(tokenizer)
        self._between: list[int] = []
        self._end: list[int] = []
        self.instruction = form.instruction
        self.truncated = 0

    def encode(self, pairs: Sequence[Pair]) -> list[Tokens]:
        """Token ids of the pairs, none longer than the limit."""
        encoded, cut = encode(pairs, self._tokenizer, self._disarm, self._tokens, self.limit)
        self.truncated += cut
        return encoded

    def forward(self, batch: Batch) -> torch.Tensor:
        """Scores of a batch, shape (pairs,)."""
        raise NotImplementedError

    def _tokens(self, texts: Sequence[tuple[str, str]]) -> list[Tokens]:
        told = None if self.instruction is None else self._disarm(self.instruction)
        before = self._before.encode(self._tokenizer, told, texts)
        asked = self._query.encode(self._tokenizer, None, texts)
        rows = [([*one, *self._between], [*other, *self._end]) for one, other in zip(before, asked, strict=True)]
        return [Tokens([*one, *other], [*[0] * len(one), *[1] * len(other)]) for one, other in rows]


class _HereModel(QueryModel):
    """One whose weights are in this process."""

    def __init__(self, spec: str, model: Any, tokenizer: Any, settings: Settings, form: PromptForm) -> None:
        super().__init__(tokenizer, form)
        self._model = model
        self.device, self.dtype = model.device, dtype_name(model, settings)
        self.limit = loading.token_limit(spec, model, tokenizer, settings.max_length)


class _Decoder(_HereModel):
    def __init__(self, spec: str, files: loading.ModelFiles, settings: Settings, form: PromptForm) -> None:
        tokenizer = fast(spec, loading.tokenizer(files))
        model = load_language_model(files, settings)
        super().__init__(spec, model, tokenizer, settings, form)
        texts = [(query, "a passage " * length) for length in (1, 40, 7) for query in ("one", "another query")]
        tokens = self._tokens(texts)
        self.sharing = share(self, model.base_model, self.dtype, tokens, [passage for _, passage in texts])

    def forward(self, batch: Batch) -> torch.Tensor:
        hidden = self._model.base_model(
            input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False
        ).last_hidden_state
        assert batch.token_type_ids is not None
        rows, places = (batch.token_type_ids == 1).nonzero(as_tuple=True)
        return self._means(hidden[rows, places - 1], rows, batch.input_ids[rows, places])

    def order(self, pairs: Sequence[Pair]) -> list[int]:
        """All queries of a passage stand together, and passages that begin alike."""
        return sorted(range(len(pairs)), key=lambda place: pairs[place][1].text)

    def cut(
        self, pairs: Sequence[Pair], tokens: Sequence[Tokens], budget: int
    ) -> Iterator[tuple[list[int], Callable[[], torch.Tensor]]]:
        """Prompts of one passage share all that stands before the query."""
        return self.sharing.cut(self, tokens, [passage.text for _, passage in pairs], budget)

    def wanted(self, own: Tokens) -> range:
        """Those that foretell the query's tokens."""
        return range(len(own) - sum(own.type_ids or ()) - 1, len(own) - 1)

    def read(self, hidden: torch.Tensor, tokens: Sequence[Tokens]) -> torch.Tensor:
        """See :class:`fresco.models.reading.ReadModel`."""
        import torch

        places = [(row, own.ids[place + 1]) for row, own in enumerate(tokens) for place in self.wanted(own)]
        rows, asked = torch.tensor(places, device=self.device).T
        return self._means(hidden, rows, asked)

    def _means(self, hidden: torch.Tensor, rows: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
        """The mean log-probability of each row's tokens.

        Args:
            hidden: Hidden states that foretell them, shape (tokens, hidden size).
            rows: Of each token, ascending from 0.
            asked: Their ids.
        """
        import torch

        logits = finish_logits(self._model, self._model.get_output_embeddings()(hidden).float())
        chosen = logits.log_softmax(dim=-1).gather(1, asked[:, None])[:, 0]
        counts = rows.bincount()
        means: torch.Tensor = torch.zeros(len(counts), device=self.device).index_add_(0, rows, chosen) / counts
        return means


class _EncoderDecoder(_HereModel):
    def __init__(self, spec: str, files: loading.ModelFiles, settings: Settings, form: PromptForm) -> None:
        tokenizer, model = load_encoder_decoder(spec, files, settings)
        super().__init__(spec, model, tokenizer, settings, form)
        self._between = self._end = ending(tokenizer)

    def forward(self, batch: Batch) -> torch.Tensor:
        import torch
        from torch.nn.utils.rnn import pad_sequence

        assert batch.token_type_ids is not None
        asked = batch.token_type_ids == 1
        queries = [ids[own] for ids, own in zip(batch.input_ids, asked, strict=True)]
        labels = pad_sequence(queries, batch_first=True, padding_value=self.pad_id)
        real = pad_sequence([torch.ones_like(each) for each in queries], batch_first=True)
        start = torch.full((len(labels), 1), self._model.config.decoder_start_token_id, device=self.device)
        # The query stands behind the passage in the row, and is hidden from the encoder by the mask alone.
        logits = self._model(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask * ~asked,
            decoder_input_ids=torch.cat([start, labels[:, :-1]], dim=1),
            use_cache=False,
        ).logits.float()
        chosen = logits.log_softmax(dim=-1).gather(2, labels[:, :, None])[:, :, 0]
        means: torch.Tensor = (chosen * real).sum(dim=1) / real.sum(dim=1)
        return means


@RERANKERS.register(
    "likelihood:MODEL",
    "how likely a language model finds the query (UPR)",
    needs=MODELS_EXTRA,
    example="ORGANISATION/NAME or likelihood:./folder",
    instruction="yes",
)
def _open(model: str, settings: Settings) -> LikelihoodReranker:
    return LikelihoodReranker(model, settings)
