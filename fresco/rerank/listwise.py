"""``listwise:URL#MODEL`` and ``listwise:MODEL``: an LLM that sorts passages, window by window.

The first form asks any server that speaks OpenAI's chat format (:mod:`fresco.clients.llm`; its options may follow the
model's name), the second a model in this process. Windows of ``window`` passages slide from the end of the list to its
top by ``stride``, ``passes`` times, as in RankGPT. A score is the negated place of a passage in the end, averaged over
``starts`` orders to begin with. Options, after ``#MODEL&`` or ``MODEL#``:

``window=20``, ``stride=10``, ``passes=1``
    The window, its step, how often it slides over the list.
``start=shuffled|given|bm25``, ``starts=1``
    The first order: drawn by the seed and the query (default), that of the pool, or BM25's. With several starts the
    record says how far their orders agree.
``prompt=rankgpt|rankzephyr|rankvicuna``
    The conversation. Default: rankgpt for a server, rankzephyr in this process.
``words=300``
    Words of a passage that are shown; its date always is.
``price=IN,OUT``
    Of a million tokens: the record then says what the run has cost.

What an answer leaves out keeps its order behind what it names. Malformed answers, missing, repeated and unknown
identifiers are counted and reported; where no answer of a call names a passage, nothing is ranked.
"""

from __future__ import annotations

import json
import statistics
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from fresco.clients.llm import ChatClient
from fresco.errors import FrescoError
from fresco.models.settings import Settings
from fresco.records import Candidates, Passage, Query
from fresco.rerank.lexical import Bm25
from fresco.rerank.listwise_prompt import PROMPTS, Message, read_ranking, without_numbers
from fresco.rerank.local_chat import LocalChat
from fresco.rerank.model_options import Readers, split_options, whole
from fresco.rerank.registry import RERANKERS
from fresco.rerank.sliding import shuffled, slide

_FAMILY = "listwise"
_STARTS = ("shuffled", "given", "bm25")


class _Chat(Protocol):
    @property
    def shown(self) -> str: ...

    @property
    def identity(self) -> str: ...

    @property
    def totals(self) -> Mapping[str, int]: ...

    def close(self) -> None: ...


def _one_of(*known: str) -> Any:
    return {name: name for name in known}.__getitem__


def _prices(text: str) -> tuple[float, float]:
    one, other = text.split(",")
    return float(one), float(other)


OPTIONS: Readers = {
    "window": ("a whole number from 2", whole(2)),
    "stride": ("a whole number from 1", whole(1)),
    "passes": ("a whole number from 1", whole(1)),
    "start": (f"one of {', '.join(_STARTS)}", _one_of(*_STARTS)),
    "starts": ("a whole number from 1", whole(1)),
    "prompt": (f"one of {', '.join(PROMPTS)}", _one_of(*PROMPTS)),
    "words": ("a whole number from 1", whole(1)),
    "price": ("two numbers, as in 0.5,1.5", _prices),
}


class ListwiseReranker:
    """Ranks pools by an LLM; the module's text lists the options.

    Args:
        name: Of the row.
        chat: A :class:`ChatClient` or a :class:`LocalChat`.
        seed: Of shuffled starts.
        options: Read by :data:`OPTIONS`.

    Raises:
        FrescoError: the stride is longer than the window.
    """

    takes_instruction = False
    tolerance = 0.99  # a model behind an address does not sort twice alike, to the last place

    def __init__(self, name: str, chat: ChatClient | LocalChat, seed: int = 0, **options: Any) -> None:
        self.name, self._chat, self._seed = name, chat, seed
        default = "rankzephyr" if isinstance(chat, LocalChat) else "rankgpt"
        self._options: dict[str, Any] = {
            **{"window": 20, "stride": 10, "passes": 1, "start": "shuffled", "starts": 1, "words": 300},
            **{"prompt": default, **options},
        }
        if self._options["stride"] > self._options["window"]:
            raise FrescoError(f"{name}: stride= is longer than window=; passages between the windows would be lost")
        self.pools_per_call = 4 * chat.concurrency
        self.counts: Counter[str] = Counter()
        self._counting = threading.Lock()  # pools are ranked side by side
        self._agreements: list[float] = []
        self._bm25 = Bm25()

    @property
    def fingerprint(self) -> str:
        """Address, model, prompt, windows and the order to begin with."""
        settings = {key: value for key, value in self._options.items() if key != "price"}
        chat: _Chat = self._chat
        return f"{_FAMILY}|{chat.shown}|{chat.identity}|{json.dumps(settings, sort_keys=True)}|{self._seed}"

    def fit(self, passages: Any) -> None:
        """BM25 wants the benchmark's passages where it gives the first order."""
        if self._options["start"] == "bm25":
            self._bm25.fit(passages)

    def describe(self) -> Mapping[str, Any]:
        """Settings, what was counted in the answers, tokens and price."""
        totals = dict(self._chat.totals)
        price = self._options.get("price")
        counts = self.counts
        cost = price and (totals["prompt_tokens"] * price[0] + totals["completion_tokens"] * price[1]) / 1e6
        return {
            "model": self._chat.shown,
            **self._options,
            "answers": dict(counts),
            "tokens": totals,
            **({} if price is None else {"cost": cost}),
            **({"agreement_of_starts": statistics.fmean(self._agreements)} if self._agreements else {}),
            "used": f"asked by {self._options['prompt']}'s conversation, {totals.get('prompt_tokens', 0)} tokens in, "
            f"{totals.get('completion_tokens', 0)} out",
            **({"warnings": [self._warning()]} if self._warning() else {}),
        }

    def _warning(self) -> str:
        told = [f"{self.counts[kind]} {words}" for kind, words in _FAULTS.items() if self.counts[kind]]
        return f"of {self.counts['asked']} answers: {', '.join(told)}" if told else ""

    def score(self, query: Query, passages: Sequence[Passage], instruction: str | None = None) -> list[float]:
        """Rank one pool; see :class:`fresco.rerank.base.Reranker`."""
        return self.score_pools([(query, passages)], instruction)[0]

    def score_pools(self, pools: Sequence[Candidates], instruction: str | None = None) -> list[list[float]]:
        """Rank several pools, as many at a time as the server may be asked.

        Raises:
            FrescoError: the model cannot be asked, or ranks nothing at all.
        """
        before = Counter(self.counts)
        self._said = ""
        ranked = self._chat.each(self._rank, pools)
        asked, malformed = (self.counts[kind] - before[kind] for kind in ("asked", "malformed"))
        if asked and asked == malformed:
            raise FrescoError(
                f"{self.name} ranked nothing: none of its {asked} answers names a passage, such as "
                f"{' '.join(self._said.split())[:80]!r}; it is no listwise re-ranker, or wants another prompt="
            )
        return ranked

    def close(self) -> None:
        """End the connections or drop the weights."""
        self._chat.close()

    def _rank(self, pool: Candidates) -> list[float]:
        query, passages = pool
        orders = [self._slide(query, passages, self._start(query, passages, n)) for n in range(self._options["starts"])]
        places = [{own: place for place, own in enumerate(order)} for order in orders]
        if len(orders) > 1 and len(passages) > 1:
            self._agreements.append(_agreement(places))
        return [-sum(each[own] for each in places) / len(places) for own in range(len(passages))]

    def _start(self, query: Query, passages: Sequence[Passage], number: int) -> list[int]:
        order = list(range(len(passages)))
        if self._options["start"] == "bm25" and number == 0:
            scores = self._bm25.score(query, passages)
            order.sort(key=lambda place: -scores[place])
        elif self._options["start"] == "shuffled" or number:
            return shuffled(query, passages, self._seed, number)
        return order

    def _slide(self, query: Query, passages: Sequence[Passage], order: list[int]) -> list[int]:
        for _ in range(self._options["passes"]):
            slide(
                order,
                self._options["window"],
                self._options["stride"],
                lambda part: self._sorted(query, [passages[own] for own in part]),
            )
        return order

    def _sorted(self, query: Query, passages: Sequence[Passage]) -> tuple[int, ...]:
        shown = [without_numbers(self._shown(passage)) for passage in passages]
        messages = PROMPTS[self._options["prompt"]](without_numbers(query.text), shown)
        answer = self._ask(messages, 16 + 6 * len(passages))
        reading = read_ranking(answer, len(passages))
        found = {"asked": 1, "missing": reading.missing, "repeated": reading.repeated, "unknown": reading.unknown}
        with self._counting:
            self.counts.update({**found, "malformed": int(reading.malformed)})
        if reading.malformed:
            self._said = answer
        return reading.order

    def _ask(self, messages: list[Message], max_tokens: int) -> str:
        if isinstance(self._chat, LocalChat):
            return self._chat.ask(messages, max_tokens)
        answer = self._chat.chat(messages, max_tokens=max_tokens)
        return answer.final or ""

    def _shown(self, passage: Passage) -> str:
        words = passage.content.split(" ")
        kept = self._options["words"]
        return passage.text if len(words) <= kept else passage.text_of(" ".join(words[:kept]))


_FAULTS = {
    "malformed": "name no passage (the order stayed)",
    "missing": "passages left out (behind the others)",
    "repeated": "identifiers given again",
    "unknown": "identifiers that no passage has",
}


def _agreement(places: Sequence[Mapping[int, int]]) -> float:
    """Mean share of pairs of passages that two starts put in the same order (1: the start changes nothing)."""
    count = len(places[0])
    same = total = 0
    for number, one in enumerate(places):
        for other in places[number + 1 :]:
            for a in range(count):
                for b in range(a):
                    same += (one[a] < one[b]) == (other[a] < other[b])
                    total += 1
    return same / total


@RERANKERS.register(
    "listwise:MODEL",
    "an LLM that sorts passages: RankGPT, RankZephyr, RankVicuna",
    needs="pip install 'fresco-ccs[http]' for a server, 'fresco-ccs[models]' for a model here",
    example="http://HOST:8000/v1#MODEL or listwise:./folder",
    instruction="no",
)
def _open(arguments: str, settings: Settings) -> ListwiseReranker:
    name = f"{_FAMILY}:{arguments}"
    if not arguments.startswith(("http://", "https://")):
        model, options = split_options(_FAMILY, arguments, OPTIONS)
        return ListwiseReranker(name, LocalChat(_FAMILY, model, settings), settings.seed, **options)
    address, _, fragment = arguments.partition("#")
    model, *parts = fragment.split("&")
    ours = [part for part in parts if part.partition("=")[0] in OPTIONS]
    _, options = split_options(_FAMILY, f"{address}#{'&'.join(ours)}", OPTIONS)
    theirs = "&".join([model, *(part for part in parts if part not in ours)])
    client = ChatClient(f"{address}#{theirs}" if theirs else address)
    shown = "&".join([f"{_FAMILY}:{client.shown}", *ours])
    return ListwiseReranker(shown, client, settings.seed, **options)
