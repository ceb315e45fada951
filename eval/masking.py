"""How much of an entity survives the masking of queries, and what else is masked with it.

    pip install -e ".[ccs]" && OMP_NUM_THREADS=1 python eval/masking.py

measures maskers on the test part of WikiGold (``eval/ner_data.py`` says how it is drawn; nothing was trained or chosen
on it), as written and lower-cased, and writes ``eval/results/masking.json`` and ``.md``. ``--peer NAME=SPEC`` adds a
masker of others to what is recorded (``"spaCy en_core_web_sm=spacy:FOLDER"``), which then is all that is measured.
``--part development`` is for trying things out and writes nothing. Sentences stand in for queries: entities by hand,
which no set of queries has.

A token survives where a letter or digit of it is not covered; tokens without letters and digits do not count. The
interval is a bootstrap over articles. The gazetteer is the titles of the Wikipedia passages in ``../shared/data/qa``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import study
from ner_data import Sentence, passages, wikigold

from ccs.rewards.mask import Masker, open_masker
from ccs.rewards.mask.merge import merge
from fresco.stats.intervals import SubjectBootstrap

_SPECS = ("embedded", "ner", "patterns", "words", "ner+patterns")
_ENTITY_TYPES = ("PERSON", "ORG", "LOC", "MISC")
_WRITTEN = frozenset(("DATE", "NUMBER", "QUOTE"))  # masked on purpose, and no entity to WikiGold
_TURNS = 3


def count(sentence: Sentence, masker_spans: Sequence[Any]) -> dict[str, int]:
    """Tokens of one sentence: of entities and others, surviving and masked."""
    text = sentence.text
    tags = {at: span.tag for span in merge(text, masker_spans) for at in range(span.start, span.end)}
    kinds = {at: kind for start, end, kind in sentence.entities for at in range(start, end)}
    row = dict.fromkeys(("entity", "survived", "other", "masked", "masked_written", "entities", "whole", "typed"), 0)
    row |= {f"{what}_{kind}": 0 for kind in _ENTITY_TYPES for what in ("entity", "survived")}
    survivors = set()
    for at, (start, end) in enumerate(sentence.offsets()):
        places = [place for place in range(start, end) if text[place].isalnum()]
        if not places:
            continue
        covered = all(place in tags for place in places)
        if at in kinds:
            row["entity"] += 1
            row[f"entity_{kinds[at]}"] += 1
            row["typed"] += covered and tags[places[0]] == kinds[at]
            if not covered:
                row["survived"] += 1
                row[f"survived_{kinds[at]}"] += 1
                survivors.add(at)
        else:
            row["other"] += 1
            row["masked"] += covered
            row["masked_written"] += covered and tags[places[0]] in _WRITTEN
    for start, end, _ in sentence.entities:
        row["entities"] += 1
        row["whole"] += all(at in survivors for at in range(start, end))
    return row


def measure(masker: Masker, sentences: Sequence[Sentence], articles: Sequence[str]) -> dict[str, Any]:
    """All shares of one masker on one form of the sentences."""
    texts = [sentence.text for sentence in sentences]
    masker.spans(texts[:20])  # whatever loads late
    seconds = []
    for _ in range(_TURNS):
        started = time.perf_counter()
        spans = masker.spans(texts)
        seconds.append(time.perf_counter() - started)
    rows = [count(sentence, each) for sentence, each in zip(sentences, spans, strict=True)]
    columns = {name: np.array([row[name] for row in rows], float) for name in rows[0]}
    shares = {
        "leak": ("survived", "entity"),
        "other_masked": ("masked", "other"),
        "other_masked_dates_numbers_quotes": ("masked_written", "other"),
        "entities_left_whole": ("whole", "entities"),
        "right_type": ("typed", "entity"),
        **{f"leak_{kind}": (f"survived_{kind}", f"entity_{kind}") for kind in _ENTITY_TYPES},
    }
    bootstrap = SubjectBootstrap(articles)
    estimate = bootstrap.ratio(
        np.stack([columns[top] for top, _ in shares.values()], axis=1),
        np.stack([columns[bottom] for _, bottom in shares.values()], axis=1),
    )
    found: dict[str, Any] = {
        name: [round(float(each[column]), 4) for each in (estimate.value, estimate.low, estimate.high)]
        for column, name in enumerate(shares)
    }
    tokens = sum(len(sentence.tokens) for sentence in sentences)
    return found | {"tokens_per_second": round(tokens / statistics.median(seconds))}


def gazetteer(folder: Path, data: Path) -> Path:
    """The passages' titles, one a line."""
    path = folder / "titles.txt"
    titles = sorted({" ".join(title.split()) for title, _ in passages(data)})
    path.write_text("\n".join(titles) + "\n", encoding="utf-8")
    return path


def table(record: dict[str, Any]) -> str:
    """The record as Markdown."""
    lines = [
        "# Masking: what survives of entities, and what else is masked",
        "",
        "Written by `eval/masking.py`, which says what is measured; all numbers are in `masking.json`. WikiGold, test",
        f"part: {record['sentences']} sentences of {record['articles']} articles, {record['tokens']} tokens, of which "
        f"{record['entity_tokens']} in entities.",
        "In brackets: 95 % interval over articles. `titles` is a gazetteer: those of all question answering passages.",
        "",
        "| masker | text | entity tokens that survive | entities left whole | other tokens masked | of them dates, "
        "numbers, quotes | right type | tokens/s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in record["rows"]:
        lines.append(
            f"| {row['masker']} | {row['text']} | {_share(row['leak'])} | {_share(row['entities_left_whole'])} "
            f"| {_share(row['other_masked'])} | {row['other_masked_dates_numbers_quotes'][0]:.1%} "
            f"| {row['right_type'][0]:.1%} | {row['tokens_per_second']:,} |"
        )
    lines += [
        "",
        "Entity tokens that survive, by WikiGold's type:",
        "",
        "| masker | text | person | organization | place | other |",
    ]
    lines.append("|---|---|---|---|---|---|")
    for row in record["rows"]:
        cells = " | ".join(f"{row[f'leak_{kind}'][0]:.1%}" for kind in _ENTITY_TYPES)
        lines.append(f"| {row['masker']} | {row['text']} | {cells} |")
    peers = {row["masker"]: row["made_by"] for row in record["rows"] if "made_by" in row}
    lines += ["", *(f"`{name}` was added later: {made}." for name, made in peers.items())] if peers else []
    return "\n".join(lines) + "\n"


def _share(values: Sequence[float]) -> str:
    return f"{values[0]:.1%} ({values[1]:.1%} to {values[2]:.1%})"


def rows_of(
    name: str, masker: Masker, written: Sequence[Sentence], articles: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """The rows of one masker: the sentences as written, and lower-cased."""
    for form, sentences in (("as written", written), ("lower-cased", [each.lowered() for each in written])):
        row = {"masker": name, "text": form, **measure(masker, sentences, articles)}
        print(f"{name}, {form}: survive {_share(row['leak'])}, others {_share(row['other_masked'])}")
        yield row


def main() -> None:
    """Measure and write."""
    parser = study.make_parser(__doc__, reads_data=True)
    parser.add_argument("--peer", action="append", metavar="NAME=SPEC", help="add this masker alone; repeatable")
    parser.add_argument("--part", choices=("development", "test"), default="test")
    options = parser.parse_args()
    made = study.begin(options)
    written: list[Sentence] = []
    articles: list[str] = []
    for name, sentences in wikigold(options.part, options.data).items():
        if options.smoke and len(written) > 40:
            break
        written += sentences
        articles += [name] * len(sentences)
    if options.peer:
        _add_peers(options, made, written, articles)
        return
    record: dict[str, Any] = {
        "made": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "part": options.part,
        "sentences": len(written),
        "articles": len(set(articles)),
        "tokens": sum(len(sentence.tokens) for sentence in written),
        "entity_tokens": sum(end - start for sentence in written for start, end, _ in sentence.entities),
        "rows": [],
    }
    with tempfile.TemporaryDirectory() as folder:
        titles = gazetteer(Path(folder), options.data)
        for spec in (*_SPECS, f"embedded+gazetteer:{titles}", f"gazetteer:{titles}"):
            masker = open_masker(spec)
            own = {} if "gazetteer" in spec else {"fingerprint": masker.fingerprint}
            name = spec.replace(f"gazetteer:{titles}", "titles")
            record["rows"] += [row | own for row in rows_of(name, masker, written, articles)]
    if options.part == "test":
        record["environment"] = made
        study.record(options, "masking", record, table(record))


def _add_peers(
    options: argparse.Namespace, made: Mapping[str, Any], written: Sequence[Sentence], articles: Sequence[str]
) -> None:
    """Add maskers of others to the record; their rows say when and where they were measured."""
    record = study.recorded(options, "masking", None)
    if record is None or record["sentences"] != len(written):
        sys.exit("there is no record of the same sentences to add to; run the study without --peer first")
    for each in options.peer:
        name, _, spec = each.partition("=")
        rows = [row | {"made_by": study.made_by(made)} for row in rows_of(name, open_masker(spec), written, articles)]
        record["rows"] = [row for row in record["rows"] if row["masker"] != name] + rows
    study.record(options, "masking", record, table(record))


if __name__ == "__main__":
    main()
