"""How close a reconstructed question comes to the real one: a number from 0 to 1.

``token-f1`` counts common words and needs nothing; ``cosine:MODEL`` compares sentence embeddings; ``judge:URL#MODEL``
asks a language model for a grade by the rubric in ``prompts/similarity.txt``. All give 0 where either text is empty.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from ccs.evaluation.answers import squad_words
from fresco.clients.llm import ChatClient
from fresco.errors import FrescoError
from fresco.io.registry import Registry
from fresco.models import loading
from fresco.models.settings import Settings
from fresco.models.tokens import Disarm

_RUBRIC = Path(__file__).parent / "prompts" / "similarity.txt"
_BATCH = 64
_HIGHEST_GRADE = 10
_GRADE = re.compile(r"score\W{0,6}(\d+(?:\.\d+)?)\s*(?:/\s*10)?\W*$", re.IGNORECASE)
_ATTEMPTS = 3  # a grade that cannot be read is asked for again, with another seed


@runtime_checkable
class Similarity(Protocol):
    """Compares texts."""

    @property
    def name(self) -> str:
        """The spec that opens it."""
        ...

    @property
    def fingerprint(self) -> str:
        """Identity of everything that can change a score."""
        ...

    def score(self, pairs: Sequence[tuple[str, str]]) -> Sequence[float | None]:
        """One number from 0 to 1 for each (question, reconstruction); None where it could not be had."""
        ...


SIMILARITIES: Registry[Similarity] = Registry(
    "similarity",
    flag="similarity",
    package=None,  # the built-in ones are all in this file
    group="ccs.similarities",
    members=("name", "fingerprint", "score"),
    listing="ccs parts",
)


@SIMILARITIES.register("token-f1", "words in common")
def _open_token_f1(_arguments: str) -> TokenF1:
    return TokenF1()


@SIMILARITIES.register(
    "cosine:MODEL", "sentence embeddings", needs="pip install 'fresco-ccs[ccs]'", example="intfloat/e5-base-v2"
)
def _open_cosine(model: str, settings: Settings | None = None) -> Cosine:
    return Cosine(model, settings)


@SIMILARITIES.register(
    "judge:URL#MODEL",
    "a language model's grade by a rubric",
    needs="a server that chats",
    example="http://HOST/v1#MODEL",
)
def _open_judge(spec: str, cache: Path | None = None, prompt: Path | None = None) -> Judge:
    return Judge(spec, cache=cache, prompt=prompt)


class TokenF1:
    """Harmonic mean of precision and recall over the two texts' words, each counted as often as it occurs."""

    name = "token-f1"
    fingerprint = "token-f1-1"

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """See :class:`Similarity`."""
        return [self._f1(Counter(squad_words(left)), Counter(squad_words(right))) for left, right in pairs]

    @staticmethod
    def _f1(left: Counter[str], right: Counter[str]) -> float:
        common = (left & right).total()
        return 2 * common / (left.total() + right.total()) if common else 0.0


class Cosine:
    """Cosine of sentence embeddings, both texts embedded as queries; what is below 0 counts as 0.

    Unrelated sentences rarely lie at 0: with all-MiniLM-L6-v2 they do, with models of the E5 kind at about 0.7. Scores
    of two models do not compare.
    """

    def __init__(self, model: str, settings: Settings | None = None) -> None:
        """Check the model's files; weights load at the first score.

        Args:
            model: A folder or a Hugging Face model id.
            settings: Device, dtype.

        Raises:
            FrescoError: the extra is missing, or the model cannot be found.
        """
        self.name = f"cosine:{model}"
        self._settings = settings or Settings()
        self._files = loading.find_model("cosine", model, self._settings)
        self.fingerprint = f"cosine|{self._files.identity}|{self._settings.dtype}|{loading.library_versions()}"
        self._model: Any = None
        self._disarm: Disarm | None = None

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """See :class:`Similarity`; each distinct text is embedded once. Reproducible to about 1e-6 across batches."""
        texts = list(dict.fromkeys(text for pair in pairs for text in pair if text.strip()))
        if not texts:
            return [0.0 for _ in pairs]
        if self._model is None:
            self._load()
        assert self._disarm is not None
        vectors = self._model.encode_query(
            [self._disarm(text) for text in texts],
            batch_size=_BATCH,
            convert_to_tensor=True,
            normalize_embeddings=True,
            show_progress_bar=False,
        ).float()
        rows = {text: row for row, text in enumerate(texts)}
        scores = [0.0] * len(pairs)
        full = [number for number, pair in enumerate(pairs) if all(text in rows for text in pair)]
        if full:
            left, right = (vectors[[rows[pairs[number][side]] for number in full]] for side in (0, 1))
            for number, cosine in zip(full, (left * right).sum(-1).clamp(0, 1).cpu().tolist(), strict=True):
                scores[number] = cosine
        return scores

    def _load(self) -> None:
        from sentence_transformers import SentenceTransformer

        device = loading.torch_device(self._settings)
        self._model = loading.load(
            self._files,
            lambda: SentenceTransformer(
                self._files.location,
                revision=self._files.revision,
                device=str(device),
                model_kwargs={"dtype": loading.torch_dtype(self._settings)},
                trust_remote_code=False,
            ).eval(),
            all_weights=False,  # many checkpoints lack a pooler, which no embedding uses
        )
        self._disarm = Disarm(self._model.tokenizer)


class Judge:
    """A language model's grade from 0 to 10, divided by 10.

    Attributes:
        unreadable: Pairs for which no answer held a grade; their score is None.
    """

    def __init__(self, spec: str, *, cache: Path | None = None, prompt: Path | None = None) -> None:
        """Connect.

        Args:
            spec: ``URL#MODEL``; see :mod:`fresco.clients.llm`.
            cache: SQLite file of answers.
            prompt: Another rubric; ``{question}`` and ``{reconstruction}`` stand for the texts, as JSON strings.

        Raises:
            FrescoError: bad spec, or a prompt that cannot be read or lacks a place for one of the texts.
        """
        self._prompt = _read_prompt(prompt or _RUBRIC)
        self._client = ChatClient(spec, cache=cache)
        self.name = f"judge:{self._client.shown}"
        digest = hashlib.sha256(self._prompt.encode()).hexdigest()[:16]
        self.fingerprint = f"judge-1|{self._client.identity}|{digest}"
        self.unreadable = 0

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[float | None]:
        """See :class:`Similarity`.

        Raises:
            FrescoError: the server fails, or grades none of the pairs in a way that can be read.
        """
        distinct = list(dict.fromkeys(pair for pair in pairs if all(text.strip() for text in pair)))
        grades = dict(zip(distinct, self._client.each(self._grade, distinct), strict=True))
        failed = sum(grade is None for grade in grades.values())
        if distinct and failed == len(distinct):
            raise FrescoError(f"{self.name}: none of its answers ends in `Score: N`; choose another model or prompt")
        self.unreadable += failed
        return [grades.get(pair, 0.0) for pair in pairs]  # an empty text is like nothing

    def close(self) -> None:
        """End the connections."""
        self._client.close()

    def _grade(self, pair: tuple[str, str]) -> float | None:
        filled = {"{question}": json.dumps(pair[0]), "{reconstruction}": json.dumps(pair[1])}
        # In one pass: a question that holds "{reconstruction}" must not be filled in turn.
        prompt = re.sub("|".join(map(re.escape, filled)), lambda match: filled[match.group()], self._prompt)
        for attempt in range(_ATTEMPTS):
            answer = self._client.chat(prompt, temperature=0.7 if attempt else 0.0, max_tokens=512, seed=attempt)
            found = _GRADE.search((answer.final or "").strip())
            if found and float(found.group(1)) <= _HIGHEST_GRADE:
                return float(found.group(1)) / _HIGHEST_GRADE
        return None


def open_similarity(
    spec: str, *, settings: Settings | None = None, cache: Path | None = None, prompt: Path | None = None
) -> Similarity:
    """Make the similarity that a spec names.

    Args:
        spec: A name of ``ccs parts similarities``, or one's own.
        settings: For ``cosine``.
        cache: For ``judge``: SQLite file of its answers.
        prompt: For ``judge``: another rubric.

    Raises:
        FrescoError: unknown spec, a missing extra, a model, server or prompt that cannot be used.
    """
    return SIMILARITIES.open(spec, settings=settings, cache=cache, prompt=prompt)


def _read_prompt(path: Path) -> str:
    try:
        prompt = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FrescoError(f"{path}: the judge's prompt cannot be read ({error})") from error
    for place in ("{question}", "{reconstruction}"):
        if place not in prompt:
            raise FrescoError(f"{path}: the judge's prompt has no {place}")
    return prompt
