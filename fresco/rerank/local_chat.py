"""A chat model in this process that answers as one behind an address does: greedily, by its own template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from fresco.errors import FrescoError
from fresco.models import loading
from fresco.models.settings import Settings


class LocalChat:
    """Asks a local language model.

    Args:
        family: The re-ranker family that asks.
        model: A folder or a Hugging Face model id.
        settings: Device and dtype.

    Raises:
        FrescoError: the model cannot be found, or is no language model.
    """

    concurrency = 1

    def __init__(self, family: str, model: str, settings: Settings) -> None:
        self._files = loading.find_model(family, model, settings)
        self._settings = settings
        self._spec = f"{family}:{model}"
        self.shown = model
        self.totals: dict[str, int] = {"requests": 0, "prompt_tokens": 0, "completion_tokens": 0}
        if not self._files.architecture.endswith("ForCausalLM"):
            raise FrescoError(f"{self._spec}: architecture {self._files.architecture} is no causal language model")

    @property
    def identity(self) -> str:
        """Weights, dtype and libraries."""
        return f"{self._files.identity}|{self._settings.dtype}|{loading.library_versions()}"

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        from transformers import AutoModelForCausalLM

        tokenizer = loading.tokenizer(self._files)
        if not tokenizer.chat_template:
            raise FrescoError(f"{self._spec}: it has no chat template, so it is no chat model; try likelihood: with it")
        model = loading.load(
            self._files,
            lambda: AutoModelForCausalLM.from_pretrained(
                self._files.location,
                revision=self._files.revision,
                dtype=loading.torch_dtype(self._settings),
                trust_remote_code=False,
            ),
        )
        return tokenizer, model.to(loading.torch_device(self._settings)).eval()

    def ask(self, messages: Sequence[Mapping[str, str]], max_tokens: int) -> str:
        """The answer to a conversation.

        Raises:
            FrescoError: the template refuses it, or it is longer than the model reads.
        """
        import torch

        tokenizer, model = self._loaded
        ids = self._prompt(messages, max_tokens)
        with torch.inference_mode():
            made = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=max_tokens,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                repetition_penalty=1.0,
                pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id,
            )[0, ids.shape[1] :]
        self.totals["requests"] += 1
        self.totals["prompt_tokens"] += ids.shape[1]
        self.totals["completion_tokens"] += len(made)
        text: str = tokenizer.decode(made, skip_special_tokens=True)
        return text

    def likelihoods(self, messages: Sequence[Mapping[str, str]], answers: Sequence[str]) -> list[float]:
        """The mean log-probability of each answer's tokens, its end included, as the answer to a conversation.

        Raises:
            FrescoError: as for :meth:`ask`.
        """
        import torch

        tokenizer, model = self._loaded
        made = []
        for answer in answers:
            own = [*tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
            ids = self._prompt(messages, len(own))
            said = torch.tensor([own], device=ids.device)
            with torch.inference_mode():
                logits = model(input_ids=torch.cat([ids, said], dim=1), logits_to_keep=len(own) + 1).logits[:, :-1]
            chosen = logits.float().log_softmax(dim=-1).gather(2, said[:, :, None])
            made.append(float(chosen.mean()))
        return made

    def _prompt(self, messages: Sequence[Mapping[str, str]], room: int) -> Any:
        """Token ids of a conversation up to its answer, shape (1, tokens), where an answer of ``room`` tokens fits."""
        tokenizer, model = self._loaded
        try:
            ids = tokenizer.apply_chat_template(
                list(messages), add_generation_prompt=True, enable_thinking=False, return_dict=True, return_tensors="pt"
            )["input_ids"]
        except Exception as error:  # a template can raise whatever it likes
            raise FrescoError(f"{self._spec}: its chat template refuses the conversation ({error})") from error
        limit = loading.token_limit(self._spec, model, tokenizer, self._settings.max_length)
        if ids.shape[1] + room > limit:
            raise FrescoError(
                f"{self._spec}: {ids.shape[1]} tokens of prompt and {room} of answer are more than the {limit} that it "
                "reads; show it fewer passages or less of each"
            )
        return ids.to(model.device)

    def close(self) -> None:
        """Drop the weights."""
        self.__dict__.pop("_loaded", None)
