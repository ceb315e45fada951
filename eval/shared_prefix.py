"""What computing once what prompts share is worth: the same pairs, four ways, in turns.

    pip install -e ".[models]" && python eval/shared_prefix.py MODEL [--family likelihood]

adds a row for each peer to ``eval/results/shared_prefix.json`` and rewrites the ``.md`` beside it. ``causal-lm:`` is
set against sentence-transformers' own ``CrossEncoder`` of a language model (its ``LogitScore``, the same prompt as its
chat template, batches of 32), and against what model cards do by hand (padded batches of 8 in the given order, logits
of the last token); ``likelihood:`` against the plain loop (a pair at a time, the model's own loss). Both also against
their own batches without sharing. The speed-up is the median over the turns of the ratio of the two times. How many
queries ask for a passage decides what ``likelihood:`` can share, so its pairs are some passages with all queries of the
benchmark that ask for them, which is how a run meets them.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import study
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from fresco.benchmarks import open_benchmark
from fresco.models.batching import score_all
from fresco.models.settings import Settings
from fresco.models.shared_prefix import grouped
from fresco.records import Pair
from fresco.rerank.causal_lm import CausalLmReranker
from fresco.rerank.likelihood import LikelihoodReranker

Way = Callable[[Sequence[Pair]], list[float]]
_FIELDS = {
    "{query}": "{{ (messages | selectattr('role', 'eq', 'query') | first).content }}",
    "{document}": "{{ (messages | selectattr('role', 'eq', 'document') | first).content }}",
}


def sentence_transformers(reranker: CausalLmReranker, model: str) -> Way:
    """The library's way, asked with the same words."""
    from sentence_transformers import CrossEncoder
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.cross_encoder.modules import LogitScore

    form = reranker.form
    text = form.text.replace("{instruction}", form.instruction or "")
    for field, written in _FIELDS.items():
        text = text.replace(field, written)
    template = text + "{{ '' }}"  # a template's last line break would be dropped
    first = Transformer(
        model,
        transformer_task="text-generation",
        model_kwargs={"dtype": torch.float32},
        processor_kwargs={"chat_template": template},
    )
    first.processor.pad_token = first.processor.pad_token or first.processor.eos_token
    yes, no = form.answer_ids(reranker.name, AutoTokenizer.from_pretrained(model))
    encoder = CrossEncoder(modules=[first, LogitScore(yes, no)], device="cpu", activation_fn=torch.nn.Identity())

    def way(pairs: Sequence[Pair]) -> list[float]:
        texts = [(query.text, passage.text) for query, passage in pairs]
        found: list[float] = encoder.predict(texts, batch_size=32, show_progress_bar=False).tolist()
        return found

    return way


def by_hand(reranker: CausalLmReranker, model: str) -> Way:
    """As model cards write it: padded batches in the given order, the last token's logits."""
    form = reranker.form
    tokenizer = AutoTokenizer.from_pretrained(model, padding_side="left")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    yes, no = form.answer_ids(reranker.name, tokenizer)
    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()

    def way(pairs: Sequence[Pair]) -> list[float]:
        scores: list[float] = []
        for start in range(0, len(pairs), 8):
            part = [(query.text, passage.text) for query, passage in pairs[start : start + 8]]
            ids = form.encode(tokenizer, form.instruction, part)
            inputs = tokenizer.pad({"input_ids": ids}, return_tensors="pt")
            with torch.no_grad():
                logits = loaded(**inputs).logits[:, -1]
            scores += (logits[:, yes] - logits[:, no]).tolist()
        return scores

    return way


def plain_loop(reranker: LikelihoodReranker, model: str) -> Way:
    """UPR's computation, a pair at a time."""
    tokens_of = reranker._under(None)._tokens
    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()

    def way(pairs: Sequence[Pair]) -> list[float]:
        scores: list[float] = []
        for query, passage in pairs:
            (own,) = tokens_of([(query.text, passage.text)])
            asked = torch.tensor([own.type_ids])
            ids = torch.tensor([list(own.ids)])
            with torch.no_grad():
                scores.append(-float(loaded(ids, labels=ids.masked_fill(asked == 0, -100)).loss))
        return scores

    return way


def chosen(options: Any) -> list[Pair]:
    """The first pools; for ``likelihood:`` the first passages with every query of the benchmark that asks for them."""
    pools = open_benchmark(options.benchmark).pools
    pairs = [(pool.query, passage) for pool in pools for passage in pool.passages]
    if options.family == "likelihood":
        pairs = [pairs[place] for place in grouped([passage.text for _, passage in pairs])]
    return pairs[: options.pairs]


def nodes_of_trie(rows: Sequence[Sequence[int]]) -> int:
    """Tokens that are left to compute where everything that any two rows begin with is computed once."""
    root: dict[int, Any] = {}
    nodes = 0
    for row in rows:
        place = root
        for token in row:
            if token not in place:
                place[token], nodes = {}, nodes + 1
            place = place[token]
    return nodes


def measure(options: Any, made: dict[str, Any]) -> list[dict[str, Any]]:
    """A row of the table for each peer."""
    settings = Settings(device="cpu")
    listed = options.family == "causal-lm"
    reranker: Any = (CausalLmReranker if listed else LikelihoodReranker)(options.model, settings)
    pairs = chosen(options)
    model = reranker._under(None)

    def ours(shares: bool) -> Way:
        def way(own: Sequence[Pair]) -> list[float]:
            model.sharing.on = shares
            return score_all(model, own, settings.batch_tokens)

        return way

    ways = {"shared": ours(True), "no sharing": ours(False)}
    if listed:
        ways["sentence-transformers"] = sentence_transformers(reranker, options.model)
        ways["model card's code"] = by_hand(reranker, options.model)
    else:
        ways["plain loop"] = plain_loop(reranker, options.model)
    for way in ways.values():
        way(pairs[:4])  # warm
    model.sharing.saved = 0
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, list[float]] = {}
    for turn in range(options.turns):
        for name in list(ways) if turn % 2 else list(reversed(ways)):
            started = time.process_time()  # of this process alone: other work on the machine is left out
            found[name] = ways[name](pairs)
            seconds[name].append(time.process_time() - started)
    rows_read = [own.ids for own in model.encode(pairs)]
    shared = {
        "family": options.family,
        "model": Path(options.model).name,
        "benchmark": options.benchmark,
        "threads": torch.get_num_threads(),
        "pairs": len(pairs),
        "passages": len({passage.text for _, passage in pairs}),
        "tokens": sum(map(len, rows_read)),
        "saved": model.sharing.saved / options.turns,
        "trie_would_save": sum(map(len, rows_read)) - nodes_of_trie(rows_read),
        "clock": "CPU",
        "turns": options.turns,
        "shared": len(pairs) / statistics.median(seconds["shared"]),
        "made": study.made_by(made),
    }
    rows = []
    for name, own in seconds.items():
        if name == "shared":
            continue
        ratios = [theirs / mine for theirs, mine in zip(own, seconds["shared"], strict=True)]
        gaps = [abs(a - b) for a, b in zip(found["shared"], found[name], strict=True)]
        figures = {"peer": name, "peers": len(pairs) / statistics.median(own), "ratio": statistics.median(ratios)}
        rows.append({**shared, **figures, "range": [min(ratios), max(ratios)], "difference": max(gaps)})
    return rows


def main() -> None:
    """Measure once and rewrite the table."""
    parser = study.make_parser(__doc__)
    parser.add_argument("model", help="a folder or a Hugging Face model id")
    parser.add_argument("--family", default="causal-lm", choices=("causal-lm", "likelihood"))
    parser.add_argument("--benchmark", default="mini")
    parser.add_argument("--pairs", type=int, default=102)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    made = study.begin(options)
    if options.smoke:
        options.pairs, options.turns = 8, 1
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
    rows = [*study.recorded(options, "shared_prefix", []), *measure(options, made)]
    lines = [
        "# The prompts' common beginnings, read once",
        "",
        "Made by `python eval/shared_prefix.py MODEL [--family likelihood]`; float32. All ways score the same pairs in "
        "one process, in turns. Saved: of all tokens, and in brackets what a trie over all prompts could save at most; "
        "rows with it count CPU seconds, the others wall time.",
        "",
        "| model | pairs (distinct passages) | tokens saved (a trie would) | peer | pairs/s ours | peer's "
        "| ratio, median (range) | largest difference | made |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        low, high = row["range"]
        ratio = f"{row['ratio']:.2f} ({low:.2f} to {high:.2f})"
        trie = f" ({row['trie_would_save'] / row['tokens']:.0%})" if "trie_would_save" in row else ""
        lines.append(
            f"| {row['family']}: {row['model']}, {row['threads']} threads | {row['pairs']} ({row['passages']}) of "
            f"`{row['benchmark']}`, {row['turns']} turns | {row['saved'] / row['tokens']:.0%}{trie} of {row['tokens']} "
            f"| {row['peer']} | {row['shared']:.2f} | {row['peers']:.2f} | {ratio} "
            f"| {row['difference']:.1e} | {row['made']} |"
        )
    study.record(options, "shared_prefix", rows, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
