"""Train the small recognizer of named entities that ``ccs`` masks queries with, and make its list of common words.

    pip install -e ".[ccs]" && OMP_NUM_THREADS=1 python eval/train_ner.py

reads ``../shared/data`` and writes ``data/ner/model`` (a spaCy pipeline), ``data/ner/words.txt`` and
``data/ner/training.json``. Sentences of WikiGold's test part are never read. Search queries are no sentences, so most
of what the model sees is made less like one: lower-cased, cut to a fragment without punctuation, names exchanged.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy
import spacy
import study
import thinc
from ner_data import WIKIGOLD, WNUT17, Sentence, passages, wikigold, wnut17
from spacy.language import Language
from spacy.training import Example
from spacy.util import fix_random_seed, minibatch  # type: ignore[attr-defined]

from ccs.rewards.mask.text import FUNCTION_WORDS

_OUT = Path(__file__).resolve().parents[1] / "data" / "ner"
_WIDTH, _ROWS, _DEPTH = 96, (3500, 1000, 2000, 1000), 4
_BATCH, _DROPOUT = 32, 0.35
_FIRST_RATE, _LAST_RATE = 1e-3, 1e-4  # of learning; in between it falls by the same step each epoch
# WNUT-17 leaves much unmarked that WikiGold marks (nationalities, events): more of it, or its tweets without any
# entity, cost recall on WikiGold.
_WNUT_SHARE = 0.1
_SWAPPED, _FRAGMENTS, _LOWERED, _SHOUTED = 0.6, 0.15, 0.45, 0.05
# A word is common where it was seen three times in lower case, and no less often than with a capital inside a sentence;
# or a hundred times, whatever capitals it has in names: "president", "war", "university" say what a query asks for.
_SEEN, _LOWER_SHARE, _FREQUENT = 3, 0.5, 100
_LETTERS = re.compile(r"[^\W\d_]+")
_SINGLE_LETTERS = frozenset("ais")  # "a", "I", and what is left of a possessive


def sentences_of(part: str, data: Path) -> list[Sentence]:
    """All sentences of a part of WikiGold."""
    return [sentence for article in wikigold(part, data).values() for sentence in article]


def common_words(data: Path) -> list[str]:
    """Words that the passages write in lower case at least as often as not, and those that every question has."""
    lower: Counter[str] = Counter()
    capital: Counter[str] = Counter()
    for _, text in passages(data):
        for match in _LETTERS.finditer(text):
            word, before = match.group(), text[max(0, match.start() - 4) : match.start()].rstrip(" \"'(\u201c\u2018")
            if word[0].islower():
                lower[word.casefold()] += 1
            elif before and before[-1] not in ".!?:":  # a sentence's first word has a capital whatever it is
                capital[word.casefold()] += 1
    found = {
        word
        for word, count in lower.items()
        if count >= _SEEN
        and (count >= _FREQUENT or count >= _LOWER_SHARE * (count + capital[word]))
        and (len(word) > 1 or word in _SINGLE_LETTERS)
    }
    return sorted(found | FUNCTION_WORDS)


class Augment:
    """Variants of the training sentences; a new one at each call."""

    def __init__(self, sentences: Sequence[Sentence], seed: int) -> None:
        self.random = random.Random(seed)
        self._names: dict[str, list[tuple[str, ...]]] = {}
        for sentence in sentences:
            for start, end, kind in sentence.entities:
                self._names.setdefault(kind, []).append(sentence.tokens[start:end])

    def __call__(self, sentence: Sentence) -> Sentence:
        """One variant of a sentence."""
        if self.random.random() < _SWAPPED:
            sentence = self._swap(sentence)
        if self.random.random() < _FRAGMENTS:
            sentence = self._fragment(sentence)
        draw = self.random.random()
        if draw < _LOWERED:
            return sentence.lowered()
        if draw < _LOWERED + _SHOUTED:
            return Sentence(tuple(token.upper() for token in sentence.tokens), sentence.entities)
        return sentence

    def _swap(self, sentence: Sentence) -> Sentence:
        """Half of the names exchanged for others of their type."""
        tokens: list[str] = []
        entities = []
        at = 0
        for start, end, kind in sentence.entities:
            tokens += sentence.tokens[at:start]
            own = sentence.tokens[start:end]
            name = self.random.choice(self._names[kind]) if self.random.random() < 0.5 else own
            entities.append((len(tokens), len(tokens) + len(name), kind))
            tokens += name
            at = end
        return Sentence((*tokens, *sentence.tokens[at:]), tuple(entities))

    def _fragment(self, sentence: Sentence) -> Sentence:
        """A run of three to ten tokens that cuts no entity, without the punctuation outside of entities."""
        length = self.random.randint(3, 10)
        first = self.random.randrange(max(1, len(sentence.tokens) - length + 1))
        last = min(first + length, len(sentence.tokens))
        for start, end, _ in sentence.entities:
            first = start if start < first < end else first
            last = end if start < last < end else last
        tokens: list[str] = []
        entities = []
        kinds = {start: (end, kind) for start, end, kind in sentence.entities}
        at = first
        while at < last:
            end, kind = kinds.get(at, (at + 1, ""))
            run = sentence.tokens[at:end]
            if kind:
                entities.append((len(tokens), len(tokens) + len(run), kind))
            if kind or any(character.isalnum() for character in run[0]):
                tokens += run
            at = end
        return Sentence(tuple(tokens), tuple(entities)) if tokens else sentence


def make_pipeline() -> Language:
    """An untrained pipeline: hashed word, prefix, suffix and shape embeddings, convolutions, transition-based NER."""
    nlp = spacy.blank("en")
    attributes = ["NORM", "PREFIX", "SUFFIX", "SHAPE"]
    embed = {
        "@architectures": "spacy.MultiHashEmbed.v2",
        "width": _WIDTH,
        "attrs": attributes,
        "rows": list(_ROWS),
        "include_static_vectors": False,
    }
    encode = {
        "@architectures": "spacy.MaxoutWindowEncoder.v2",
        "width": _WIDTH,
        "window_size": 1,
        "maxout_pieces": 3,
        "depth": _DEPTH,
    }
    model = {
        "@architectures": "spacy.TransitionBasedParser.v2",
        "state_type": "ner",
        "extra_state_tokens": False,
        "hidden_width": 64,
        "maxout_pieces": 2,
        "use_upper": True,
        "nO": None,
        "tok2vec": {"@architectures": "spacy.Tok2Vec.v2", "embed": embed, "encode": encode},
    }
    nlp.add_pipe("ner", config={"model": model})
    return nlp


def example(nlp: Language, sentence: Sentence) -> Example:
    """A sentence in spaCy's own tokens, which cut finer than the annotated ones."""
    gold = nlp.make_doc(sentence.text)
    places = sentence.offsets()
    entities: list[Any] = []
    for start, end, kind in sentence.entities:
        span = gold.char_span(places[start][0], places[end - 1][1], label=kind, alignment_mode="expand")
        if span is not None and (not entities or span.start >= entities[-1].end):
            entities.append(span)
    gold.ents = entities
    return Example(nlp.make_doc(sentence.text), gold)


def train(seed: int, epochs: int, data: Path) -> Language:
    """Train on WikiGold's training part and a share of WNUT-17 that is drawn anew for each epoch."""
    fix_random_seed(seed)
    nlp = make_pipeline()
    wiki, tweets = sentences_of("train", data), [tweet for tweet in wnut17(data) if tweet.entities]
    augment = Augment([*wiki, *tweets], seed)
    optimizer = nlp.initialize(lambda: [example(nlp, sentence) for sentence in (*wiki, *tweets)])
    for epoch in range(epochs):
        started = time.monotonic()
        optimizer.learn_rate = _FIRST_RATE + (_LAST_RATE - _FIRST_RATE) * epoch / max(1, epochs - 1)
        drawn = [*wiki, *(sentence for sentence in tweets if augment.random.random() < _WNUT_SHARE)]
        augment.random.shuffle(drawn)
        losses: dict[str, float] = {}
        for batch in minibatch(
            [  # type: ignore[no-untyped-call]  # spaCy's
                example(nlp, augment(sentence)) for sentence in drawn
            ],
            _BATCH,
        ):
            nlp.update(batch, sgd=optimizer, drop=_DROPOUT, losses=losses)
        if (epoch + 1) % 5 == 0 or epoch + 1 == epochs:
            written, lowered = (recall(nlp, data, lower=lower) for lower in (False, True))
            print(
                f"epoch {epoch + 1}/{epochs}: loss {losses['ner']:.0f}, development recall of entity tokens "
                f"{written:.3f} as written, {lowered:.3f} lower-cased, {time.monotonic() - started:.0f} s an epoch",
                flush=True,
            )
    return nlp


def recall(nlp: Language, data: Path, *, lower: bool) -> float:
    """Share of the development part's entity tokens that the recognizer alone finds, of whatever type."""
    sentences = [sentence.lowered() if lower else sentence for sentence in sentences_of("development", data)]
    found = wanted = 0
    for sentence, doc in zip(sentences, nlp.pipe([sentence.text for sentence in sentences]), strict=True):
        inside = {at for span in doc.ents for at in range(span.start_char, span.end_char)}
        places = sentence.offsets()
        for start, end, _ in sentence.entities:
            wanted += end - start
            found += sum(set(range(*place)) <= inside for place in places[start:end])
    return found / wanted


def main() -> None:
    """Train, and write the folder."""
    parser = study.make_parser(__doc__, reads_data=True)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--words-only", action="store_true", help="leave the model as it is")
    options = parser.parse_args()
    if options.smoke and options.out is None:
        parser.error("--smoke writes only into --out DIR")
    study.begin(options)
    out: Path = options.out or _OUT
    epochs = 1 if options.smoke else options.epochs
    out.mkdir(parents=True, exist_ok=True)
    words = "\n".join(common_words(options.data)) + "\n"
    (out / "words.txt").write_text(words, encoding="utf-8")
    print(f"{words.count(chr(10))} common words")
    if options.words_only:
        return
    nlp = train(options.seed, epochs, options.data)
    nlp.meta.update(
        name="ccs_query_ner",
        description="Small recognizer of named entities in search queries; see README.md",
        license="CC BY 4.0",
        url="",
    )
    model = out / "model"
    shutil.rmtree(model, ignore_errors=True)
    nlp.to_disk(model)
    record = {
        "seed": options.seed,
        "epochs": epochs,
        "versions": {"spacy": version("spacy"), "thinc": thinc.__version__, "numpy": numpy.__version__},
        "sentences": {
            "wikigold": len(sentences_of("train", options.data)),
            "wnut17": sum(bool(tweet.entities) for tweet in wnut17(options.data)),
            "wnut17_share": _WNUT_SHARE,
        },
        "sha256_read": {path.name: _digest(path) for path in (options.data / WIKIGOLD, options.data / WNUT17)},
        "sha256_written": {
            path.relative_to(out).as_posix(): _digest(path)
            for path in (out / "words.txt", *sorted(path for path in model.rglob("*") if path.is_file()))
        },
    }
    (out / "training.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
