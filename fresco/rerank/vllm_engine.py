"""vLLM in this process: one model, asked for answers, for what tokens are worth, or for a classifier's outputs."""

from __future__ import annotations

import functools
import importlib.metadata
import os
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Literal

from fresco.models import loading
from fresco.models.batching import Tokens
from fresco.models.settings import Settings
from fresco.rerank.model_options import Readers, whole


def _share(text: str) -> float:
    number = float(text)
    if not 0 < number <= 1:
        raise ValueError(text)
    return number


Task = Literal["outputs", "logits", "text"]

#: How vLLM runs, whichever family it computes.
OPTIONS: Readers = {
    "memory": ("a share from 0 to 1", _share),
    "tensor_parallel": ("a whole number from 1", whole(1)),
}


class Engine:
    """vLLM with a model.

    Attributes:
        limit: Most tokens that a prompt may have.
        saved: Tokens that the prefix cache spared.

    Args:
        spec: For error messages.
        files: Of the model.
        settings: Of the run.
        options: Of :data:`OPTIONS`.
        task: ``outputs`` of a classifier, ``logits`` behind a prompt, or ``text`` to write or to find likely.
        most: Longest published input in tokens; None for what the model has positions for.
    """

    def __init__(
        self,
        spec: str,
        files: loading.ModelFiles,
        settings: Settings,
        options: Mapping[str, Any],
        task: Task,
        most: int | None,
    ) -> None:
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")  # it tells its whole configuration otherwise
        from transformers import AutoConfig
        from vllm import LLM

        config = AutoConfig.from_pretrained(files.location, revision=files.revision, trust_remote_code=False)
        stub = SimpleNamespace(config=config, modules=tuple)
        given = {} if most is None else {"default": most}
        self.limit = loading.token_limit(spec, stub, loading.tokenizer(files), settings.max_length, **given)
        writes = task != "outputs"
        answer = 1 if writes else 0  # the token that is generated wants a place, too
        positions = getattr(config.get_text_config(), "max_position_embeddings", None) or self.limit + answer
        length = min(self.limit + answer, positions)
        self.limit = length - answer
        self.saved = 0
        self._llm: Any = loading.load(
            files,
            lambda: LLM(
                model=files.location,
                revision=files.revision,
                runner="generate" if writes else "pooling",
                dtype=settings.dtype,
                max_model_len=length,
                enable_prefix_caching=writes,
                gpu_memory_utilization=options.get("memory", 0.9),
                tensor_parallel_size=options.get("tensor_parallel", 1),
                seed=settings.seed,
                disable_log_stats=True,
                trust_remote_code=False,
                logprobs_mode="raw_logits" if task == "logits" else "raw_logprobs",
            ),
        )

    def logits(self, prompts: Sequence[Sequence[int]], answers: Sequence[int]) -> list[list[float]]:
        """The logits of a few tokens behind each prompt, shape (prompts, answers)."""
        from vllm import SamplingParams

        wanted = SamplingParams(max_tokens=1, temperature=0.0, logprob_token_ids=list(answers), detokenize=False)
        found = self._llm.generate([{"prompt_token_ids": list(ids)} for ids in prompts], wanted, use_tqdm=False)
        self.saved += sum(each.num_cached_tokens or 0 for each in found)
        return [[each.outputs[0].logprobs[0][token].logprob for token in answers] for each in found]

    def log_probabilities(self, prompts: Sequence[Sequence[int]], firsts: Sequence[int]) -> list[list[float]]:
        """The log-probability of each token of a prompt from its ``first`` on, given all before it."""
        from vllm import SamplingParams

        wanted = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0, detokenize=False)
        found = self._llm.generate([{"prompt_token_ids": list(ids)} for ids in prompts], wanted, use_tqdm=False)
        return [
            [told[token].logprob for token, told in zip(ids[first:], each.prompt_logprobs[first:], strict=True)]
            for ids, first, each in zip(prompts, firsts, found, strict=True)
        ]

    def written(self, prompts: Sequence[Sequence[int]], most: Sequence[int]) -> list[list[int]]:
        """What the model writes behind each prompt, greedily, ``most`` tokens at the longest."""
        from vllm import SamplingParams

        wanted = [SamplingParams(max_tokens=each, temperature=0.0, detokenize=False) for each in most]
        found = self._llm.generate([{"prompt_token_ids": list(ids)} for ids in prompts], wanted, use_tqdm=False)
        self.saved += sum(each.num_cached_tokens or 0 for each in found)
        return [list(each.outputs[0].token_ids) for each in found]

    def outputs(self, prompts: Sequence[Tokens]) -> list[list[float]]:
        """The raw outputs of a classifier, shape (prompts, labels)."""
        from vllm import PoolingParams

        asked = [PoolingParams(use_activation=False, extra_kwargs=_segments(own)) for own in prompts]
        texts = [{"prompt_token_ids": list(own.ids)} for own in prompts]
        found = self._llm.classify(texts, pooling_params=asked, use_tqdm=False)
        return [list(each.outputs.probs) for each in found]

    def close(self) -> None:
        """End vLLM's own process."""
        self._llm.llm_engine.engine_core.shutdown()


@functools.cache
def version() -> str:
    """Of vLLM, for fingerprints."""
    (name, *_) = importlib.metadata.packages_distributions()["vllm"]  # builds for a CPU have a name of their own
    return f"vllm{'.'.join(importlib.metadata.version(name).split('.')[:2])}"


def _segments(own: Tokens) -> dict[str, int] | None:
    """Where the second segment begins, which is all that vLLM keeps of segment ids."""
    if own.type_ids is None or 1 not in own.type_ids:
        return None
    return {"compressed_token_type_ids": list(own.type_ids).index(1)}
