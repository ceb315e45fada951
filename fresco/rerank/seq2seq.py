"""``seq2seq:MODEL``: a T5-like encoder-decoder, scored by the logits of its first decoder step.

MonoT5, InRanker and TWOLAR say ``true`` or ``false`` (their multilingual kin ``yes`` or ``no``, ``sim`` or ``não``):
the score is ``logit(true) - logit(false)``, whose sigmoid is the published probability. RankT5 was trained to make the
logit of one spare token, ``<extra_id_10>``, the score. Which it is, is found by the model's published name; others get
MonoT5's form, or ``--template FILE --answers YES,NO``, or ``--answers '<extra_id_10>'`` for a score token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from fresco.errors import FrescoError
from fresco.models import loading
from fresco.models.batching import Batch, Tokens
from fresco.models.quantized import dtype_name, quantize
from fresco.models.settings import Settings
from fresco.models.tokens import Disarm, encode, fast
from fresco.records import Pair
from fresco.rerank.model_reranker import ROUGH_DIFFERENCE, PairReranker
from fresco.rerank.profiles import describe_form, with_answers
from fresco.rerank.prompt_form import PromptForm, read_form
from fresco.rerank.registry import MODELS_EXTRA, RERANKERS

if TYPE_CHECKING:
    import torch

_FAMILY = "seq2seq"

MONOT5 = PromptForm(
    "published: MonoT5",
    ("Query: {query} Document: {document} Relevant:",),
    yes=("true",),
    no=("false",),
    names=("Query:", "Document:", "Relevant:"),
    begins=False,
)
RANKT5 = replace(
    MONOT5, source="published: RankT5", segments=("Query: {query} Document: {document}",), yes=("<extra_id_10>",), no=()
)
#: Answers by the published names of models (the tables of pygaggle and rerankers); MonoT5's own are the rule.
_PUBLISHED: Mapping[str, PromptForm] = {
    **{f"rankt5-{size}": RANKT5 for size in ("base", "large", "3b")},
    **{
        name: replace(MONOT5, source="published: mMonoT5", yes=("yes",), no=("no",))
        for name in ("mt5-base-en-msmarco", "mt5-base-en-pt-msmarco-v2", "mt5-base-mmarco-v2", "mt5-base-mmarco-v1")
    },
    **{
        f"monoptt5-{size}": replace(MONOT5, source="published: monoPTT5", yes=("Sim",), no=("Não",))
        for size in ("small", "base", "large", "3b")
    },
}


class Seq2SeqReranker(PairReranker["_FirstStep"]):
    """Scores pairs by an encoder-decoder's first step.

    Attributes:
        name: ``seq2seq:MODEL``.
        truncated: Pairs of which this process cut the passage's end.
    """

    family = _FAMILY
    rough = ROUGH_DIFFERENCE
    _files: loading.ModelFiles

    def __init__(self, model: str, settings: Settings, *, revision: str | None = None) -> None:
        """Check the model's files; weights load at the first score.

        Args:
            model: A folder or a Hugging Face model id.
            settings: Device, dtype, lengths, a template and answers of the user's own.
            revision: Branch, tag or commit of a hub model.

        Raises:
            FrescoError: the model cannot be found, or is no encoder-decoder.
        """
        super().__init__(loading.find_model(_FAMILY, model, settings, revision), settings)
        if not self._files.architecture.endswith("ForConditionalGeneration"):
            raise FrescoError(
                f"{self.name}: architecture {self._files.architecture} is no encoder-decoder; a language model is "
                f"causal-lm:{model}, a model with a scoring head cross-encoder:{model}"
            )
        if settings.template is not None:
            self.form = read_form(settings.template, settings.answers or ("true", "false"))
        else:
            published = _PUBLISHED.get(model.rstrip("/").rpartition("/")[2].lower(), MONOT5)
            self.form = with_answers(published, settings.answers)

    def _load(self) -> _FirstStep:
        return _FirstStep(self.name, self._files, self._settings, self.form)

    def _identity(self) -> str:
        return f"|prompt={self.form.digest}"

    def _details(self, loaded: _FirstStep | None) -> Mapping[str, Any]:
        return {
            "template": self.form.text,
            "template_source": self.form.source,
            "answers": self.form.answers,
            "score": "logit(yes) - logit(no)" if self.form.no else "logit of the score token",
            "used": describe_form(self.form),
        }


class _FirstStep:
    """A loaded encoder-decoder as :class:`fresco.models.batching.BatchModel`."""

    padding_side: Literal["left", "right"] = "right"

    def __init__(self, spec: str, files: loading.ModelFiles, settings: Settings, form: PromptForm) -> None:
        self._form = form
        self._tokenizer, self._model = load_encoder_decoder(spec, files, settings)
        self.device, self.dtype = self._model.device, dtype_name(self._model, settings)
        self._answers = list(form.answer_ids(spec, self._tokenizer))
        self.limit = loading.token_limit(spec, self._model, self._tokenizer, settings.max_length)
        self.pad_id: int = self._tokenizer.pad_token_id or 0
        self._disarm = Disarm(self._tokenizer, form.names)
        self._end = ending(self._tokenizer)
        self.truncated = 0

    def encode(self, pairs: Sequence[Pair]) -> list[Tokens]:
        encoded, cut = encode(pairs, self._tokenizer, self._disarm, self._tokens, self.limit)
        self.truncated += cut
        return encoded

    def forward(self, batch: Batch) -> torch.Tensor:
        import torch

        start = torch.full((len(batch.input_ids), 1), self._model.config.decoder_start_token_id, device=self.device)
        logits = self._model(
            input_ids=batch.input_ids, attention_mask=batch.attention_mask, decoder_input_ids=start, use_cache=False
        ).logits[:, 0, self._answers]
        scores: torch.Tensor = logits.float()
        return scores[:, 0] - scores[:, 1] if len(self._answers) > 1 else scores[:, 0]

    def _tokens(self, texts: Sequence[tuple[str, str]]) -> list[Tokens]:
        return [Tokens([*ids, *self._end]) for ids in self._form.encode(self._tokenizer, None, texts)]


def load_encoder_decoder(spec: str, files: loading.ModelFiles, settings: Settings) -> tuple[Any, Any]:
    """Tokenizer and model.

    Raises:
        FrescoError: either cannot be loaded, or lacks what scoring needs.
    """
    from transformers import AutoModelForSeq2SeqLM

    tokenizer = fast(spec, loading.tokenizer(files))
    device = loading.torch_device(settings)
    model = loading.load(
        files,
        lambda: AutoModelForSeq2SeqLM.from_pretrained(
            files.location,
            revision=files.revision,
            dtype=loading.torch_dtype(settings, quantizes=True),
            trust_remote_code=False,
        ),
    )
    if model.config.decoder_start_token_id is None:
        raise FrescoError(f"{spec}: its config has no decoder_start_token_id; the decoder cannot begin")
    return tokenizer, quantize(model.to(device).eval(), settings)


def ending(tokenizer: Any) -> list[int]:
    """The token that the tokenizer puts at the end of a text, where it does."""
    own = tokenizer("a", return_attention_mask=False)["input_ids"]
    end = tokenizer.eos_token_id
    return [end] if end is not None and own[-1:] == [end] else []


@RERANKERS.register(
    "seq2seq:MODEL",
    "MonoT5, InRanker, TWOLAR, RankT5",
    needs=MODELS_EXTRA,
    example="ORGANISATION/NAME or seq2seq:./folder",
    instruction="no",
)
def _open(model: str, settings: Settings) -> Seq2SeqReranker:
    return Seq2SeqReranker(model, settings)
