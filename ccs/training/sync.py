"""New weights for a plain vLLM server, through a folder that trainer and server both see; verified, never assumed.

For machines without NCCL (CPU builds) and servers that are not TRL's. vLLM must run with ``VLLM_SERVER_DEV_MODE=1``,
which opens ``/collective_rpc``: keep such a server off public networks.

What goes wrong silently elsewhere is measured here. After each renewal the log-probabilities of a fixed text are
compared between trainer and server, and a difference stops the training; :mod:`ccs.training.agreement` says how the
start is proved, with tokens that are sampled at the training temperature beside the fixed ones. (vLLM 0.31 leaves the
head of a model with tied embeddings as it was; the comparison finds it.)
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ccs.training.agreement import TOLERANCES, allowed, largest_difference, log_probabilities, nudged
from ccs.training.engines import SAMPLED, UNBENT
from ccs.training.generated import read_completion
from ccs.training.processes import any_of, sharded
from ccs.training.settings import GenerationConfig
from ccs.training.weights import whole_state
from fresco.clients.deadline import bind
from fresco.clients.endpoint import Endpoint
from fresco.errors import FrescoError

_T = TypeVar("_T")
_LONGEST_ANSWER = 64 << 20  # bytes; its metrics and one token's probabilities are kilobytes
_PAUSE = 2.0  # seconds between attempts to reach a server that is away
_BIRTH = re.compile(r"^process_start_time_seconds (\S+)$", re.MULTILINE)


class FolderSync:
    """Keeps a server's weights those of the trainer.

    Args:
        config: Server, folder, patience, tolerance.
        folder: Where weights pass.
        probe: Token ids of the text that is compared.
        dtype: Of the weights, for the default tolerance.
        tell: Told of waiting.

    Attributes:
        difference: The largest difference of the last comparison.
        seconds: That the last renewal took.
    """

    def __init__(
        self,
        config: GenerationConfig,
        folder: Path,
        probe: Sequence[int],
        dtype: str = "float32",
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        import httpx

        assert config.server is not None
        self._url = Endpoint.parse(config.server.partition("#")[0]).beside("").url.rstrip("/")
        self._served = config.served_folder
        self._folder = folder
        self._probe = list(probe)
        self._tolerance = config.tolerance if config.tolerance is not None else TOLERANCES[dtype]
        self._patience = config.patience
        self._temperature = config.temperature
        self._tell = tell
        self._client = httpx.Client(timeout=config.timeout)
        self._exchange, self._timeout = bind(self._client), config.timeout
        self._model = config.server.partition("#")[2].partition("&")[0] or self._only_model()
        self._step: int | None = None
        self._trainer: Any = None
        self.difference = float("nan")
        self.seconds = 0.0

    def renew(self, trainer: Any) -> None:
        """Send the trainer's weights, if they changed since; collective.

        Raises:
            FrescoError: the server is away for too long, or holds other weights afterwards.
        """
        first = self._step is None
        if self._step == trainer.state.global_step:
            return
        self._trainer = trainer
        proving = first and not sharded(trainer)
        if proving:
            plain = log_probabilities(trainer, self._probe)
            with nudged(trainer.accelerator.unwrap_model(trainer.model)):
                self._push(trainer, plain)
        self._push(trainer)
        if proving and trainer.accelerator.is_main_process:
            self._compare_sampled(trainer)
        self._step = trainer.state.global_step

    def sync_weights(self) -> None:
        """:meth:`renew` under the name that TRL calls."""
        if self._trainer is not None:
            self.renew(self._trainer)

    def server_birth(self) -> str | None:
        """When the server's process started, as it says; None where it does not say."""
        found = _BIRTH.search(self._ask(lambda: self._client.get(f"{self._url}/metrics")).text)
        return found.group(1) if found else None

    def renew_if_restarted(self, before: str) -> bool:
        """Send the weights again if the server is not the process that it was; collective.

        One process may notice alone, where the others were answered before; all of them send, and ask again.
        """
        if not any_of(self._trainer.accelerator, self.server_birth() != before):
            return False
        self._tell("the vLLM server was started again: it gets the present weights, and the rollouts are made again")
        self._push(self._trainer)
        return True

    def close(self) -> None:
        """End the connections."""
        self._client.close()

    def _push(self, trainer: Any, unchanged: Sequence[float] | None = None) -> None:
        """Send the trainer's weights and compare; ``unchanged`` is of its own head, where it has a changed one now."""
        started = time.perf_counter()
        state, model = whole_state(trainer)
        mine = log_probabilities(trainer, self._probe)
        most = self._tolerance if unchanged is None else allowed(self._tolerance, mine, unchanged)
        if trainer.accelerator.is_main_process:
            model.save_pretrained(self._folder, state_dict=state, safe_serialization=True)
            self._push_folder(mine, most)
        trainer.accelerator.wait_for_everyone()
        self.seconds = time.perf_counter() - started

    def _push_folder(self, mine: Sequence[float], most: float) -> None:
        while True:
            born = self.server_birth()
            for path, body in (
                ("pause", {}),
                ("collective_rpc", {"method": "reload_weights", "kwargs": {"weights_path": self._where()}}),
                ("reset_prefix_cache", {}),
                ("resume", {}),
            ):
                self._post(path, body)
            self.difference = self._compare(mine)
            if self.server_birth() == born:
                break
            # Each request waits for a server that died, so it came back amid them with the weights of its start.
        if not self.difference <= most:
            raise FrescoError(
                f"{self._url} holds other weights than the trainer after they were sent: log-probabilities differ by "
                f"{self.difference:.2g}, and {most:.2g} is allowed (generation.tolerance). Does it serve this "
                "model, in this dtype, and see the same folder? vLLM does not reload the head of a model with tied "
                "embeddings: untie it (tie_word_embeddings: false)"
            )

    def _compare_sampled(self, trainer: Any) -> None:
        body = {"model": self._model, "prompt": self._probe, "max_tokens": SAMPLED, "temperature": self._temperature}
        answer = self._post("v1/completions", body | UNBENT | {"logprobs": 0, "return_token_ids": True, "seed": 0})
        turn = read_completion(answer.json(), self._url)
        mine = log_probabilities(trainer, self._probe + turn.ids, temperature=self._temperature)
        difference = largest_difference(mine[len(self._probe) - 1 :], turn.logprobs or [])
        if not difference <= self._tolerance:
            raise FrescoError(
                f"{self._url}: log-probabilities of sampled tokens differ from the trainer's by {difference:.2g}, and "
                f"{self._tolerance:g} is allowed (generation.tolerance): start vLLM with --logprobs-mode "
                "processed_logprobs, which gives them at the temperature of sampling"
            )

    def _compare(self, mine: Sequence[float]) -> float:
        body = {"model": self._model, "prompt": self._probe, "max_tokens": 1, "temperature": 0.0, "prompt_logprobs": 0}
        answer = self._post("v1/completions", body).json()
        found = answer["choices"][0]["prompt_logprobs"]
        theirs = [float(each[str(token)]["logprob"]) for each, token in zip(found[1:], self._probe[1:], strict=True)]
        return largest_difference(mine, theirs)

    def _where(self) -> str:
        return self._served or str(self._folder.resolve())

    def _only_model(self) -> str:
        rows = self._ask(lambda: self._client.get(f"{self._url}/v1/models")).json()["data"]
        return str(rows[0]["id"])

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        answer = self._ask(lambda: self._client.post(f"{self._url}/{path}", json=body))
        if answer.status_code == 404:
            raise FrescoError(
                f"{self._url}/{path} is not there: start vLLM (0.22 to 0.31) with VLLM_SERVER_DEV_MODE=1 in its "
                "environment, which lets a trainer renew its weights"
            )
        if answer.status_code != 200:
            raise FrescoError(
                f"{self._url}/{path} answered {answer.status_code}: {' '.join(answer.text.split())[:200]}"
            )
        return answer

    def _ask(self, request: Callable[[], _T]) -> _T:
        """Ask until it is answered: a server that is started again takes a minute."""
        import httpx

        deadline = time.monotonic() + self._patience
        told = False
        while True:
            try:
                with self._exchange.bounded(self._timeout, _LONGEST_ANSWER):
                    return request()
            except httpx.TransportError as error:
                if time.monotonic() > deadline:
                    raise FrescoError(
                        f"{self._url} was away for {self._patience:.0f} s ({error}); start it, and the same command "
                        "goes on from the last checkpoint"
                    ) from error
                if not told:
                    self._tell(f"waiting for {self._url} ({error})")
                    told = True
                time.sleep(_PAUSE)
