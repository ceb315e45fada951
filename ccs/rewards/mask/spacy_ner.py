"""``spacy:NAME_OR_PATH``: the entities of a spaCy pipeline.

A folder is loaded by spaCy's own reader: its config names functions that are registered in this process already, and
weights are msgpack, so loading runs no code of the folder's. A name is an installed Python package, as code of the
user's own.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ccs.rewards.mask.base import Span, tag_of
from ccs.rewards.mask.registry import MASKERS
from fresco.errors import FrescoError

_BATCH = 256
# Pipes that set no entity, and that none of the pipes that do reads.
_ENTITY_PIPES = frozenset(("ner", "beam_ner", "entity_ruler", "span_ruler", "spancat", "spancat_singlelabel"))
_FEATURE_PIPES = frozenset(("tok2vec", "transformer", "curated_transformer", "sentencizer"))


@MASKERS.register(
    "spacy:NAME_OR_PATH",
    "entities, by a spaCy pipeline",
    needs="pip install 'fresco-ccs[ccs]'",
    example="en_core_web_sm",
)
def _open(model: str) -> SpacyNer:
    return SpacyNer(model)


class SpacyNer:
    """Entities of a pipeline: ``doc.ents``, and the span groups that its span categorizers fill."""

    def __init__(self, model: str, name: str | None = None) -> None:
        """Load the pipeline.

        Args:
            model: A folder, or the name of an installed pipeline.
            name: How the masker is called; default ``spacy:MODEL``.

        Raises:
            FrescoError: spaCy is missing, or the model, or it recognizes no entities.
        """
        self.name = name or f"spacy:{model}"
        try:
            import spacy
        except ImportError as error:
            raise FrescoError(f"mask.masker {self.name} needs spaCy: pip install 'fresco-ccs[ccs]'") from error
        folder = Path(model).expanduser()
        is_path = folder.is_dir()
        if not is_path and (folder.exists() or model.startswith((".", "/", "~")) or "/" in model):
            raise FrescoError(f"mask.masker {self.name}: there is no folder {folder}")
        try:
            self._nlp: Any = spacy.load(folder if is_path else model)
        except ImportError as error:
            raise FrescoError(
                f"mask.masker {self.name}: it needs a package that is missing ({_line(error)})"
            ) from error
        except Exception as error:  # a damaged model raises anything, a missing one OSError
            hint = (
                f"python -m spacy download {model}" if not is_path and isinstance(error, OSError) else "is it spaCy's?"
            )
            raise FrescoError(f"mask.masker {self.name}: cannot be loaded ({_line(error)}); {hint}") from error
        kinds = {pipe: self._nlp.get_pipe_meta(pipe).factory for pipe in self._nlp.pipe_names}
        if not _ENTITY_PIPES & set(kinds.values()):
            raise FrescoError(
                f"mask.masker {self.name}: no pipe of it recognizes entities (it has {', '.join(kinds) or 'none'}); "
                "choose a pipeline with `ner`"
            )
        self._nlp.select_pipes(enable=[pipe for pipe, kind in kinds.items() if kind in _ENTITY_PIPES | _FEATURE_PIPES])
        self._nlp.max_length = sys.maxsize  # a long query is a slow one, not an error
        meta = self._nlp.meta
        identity = _folder_hash(folder) if is_path else f"{meta['lang']}_{meta['name']}-{meta['version']}"
        self.fingerprint = f"spacy{importlib.metadata.version('spacy')}-{identity}"

    def spans(self, texts: Sequence[str]) -> list[list[Span]]:
        """See :class:`ccs.rewards.mask.base.Masker`."""
        return [
            sorted(
                {
                    Span(span.start_char, span.end_char, tag_of(span.label_))
                    for span in (*doc.ents, *(each for group in doc.spans.values() for each in group))
                }
            )
            for doc in self._nlp.pipe(texts, batch_size=_BATCH)
        ]


def _folder_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"[:200]
