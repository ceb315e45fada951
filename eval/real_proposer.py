"""How much of what a real, small language model proposes a search can use, and what it finds, beside the clauses.

    pip install -e ".[test]" && python eval/real_proposer.py MODEL --name "Qwen2.5-Coder 0.5B Instruct" --work DIR

MODEL is a folder or hub id of an instruct model. It runs in this process behind a server that speaks the chat API, so
the search asks it as it would any other; the server cannot hold it to a JSON schema, as many cannot. Answers are kept
in DIR, so a run that was stopped goes on. Rounds of four children follow each other until the model has given
``--answers``, a round that has begun being finished; one answer takes half a minute of a core.

What is counted: answers that are a list of strings at all; texts that could be tried, and why the others could not
(critiques are texts, too); and the hypervolume that the front of at most four gains above the base instruction, on the
validation queries of ``mini`` and on test, which chose nothing. Beside it stand the bank of clauses by its model and by
chance, each with as many instructions tried, over several seeds; and the model together with the clauses, where its
sentences join the bank.

The re-ranker is the stand-in of the tests, which obeys a dozen words of an instruction: it makes real errors on real
queries and costs nothing, and a gain on it says that words against its errors were found, not what they would be worth
to a model. One seed of one small model: a count, no rate for others.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import study
from optimize_studies import cut_pools

from fresco.benchmarks import limit_queries, open_benchmark, select_split
from fresco.clients.chat_answer import ChatAnswer
from fresco.clients.llm import ChatClient
from fresco.optimizer.proposers.base import Proposer
from fresco.optimizer.proposers.clauses import ClausesProposer, read_bank
from fresco.optimizer.proposers.history import reader_of
from fresco.optimizer.proposers.llm import LlmProposer
from fresco.optimizer.proposers.llm_answers import parse_list
from fresco.optimizer.report.proof import over_seeds
from fresco.optimizer.search.objective import Objective
from fresco.optimizer.search.racing import ek_and_nek
from fresco.optimizer.search.rounds import Search, members_of
from fresco.optimizer.search.selection import hypervolume, select
from fresco.optimizer.search.settings import SearchSettings
from fresco.optimizer.search.storage import import_optuna
from fresco.optimizer.search.study import SearchStudy
from fresco.optimizer.search.worker import Worker
from fresco.records import Benchmark, Pool
from fresco.scoring.store import ScoreStore
from tests.optimizer.obedient import Obedient
from tests.servers.chat_api import serve

CHILDREN, KEPT = 4, 4
_TOKENS = 400  # of an answer: four instructions take half of it
_SERVED = "local/chat"


class Chat:
    """A model of this process that samples answers to the chat API's requests.

    Args:
        path: Folder or hub id.
        dtype: Of its weights.
    """

    def __init__(self, path: str, dtype: str) -> None:
        self._path, self._dtype = path, dtype
        self._loaded: tuple[Any, Any] | None = None
        self._one_at_a_time = threading.Lock()

    def __call__(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a request, see :data:`tests.servers.chat_api.Script`."""
        import torch

        with self._one_at_a_time, torch.inference_mode():
            tokenizer, model = self._open()
            ids = tokenizer.apply_chat_template(
                body["messages"], add_generation_prompt=True, return_dict=True, return_tensors="pt"
            )["input_ids"]
            torch.manual_seed(body["seed"])
            made = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=body["max_tokens"],
                do_sample=True,
                temperature=body["temperature"],
                top_p=1.0,
                top_k=0,
                repetition_penalty=1.0,
                pad_token_id=tokenizer.eos_token_id,
            )[0, ids.shape[1] :]
        text = tokenizer.decode(made, skip_special_tokens=True)
        reason = "length" if len(made) == body["max_tokens"] else "stop"
        print(f"{ids.shape[1]} tokens in, {len(made)} out, {reason}", file=sys.stderr)
        return {
            "model": body["model"],
            "choices": [{"index": 0, "finish_reason": reason, "message": {"role": "assistant", "content": text}}],
            "usage": {"prompt_tokens": ids.shape[1], "completion_tokens": len(made)},
        }

    def _open(self) -> tuple[Any, Any]:
        if self._loaded is None:
            import torch
            from transformers import AutoModelForCausalLM, AutoTokenizer

            model = AutoModelForCausalLM.from_pretrained(self._path, dtype=getattr(torch, self._dtype)).eval()
            self._loaded = AutoTokenizer.from_pretrained(self._path), model
        return self._loaded


class Counting(ChatClient):
    """Keeps what was answered, by the server or from the cache."""

    def __init__(self, url: str, work: Path) -> None:
        super().__init__(f"{url}#{_SERVED}&timeout=1800&concurrency=1", cache=work / "llm.sqlite")
        self.heard: list[ChatAnswer] = []

    def chat(self, *arguments: Any, **options: Any) -> ChatAnswer:
        """See :class:`fresco.clients.llm.ChatClient`."""
        self.heard.append(super().chat(*arguments, **options))
        return self.heard[-1]


class World:
    """Part of ``mini`` with the stand-in."""

    def __init__(self, queries: int, passages: int) -> None:
        whole = cut_pools(open_benchmark("mini"), passages)
        parts = {name: limit_queries(select_split(whole, name), queries) for name in ("train", "validation", "test")}
        self.parts: dict[str, tuple[Pool, ...]] = {name: part.pools for name, part in parts.items()}
        self.objective = Objective(
            Obedient(), Benchmark("mini", sum(self.parts.values(), ()), "0" * 64), ScoreStore(":memory:")
        )
        self.bank = read_bank()

    def search(self, proposers: Sequence[Proposer], seed: int, rounds: int, study_: SearchStudy) -> Search:
        """A search of so many rounds that goes on with what its study holds."""
        return Search(
            study_,
            self.objective,
            self.parts["validation"],
            self.parts["train"],
            proposers,
            SearchSettings(rounds, KEPT, CHILDREN, seed),
            choices=self.bank.choices,
            reader=reader_of(self.objective.reranker),
        )

    def gains(self, search: Search) -> dict[str, float]:
        """Hypervolume of the front above the base's, on validation and on test."""
        texts = [member.text for member in select(members_of(search.study.trials()), KEPT)]
        return {part: self._area(texts, part) - self._area([None], part) for part in ("validation", "test")}

    def _area(self, texts: Sequence[str | None], part: str) -> float:
        pools = self.parts[part]
        points = [ek_and_nek(self.objective.average_precisions(text, pools), pools) for text in texts]
        ek, nek = np.array(points).T
        return float(hypervolume(ek, nek))


def new_study() -> SearchStudy:
    """One in memory."""
    return SearchStudy(import_optuna().storages.InMemoryStorage(), "s", {}, Worker())


def by_model(
    world: World, chat: Chat, work: Path, answers: int, *, with_clauses: bool
) -> tuple[Search, dict[str, Any]]:
    """Rounds of the language model until it has given so many answers, and what came of them."""
    study_, rounds = new_study(), 0
    with serve(chat, models=(_SERVED,)) as api:
        client = Counting(api.url, work)
        proposer = LlmProposer(client, max_tokens=_TOKENS)
        proposers: list[Proposer] = [proposer, *([ClausesProposer(world.bank)] if with_clauses else [])]
        try:
            while rounds == 0 or len(client.heard) < answers:
                rounds += 1
                search = world.search(proposers, 0, rounds, study_)
                search.run()
        finally:
            proposer.close()
    trials = study_.trials()
    written = [trial for trial in trials if trial.user_attrs["operator"] in ("mutation", "crossover")]
    return search, {
        "rounds": rounds,
        "answers": len(client.heard),
        "lists": sum(each.finish_reason != "length" and parse_list(each.text) is not None for each in client.heard),
        "tried": len(written),
        "operators": dict(Counter(trial.user_attrs["operator"] for trial in written)),
        "unusable": dict(proposer.rejected.most_common()),
        "mixed": sum("written" in trial.user_attrs["detail"] for trial in trials),
        "tokens": {
            name: sum(each.usage.get(name, 0) for each in client.heard)
            for name in ("prompt_tokens", "completion_tokens")
        },
        "examples": [trial.user_attrs["text"] for trial in written[:6]],
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run every search."""
    queries, passages, seeds, answers = (30, 6, 2, 1) if options.smoke else (100, 12, options.seeds, options.answers)
    started = time.process_time()
    world, chat = World(queries, passages), Chat(options.model, options.dtype)
    options.work.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {"queries": {name: len(pools) for name, pools in world.parts.items()}}
    rounds = 1
    for name, together in (("model", False), ("model and clauses", True)):
        search, counts = by_model(world, chat, options.work, answers, with_clauses=together)
        found[name] = {**counts, "gains": world.gains(search)}
        rounds = max(rounds, counts["rounds"])
    for name, sampler in (("clauses", "model"), ("chance", "random")):
        rows = []
        for seed in range(seeds):
            search = world.search([ClausesProposer(world.bank, sampler)], seed, rounds, new_study())
            search.run()
            rows.append(world.gains(search))
        found[name] = {
            "rounds": rounds,
            "gains": {part: over_seeds([row[part] for row in rows]) for part in ("validation", "test")},
        }
    return found | {"cpu_minutes_of_this_run": round((time.process_time() - started) / 60, 1)}


def report(record: Mapping[str, Any]) -> str:
    """Markdown."""
    model, both = record["found"]["model"], record["found"]["model and clauses"]
    lines = [
        f"# What {record['name']} proposes, and what a search can use of it",
        "",
        f"Made by `python eval/real_proposer.py`: {study.made_by(record['environment'])}, {record['dtype']}. How it is "
        "measured, and what a gain on the stand-in does not say, stands in the script.",
        "",
        "| search | rounds | answers | lists of strings | texts tried | texts unusable |",
        "|---|---|---|---|---|---|",
    ]
    for name, own in (("the model", model), ("the model and the clauses", both)):
        unusable = sum(own["unusable"].values())
        share = own["tried"] / max(own["tried"] + unusable, 1)
        cells = [name, own["rounds"], own["answers"], own["lists"], f"{own['tried']} ({share:.0%})", unusable]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    reasons = ", ".join(f"{count} {reason}" for reason, count in model["unusable"].items()) or "none"
    lines += [
        "",
        f"Unusable, of the model alone: {reasons}. In the search with the clauses, {both['mixed']} choices from the "
        "bank had a sentence of the model behind them.",
        "",
        "| search | gain on validation | gain on test |",
        "|---|---|---|",
    ]
    for name, own in record["found"].items():
        if isinstance(own, dict) and "gains" in own:
            cells = [_cell(own["gains"][part]) for part in ("validation", "test")]
            lines.append(f"| {name}, {own['rounds']} rounds | {' | '.join(cells)} |")
    lines += ["", "Texts that it wrote, the first ones:", "", *(f"- {text}" for text in model["examples"])]
    return "\n".join(lines) + "\n"


def _cell(gain: float | Mapping[str, Any]) -> str:
    if isinstance(gain, float):
        return f"{gain:.3f}"
    bounds = "" if gain["ci_low"] is None else f" [{gain['ci_low']:.3f} {gain['ci_high']:.3f}]"
    return f"{gain['value']:.3f}{bounds}"


def main() -> None:
    """Run the searches and write the table."""
    parser = study.make_parser(__doc__)
    parser.add_argument("model", help="a folder or hub id of an instruct model")
    parser.add_argument("--name", required=True, help="what the model is called in the table")
    parser.add_argument("--work", type=Path, required=True, metavar="DIR", help="keeps the model's answers")
    parser.add_argument(
        "--answers", type=int, default=8, help="of the model in each of its two searches, or a few more"
    )
    parser.add_argument("--seeds", type=int, default=8, help="of the searches that need no model")
    parser.add_argument("--dtype", default="bfloat16")
    options = parser.parse_args()
    made = study.begin(options)
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "name": options.name,
        "dtype": options.dtype,
        "found": measure(options),
        "environment": made,
    }
    study.record(options, "real_proposer", record, report(record))


if __name__ == "__main__":
    main()
