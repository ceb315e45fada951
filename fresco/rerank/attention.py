"""``attention:MODEL``: the in-context re-ranker (arXiv 2410.02642), which reads a ranking off a model's attention.

All passages of a window stand in one prompt before the query. A passage's score is the attention that the query's
tokens pay to its tokens, summed over layers and heads and averaged over the query's tokens, less what a content-free
query ("N/A") pays to the same tokens; tokens far below the rest of their passage are left out. Nothing is generated.

The passages are read once for both queries: their keys and values are kept, and only the query's few rows of attention
are ever laid out. Longer pools go through a sliding window, so a score is the negated place in the end. Options after
``MODEL#``: ``window=20``, ``stride=10``, ``layers=8-15`` (from 0; default all), ``heads=3.1,7.0`` (layer.head), and
``words=300``.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fresco.errors import FrescoError
from fresco.models import loading
from fresco.models.settings import Settings
from fresco.models.shared_prefix import cache_argument
from fresco.models.tokens import Disarm
from fresco.records import Passage, Query
from fresco.rerank.listwise_prompt import without_numbers
from fresco.rerank.model_options import Readers, split_options, whole
from fresco.rerank.model_reranker import ModelReranker
from fresco.rerank.profiles import has_chat_template
from fresco.rerank.registry import MODELS_EXTRA, RERANKERS
from fresco.rerank.sliding import shuffled, slide

if TYPE_CHECKING:
    import torch

_FAMILY = "attention"
_BEFORE = "Here are some paragraphs:\n\n"
_ASK = "Please find information that are relevant to the following query in the paragraphs above.\n\nQuery:"
_CONTENT_FREE = " N/A"
_MARK = "{passages}"


def _layers(text: str) -> tuple[int, int]:
    low, _, high = text.partition("-")
    found = int(low), int(high or low)
    if not 0 <= found[0] <= found[1]:
        raise ValueError(text)
    return found


def _heads(text: str) -> tuple[tuple[int, int], ...]:
    pairs = [each.split(".") for each in text.split(",")]
    return tuple((int(layer), int(head)) for layer, head in pairs)


_OPTIONS: Readers = {
    "window": ("a whole number from 2", whole(2)),
    "stride": ("a whole number from 1", whole(1)),
    "words": ("a whole number from 1", whole(1)),
    "layers": ("a range such as 8-15", _layers),
    "heads": ("layer.head pairs such as 3.1,7.0", _heads),
}


class AttentionReranker(ModelReranker["_Reader"]):
    """Ranks pools by the attention that the query pays to each passage.

    Attributes:
        name: ``attention:MODEL``.
    """

    family = _FAMILY
    pointwise = False
    tolerance = 0.5  # places: rounding may swap two that are level
    _files: loading.ModelFiles

    def __init__(self, model: str, settings: Settings, *, revision: str | None = None, **options: Any) -> None:
        """Check the model's files; weights load at the first score.

        Args:
            model: A folder or a Hugging Face model id.
            settings: Device, dtype, lengths.
            revision: Branch, tag or commit of a hub model.
            **options: The module's text lists them.

        Raises:
            FrescoError: the model cannot be found, is no language model, or the stride is longer than the window.
        """
        super().__init__(loading.find_model(_FAMILY, model, settings, revision), settings)
        self._options: dict[str, Any] = {"window": 20, "stride": 10, "words": 300, **options}
        if not self._files.architecture.endswith("ForCausalLM"):
            raise FrescoError(f"{self.name}: {self._files.architecture} is no causal language model")
        if self._options["stride"] > self._options["window"]:
            raise FrescoError(f"{self.name}: stride= is longer than window=; passages between them would be lost")
        if options:
            written = json.dumps(options, separators=(",", ":")).strip("{}").replace('"', "")
            self.name += f"#{written}"

    def _load(self) -> _Reader:
        return _Reader(self.name, self._files, self._settings, self._options)

    def _identity(self) -> str:
        return f"|{json.dumps(self._options, sort_keys=True)}|{self._settings.seed}|{_BEFORE}{_ASK}"

    def _details(self, loaded: _Reader | None) -> Mapping[str, Any]:
        return {
            **self._options,
            "template": f"{_BEFORE}[1] ...\n\n{_ASK}",
            "score": "place by attention, calibrated by a content-free query",
        }

    def score(self, query: Query, passages: Sequence[Passage], instruction: str | None = None) -> list[float]:
        """Rank one pool; see :class:`fresco.rerank.base.Reranker`."""
        reader = self._ready()
        order = shuffled(query, passages, self._settings.seed)

        def sort(part: list[int]) -> list[int]:
            scores = reader.attention(query, [passages[own] for own in part])
            return sorted(range(len(part)), key=lambda place: -scores[place])

        slide(order, self._options["window"], self._options["stride"], sort)
        places = {own: place for place, own in enumerate(order)}
        return [-float(places[own]) for own in range(len(passages))]


class _Reader:
    """A loaded language model whose attention can be asked for."""

    def __init__(self, spec: str, files: loading.ModelFiles, settings: Settings, options: Mapping[str, Any]) -> None:
        from transformers import AutoModelForCausalLM

        self._spec, self._options = spec, options
        self._tokenizer = loading.tokenizer(files)
        model = loading.load(
            files,
            lambda: AutoModelForCausalLM.from_pretrained(
                files.location, revision=files.revision, dtype=loading.torch_dtype(settings), trust_remote_code=False
            ),
        )
        self._model = model.to(loading.torch_device(settings)).eval()
        self.device, self.dtype = self._model.device, str(self._model.dtype).removeprefix("torch.")
        self.limit = loading.token_limit(spec, self._model, self._tokenizer, settings.max_length)
        self.truncated = 0
        self._disarm = Disarm(self._tokenizer)
        self._opening, self._closing = self._around(has_chat_template(files))
        config = self._model.config.get_text_config()
        layers, heads = config.num_hidden_layers, config.num_attention_heads
        low, high = options.get("layers", (0, layers - 1))
        self._chosen: dict[int, list[int]] = {layer: list(range(heads)) for layer in range(low, high + 1)}
        if "heads" in options:
            self._chosen = {}
            for layer, head in options["heads"]:
                self._chosen.setdefault(layer, []).append(head)
        if any(layer >= layers or max(own) >= heads for layer, own in self._chosen.items()):
            raise FrescoError(f"{spec}: it has {layers} layers of {heads} heads, counted from 0")

    def attention(self, query: Query, passages: Sequence[Passage]) -> list[float]:
        """The calibrated score of each passage of a window, in order."""
        import torch

        ids, spans = self._prompt(passages)
        asked = [self._ids(_ASK + text) + self._closing for text in (f" {self._disarm(query.text)}", _CONTENT_FREE)]
        skipped = len(self._ids(_ASK))
        if len(ids) + max(map(len, asked)) > self.limit:
            raise FrescoError(
                f"{self._spec}: a window of {len(passages)} passages takes {len(ids)} tokens, more than the "
                f"{self.limit} that it reads; lower window= or words="
            )
        with torch.inference_mode():
            self._model.set_attn_implementation("sdpa")
            cache = self._model.base_model(
                input_ids=torch.tensor([ids], device=self.device), use_cache=True
            ).past_key_values
            self._model.set_attn_implementation("eager")  # which alone gives attention away
            given, free = (
                self._paid(own, copy.deepcopy(cache), len(ids), slice(skipped, len(own) - len(self._closing)))
                for own in asked
            )
        difference = given - free
        if not difference.isfinite().all():  # which sorting would take for some order
            raise FrescoError(
                f"{self._spec}: attention is no finite number in {self.dtype} (query {query.id}), so nothing can be "
                "ranked by it; try another --dtype"
            )
        return [_kept_sum(difference[start:end]) for start, end in spans]

    def _paid(self, ids: list[int], cache: Any, before: int, rows: slice) -> torch.Tensor:
        """Attention of the query's tokens on each token before, summed over layers and heads, float32."""
        import torch

        found = self._model.base_model(
            input_ids=torch.tensor([ids], device=self.device),
            **{cache_argument(self._model.base_model): cache},
            attention_mask=torch.ones((1, before + len(ids)), dtype=torch.long, device=self.device),
            output_attentions=True,
        ).attentions
        total = torch.zeros(before)
        for layer, heads in self._chosen.items():
            weights = found[layer][0, heads][:, rows, :]
            if weights.shape[-1] < before + len(ids):
                raise FrescoError(
                    f"{self._spec}: layer {layer} sees a part of the prompt only; name layers= without it"
                )
            total += weights[..., :before].float().mean(dim=1).sum(dim=0).cpu()
        return total

    def _prompt(self, passages: Sequence[Passage]) -> tuple[list[int], list[tuple[int, int]]]:
        """Token ids of what stands before the query, and the span of each passage in them."""
        ids, spans = list(self._opening), []
        for place, passage in enumerate(passages, 1):
            head = self._ids(f"[{place}]")
            own = self._ids(f" {self._disarm(without_numbers(self._shown(passage)))}")
            spans.append((len(ids) + len(head), len(ids) + len(head) + len(own)))
            ids += [*head, *own, *self._ids("\n\n")]
        return ids, spans

    def _shown(self, passage: Passage) -> str:
        words = passage.content.split(" ")
        kept = self._options["words"]
        if len(words) <= kept:
            return passage.text
        self.truncated += 1
        return passage.text_of(" ".join(words[:kept]))

    def _around(self, chats: bool) -> tuple[list[int], list[int]]:
        """Tokens before the first passage and after the query."""
        if not chats:
            own = self._tokenizer("", return_attention_mask=False)["input_ids"]
            first = self._tokenizer.bos_token_id
            return ([first] if first is not None and own[:1] == [first] else []) + self._ids(_BEFORE), []
        content = f"{_BEFORE}{_MARK}"
        text = self._tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
        if text.count(_MARK) != 1:
            raise FrescoError(f"{self._spec}: its chat template leaves the passages out")
        before, _, after = text.partition(_MARK)
        return self._ids(before), self._ids(after)

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return ids


def _kept_sum(values: torch.Tensor) -> float:
    """Sum of a passage's tokens without those more than two deviations below the mean, as published."""
    if len(values) > 1:
        values = values[values > values.mean() - 2 * values.std()]
    return float(values.sum())


@RERANKERS.register(
    "attention:MODEL",
    "a language model's attention from query to passages",
    needs=MODELS_EXTRA,
    example="ORGANISATION/NAME or attention:./folder",
    instruction="no",
)
def _open(arguments: str, settings: Settings) -> AttentionReranker:
    model, options = split_options(_FAMILY, arguments, _OPTIONS)
    return AttentionReranker(model, settings, **options)
