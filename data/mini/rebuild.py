"""Write the benchmark ``mini`` anew from its facts and templates, byte for byte the same everywhere.

    python data/mini/rebuild.py            writes corpus.jsonl, queries.jsonl, pools.jsonl, facts.jsonl
    python data/mini/rebuild.py --check    exits with 1 where the files on disk differ
    python data/mini/rebuild.py --counts   prints the table of the card

Facts are real and dated (``facts/``); every sentence is ours (``templates/``). All choices are drawn from SHA-256, so
nothing depends on the order of a set, on a seed or on the version of Python.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from pathlib import Path

import evolving
import static
from draws import pick, shuffled
from subjects import Fact, Row, read_facts

HERE = Path(__file__).parent
ASKED = "2025-01-01T23:59:59Z"
POOL_SIZE = 51
#: Two texts of a pool that share this much of their runs of five words are twins, and must not bear two labels.
TWINS = 0.8


def build() -> dict[str, list[Row]]:
    """The three tables, and the values of each changing fact."""
    changing, standing = list(read_facts("ek")), list(read_facts("nek"))
    for fact in changing:
        _without_twins(fact, lambda salt, fact=fact: evolving.write(fact, salt))
    values: dict[str, list[str]] = defaultdict(list)
    for fact in standing:
        values[fact.relation].append(fact.answer)
    for fact in standing:
        wrong = [value for value in values[fact.relation] if value != fact.answer]
        _without_twins(fact, lambda salt, fact=fact, wrong=wrong: static.write(fact, wrong, salt))
    written = [row for fact in (*changing, *standing) for rows in fact.rows.values() for row, _ in rows]
    corpus = {row["_id"]: row for row in written}
    if len(corpus) < len(written):
        sys.exit("two passages have one id; give more digits to it")
    newest: dict[str, str] = {}
    for row in corpus.values():
        newest[row["title"]] = max(row["timestamp"], newest.get(row["title"], ""))
    queries: list[Row] = []
    pools: list[Row] = []
    for facts, task, kinds in ((changing, "EK", ("explicit", "implicit")), (standing, "NEK", ("static",))):
        for fact in facts:
            own = [(row, label, conflict) for label, rows in fact.rows.items() for row, conflict in rows]
            others = _near_topic(fact, facts, POOL_SIZE - len(own))
            for kind in kinds:
                query = _query(fact, task, kind)
                queries.append(query)
                for row, label, conflict in (*own, *((row, "near-topic", "") for row in others)):
                    pools.append(_pool_row(query, row, label, conflict, newest))
    used = {row["corpus-id"] for row in pools}
    if len({query["_id"] for query in queries}) < len(queries):
        sys.exit("two queries have one id; give more letters to it")
    values_of = [_facts_row(fact, kind) for fact in changing for kind in ("explicit", "implicit")]
    tables = {"corpus": [row for key, row in corpus.items() if key in used], "queries": queries, "pools": pools}
    return {**tables, "facts": values_of}


def _facts_row(fact: Fact, kind: str) -> Row:
    """What `fresco answer` tells current from former values by."""
    values = [
        {"value": value.name, "start": f"{value.first}T00:00:00Z", "end": f"{value.last}T23:59:59Z"}
        for value in fact.values
    ]
    return {"_id": f"{_slug(fact)}-{kind}", "facts": [*values[:-1], {**values[-1], "end": None}]}


def _without_twins(fact: Fact, write: Callable[[int], None]) -> None:
    for salt in range(100):
        write(salt)
        texts = [(label, _shingles(row["text"]), row["_id"]) for label, rows in fact.rows.items() for row, _ in rows]
        distinct = len({each for *_, each in texts}) == len(texts)
        if distinct and not any(
            label != other and len(one & two) >= TWINS * len(one | two)
            for (label, one, _), (other, two, _) in combinations(texts, 2)
        ):
            return
    sys.exit(f"{fact.key}: twins with two labels whatever is drawn; write more templates")


def _shingles(text: str) -> frozenset[str]:
    words = re.findall(r"\w+", text.casefold())
    return frozenset(" ".join(words[at : at + 5]) for at in range(max(1, len(words) - 4)))


def _near_topic(fact: Fact, facts: Sequence[Fact], wanted: int) -> list[Row]:
    """Passages of other subjects of the split, two thirds from the same relation; none names a value or the subject."""
    names = "|".join(re.escape(name) for name in (fact.subject, *(value.name for value in fact.values)))
    forbidden = re.compile(rf"(?<!\w)(?:{names})(?!\w)")
    beside = [each for each in facts if each is not fact and each.split == fact.split]
    other = pick(sorted({each.relation for each in beside} - {fact.relation}), "other relation", fact.key)
    chosen: dict[str, Row] = {}
    for relation, most in ((fact.relation, wanted * 2 // 3), (other, wanted), ("", wanted)):
        rows = [row for each in beside if relation in ("", each.relation) for row in _shown(each)]
        for row in shuffled(rows, "near", fact.key, relation):
            if len(chosen) >= most:
                break
            if not forbidden.search(f"{row['title']} {row['text']}"):
                chosen[row["_id"]] = row
    return list(chosen.values())


def _shown(fact: Fact) -> Iterator[Row]:
    for label, rows in fact.rows.items():
        yield from (row for row, _ in (rows[:3] if label == "insufficient" else rows))


def _pool_row(query: Row, row: Row, label: str, conflict: str, newest: dict[str, str]) -> Row:
    pool_row: Row = {"query-id": query["_id"], "corpus-id": row["_id"], "label": label}
    if conflict:
        pool_row["conflict"] = conflict
    if query["task"] == "EK":
        pool_row["superseded"] = row["timestamp"] < newest[row["title"]]
    return pool_row


def _query(fact: Fact, task: str, kind: str) -> Row:
    text = fact.fill(pick(fact.template["queries" if kind == "static" else kind], "query", kind, fact.key))
    return {
        "_id": f"{_slug(fact)}-{kind}",
        "text": text,
        "timestamp": ASKED,
        "task": task,
        "kind": kind,
        "subject": fact.subject,
        "relation": fact.template["relation"],
        "answer": fact.answer,
        "split": fact.split,
    }


def _slug(fact: Fact) -> str:
    plain = "".join(letter if letter.isalnum() else "-" for letter in f"{fact.template['code']}-{fact.subject}".lower())
    words = [word[:7] for word in plain.split("-") if word and word not in ("of", "the", "and", "for", "de")]
    return "-".join(words)


def counts(tables: dict[str, list[Row]]) -> str:
    """The tables of the card."""
    queries = {row["_id"]: row for row in tables["queries"]}
    facts = Counter((row["task"], row["relation"]) for row in queries.values() if row["kind"] != "implicit")
    lines = ["| task | relation | facts | queries |", "|---|---|---|---|"]
    for (task, relation), number in facts.items():
        lines.append(f"| {task} | {relation} | {number} | {number * (2 if task == 'EK' else 1)} |")
    lines += ["", "| task | label | conflict | passages a pool |", "|---|---|---|---|"]
    labels = Counter(
        (queries[row["query-id"]]["task"], row["label"], row.get("conflict", "")) for row in tables["pools"]
    )
    for (task, label, conflict), number in labels.items():
        pools = sum(row["task"] == task for row in queries.values())
        lines.append(f"| {task} | {label} | {conflict} | {number / pools:.1f} |")
    splits = Counter(row["split"] for row in queries.values())
    total = f"{len(tables['corpus'])} passages, {len(queries)} queries, {len(tables['pools'])} rows of pools; queries "
    total += ", ".join(f"{splits[split]} {split}" for split in ("train", "validation", "test")) + "."
    return "\n".join([*lines, "", total])


def main(arguments: Sequence[str]) -> int:
    """Write, check or count."""
    tables = build()
    if "--counts" in arguments:
        print(counts(tables))
        return 0
    stale = []
    for name, rows in tables.items():
        lines = (json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows)
        content, path = "".join(lines).encode(), HERE / f"{name}.jsonl"
        if "--check" not in arguments:
            path.write_bytes(content)
        elif not path.is_file() or path.read_bytes() != content:
            stale.append(path.name)
    if stale:
        print(f"not what the facts and templates give: {', '.join(stale)}; run rebuild.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
