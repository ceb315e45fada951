"""How much of a language model's attention goes to dates while it judges a pair, under several instructions.

The FRESCO paper explains what an optimized instruction does by the share of the last token's attention that falls on
timestamp tokens of the query and of the passage (its table 3). Here, for each pair: the attention of the last token,
whose hidden state gives the answer, averaged over heads and layers. Two shares are given, since a share of everything
is small wherever a model parks attention on its first token: *of all* attention, and *within* the query or the passage.
The control is attention that falls evenly on the tokens: what it would give to the same dates.

A timestamp is the whole line ``Timestamp: 2024-05-01T00:00:00Z`` at the end of a text, its line break left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fresco.errors import FrescoError
from fresco.models import loading
from fresco.models.settings import Settings
from fresco.models.tokens import Disarm
from fresco.records import Candidates, Pair
from fresco.rerank.causal_lm import CausalLmReranker
from fresco.rerank.prompt_form import PromptForm
from fresco.stats.arrays import FloatArray
from fresco.stats.intervals import Estimate, SubjectBootstrap
from fresco.terminal.progress import Progress, no_progress

#: What is measured of each pair, for the query and for the passage.
SHARES = ("query, of all", "query, within", "passage, of all", "passage, within")


@dataclass(frozen=True)
class TimestampAttention:
    """What was found.

    Attributes:
        instructions: The model's own first.
        values: For each instruction the share of attention on dates, in the order of :data:`SHARES`.
        evenly: The same under attention that falls evenly on the tokens.
        gains: For each instruction but the first its difference to the first, paired.
        pairs: Measured under each instruction.
        left_out: Pairs longer than the model reads.
    """

    instructions: tuple[str, ...]
    values: tuple[Estimate, ...]
    evenly: tuple[Estimate, ...]
    gains: tuple[Estimate, ...]
    pairs: int
    left_out: int


def timestamp_attention(
    model: str,
    pools: Sequence[Candidates],
    instructions: Sequence[str] = (),
    *,
    settings: Settings | None = None,
    progress: Progress = no_progress,
) -> TimestampAttention:
    """Measure a model's attention on dates.

    Args:
        model: A folder or a Hugging Face model id that ``causal-lm:`` opens.
        pools: Queries with their passages.
        instructions: To measure beside the model's own.
        settings: Device, dtype, a template of the user's own.
        progress: Told how many pairs are measured.

    Raises:
        FrescoError: the model cannot be opened, its prompt has no place for an instruction, or no text has a date.
    """
    reranker = CausalLmReranker(model, settings or Settings())
    form = reranker.form
    if instructions and not form.takes_instruction:
        raise FrescoError(f"{reranker.name}: its prompt ({form.source}) has no place for an instruction")
    asked = [form.instruction or "", *instructions]
    reader = _Reader(model, settings or Settings(), form)
    pairs = [(query, passage) for query, passages in pools for passage in passages]
    rows: list[FloatArray] = []  # of each pair, shape (instructions, 2, shares): attention, evenly
    subjects = []
    for done, pair in enumerate(pairs, 1):
        measured = [reader.shares(instruction, pair) for instruction in asked]
        if all(own is not None for own in measured):
            rows.append(np.array(measured))
            subjects.append(pair[0].subject)
        progress(reranker.name, done, len(pairs))
    if not rows:
        raise FrescoError(f"{reranker.name}: no pair fits, or no text has a date; --timestamps none hides them")
    found = np.stack(rows)
    bootstrap = SubjectBootstrap(subjects, seed=reader.seed)
    ones = np.ones((len(rows), len(SHARES)))

    def mean(columns: FloatArray) -> Estimate:
        return bootstrap.ratio(columns, ones)

    places = range(len(asked))
    return TimestampAttention(
        tuple(asked),
        tuple(mean(found[:, place, 0]) for place in places),
        tuple(mean(found[:, place, 1]) for place in places),
        tuple(mean(found[:, place, 0] - found[:, 0, 0]) for place in places[1:]),
        len(rows),
        len(pairs) - len(rows),
    )


class _Reader:
    """A loaded model whose attention can be asked for."""

    def __init__(self, model: str, settings: Settings, form: PromptForm) -> None:
        from transformers import AutoModelForCausalLM

        files = loading.find_model("causal-lm", model, settings)
        self._name = model
        self._form, self._tokenizer, self.seed = form, loading.tokenizer(files), settings.seed
        loaded = loading.load(
            files,
            lambda: AutoModelForCausalLM.from_pretrained(
                files.location,
                revision=files.revision,
                dtype=loading.torch_dtype(settings),
                attn_implementation="eager",  # which alone gives attention away
                **loading.code_of(files, settings),
            ),
        )
        self._model = loaded.to(loading.torch_device(settings)).eval().base_model
        self._limit = loading.token_limit(f"causal-lm:{model}", loaded, self._tokenizer, settings.max_length)
        self._disarm = Disarm(self._tokenizer, form.names)

    def shares(self, instruction: str, pair: Pair) -> FloatArray | None:
        """The shares of one pair: by attention and evenly, shape (2, shares); None where it is too long or undated."""
        import torch

        ids, marks = self._marked(instruction, pair)
        if len(ids) > self._limit or not (marks["query date"].any() and marks["passage date"].any()):
            return None
        with torch.inference_mode():
            layers = self._model(
                input_ids=torch.tensor([ids], device=self._model.device), use_cache=False, output_attentions=True
            ).attentions
            last = torch.stack([layer[0, :, -1].float().mean(dim=0) for layer in layers]).mean(dim=0)
        paid: FloatArray = last.cpu().numpy().astype(np.float64)
        if not np.isfinite(paid).all():
            raise FrescoError(
                f"causal-lm:{self._name}: attention is no finite number in {self._model.dtype} (query {pair[0].id}); "
                "try another --dtype"
            )
        return np.array([_shares(weights / weights.sum(), marks) for weights in (paid, np.ones(len(ids)))])

    def _marked(self, instruction: str, pair: Pair) -> tuple[list[int], dict[str, Any]]:
        """Token ids, and which of them are the query's, the passage's, and their dates'."""
        query, passage = pair
        texts = {"query": self._disarm(query.text), "document": self._disarm(passage.text)}
        dates = {
            "query": query.text[len(query.content) :].lstrip("\n"),
            "document": passage.timestamp_line.lstrip("\n"),
        }
        ids = self._form.opens(self._tokenizer)
        spans: list[tuple[int, str]] = []
        for segment, places in self._form.located(self._disarm(instruction) or None, texts["query"], texts["document"]):
            encoded = self._tokenizer(
                segment, add_special_tokens=False, return_offsets_mapping=True, return_attention_mask=False
            )
            for place, (start, end) in enumerate(encoded["offset_mapping"], len(ids)):
                spans += [(place, name) for name in _names(places, dates, segment, start, end)]
            ids += encoded["input_ids"]
        marks = {name: np.zeros(len(ids), dtype=bool) for name in ("query", "passage", "query date", "passage date")}
        for place, name in spans:
            marks[name][place] = True
        return ids, marks


def _names(
    places: Sequence[tuple[str, int, int]], dates: dict[str, str], segment: str, start: int, end: int
) -> Iterator[str]:
    """What a token of a segment belongs to."""
    for field, first, last in places:
        name = "passage" if field == "document" else field
        if name == "instruction" or end <= first or start >= last:
            continue
        yield name
        date = segment.rfind(dates[field], first, last) if dates[field] else -1
        if date >= 0 and end > date:
            yield f"{name} date"


def _shares(weights: FloatArray, marks: dict[str, Any]) -> list[float]:
    shares = []
    for name in ("query", "passage"):
        date, whole = weights[marks[f"{name} date"]].sum(), weights[marks[name]].sum()
        shares += [float(date), float(date / whole) if whole else 0.0]
    return shares
