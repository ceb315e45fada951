"""``fresco answer``: the values that an answer names, a scripted server over real sockets, a tiny model here."""

from __future__ import annotations

import json
import re

import pytest

import fresco
from fresco.answering.reader import ask
from fresco.answering.values import Named, Values, read_values
from fresco.cli import main
from fresco.errors import FrescoError
from fresco.models.settings import Settings
from fresco.records import Label, Task
from tests.servers import chat_api
from tests.servers.rerank_api import status

LED = Values(("Christine Lagarde", "Lagarde"), (("Mario Draghi",), ("Jean-Claude Trichet", "J.-C. Trichet")))


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        ("Christine Lagarde.", Named.CURRENT),
        ("the president is CHRISTINE LAGARDE, since 2019", Named.CURRENT),
        ("Mario Draghi", Named.STALE),
        ("Jean\u2013Claude Trichet", Named.STALE),
        ("Lagarde, who followed Mario Draghi", Named.BOTH),
        ("I do not know", Named.NEITHER),
        ("Draghissimo Mario", Named.NEITHER),
        ("", Named.NEITHER),
    ],
)
def test_the_values_that_an_answer_names(answer, named):
    assert LED.named_in(answer) is named


@pytest.mark.parametrize(
    ("answer", "named"),
    [("Version 3.1", Named.STALE), ("3.1.2", Named.CURRENT), ("It is 3.1.2, not 3.1", Named.BOTH), ("3.10", "neither")],
)
def test_a_name_inside_a_longer_one_is_not_named(answer, named):
    assert Values(("3.1.2",), (("3.1",),)).named_in(answer) == named
    assert Values(("George Bush Senior",), (("George Bush",),)).named_in("George Bush Senior") is Named.CURRENT


@pytest.fixture(scope="module")
def mini():
    return fresco.open_benchmark("mini")


def test_every_changing_question_of_mini_has_a_former_value(mini):
    values = read_values(mini)
    for pool in mini.pools:
        own = values[pool.query.id]
        assert own.current[0] == pool.query.answer
        assert bool(own.former) is (pool.query.task is Task.EK)
        assert all(own.named_in(name) is Named.STALE for names in own.former for name in names)


def test_aliases_count_and_what_is_announced_is_no_former_value(mini, tmp_path):
    query = next(pool.query for pool in mini.pools if pool.query.task is Task.EK)
    facts = [
        {"value": query.answer, "aliases": ["the boss"], "start": "2020-01-01T00:00:00Z", "end": None},
        {"value": "Old One", "aliases": ["O. One"], "start": "2010-01-01T00:00:00Z", "end": "2020-01-01T00:00:00Z"},
        {"value": "Next One", "start": "2030-01-01T00:00:00Z", "end": None},
    ]
    (tmp_path / "facts.jsonl").write_text(json.dumps({"_id": query.id, "facts": facts}) + "\n")
    own = read_values(mini, tmp_path / "facts.jsonl")[query.id]
    assert own.named_in("The Boss") is Named.CURRENT
    assert own.named_in("o. one") is Named.STALE
    assert own.named_in("Next One") is Named.NEITHER


class First:
    """Puts the passages of one label on top."""

    takes_instruction = False

    def __init__(self, label, pools):
        self.name = f"{label} first"
        self._good = {
            (pool.query.id, passage.id)
            for pool in pools
            for passage, own in zip(pool.passages, pool.labels, strict=True)
            if own is label
        }

    def score(self, query, passages, instruction=None):
        return [float((query.id, passage.id) in self._good) for passage in passages]


def reader_of(benchmark):
    """A reader that says the value which the first passage names, whichever that is."""
    values = read_values(benchmark)
    by_question = {pool.query.content: values[pool.query.id] for pool in benchmark.pools}

    def script(body):
        text = body["messages"][0]["content"]
        own = by_question[text.rpartition("Question: ")[2]]
        first = re.search(r"\[1\] (.*?)\nTimestamp:", text, re.DOTALL)
        if first is None:
            return "I do not know."
        names = [own.current[0], *(names[0] for names in own.former)]
        said = [name for name in names if own.named_in(name) is not Named.NEITHER and name in first.group(1)]
        return said[0] if said else "The passage does not say."

    return script


@pytest.fixture(scope="module")
def few(mini):
    from fresco.benchmarks import limit_queries

    return limit_queries(mini, 24, seed=0)


def run(api, few, folder, **options):
    rerankers = [First(Label.POSITIVE, few.pools), First(Label.OUTDATED, few.pools)]
    return fresco.answer(
        rerankers,
        few,
        reader=f"{api.url}#tiny/chat&retries=0",
        top_k=2,
        baselines=False,
        store=folder / "store.sqlite",
        out=folder / "out",
        resamples=50,
        progress=False,
        **options,
    )


def test_a_stale_reranker_costs_answers(few, tmp_path):
    with chat_api.serve(reader_of(few)) as api:
        found = run(api, few, tmp_path)
        asked = len(api.requests)
        again = run(api, few, tmp_path)
        assert len(api.requests) == asked  # every answer was kept
    assert again.content == found.content
    rows = found.content["rows"]
    fresh, stale = rows["positive first"], rows["outdated first"]
    assert fresh["EK current"]["value"] > 0.8 > 0.2 > fresh["EK stale"]["value"]
    assert stale["EK stale"]["value"] > 0.8 > 0.2 > stale["EK current"]["value"]
    assert fresh["stale@1"]["value"] == 0.0
    assert stale["stale@1"]["value"] == 1.0
    assert rows["(no passages)"]["EK neither"]["value"] == 1.0
    assert rows["(positives only)"]["EK current"]["value"] == fresh["EK current"]["value"]
    for row in rows.values():
        parts = [row[f"EK {name}"]["value"] for name in ("current", "stale", "both", "neither")]
        assert sum(parts) == pytest.approx(1)
        assert row["EK stale"]["ci_low"] <= row["EK stale"]["value"] <= row["EK stale"]["ci_high"]
    queries = {pool.query.id: pool.query for pool in few.pools}
    said = [each for each in found.answers if each["reranker"] == "outdated first"]
    changing = [each["named"] == "stale" for each in said if queries[each["query"]].task is Task.EK]
    assert stale["EK stale"]["value"] == pytest.approx(sum(changing) / len(changing))
    assert (found.folder / "answers.md").read_text() == found.table
    assert len((found.folder / "answers.jsonl").read_text().splitlines()) == len(found.answers) == 4 * len(few)


def test_a_run_that_broke_off_asks_only_for_the_rest(few, tmp_path):
    with chat_api.serve(reader_of(few)) as api:
        whole = run(api, few, tmp_path / "whole")
        wanted = len(api.requests)
        well, broken = api.script, len(few) + 5
        answered, asked_again = [], []

        def breaks(body):
            if len(answered) >= broken:
                raise chat_api.RefusedError(400, {"error": {"message": "out of credit"}})
            answered.append(chat_api.words_of(body))
            return well(body)

        def noted(body):
            asked_again.append(chat_api.words_of(body))
            return well(body)

        api.script = breaks
        with pytest.raises(FrescoError, match="out of credit"):
            run(api, few, tmp_path / "broken")
        kept = set(answered)
        api.script = noted
        assert run(api, few, tmp_path / "broken").content == whole.content
    assert len(kept) < wanted
    assert len(kept & set(asked_again)) <= 8  # those under way when it broke


def test_the_reader_is_shown_the_passages_in_order_with_their_dates(few):
    pool = few.pools[0]
    (turn,) = ask(pool.query, pool.passages[:2])
    assert f"[1] {pool.passages[0].text}\n\n[2] {pool.passages[1].text}" in turn["content"]
    assert "asked on 2025-01-01" in turn["content"]
    assert "passages" not in ask(pool.query, [])[0]["content"]


def test_what_cannot_be_done_is_one_line(mini, tmp_path, capsys):
    reader = ["--reader", "http://127.0.0.1:9/v1#m&retries=0", "--out", str(tmp_path / "out")]
    reader += ["--limit", "4", "--no-baselines", "--reranker", "random"]
    assert main(["answer", *reader, "--likelihood"]) == 2
    assert "--likelihood needs a model in this process" in capsys.readouterr().err
    (tmp_path / "facts.jsonl").write_text('{"_id": "nobody", "facts": [{"value": "x"}]}\n')
    assert main(["answer", *reader, "--facts", str(tmp_path / "facts.jsonl")]) == 2
    assert "has no former value for any EK query of mini" in capsys.readouterr().err
    (tmp_path / "facts.jsonl").write_text('{"_id": "nobody", "facts": "x"}\n')
    assert main(["answer", *reader, "--facts", str(tmp_path / "facts.jsonl")]) == 2
    assert "facts.jsonl, line 1: facts must be a list" in capsys.readouterr().err
    with chat_api.serve(lambda body: "no") as api:
        api.faults.append(status(500, {"error": {"message": "boom"}}))
        wrong = ["--reader", f"{api.url}#other/model", *reader[2:]]
        assert main(["answer", *wrong, "--store", str(tmp_path / "s.sqlite")]) == 2
    error = capsys.readouterr().err
    assert "does not exist" in error or "boom" in error
    assert "Traceback" not in error


@pytest.fixture(scope="module")
def chat_model(tmp_path_factory):
    pytest.importorskip("torch", reason="pip install 'fresco-ccs[models]'")
    from tests import tiny_models

    return tiny_models.chat_model(tmp_path_factory.mktemp("chat") / "tiny")


def test_the_likelihood_of_an_answer_is_that_of_its_tokens_after_the_conversation(chat_model):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from fresco.rerank.local_chat import LocalChat

    chat = LocalChat("--reader", str(chat_model), Settings(device="cpu"))
    messages = [{"role": "user", "content": "Who is the head coach of the club?"}]
    found = chat.likelihoods(messages, ["a former player", "version 3.2"])
    tokenizer, model = AutoTokenizer.from_pretrained(chat_model), AutoModelForCausalLM.from_pretrained(chat_model)
    for answer, own in zip(("a former player", "version 3.2"), found, strict=True):
        prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        before = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        said = [*tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        # Slow and obvious: a forward pass for each token.
        total = 0.0
        for place, token in enumerate(said):
            with torch.no_grad():
                logits = model(torch.tensor([before + said[:place]])).logits[0, -1]
            total += float(logits.log_softmax(0)[token])
        assert own == pytest.approx(total / len(said), abs=1e-4)


def test_a_model_in_this_process_reads_and_goes_on(chat_model, few, tmp_path, monkeypatch):
    from fresco.rerank.local_chat import LocalChat

    def go():
        return fresco.answer(
            None,
            few,
            reader=str(chat_model),
            top_k=1,
            limit=4,
            likelihood=True,
            max_tokens=3,
            baselines=["newest"],
            store=tmp_path / "store.sqlite",
            out=tmp_path / "out",
            resamples=20,
            progress=False,
        )

    found = go()
    assert 0 <= found.content["rows"]["newest"]["EK likelier"]["value"] <= 1
    assert "current likelier" in found.table
    for method in ("ask", "likelihoods"):
        monkeypatch.setattr(LocalChat, method, lambda *_: pytest.fail("asked again"))
    assert go().content == found.content


@pytest.mark.parametrize(
    "fact",
    [
        *(None, "a", {}, {"value": ""}, {"value": "a", "aliases": 3}, {"value": "a", "aliases": [None]}),
        *({"value": "a", "start": 5}, {"value": "a", "end": ["2020"]}),
    ],
)
def test_facts_that_are_none_are_one_line(fact, mini, tmp_path):
    query = next(pool.query for pool in mini.pools if pool.query.task is Task.EK)
    path = tmp_path / "facts.jsonl"
    path.write_text(json.dumps({"_id": query.id, "facts": [fact]}) + "\n")
    with pytest.raises(FrescoError, match="line 1: facts must be a list of objects with a value"):
        read_values(mini, path)
