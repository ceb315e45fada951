"""``hf:MODEL``: a Hugging Face token classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ccs.rewards.mask.base import Span, tag_of
from ccs.rewards.mask.registry import MASKERS
from fresco.errors import FrescoError
from fresco.models import loading
from fresco.models.settings import Settings

_BATCH = 64
_NO_ENTITY = frozenset(("O", "o"))


@MASKERS.register(
    "hf:MODEL",
    "entities, by a Hugging Face token classifier",
    needs="pip install 'fresco-ccs[models]'",
    example="dslim/bert-base-NER",
)
def _open(model: str) -> HfTokenClassifier:
    return HfTokenClassifier(model)


class HfTokenClassifier:
    """Tokens that a model gives a label other than ``O``; neighbours of one type are one span.

    Long texts are cut in overlapping windows, so that no token goes unseen; where two windows read a token, either
    one's label masks it.
    """

    def __init__(self, model: str, settings: Settings | None = None) -> None:
        """Load the model, without any code of its repository.

        Args:
            model: A folder or a Hugging Face model id.
            settings: Device and dtype.

        Raises:
            FrescoError: it cannot be found or loaded, or classifies no tokens.
        """
        self.name = f"hf:{model}"
        settings = settings or Settings()
        files = loading.find_model("hf", model, settings)
        if not files.architecture.endswith("ForTokenClassification"):
            raise FrescoError(
                f"mask.masker {self.name}: {files.architecture} labels no tokens; a ...ForTokenClassification does"
            )
        from transformers import AutoModelForTokenClassification, AutoTokenizer

        self._device = loading.torch_device(settings)
        self._model: Any = loading.load(
            files,
            lambda: AutoModelForTokenClassification.from_pretrained(
                files.location,
                revision=files.revision,
                dtype=loading.torch_dtype(settings),
                trust_remote_code=False,
            ).eval(),
        ).to(self._device)
        self._tokenizer: Any = loading.load(
            files,
            lambda: AutoTokenizer.from_pretrained(files.location, revision=files.revision, trust_remote_code=False),
        )
        if not self._tokenizer.is_fast:
            raise FrescoError(
                f"mask.masker {self.name}: its tokenizer gives no offsets; a fast one (tokenizer.json) does"
            )
        self._limit = min(loading.token_limit(self.name, self._model, self._tokenizer, None), 512)
        self._labels: dict[int, str] = self._model.config.id2label
        if not _NO_ENTITY & set(self._labels.values()):
            raise FrescoError(f"mask.masker {self.name}: none of its labels is `O`; it is no entity recognizer")
        self.fingerprint = f"hf|{files.identity}|{settings.dtype}|{loading.library_versions()}"

    def spans(self, texts: Sequence[str]) -> list[list[Span]]:
        """See :class:`ccs.rewards.mask.base.Masker`."""
        found: list[list[Span]] = [[] for _ in texts]
        # By length, so that a batch pads little; an empty text has no tokens to label.
        order = sorted(
            (number for number, text in enumerate(texts) if text.strip()), key=lambda number: len(texts[number])
        )
        for at in range(0, len(order), _BATCH):
            batch = order[at : at + _BATCH]
            for number, spans in zip(batch, self._label([texts[number] for number in batch]), strict=True):
                found[number] = spans
        return found

    def _label(self, texts: list[str]) -> list[list[Span]]:
        import torch

        inputs = self._tokenizer(
            texts,
            truncation=True,
            max_length=self._limit,
            stride=self._limit // 4,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            padding=True,
            return_tensors="pt",
        )
        owners = inputs.pop("overflow_to_sample_mapping").tolist()
        offsets = inputs.pop("offset_mapping").tolist()
        with torch.inference_mode():
            best = self._model(**inputs.to(self._device)).logits.argmax(-1).tolist()
        found: list[list[Span]] = [[] for _ in texts]
        for owner, window, labels in zip(owners, offsets, best, strict=True):
            spans = found[owner]
            previous = ""
            for (start, end), label in zip(window, labels, strict=True):
                if start == end:  # special tokens and padding
                    continue
                name = self._labels[label]
                if name in _NO_ENTITY:
                    previous = ""
                    continue
                tag = tag_of(name)
                if previous == tag and not name.startswith(("B-", "S-", "U-")):
                    spans[-1] = Span(spans[-1].start, end, tag)
                else:
                    spans.append(Span(start, end, tag))
                previous = tag
        return found
