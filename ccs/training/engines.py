"""What generates the turns of a rollout while training: contexts of token ids in, token ids out, never text.

All engines give whole turns that end with a closing tag (or what follows it in the same token), an end-of-sequence
token, or the budget. Log-probabilities come from engines other than the trainer itself: TRL corrects with them for what
vLLM computes otherwise than the trainer.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, runtime_checkable

from ccs.agent import protocol
from ccs.training.agreement import TOLERANCES, allowed, largest_difference, log_probabilities, nudged
from ccs.training.generated import Generated, read_completion
from ccs.training.processes import Agreed, alone, sharded, together
from ccs.training.registry import ENGINES
from ccs.training.settings import GenerationConfig
from fresco.errors import FrescoError

#: The engine whose server gets its weights from TRL's client, and the names it goes by.
VLLM_NCCL = "vllm-nccl"
SERVED_BY_NCCL = (VLLM_NCCL, "trl-vllm-serve")
#: Sent with each request: vLLM takes what is not sent from the model's own generation_config (Qwen2.5: 0.8, 20, 1.05).
UNBENT = {"top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0, "presence_penalty": 0.0} | {
    "frequency_penalty": 0.0
}
#: Tokens that vLLM samples at the start, to be compared.
SAMPLED = 16


@runtime_checkable
class Engine(Protocol):
    """Generates turns."""

    def agree(self, budgets: Sequence[int]) -> Agreed:
        """Asked once before each turn, by every process, also by one whose rollouts have all ended.

        Rollouts go on as long as it knows of a context; so where generating is collective, this is, too.

        Args:
            budgets: Of the contexts that this process goes on with.
        """
        ...

    def generate(
        self,
        contexts: Sequence[Sequence[int]],
        budgets: Sequence[int],
        seeds: Sequence[int],
        *,
        greedy: bool,
        agreed: Agreed,
    ) -> list[Generated]:
        """One turn for each context.

        Args:
            contexts: Token ids.
            budgets: Most tokens of each turn.
            seeds: Of each; engines that draw from torch's own generator, whose state checkpoints keep, ignore them.
            greedy: The likeliest token each time.
            agreed: By :meth:`agree`, of this turn.
        """
        ...

    def prepare(self, trainer: Any) -> None:
        """Take over the trainer's present weights; called on every process before each use."""
        ...


@runtime_checkable
class SoloEngine(Protocol):
    """Generates turns for whoever asks, without regard to others: a server."""

    def prepare(self, trainer: Any) -> None:
        """See :class:`Engine`."""
        ...

    def connected(self) -> AbstractAsyncContextManager[None]:
        """Keep connections in the running event loop; turns are asked for within it."""
        ...

    async def turn(self, context: Sequence[int], budget: int, seed: int, *, greedy: bool) -> Generated:
        """One turn; see :meth:`Engine.generate`."""
        ...

    def begin(self) -> None:
        """Before episodes."""
        ...

    def held(self) -> bool:
        """After them, collective: whether the policy's weights were there all the time; if not, they are again."""
        ...


@ENGINES.register("transformers", "the trainer itself", server="no")
def _open_transformers(_arguments: str, tokenizer: Any, config: GenerationConfig) -> TransformersEngine:
    return TransformersEngine(tokenizer, config)


@ENGINES.register(
    "vllm-server", "a plain vLLM server, weights through a shared folder", needs="vLLM beside it", server="needed"
)
def _open_vllm_server(_arguments: str, tokenizer: Any, config: GenerationConfig, sync: Any) -> VllmServerEngine:
    return VllmServerEngine(tokenizer, config, sync)


@ENGINES.register(
    VLLM_NCCL, "a plain vLLM server, weights by NCCL (TRL's client)", needs="vLLM, GPUs of its own", server="needed"
)
def _open_nccl(_arguments: str, tokenizer: Any, config: GenerationConfig, probe: Sequence[int]) -> TrlVllmEngine:
    return TrlVllmEngine(tokenizer, config, probe)


@ENGINES.register(
    "trl-vllm-serve", f"the name of {VLLM_NCCL} in configurations before 0.3", needs="the same", server="needed"
)
def _open_trl_server(_arguments: str, tokenizer: Any, config: GenerationConfig, probe: Sequence[int]) -> TrlVllmEngine:
    return TrlVllmEngine(tokenizer, config, probe)


@ENGINES.register("vllm-colocate", "vLLM in the trainer's process", needs="vLLM", server="no")
def _open_colocate(_arguments: str, tokenizer: Any, config: GenerationConfig, probe: Sequence[int]) -> TrlVllmEngine:
    return TrlVllmEngine(tokenizer, config, probe)


class TransformersEngine:
    """The trainer's own model, in batches of contexts of like length.

    Args:
        tokenizer: Of the model.
        config: Temperature and batch.
    """

    def __init__(self, tokenizer: Any, config: GenerationConfig) -> None:
        self._tokenizer = tokenizer
        self._config = config
        tags = [tokenizer.encode(tag, add_special_tokens=False) for tag in protocol.TURN_ENDS]
        # A tag that is one token ends a turn for nothing; a search in the text costs time at each token.
        self._ends = [tokenizer.eos_token_id, *(tag[0] for tag in tags if len(tag) == 1)]
        self._strings = [text for text, tag in zip(protocol.TURN_ENDS, tags, strict=True) if len(tag) > 1]
        self._trainer: Any = None

    def prepare(self, trainer: Any) -> None:
        """See :class:`Engine`."""
        self._trainer = trainer

    def agree(self, budgets: Sequence[int]) -> Agreed:
        """See :class:`Engine`; where the weights are sharded, no process can compute without the others."""
        return together(self._trainer.accelerator, budgets) if sharded(self._trainer) else alone(budgets)

    def generate(
        self,
        contexts: Sequence[Sequence[int]],
        budgets: Sequence[int],
        seeds: Sequence[int],
        *,
        greedy: bool,
        agreed: Agreed,
    ) -> list[Generated]:
        """See :class:`Engine`."""
        del seeds
        import torch
        from trl.distributed import DistributedBackend
        from trl.models import unwrap_model_for_generation

        trainer = self._trainer
        asked, most = list(contexts), list(budgets)
        if sharded(trainer):  # as many batches as the others, though what comes of the idle ones is dropped
            idle = agreed.contexts - len(asked)
            asked, most = asked + [[self._tokenizer.eos_token_id]] * idle, most + [1] * idle
        order = sorted(range(len(asked)), key=lambda number: len(asked[number]))
        done: dict[int, Generated] = {}
        was_training = trainer.model.training
        with (
            unwrap_model_for_generation(
                trainer.model_wrapped,
                trainer.accelerator,
                gather_deepspeed3_params=trainer.args.ds3_gather_for_generation,
            ) as model,
            torch.no_grad(),
            DistributedBackend(trainer.accelerator).summon_full_params(trainer.model_wrapped, recurse=False),
        ):
            model.eval()
            for start in range(0, len(order), self._config.batch):
                part = order[start : start + self._config.batch]
                turns = self._batch(model, [asked[number] for number in part], [most[n] for n in part], greedy)
                done.update(zip(part, turns, strict=True))
            model.train(was_training)
        return [done[number] for number in range(len(contexts))]

    def _batch(
        self, model: Any, contexts: Sequence[Sequence[int]], budgets: Sequence[int], greedy: bool
    ) -> list[Generated]:
        import torch

        longest = max(map(len, contexts))
        pad = self._tokenizer.pad_token_id
        ids = torch.tensor([[pad] * (longest - len(each)) + list(each) for each in contexts], device=model.device)
        mask = torch.tensor([[0] * (longest - len(each)) + [1] * len(each) for each in contexts], device=model.device)
        # What a model's own generation settings say must not bend the policy that is trained.
        free = {"do_sample": True, "temperature": self._config.temperature, "top_k": 0, "top_p": 1.0}
        sampling: dict[str, Any] = {"do_sample": False} if greedy else free
        stops = {"stop_strings": self._strings, "tokenizer": self._tokenizer} if self._strings else {}
        output = model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=max(budgets),
            eos_token_id=self._ends,
            pad_token_id=pad,
            repetition_penalty=1.0,
            synced_gpus=sharded(self._trainer),
            **sampling,
            **stops,
        )
        turns = output[:, longest:].tolist()
        return [Generated(self._ended(turn)[:most]) for turn, most in zip(turns, budgets, strict=True)]

    def _ended(self, turn: list[int]) -> list[int]:
        """Without the padding after the end; a pad token in front of an end would be the policy's own."""
        first = next((number for number, token in enumerate(turn) if token in self._ends), None)
        if first is not None:
            return turn[: first + 1]
        while turn and turn[-1] == self._tokenizer.pad_token_id:
            turn = turn[:-1]
        return turn


class VllmServerEngine:
    """A vLLM server of the OpenAI kind, whose weights :class:`ccs.training.sync.FolderSync` renews.

    Args:
        tokenizer: Of the model.
        config: Server, temperature, concurrency, patience.
        sync: Renews its weights; None where they do not change (evaluation).
    """

    def __init__(self, tokenizer: Any, config: GenerationConfig, sync: Any = None) -> None:
        from fresco.clients.llm import ChatClient

        assert config.server is not None
        self._tokenizer = tokenizer
        self._config = config
        self._sync = sync
        self._birth: str | None = None
        self.client = ChatClient(
            config.server,
            concurrency=config.concurrency,
            timeout=config.timeout,
            retries=10**6,
            patience=config.patience,
        )

    def prepare(self, trainer: Any) -> None:
        """See :class:`Engine`."""
        if self._sync is not None:
            self._sync.renew(trainer)

    @property
    def apart(self) -> float | None:
        """Largest difference of the log-probabilities of a fixed text, after the last renewal; None where none was."""
        return None if self._sync is None else float(self._sync.difference)

    def connected(self) -> AbstractAsyncContextManager[None]:
        """See :class:`SoloEngine`."""
        return self.client.connected()

    def begin(self) -> None:
        """See :class:`SoloEngine`."""
        self._birth = self._sync.server_birth() if self._sync is not None else None

    def held(self) -> bool:
        """See :class:`SoloEngine`; a server that was started again has its first weights until they are renewed."""
        return self._birth is None or not self._sync.renew_if_restarted(self._birth)

    async def turn(self, context: Sequence[int], budget: int, seed: int, *, greedy: bool) -> Generated:
        """See :class:`SoloEngine`."""
        answer = await self.client.completions_async(
            list(context),
            max_tokens=budget,
            temperature=0.0 if greedy else self._config.temperature,
            **UNBENT,
            seed=seed,
            stop=list(protocol.TURN_ENDS),
            include_stop_str_in_output=True,
            logprobs=0,
            return_token_ids=True,
        )
        return read_completion(answer.raw, self.client.shown)


class TrlVllmEngine:
    """vLLM as TRL runs it: its own server, which gets the weights by NCCL, or in the trainer's process.

    In server mode every call is collective: all processes ask together, as often as the slowest needs, and those with
    fewer contexts add idle ones.

    Args:
        tokenizer: Of the model.
        config: Temperature, tolerance.
        probe: Token ids of a text from which both sides go on at the start, to be compared.
    """

    def __init__(self, tokenizer: Any, config: GenerationConfig, probe: Sequence[int]) -> None:
        self._idle = [tokenizer.eos_token_id]
        self._config = config
        self._probe = list(probe)
        # TRL lets vLLM choose its dtype, and it chooses no float32.
        self._tolerance = config.tolerance if config.tolerance is not None else TOLERANCES["bfloat16"]
        self._trainer: Any = None

    def prepare(self, trainer: Any) -> None:
        """See :class:`Engine`; TRL itself renews the weights before a training rollout, and this before others.

        Raises:
            FrescoError: at the start, vLLM holds other weights than the trainer after they were sent.
        """
        first, self._trainer = self._trainer is None, trainer
        if first and not sharded(trainer):
            with nudged(trainer.accelerator.unwrap_model(trainer.model)):
                trainer.vllm_generation.sync_weights()
                ids, mine, theirs = self._sample()
            self._judge(mine, theirs, allowed(self._tolerance, mine, self._of_trainer(ids)))
            trainer._last_loaded_step = -1
        if trainer.state.global_step != trainer._last_loaded_step:
            trainer.vllm_generation.sync_weights()
            trainer._last_loaded_step = trainer.state.global_step
        if first:
            self._judge(*self._sample()[1:], self._tolerance)

    def agree(self, budgets: Sequence[int]) -> Agreed:
        """See :class:`Engine`."""
        return together(self._trainer.accelerator, budgets)

    def _sample(self) -> tuple[list[int], list[float], list[float]]:
        """Go on from the probe: all token ids, and the log-probabilities of the new ones by the trainer and by vLLM."""
        [turn] = self.generate([self._probe], [SAMPLED], [0], greedy=False, agreed=alone([SAMPLED]))
        ids = self._probe + turn.ids
        return ids, self._of_trainer(ids), turn.logprobs or []

    def _of_trainer(self, ids: Sequence[int]) -> list[float]:
        return log_probabilities(self._trainer, ids, temperature=self._config.temperature)[len(self._probe) - 1 :]

    def _judge(self, mine: Sequence[float], theirs: Sequence[float], most: float) -> None:
        difference = largest_difference(mine, theirs)
        if not difference <= most:
            raise FrescoError(
                f"vLLM holds other weights than the trainer after they were sent: log-probabilities differ by "
                f"{difference:.2g}, and {most:.2g} is allowed (generation.tolerance). Does it serve this model?"
            )

    def generate(
        self,
        contexts: Sequence[Sequence[int]],
        budgets: Sequence[int],
        seeds: Sequence[int],
        *,
        greedy: bool,
        agreed: Agreed,
    ) -> list[Generated]:
        """See :class:`Engine`."""
        del seeds
        vllm = self._trainer.vllm_generation
        asked = [list(context) for context in contexts]
        asked += [self._idle] * (agreed.contexts - len(asked))
        kept = vllm.temperature, vllm.max_completion_length
        vllm.temperature = 0.0 if greedy else self._config.temperature
        # The main process asks the server for all, with its own settings: with the largest budget of anybody.
        vllm.max_completion_length = agreed.tokens
        try:
            _, ids, logprobs, _ = vllm.generate(prompts=asked, images=None, num_generations=1)
        finally:
            vllm.temperature, vllm.max_completion_length = kept
        turns = []
        for number, budget in enumerate(budgets):
            values = [value[0] for value in logprobs[number]]
            turns.append(
                Generated(
                    list(ids[number])[:budget],
                    [float("nan") if value is None else float(value) for value in values][:budget],
                )
            )
        return turns
