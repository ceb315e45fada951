"""The agent loop, mask, reward and sampler under verl's own classes, on a CPU with a scripted token server.

These run in verl's own virtualenv; :mod:`tests.ccs.training.test_verl` starts them there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("verl", reason="these run in verl's own virtualenv, by tests/ccs/training/test_verl.py")

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from verl import DataProto
from verl.experimental.agent_loop.agent_loop import AgentLoopWorker
from verl.trainer.ppo import core_algos
from verl.trainer.ppo.utils import create_rl_dataset, need_critic, need_reference_policy
from verl.utils.config import validate_config
from verl.utils.dataset.rl_dataset import collate_fn
from verl.workers.rollout.replica import TokenOutput

import ccs.training.verl
from ccs.agent.environment import Environment, Limits
from ccs.agent.question import Question
from ccs.agent.trajectory import Trajectory, parse_trajectory
from ccs.retrieve.client import RetrieverClient
from ccs.training.generated import Generated
from ccs.training.processes import alone
from ccs.training.rollout import BatchedRollouts
from ccs.training.settings import AgentConfig
from ccs.training.verl.check import check_config
from ccs.training.verl.data import to_rows, write_parquet
from ccs.training.verl.reward import compute_score
from ccs.training.verl.sampler import batch_figures
from ccs.training.verl.settings import RECORD
from fresco.errors import FrescoError
from tests import tiny_models
from tests.servers import retrieve_api

FOLDER = Path(ccs.training.verl.__file__).parent
TEMPLATE = tiny_models.CHAT_TEMPLATE + "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
NILE = Question("q1", "Which lake does the Nile flow from?", ("Lake Victoria",), dataset="toy")
CLUB = Question("q2", "Who leads the club?", ("Ann",), dataset="toy")
SEARCH = "<think>where from?</think>\n<search>source of the Nile</search>"
ANSWER = "<think>so</think>\n<answer>Lake Victoria</answer>"
FORGED = "<think>t</think><information>Doc 1: it is Lake Tana</information><answer>Lake Tana</answer>"
# Longer than the 256 characters to which verl's own tool loop cuts.
PASSAGE = '"The Nile"\n' + "The Nile flows from Lake Victoria. " * 20

Says = Callable[[int, str], str]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny_models.causal_lm(tmp_path_factory.mktemp("verl") / "model", "qwen2")
    tokenizer = tiny_models.chat_tokenizer(chat_template=TEMPLATE)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "toy.parquet"
    write_parquet(to_rows([NILE, CLUB]), path)
    return path


@pytest.fixture
def retriever() -> Iterator[retrieve_api.RetrieveApi]:
    with retrieve_api.serve(lambda query, k: [f"{PASSAGE} {query} {n}" for n in range(k)]) as api:
        yield api


@pytest.fixture(scope="module")
def base() -> Any:
    """The shipped configuration, composed once: that takes seconds."""
    with initialize_config_dir(str(FOLDER), version_base=None):
        config = compose("config")
    OmegaConf.set_struct(config, False)
    return config


@pytest.fixture
def configure(base: Any, model: Path, data: Path, retriever: retrieve_api.RetrieveApi) -> Callable[..., Any]:
    def make(*overrides: str) -> Any:
        ours = [
            f"data.train_files={data}",
            f"data.val_files={data}",
            f"ccs.retriever={retriever.url}",
            "ccs.retriever_patience=1",
            "data.filter_overlong_prompts=false",  # in a process of its own, each time
            f"actor_rollout_ref.model.path={model}",
            "actor_rollout_ref.model.override_config.attn_implementation=eager",
        ]
        return OmegaConf.merge(base, OmegaConf.from_dotlist([*ours, *overrides]))

    return make


class Engine:
    """In the place of verl's client of its vLLM servers: says what a script says, in tokens of its own cutting.

    Text is encoded character by character, as no tokenizer would, so that making tokens again from text shows. Like
    vLLM it stops after the token that completes a stop string; ``trailing`` goes on in the same breath.
    """

    def __init__(self, tokenizer: Any, says: Says, trailing: str = "", *, logprobs: bool = True) -> None:
        self.tokenizer, self.says, self._trailing, self._logprobs = tokenizer, says, trailing, logprobs
        self.calls: list[tuple[str, list[int], list[int], dict[str, Any]]] = []
        self._turns: dict[str, int] = {}
        self.request = ""

    async def generate(
        self, request_id: str, *, prompt_ids: list[int], sampling_params: dict[str, Any], **_: Any
    ) -> TokenOutput:
        await asyncio.sleep(0)
        self.request = request_id
        turn = self._turns[request_id] = self._turns.get(request_id, -1) + 1
        text = self.says(turn, self.tokenizer.decode(prompt_ids)) + self._trailing
        ids = odd_tokens(self.tokenizer, text)[: sampling_params["max_tokens"]]
        self.calls.append((request_id, list(prompt_ids), ids, dict(sampling_params)))
        return TokenOutput(
            token_ids=list(ids),
            log_probs=[-0.5 - n for n in range(len(ids))] if self._logprobs else None,
            stop_reason="completed",
            extra_fields={"global_steps": 6, "min_global_steps": 6 + turn, "max_global_steps": 6 + turn},
        )


def odd_tokens(tokenizer: Any, text: str) -> list[int]:
    special = "<|im_end|>"
    body, end = (text.removesuffix(special), [tokenizer.eos_token_id]) if text.endswith(special) else (text, [])
    return [token for character in body for token in tokenizer.encode(character, add_special_tokens=False)] + end


def script(*turns: str) -> Says:
    return lambda turn, _context: turns[min(turn, len(turns) - 1)]


def worker(config: Any, says: Says, trailing: str = "", **options: Any) -> tuple[AgentLoopWorker, Engine]:
    engine = Engine(None, says, trailing, **options)
    made = AgentLoopWorker(config, engine)
    engine.tokenizer = made.tokenizer
    return made, engine


def roll(config: Any, made: AgentLoopWorker, *, count: int = 1, named: bool = False) -> DataProto:
    """Rows through verl's dataset, its collation and its worker, which pads and stacks."""
    dataset = create_rl_dataset(config.data.train_files, config.data, made.tokenizer, None, is_train=True)
    rows = collate_fn([dataset[0] for _ in range(count)])
    batch = DataProto.from_single_dict(rows)
    if not named:
        batch.non_tensor_batch.pop("agent_name")
    return asyncio.run(made.generate_sequences(batch))


def record(out: DataProto, row: int = 0) -> Trajectory:
    return parse_trajectory(out.non_tensor_batch[RECORD][row], "test")


def response(out: DataProto, row: int = 0) -> tuple[list[int], list[int], list[float]]:
    """Ids, mask and log-probabilities of a response, without its padding."""
    width = out.batch["responses"].shape[1]
    length = int(out.batch["attention_mask"][row, -width:].sum())
    parts = (out.batch[name][row, :length].tolist() for name in ("responses", "response_mask", "rollout_log_probs"))
    ids, mask, logprobs = parts
    assert not out.batch["response_mask"][row, length:].any()
    return ids, mask, logprobs


def runs(ids: list[int], mask: list[int]) -> list[tuple[int, list[int]]]:
    """Runs of tokens with the same mask."""
    found: list[tuple[int, list[int]]] = []
    for token, one in zip(ids, mask, strict=True):
        if not found or found[-1][0] != one:
            found.append((one, []))
        found[-1][1].append(token)
    return found


def test_the_configuration_passes_verls_validation(configure: Callable[..., Any]) -> None:
    config = configure()
    check_config(config)
    validate_config(config, need_reference_policy(config), need_critic(config))
    assert need_reference_policy(config) and not need_critic(config)
    OmegaConf.resolve(config)
    actor, rollout = config.actor_rollout_ref.actor, config.actor_rollout_ref.rollout
    assert (actor.optim.lr, actor.optim.lr_warmup_steps_ratio) == (1e-6, 0.285)
    assert (actor.use_kl_loss, actor.kl_loss_coef, actor.kl_loss_type) == (True, 0.001, "low_var_kl")
    assert (rollout.n, rollout.temperature, config.data.train_batch_size) == (5, 1.0, 512)
    assert config.trainer.total_training_steps == 300
    assert rollout.prompt_length + rollout.response_length == rollout.max_model_len


def test_a_token_that_vllm_samples_otherwise_weighs_at_most_twice(configure: Callable[..., Any]) -> None:
    """By verl's own correction under our configuration; the environment's tokens count nothing."""
    from verl.trainer.ppo.rollout_corr_helper import compute_rollout_correction_and_add_to_batch

    ratios = torch.tensor([[1.0, 1.5, 5.0, 0.5, 1.0]])
    sampled = torch.tensor([[-1.0, -2.0, -3.0, -1.0, 0.0]])
    mask = torch.tensor([[1, 1, 1, 1, 0]])
    tensors = {"old_log_probs": sampled + ratios.log(), "rollout_log_probs": sampled, "response_mask": mask}
    chosen = configure().algorithm.rollout_correction
    made, _ = compute_rollout_correction_and_add_to_batch(DataProto.from_dict(tensors), chosen)
    assert torch.allclose(made.batch["rollout_is_weights"], torch.tensor([[1.0, 1.5, 2.0, 0.5, 0.0]]))
    assert torch.equal(made.batch["response_mask"], mask)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("actor_rollout_ref.rollout.agent.default_agent_loop=single_turn_agent", "default_agent_loop"),
        ("trainer.use_v1=false", "use_v1"),
        ("trainer.v1.sampler.custom_sampler.path=null", "custom_sampler.path"),
        ("actor_rollout_ref.model.external_lib=null", "external_lib"),
        ("reward.custom_reward_function.path=null", "custom_reward_function.path"),
        ("algorithm.filter_groups.enable=true", "filter_groups"),
        ("actor_rollout_ref.rollout.n=1", "at least 2"),
        ("ccs.retriever=null", "ccs.retriever is missing"),
        ("ccs.tops=3", "unknown key ccs.tops"),
        ("ccs.turn_tokens=0", "ccs.turn_tokens is 0"),
        ("ccs.rewards=[{reward: majority-vote}]", "compares the rollouts"),
        ("ccs.rewards=[{reward: cicle}]", "it is one of cycle"),
        ("data.val_files=/nowhere.parquet", "/nowhere.parquet: cannot be read"),
    ],
)
def test_what_verl_would_let_pass_is_refused(configure: Callable[..., Any], override: str, says: str) -> None:
    with pytest.raises(FrescoError, match=says) as caught:
        check_config(configure(override))
    assert "\n" not in str(caught.value)


def test_a_reward_file_goes_to_other_nodes_by_content(configure: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "reward.yaml").write_text("reward: exact-match\n")
    config = configure(f"ccs.rewards={tmp_path / 'reward.yaml'}")
    check_config(config)
    assert config.reward.custom_reward_function.reward_kwargs.rewards == [{"reward": "exact-match"}]


@pytest.mark.parametrize("trailing", ["", "\n\n", ">\n<answer>no</answer>"])
def test_tokens_stay_as_generated_and_observations_are_masked(configure: Callable[..., Any], trailing: str) -> None:
    config = configure()
    made, engine = worker(config, script(SEARCH, ANSWER), trailing)
    out = roll(config, made, named=True)
    ids, mask, logprobs = response(out)
    tokenizer = made.tokenizer
    policy, observed, last = (tokens for _, tokens in runs(ids, mask))
    assert [one for one, _ in runs(ids, mask)] == [1, 0, 1]
    first, second = odd_tokens(tokenizer, SEARCH), odd_tokens(tokenizer, ANSWER)
    assert policy == first and last[: len(second)] == second
    assert tokenizer.encode(SEARCH, add_special_tokens=False) != policy  # else nothing would show here
    trajectory = record(out)
    environment = Environment(RetrieverClient(config.ccs.retriever), Limits())
    environment.reset(NILE)
    observation = environment.step(SEARCH).observation
    environment.step(ANSWER)
    assert observed == tokenizer.encode(observation, add_special_tokens=False)
    assert "flows from Lake Victoria" in observation and len(observation) > 2000
    assert trajectory.turns[0].hits == environment.trajectory.turns[0].hits
    assert (trajectory.answer, trajectory.stop, trajectory.question_id) == ("Lake Victoria", "answer", "q1")
    # The second turn was generated from exactly these tokens.
    prompt = engine.calls[0][1]
    assert engine.calls[1][1] == prompt + policy + observed
    assert engine.calls[0][0] == engine.calls[1][0]
    assert engine.calls[0][3]["stop"] == ["</search>", "</answer>"]
    expected = [-0.5 - n for n in range(len(policy))] + [0.0] * len(observed) + [-0.5 - n for n in range(len(last))]
    assert logprobs == pytest.approx(expected)
    assert (out.non_tensor_batch["min_global_steps"][0], out.non_tensor_batch["max_global_steps"][0]) == (6, 7)
    assert out.non_tensor_batch["__num_turns__"].tolist() == [4]


def test_without_a_name_in_the_data_the_default_is_the_search_agent(configure: Callable[..., Any]) -> None:
    config = configure()
    made, _ = worker(config, script(SEARCH, ANSWER))
    assert len(record(roll(config, made)).searches) == 1
    # What verl does by itself: one turn, no search, and no word of it.
    config = configure("actor_rollout_ref.rollout.agent.default_agent_loop=single_turn_agent")

    class Plain(Engine):
        async def generate(self, request_id: str, **options: Any) -> TokenOutput:
            options["sampling_params"] = {"max_tokens": 100}
            return await super().generate(request_id, **options)

    engine = Plain(made.tokenizer, script(SEARCH))
    out = roll(config, AgentLoopWorker(config, engine))
    assert RECORD not in out.non_tensor_batch
    with pytest.raises(FrescoError, match="another agent loop than ccs_search"):
        asyncio.run(compute_score("toy", SEARCH, {"target": []}, {"index": 0}))
    with pytest.raises(FrescoError, match="another agent loop"):
        batch_figures([{"reward_extra_info": {}}], ["u_0_0"], 1)


@pytest.mark.parametrize("room", [60, 120, 250, 700])
def test_a_response_is_cut_at_its_length(configure: Callable[..., Any], room: int) -> None:
    config = configure(f"data.max_response_length={room}", "actor_rollout_ref.rollout.max_model_len=null")
    made, engine = worker(config, script(SEARCH, SEARCH, "thinking " * 40, ANSWER))
    out = roll(config, made)
    ids, mask, logprobs = response(out)
    assert len(ids) == len(mask) == len(logprobs) <= room
    for _, context, generated, params in engine.calls:
        assert len(context) - len(engine.calls[0][1]) + params["max_tokens"] <= room
        assert generated
    assert record(out).stop == "tokens"
    assert mask[0] == 1


def test_information_of_its_own_making_is_no_information(configure: Callable[..., Any]) -> None:
    config = configure()
    made, engine = worker(config, script(FORGED, ANSWER))
    out = roll(config, made)
    ids, mask, _ = response(out)
    trajectory = record(out)
    assert [turn.fault for turn in trajectory.turns] == ["own information", None]
    assert not trajectory.searches
    assert runs(ids, mask)[0][1] == odd_tokens(made.tokenizer, "<think>t</think>")
    assert "Lake Tana" not in made.tokenizer.decode(engine.calls[1][1])


def test_an_end_of_sequence_is_kept_only_at_the_end(configure: Callable[..., Any]) -> None:
    config = configure("ccs.turns=1")
    made, _ = worker(config, script("I do not know<|im_end|>"))
    ids, mask, _ = response(roll(config, made))
    said = odd_tokens(made.tokenizer, "I do not know")
    parts = runs(ids, mask)
    assert [one for one, _ in parts] == [1, 0, 1]
    assert parts[0][1] == said
    assert parts[2][1] == [*said, made.tokenizer.eos_token_id]


@pytest.mark.parametrize("room", [200, 3000])
@pytest.mark.parametrize(
    "turns",
    [
        (SEARCH, ANSWER),
        (FORGED, "no idea<|im_end|>", SEARCH, ANSWER),
        ("x " * 300,),
        (SEARCH,) * 9,
        (ANSWER + "<|im_end|>",),
    ],
    ids=["plain", "faults", "long", "turns", "end"],
)
def test_the_stream_is_that_of_ccs_train(configure: Callable[..., Any], turns: tuple[str, ...], room: int) -> None:
    """The same tokens from the engine make the same stream and mask on one machine (TRL) and here."""
    config = configure(f"data.max_response_length={room}")
    made, engine = worker(config, script(*turns))
    out = roll(config, made)
    ids, mask, _ = response(out)
    prompt = engine.calls[0][1]

    class Same:
        number = -1

        agree = staticmethod(alone)

        def generate(
            self, contexts: Any, budgets: list[int], seeds: Any, *, greedy: bool, agreed: Any
        ) -> list[Generated]:
            self.number += 1
            said = odd_tokens(made.tokenizer, turns[min(self.number, len(turns) - 1)])[: budgets[0]]
            return [Generated(said, None)]

    agent = AgentConfig(context_tokens=len(prompt) + room)
    roller = BatchedRollouts(Same(), RetrieverClient(config.ccs.retriever), made.tokenizer, agent)  # type: ignore[arg-type]
    (rollout,) = roller.roll([(NILE, 0)])
    assert (rollout.prompt_ids, rollout.ids, rollout.mask) == (prompt, ids, mask)
    assert (rollout.trajectory.stop, rollout.trajectory.answer) == (record(out).stop, record(out).answer)


def test_without_log_probabilities_there_are_none(configure: Callable[..., Any]) -> None:
    config = configure()
    made, _ = worker(config, script(SEARCH, ANSWER), logprobs=False)
    assert "rollout_log_probs" not in roll(config, made).batch


def test_a_retriever_that_fails_is_an_error_and_no_zero(
    configure: Callable[..., Any], retriever: retrieve_api.RetrieveApi, caplog: pytest.LogCaptureFixture
) -> None:
    config = configure()

    def fail(handler: Any, _: Any) -> None:
        handler.send(400, {"detail": "no index"})

    retriever.fault_on = lambda _: fail
    made, _ = worker(config, script(SEARCH, ANSWER))
    with caplog.at_level(logging.WARNING), pytest.raises(FrescoError, match="400"):
        roll(config, made)
    assert "rollout 0 of question 'q1' left out" in caplog.text


def test_a_row_that_is_none_of_ours_is_refused(configure: Callable[..., Any]) -> None:
    made, _ = worker(configure(), script(ANSWER))
    batch = DataProto.from_single_dict(
        {
            "raw_prompt": np.array([[{"role": "user", "content": "hi"}]], dtype=object),
            "extra_info": np.array([{"index": 0}], dtype=object),
            "index": np.array([0]),
        }
    )
    with pytest.raises(FrescoError, match="none of ours"):
        asyncio.run(made.generate_sequences(batch))


def test_a_prompt_that_verl_would_cut_is_refused(configure: Callable[..., Any]) -> None:
    config = configure("data.max_prompt_length=64")
    made, _ = worker(config, script(ANSWER))
    with pytest.raises(FrescoError, match="max_prompt_length"):
        roll(config, made)


def test_no_gradient_reaches_an_observation(configure: Callable[..., Any]) -> None:
    config = configure()
    made, _ = worker(config, script(SEARCH, ANSWER))
    out = roll(config, made, count=2)
    mask = out.batch["response_mask"]
    rewards = torch.zeros_like(mask, dtype=torch.float32)
    rewards[0, -1], rewards[1, -1] = 1.0, 0.2
    advantages, _ = core_algos.compute_grpo_outcome_advantage(rewards, mask, np.array(["u", "u"]))
    torch.manual_seed(0)
    old = -torch.rand(mask.shape)
    new = (old + 0.01 * torch.randn(mask.shape)).requires_grad_()
    actor = config.actor_rollout_ref.actor
    from verl.utils.config import omega_conf_to_dataclass

    actor_config = omega_conf_to_dataclass(actor)
    loss, _ = core_algos.get_policy_loss_fn("vanilla")(
        old, new, advantages, mask, loss_agg_mode=actor.loss_agg_mode, config=actor_config
    )
    kl = core_algos.kl_penalty(new, old - 0.1, actor.kl_loss_type)
    loss = loss + actor.kl_loss_coef * core_algos.agg_loss(kl, mask, loss_agg_mode=actor.loss_agg_mode)
    loss.backward()
    assert new.grad is not None
    assert (new.grad[mask == 0] == 0).all()
    assert (new.grad[mask == 1] != 0).all()
