"""A training run from its configuration to its card: opens what it names, trains, evaluates, keeps the best."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from ccs.agent.protocol import read_template, write_prompt
from ccs.agent.question import Question
from ccs.rewards.base import Reward
from ccs.training.config import TrainConfig
from ccs.training.engines import Engine, SoloEngine
from ccs.training.evaluate import Evaluator
from ccs.training.journal import Journal, step_of
from ccs.training.outcome import Outcome
from ccs.training.processes import on_main, peers_lost
from ccs.training.registry import ENGINES
from ccs.training.rewards import RewardMix
from ccs.training.rollout import BatchedRollouts
from ccs.training.signal import preflight
from ccs.training.trainer import SearchTraining, build_trainer, correct_for_server, has_accelerator, longest_wait
from ccs.training.unseen import open_unseen
from ccs.training.weights import save_policy
from fresco.errors import FrescoError
from fresco.io.files import locked

Tell = Callable[[str], None]
_PROBE_TOKENS = 64
_AUDITED = 4  # rollouts of a held-out question by which the final policy's reward is audited


def train(
    config: TrainConfig,
    folder: Path,
    *,
    rewards: Sequence[tuple[float, Reward]] | None = None,
    tell: Tell = lambda _: None,
    callbacks: Sequence[Any] = (),
) -> Outcome:
    """Train, or go on.

    Args:
        config: The run.
        folder: Its output; see :mod:`ccs.training.journal`.
        rewards: Weights and rewards in place of the configured ones, for studies.
        tell: Told what happens, a line at a time.
        callbacks: More of transformers' ``TrainerCallback``.

    Raises:
        FrescoError: bad input, something missing, or a server that is gone for good; checkpoints are kept.
    """
    require_trl()
    process = join(config)
    journal = Journal(folder)
    with ExitStack() as held:
        held.enter_context(peers_lost())

        def claim() -> None:
            held.enter_context(locked(folder))
            journal.claim(config)

        on_main(process, claim)
        return _train(config, journal, rewards, tell if process.is_main_process else lambda _: None, callbacks)


def join(config: TrainConfig) -> Any:
    """This process among those of a run: accelerate's state.

    The first that is made decides: without a word on the CPU every process takes itself for the only one there, and how
    long processes wait for each other is settled here for good.
    """
    from accelerate import PartialState

    return PartialState(cpu=not has_accelerator(), timeout=timedelta(seconds=longest_wait(config)))


def is_first() -> bool:
    """Whether this process is the one of a run that speaks."""
    from accelerate import PartialState

    return bool(PartialState().is_main_process)


def leave() -> None:
    """Leave the other processes of a run, together with them; a backend whose threads are cut off at exit may abort."""
    from accelerate import PartialState

    process = PartialState()
    process.wait_for_everyone()
    process.destroy_process_group()


def require_trl() -> None:
    """Silence what transformers says to TRL; a bar for each checkpoint would bury our own lines.

    Raises:
        FrescoError: TRL is not installed.
    """
    import warnings

    try:
        import trl  # noqa: F401
        from transformers.utils import logging
    except ImportError:
        raise FrescoError('training needs TRL: pip install "fresco-ccs[train]"') from None
    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")


def _train(
    config: TrainConfig,
    journal: Journal,
    rewards: Sequence[tuple[float, Reward]] | None,
    tell: Tell,
    callbacks: Sequence[Any],
) -> Outcome:
    from accelerate import PartialState

    process = PartialState()
    if config.demo is not None:
        from ccs.training.demo import prepare

        with process.main_process_first():
            config = prepare(config, journal.folder / "demo", tell)
    questions, held_out = read_questions(config)
    tokenizer = open_tokenizer(config)
    template = template_of(config)
    terms = list(rewards) if rewards is not None else open_rewards(config, journal.folder)
    known = _checked(questions, held_out, terms)
    unseen = open_unseen(config, [reward for _, reward in terms], journal.folder)
    mixed = partial(RewardMix, questions=known, timeout=config.reward_timeout)
    mix, tried = mixed(terms), mixed(terms)
    prompt = write_prompt("search", questions[0].text, template)
    probe = tokenizer.encode(prompt, add_special_tokens=False)[:_PROBE_TOKENS]
    sync = _open_sync(config, journal.folder, probe, tell)
    engine = open_engine(config, tokenizer, probe, sync)
    roller = BatchedRollouts(
        engine, _open_retriever(config), tokenizer, config.agent, seed=config.optimization.seed, template=template
    )
    training = SearchTraining(roller, mix, known, config.optimization.group)
    from ccs.training.callback import Watcher, go_on  # transformers, whose import takes seconds

    trainer = build_trainer(config, journal.checkpoints, training, [each.id for each in questions], tokenizer)
    if sync is not None:
        correct_for_server(trainer, sync)
    resumed = _begin_or_go_on(trainer, config, journal, tell)
    judged = [mixed(terms), *([mixed([(1.0, unseen)])] if unseen else [])]
    evaluator = Evaluator(config, journal, roller, judged, held_out, tell)
    first = partial(preflight, roller, tried, questions, config, tell)
    watcher = Watcher(config.keep, journal, evaluator, training, tell, first)
    watcher.stopped = on_main(process, watcher.stopped_before)
    watcher.attach(trainer, callbacks)
    try:
        with watcher.bar(config.optimization.steps):
            go_on(trainer, resumed)
            evaluator.evaluate(trainer)
            sampled = evaluator.sample(trainer, config.keep.audited, _AUDITED)
    finally:
        mix.close()
        tried.close()
        evaluator.close()
    save_policy(trainer, journal.folder / "final", merged=config.keep.merged)
    if not process.is_main_process:
        return Outcome(trainer.state.global_step, watcher.stopped, [], evaluator.best_step)
    from ccs.training.card import write_card

    rows = journal.rows("evaluations.jsonl")
    outcome = Outcome(trainer.state.global_step, watcher.stopped, rows, evaluator.best_step)
    greedy, varied = ([each.trajectory for each in rollouts] for rollouts in (evaluator.last, sampled))
    write_card(config, journal, outcome, greedy, varied, held_out, terms, unseen)
    return outcome


def _begin_or_go_on(trainer: Any, config: TrainConfig, journal: Journal, tell: Tell) -> Path | None:
    """The checkpoint to go on from, and curves that go on from it, too."""
    from ccs.training.curves import add_curves

    resumed = on_main(trainer.accelerator, journal.resume)
    if resumed is not None:
        tell(f"going on from {resumed.name}")
    add_curves(trainer, config.keep.report_to, journal.folder, step_of(resumed))
    return resumed


def _checked(
    questions: Sequence[Question], held_out: Sequence[Question], terms: Sequence[tuple[float, Reward]]
) -> dict[str, Question]:
    """All questions by id, where the rewards can be had of those that are trained on."""
    for _, reward in terms:
        if reward.needs_gold and not all(each.answers for each in questions):
            raise FrescoError(f"the reward {reward.name} needs gold answers, and some training questions have none")
    return {each.id: each for each in [*questions, *held_out]}


def read_questions(config: TrainConfig) -> tuple[list[Question], list[Question]]:
    """Training and held-out questions.

    Raises:
        FrescoError: a held-out question is trained on, or there are too few.
    """
    from ccs.questions import load_questions

    data = config.data
    questions = load_questions(list(data.train), limit=data.train_limit)
    held_out = load_questions(list(data.held_out), limit=data.held_out_limit)
    texts = {" ".join(each.text.casefold().split()): each.id for each in questions}
    ids = set(texts.values())
    for each in held_out:
        twin = texts.get(" ".join(each.text.casefold().split()))
        if twin is not None:
            raise FrescoError(f"held-out question {each.id!r} is also trained on, as {twin!r}; take it out of one")
    held_out = [replace(each, id=f"held-out/{each.id}") if each.id in ids else each for each in held_out]
    if len(questions) < config.optimization.questions_per_step:
        raise FrescoError(
            f"there are {len(questions)} training questions, fewer than optimization.questions_per_step "
            f"({config.optimization.questions_per_step})"
        )
    return questions, held_out


def open_tokenizer(config: TrainConfig) -> Any:
    """The policy's tokenizer.

    Raises:
        FrescoError: there is none, or it lacks what training needs.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(config.model.path, revision=config.model.revision or "main")
    except (OSError, ValueError) as error:
        raise FrescoError(
            f"model.path {config.model.path}: no tokenizer ({' '.join(str(error).split())[:200]})"
        ) from None
    if tokenizer.eos_token_id is None:
        raise FrescoError(f"model.path {config.model.path}: its tokenizer has no end-of-sequence token")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if config.agent.layout == "chat" and not tokenizer.chat_template:
        raise FrescoError(f"model.path {config.model.path} has no chat template; give agent.layout: plain")
    return tokenizer


def template_of(config: TrainConfig) -> str | None:
    """Text of the prompt that a configuration names; None is the one of ``ccs rollout``."""
    return read_template(Path(config.agent.prompt)) if config.agent.prompt else None


def open_rewards(config: TrainConfig, folder: Path) -> list[tuple[float, Reward]]:
    """The configured rewards with their weights; answers of language models are kept in the output folder."""
    from ccs.rewards.config import open_reward

    return [(weight, open_reward(term, cache=folder / "rewards.sqlite")) for weight, term in config.reward_terms]


def _open_retriever(config: TrainConfig) -> Any:
    from ccs.retrieve import open_retriever

    return open_retriever(config.data.retriever, timeout=config.data.retriever_timeout)


def open_engine(config: TrainConfig, tokenizer: Any, probe: Sequence[int], sync: Any) -> Engine | SoloEngine:
    """The engine that a configuration names."""
    chosen = config.generation
    engine = ENGINES.open(chosen.engine, tokenizer=tokenizer, config=chosen, probe=probe, sync=sync)
    if not isinstance(engine, Engine | SoloEngine):
        raise FrescoError(
            f"generation.engine {chosen.engine}: it generates neither by `agree` and `generate` nor by `begin`, "
            "`connected`, `turn` and `held`"
        )
    return engine


def _open_sync(config: TrainConfig, folder: Path, probe: Sequence[int], tell: Tell) -> Any:
    if config.generation.engine != "vllm-server":
        return None
    from ccs.training.sync import FolderSync

    where = Path(config.generation.folder) if config.generation.folder else folder / "weights"
    return FolderSync(config.generation, where, probe, config.model.dtype, tell)


def describe(outcome: Outcome) -> str:
    """An outcome in a line or two."""
    rows: list[Mapping[str, Any]] = list(outcome.evaluations)
    text = f"{outcome.steps} steps" + (f", stopped early: {outcome.stopped}" if outcome.stopped else "")
    for name in ("reward", "exact match"):
        known = [(row["step"], row[name]) for row in rows if row.get(name) is not None]
        if known and not math.isnan(known[0][1]):
            text += f"; held-out {name} {known[0][1]:.3f} before, {known[-1][1]:.3f} after"
    return f"{text}; best checkpoint: step {outcome.best}"
