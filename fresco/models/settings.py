"""What model backends are told on the command line."""

from __future__ import annotations

from dataclasses import dataclass

from fresco.errors import FrescoError, require_whole


@dataclass(frozen=True)
class Settings:
    """Options of the command line that model backends share.

    Attributes:
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; several with commas between them, or ``all`` GPUs, for pointwise
            re-rankers; None lets the backend choose.
        dtype: ``float32``, ``bfloat16``, ``float16``, ``auto`` (what the checkpoint says) or ``int8`` (on a CPU:
            :mod:`fresco.models.quantized`).
        max_length: Longest input in tokens; None takes the model's own limit. Longer passages lose the end of their
            body, never the timestamp line.
        batch_tokens: Most tokens in one forward pass, padding included.
        seed: For whatever is drawn at random.
        template: File with the prompt for models that are asked in words; None for the model's own.
        trust: ``MODEL@COMMIT`` of repositories whose code may run here.
        ray: Address of a Ray cluster whose machines hold the model; None: this one does.
        answers: What such a model says of a relevant passage and of another; empty for its own.
    """

    device: str | None = None
    dtype: str = "float32"
    max_length: int | None = None
    batch_tokens: int = 16384
    seed: int = 0
    template: str | None = None
    answers: tuple[str, ...] = ()
    trust: tuple[str, ...] = ()
    ray: str | None = None

    def __post_init__(self) -> None:
        if self.max_length is not None:
            require_whole("max_length", self.max_length)
        require_whole("batch_tokens", self.batch_tokens)
        require_whole("seed", self.seed, least=0)
        if len(self.answers) > 2 or not all(self.answers):
            raise FrescoError("--answers: give the answer for relevant and the one for not, as in --answers yes,no")
