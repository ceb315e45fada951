"""The front door: a function for each command, whose parameters are the command's options.

    import ccs

    rollouts = ccs.rollout("nq", "http://127.0.0.1:8000/v1#MODEL", "index", limit=100, samples=4, out="rollouts.jsonl")
    ccs.reward(rollouts).to_frame()
    ccs.evaluate(rollouts, "nq")

Wherever a command takes a file, these take a path or the objects themselves. The commands only parse and print.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ccs.inputs import Place, Questions, Shown, Trajectories, bars, chosen_reward, file_of
from fresco.errors import FrescoError

if TYPE_CHECKING:
    from ccs.auditing.report import AuditReport
    from ccs.evaluation.measure import Evaluation
    from ccs.retrieve.base import Retriever
    from ccs.retrieve.index import Index
    from ccs.retrieve.service import ServiceLimits
    from ccs.rewards.base import Reward
    from ccs.rewards.config import RewardConfig
    from ccs.rewards.run import Rewards
    from ccs.rollouts.run import Rollouts
    from ccs.training.config import TrainConfig
    from ccs.training.outcome import Outcome
    from ccs.training.warmup import WarmedUp
    from fresco.clients.llm import ChatClient


def index(
    corpus: Place,
    out: Place,
    *,
    method: str = "bm25",
    model: str | None = None,
    index_type: str = "flat",
    query_prefix: str | None = None,
    passage_prefix: str | None = None,
    dtype: str = "float32",
    device: str | None = None,
    ray: str | None = None,
    progress: Shown = True,
) -> Index:
    """Make an index of passages for agents to search, or what is missing of it.

    Args:
        corpus: See :func:`ccs.retrieve.corpus.read_corpus`.
        out: Folder of the index.
        method: ``bm25`` or ``dense``.
        model: Embedding model of a dense index, a folder or a Hugging Face id.
        index_type: Of a dense index: ``flat`` (exact), ``hnsw`` or ``ivfpq``.
        query_prefix: Before each query; None for what the model saves.
        passage_prefix: Before each passage, likewise.
        dtype: Of the model's weights.
        device: For the model.
        ray: Address of a Ray cluster whose machines embed the passages (``auto``, ``local``, ``HOST:PORT``).
        progress: See :data:`Shown`.

    Returns:
        The index, open; a retriever.

    Raises:
        FrescoError: bad corpus or model, or the folder holds something else.
    """
    from ccs.retrieve.index import build_index, open_index

    settings: dict[str, Any] = {"method": method}
    if method == "dense":
        if not model:
            raise FrescoError("--method dense needs a model, such as --model intfloat/e5-base-v2")
        settings |= {"model": model, "dtype": dtype, "index_type": index_type}
        settings |= {"query_prefix": query_prefix, "passage_prefix": passage_prefix}
    elif model:
        raise FrescoError("--model is for --method dense; BM25 has none")
    with bars(progress) as tell:
        build_index(str(corpus), Path(out), settings, tell, device=device, ray=ray)
    return open_index(Path(out), device=device)


def serve(
    index: Place | Retriever,
    *,
    host: str = "127.0.0.1",
    port: int = 8001,
    top_k: int = 3,
    model: str | None = None,
    device: str | None = None,
    limits: ServiceLimits | None = None,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve an index, or any retriever, by Search-R1's contract; returns when it is interrupted.

    Args:
        index: Folder of :func:`index`, or a retriever.
        host: 0.0.0.0 for other machines.
        port: 0 takes a free one.
        top_k: Passages where a request names no number.
        model: Where the model of a dense index is now, if it was moved.
        device: For the model of a dense index.
        limits: What a request may ask.
        on_ready: Told the URL once the port is taken.

    Raises:
        FrescoError: no whole index, a missing extra, or the address cannot be listened at.
    """
    from ccs.retrieve.index import open_index
    from ccs.retrieve.serve import serve_retriever

    retriever = open_index(Path(index), device=device, model=model) if isinstance(index, str | PathLike) else index
    serve_retriever(retriever, host=host, port=port, top_k=top_k, limits=limits, on_ready=on_ready)


def rollout(
    questions: Questions,
    model: str | ChatClient,
    retriever: Place | Retriever | None = None,
    *,
    out: Place | None = None,
    limit: int | None = None,
    agent: str = "search",
    prompt: Place | None = None,
    begin: str | None = None,
    format: str = "ccs",  # noqa: A002 - the option's name
    samples: int = 1,
    max_turns: int = 4,
    top_k: int = 3,
    max_passages: int | None = None,
    max_tokens: int = 500,
    token_budget: int = 16384,
    observation_characters: int = 2400,
    api: str = "chat",
    temperature: float = 1.0,
    seed: int = 0,
    concurrency: int = 16,
    timeout: float = 300.0,
    retries: int = 5,
    progress: Shown = True,
) -> Rollouts:
    """Let an agent work on questions.

    Args:
        questions: See :data:`Questions`.
        model: ``URL#MODEL`` of an OpenAI-compatible server, or a client of one.
        retriever: URL of a server of ``/retrieve``, folder of an index, or a retriever; None where the agent
            does not search.
        out: File of the trajectories; a run that was stopped goes on from it. None keeps them in memory alone.
        limit: Only the first so many questions of each source.
        agent: One of :data:`ccs.agent.protocol.AGENTS`.
        prompt: File of another prompt, with ``{question}`` in it; ``few-shot`` is ours with examples.
        begin: ``think`` or ``search``: every turn begins with this tag, and the model goes on from there.
        format: How turns are written and read: ``ccs``, or ``search-r1`` for its published checkpoints.
        samples: Trajectories of each question.
        max_turns: Turns that may search; one more may only answer.
        top_k: Passages that a search returns.
        max_passages: Over all searches.
        max_tokens: Of one turn.
        token_budget: Of the whole context after a turn.
        observation_characters: Of the passages of one search.
        api: One of :data:`ccs.rollouts.one.APIS`.
        temperature: Of sampling.
        seed: Every rollout derives its own from it.
        concurrency: Rollouts at once; a client that is given has its own.
        timeout: Seconds for one request.
        retries: Of a request, before its rollout fails.
        progress: See :data:`Shown`.

    Raises:
        FrescoError: bad input, or servers that are gone; what was done is kept in ``out``.
    """
    from ccs.agent.environment import Limits
    from ccs.agent.formats import open_format
    from ccs.agent.protocol import read_template
    from ccs.questions import as_questions
    from ccs.retrieve.open import as_retriever
    from ccs.rollouts.one import Sampling
    from ccs.rollouts.run import RolloutPlan, run_rollouts
    from fresco.clients.llm import ChatClient

    limits = Limits(
        turns=max_turns,
        top_k=top_k,
        tokens=token_budget,
        passages=max_passages,
        observation_characters=observation_characters,
    )
    sampling = Sampling(api, max_tokens, temperature, seed, f"<{begin}>" if begin else "")
    open_format(format, agent)
    template = read_template(Path(prompt)) if prompt else None
    asked, sources = as_questions(questions, limit=limit)
    with ExitStack() as stack:
        if isinstance(model, str):
            client = ChatClient(model, concurrency=concurrency, timeout=timeout, retries=retries)
            stack.callback(client.close)
        else:
            client = model
        path = Path(out) if out else Path(stack.enter_context(tempfile.TemporaryDirectory())) / "rollouts.jsonl"
        found = as_retriever(retriever, agent=agent, timeout=timeout)
        tell = stack.enter_context(bars(progress))
        plan = RolloutPlan(agent, samples, limits, sampling, template, format)
        return run_rollouts(asked, client, found, plan, path, sources=sources, keep=out is not None, progress=tell)


def reward(
    trajectories: Trajectories,
    reward: str | Reward | None = None,
    *,
    config: Place | Mapping[str, Any] | RewardConfig | None = None,
    questions: Questions | None = None,
    out: Place | None = None,
    cache: Place | None = None,
    progress: Shown = True,
) -> Rewards:
    """Reward trajectories, without gold answers by default.

    Args:
        trajectories: See :data:`Trajectories`; whole groups.
        reward: By name with its defaults, or a reward; None for ``config``, or the cycle reward with the stand-ins
            that need no model.
        config: File, mapping or configuration of :mod:`ccs.rewards.config`.
        questions: Only for rewards that need gold answers.
        out: File of the rewards; a run that was stopped goes on from it. None keeps them in memory alone.
        cache: SQLite file for what language models answer.
        progress: See :data:`Shown`.

    Raises:
        FrescoError: bad input, gold is needed and missing, or a server is gone; what was done is kept in ``out``.
    """
    from ccs.questions import as_questions, match_questions
    from ccs.rewards.run import run_reward
    from ccs.rollouts.file import as_trajectories

    _, chosen = chosen_reward(reward, config, cache)
    rewarded = as_trajectories(trajectories)
    known = match_questions(rewarded, as_questions(questions)[0]) if questions is not None else None
    with bars(progress) as tell:
        return run_reward(chosen, rewarded, known, out=Path(out) if out else None, progress=tell)


def audit(
    trajectories: Trajectories,
    questions: Questions,
    reward: str | Reward | None = None,
    *,
    config: Place | Mapping[str, Any] | RewardConfig | None = None,
    out: Place | None = None,
    cache: Place | None = None,
    cheats_on: int | None = None,
    seed: int = 0,
    resamples: int = 1000,
    progress: Shown = True,
) -> AuditReport:
    """Check on recorded trajectories whether a reward measures what it should.

    Args:
        trajectories: See :data:`Trajectories`; several of each question.
        questions: With gold answers and passages, as they were rolled out.
        reward: See :func:`reward`.
        config: Likewise.
        out: Folder for ``audit.json`` and plots.
        cache: SQLite file for what language models answer.
        cheats_on: Play the cheats on the first so many questions only.
        seed: Of resampling.
        resamples: Bootstrap samples for each interval.
        progress: See :data:`Shown`.

    Raises:
        FrescoError: bad input, or no trajectory could be rewarded.
    """
    from ccs.auditing.audit import audit as audit_reward
    from ccs.auditing.report import report
    from ccs.questions import as_questions
    from ccs.rewards.config import open_bottleneck
    from ccs.rollouts.file import as_trajectories
    from fresco.io.provenance import environment

    settings, chosen = chosen_reward(reward, config, cache)
    rewarded = as_trajectories(trajectories)
    asked, sources = as_questions(questions)
    started = time.perf_counter()
    with bars(progress, one_bar=True) as tell:
        found = audit_reward(
            chosen,
            rewarded,
            asked,
            open_bottleneck(settings),
            variant_questions=cheats_on,
            resamples=resamples,
            seed=seed,
            progress=tell,
            kept=Path(out) / "scores.sqlite" if out else None,
        )
    circumstances = {
        "fingerprint": chosen.fingerprint,
        "config": asdict(settings),
        "trajectories": file_of(trajectories),
        "questions": sources,
        "seconds": round(time.perf_counter() - started, 3),
        "environment": environment(),
    }
    made = report(found, {"resamples": resamples, "seed": seed}, circumstances)
    if out:
        made.save(Path(out))
    return made


def evaluate(
    trajectories: Trajectories,
    questions: Questions,
    *,
    judge: str | None = None,
    out: Place | None = None,
    seed: int = 0,
    resamples: int = 1000,
    progress: Shown = True,
) -> Evaluation:
    """Measure trajectories against gold answers and gold passages.

    Args:
        trajectories: See :data:`Trajectories`.
        questions: As they were rolled out.
        judge: ``URL#MODEL`` of a model that grades the answers, too.
        out: Folder for ``metrics.json``, ``per_question.parquet``, ``run.json`` and the judge's answers.
        seed: Of resampling.
        resamples: Bootstrap samples for each interval.
        progress: See :data:`Shown`.

    Raises:
        FrescoError: bad input, or the judge cannot be asked.
    """
    from ccs.evaluation.judge import grade_all
    from ccs.evaluation.measure import match, measure
    from ccs.questions import as_questions
    from ccs.rollouts.file import as_trajectories
    from fresco.io.files import digest

    asked, sources = as_questions(questions)
    measured = as_trajectories(trajectories)
    pairs = match(measured, asked)
    grades, judge_name = None, None
    if judge:
        with bars(progress) as tell:
            grades, judge_name = grade_all(judge, pairs, cache=Path(out) / "judge.sqlite" if out else None, tell=tell)
    evaluation = measure(pairs, grades, resamples=resamples, seed=seed)
    evaluation.counts["questions without a trajectory"] = len({each.id for each in asked}) - len(
        {question.id for _, question in pairs}
    )
    if out:
        name = file_of(trajectories)
        record = {
            "trajectories": name,
            "trajectories_sha256": digest(Path(name)) if name else None,
            "questions": sources,
            "judge": judge_name,
            "seed": seed,
            "resamples": resamples,
        }
        evaluation.save(Path(out), record)
    return evaluation


def warmup(
    config: Place | Mapping[str, Any] | TrainConfig,
    trajectories: Trajectories,
    out: Place,
    *,
    set: Sequence[str] = (),  # noqa: A002 - the option's name
    best: int = 1,
    least: float | None = None,
    epochs: int = 2,
    learning_rate: float = 1e-5,
    batch: int = 16,
    rewards: Sequence[tuple[float, Reward]] | None = None,
    progress: Shown = True,
) -> WarmedUp:
    """Fine-tune a policy on its best trajectories before it is trained, or go on with it.

    Args:
        config: Of the training to come, see :func:`train`; its model, agent and rewards are read.
        trajectories: See :data:`Trajectories`; of training questions, several of each.
        out: Folder; the policy will be ``out/model``.
        set: Changes such as ``model.path=MODEL``.
        best: Traces of a question at most.
        least: Reward that each must exceed; None is the mean of all.
        epochs: Passes over the traces.
        learning_rate: At its highest.
        batch: Traces of an update.
        rewards: Weights and rewards in place of the configured ones.
        progress: See :data:`Shown`.

    Raises:
        FrescoError: a reward that reads gold answers, nothing to imitate, bad input, or another run's folder.
    """
    from ccs.rollouts.file import as_trajectories
    from ccs.training.config import as_train_config
    from ccs.training.warmup import WarmUpPlan, warm_up

    plan = WarmUpPlan(best, least, epochs, learning_rate, batch)
    with bars(progress, one_bar=True) as tell:
        return warm_up(
            as_train_config(config, set), as_trajectories(trajectories), Path(out), plan, rewards=rewards, progress=tell
        )


def train(
    config: Place | Mapping[str, Any] | TrainConfig,
    out: Place,
    *,
    set: Sequence[str] = (),  # noqa: A002 - the option's name
    tell: Callable[[str], None] = lambda _: None,
    **more: Any,
) -> Outcome:
    """Train a search agent on questions, or go on with it.

    Args:
        config: File, name of a preset (``demo`` runs anywhere), mapping or configuration of
            :mod:`ccs.training.config`.
        out: Folder of the run.
        set: Changes such as ``optimization.steps=100``.
        tell: Told what happens, a line at a time.
        **more: ``rewards`` and ``callbacks`` of :func:`ccs.training.run.train`, for studies.

    Raises:
        FrescoError: bad input, something missing, or a server that is gone for good; checkpoints are kept.
    """
    from ccs.training.config import as_train_config
    from ccs.training.run import train as run_training

    return run_training(as_train_config(config, set), Path(out), tell=tell, **more)
