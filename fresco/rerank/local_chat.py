"""A chat model in this process that answers as one behind an address does: greedily, by its own template."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

from fresco.errors import FrescoError
from fresco.models import loading
from fresco.models.settings import Settings

_T = TypeVar("_T")
_R = TypeVar("_R")


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

    def each(self, work: Callable[[_T], _R], items: Iterable[_T]) -> list[_R]:
        """Do work that asks this model on many items, as :meth:`fresco.clients.llm.ChatClient.each` does."""
        return [work(item) for item in items]

    @cached_property
    def _tokenizer(self) -> Any:
        tokenizer = loading.tokenizer(self._files)
        if not tokenizer.chat_template:
            raise FrescoError(f"{self._spec}: it has no chat template, so it is no chat model; try likelihood: with it")
        return tokenizer

    @cached_property
    def _model(self) -> Any:
        from transformers import AutoModelForCausalLM

        model = loading.load(
            self._files,
            lambda: AutoModelForCausalLM.from_pretrained(
                self._files.location,
                revision=self._files.revision,
                dtype=loading.torch_dtype(self._settings),
                trust_remote_code=False,
            ),
        )
        return model.to(loading.torch_device(self._settings)).eval()

    @property
    def _limit(self) -> int:
        return loading.token_limit(self._spec, self._model, self._tokenizer, self._settings.max_length)

    def ask(self, messages: Sequence[Mapping[str, str]], max_tokens: int) -> str:
        """The answer to a conversation.

        Raises:
            FrescoError: the template refuses it, or it is longer than the model reads.
        """
        ids = self._prompt(messages, max_tokens)
        made = self._written(ids, max_tokens)
        self._count(ids, made)
        text: str = self._tokenizer.decode(made, skip_special_tokens=True)
        return text

    def _written(self, ids: list[int], most: int) -> list[int]:
        """What the model writes behind a prompt, greedily."""
        import torch

        tokenizer = self._tokenizer
        given = torch.tensor([ids], device=self._model.device)
        with torch.inference_mode():
            made: list[int] = self._model.generate(
                input_ids=given,
                attention_mask=torch.ones_like(given),
                max_new_tokens=most,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                repetition_penalty=1.0,
                pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id,
            )[0, len(ids) :].tolist()
        return made

    def _count(self, prompt: Sequence[int], made: Sequence[int]) -> None:
        self.totals["requests"] += 1
        self.totals["prompt_tokens"] += len(prompt)
        self.totals["completion_tokens"] += len(made)

    def likelihoods(self, messages: Sequence[Mapping[str, str]], answers: Sequence[str]) -> list[float]:
        """The mean log-probability of each answer's tokens, its end included, as the answer to a conversation.

        Raises:
            FrescoError: as for :meth:`ask`.
        """
        import torch

        made = []
        for answer in answers:
            own = [*self._tokenizer(answer, add_special_tokens=False)["input_ids"], self._tokenizer.eos_token_id]
            ids = self._prompt(messages, len(own))
            both, said = (torch.tensor([each], device=self._model.device) for each in ([*ids, *own], own))
            with torch.inference_mode():
                logits = self._model(input_ids=both, logits_to_keep=len(own) + 1).logits[:, :-1]
            chosen = logits.float().log_softmax(dim=-1).gather(2, said[:, :, None])
            made.append(float(chosen.mean()))
        return made

    def _prompt(self, messages: Sequence[Mapping[str, str]], room: int) -> list[int]:
        """Token ids of a conversation up to its answer, where an answer of ``room`` tokens fits."""
        try:
            ids: list[int] = self._tokenizer.apply_chat_template(
                list(messages), add_generation_prompt=True, enable_thinking=False, return_dict=True
            )["input_ids"]
        except FrescoError:
            raise
        except Exception as error:  # a template can raise whatever it likes
            raise FrescoError(f"{self._spec}: its chat template refuses the conversation ({error})") from error
        if len(ids) + room > self._limit:
            raise FrescoError(
                f"{self._spec}: {len(ids)} tokens of prompt and {room} of answer are more than the {self._limit} that "
                "it reads; show it fewer passages or less of each"
            )
        return ids

    def close(self) -> None:
        """Drop the weights."""
        self.__dict__.pop("_model", None)
