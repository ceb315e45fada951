"""Evidence gain: what the queries give away is taken off, long traces are cut, refusals are told from dead servers."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ccs.cli import main
from ccs.rewards.bottleneck import Bottleneck
from ccs.rewards.config import open_reward, parse_config, read_config
from ccs.rewards.gain import GainReward, GainWeights
from ccs.rewards.mask import open_masker
from ccs.testing import check_reward
from fresco.clients.llm import ChatClient
from fresco.errors import FrescoError
from tests.ccs.rewards.trails import DIRECTOR, FILM, OFF_TOPIC, OFF_TOPIC_TOO, QUESTION, TOWN, perfect, trail
from tests.servers import chat_api
from tests.servers.rerank_api import RefusedError


def copying(body: dict[str, Any]) -> dict[str, Any]:
    """A model that has read a word before finds it likely; vLLM's wire format, a token for each word."""
    words = body["prompt"].split()
    ids = [zlib.crc32(word.encode()) for word in words]
    choice: dict[str, Any] = {"index": 0, "text": "x", "finish_reason": "length", "prompt_token_ids": ids}
    if "prompt_logprobs" in body:
        rows = [{str(one): {"logprob": -1.0 if one in ids[:at] else -5.0}} for at, one in enumerate(ids)]
        choice["prompt_logprobs"] = [None, *rows[1:]]
    return {"id": "x", "object": "text_completion", "choices": [choice], "usage": {}}


@pytest.fixture
def api():
    with chat_api.serve(copying) as served:
        yield served


class Nothing:
    """A masker that finds nothing, so that queries are seen as they are."""

    name = fingerprint = "nothing"

    def spans(self, texts):
        return [[] for _ in texts]


def gain(api: chat_api.ChatApi, bottleneck: Bottleneck | None = None, **options: Any) -> GainReward:
    client = ChatClient(f"{api.url}#tiny/chat", retries=0)
    return GainReward(bottleneck or Bottleneck(Nothing()), client, **options)


def test_what_the_queries_give_away_is_taken_off(api):
    pasted = trail((QUESTION, [OFF_TOPIC]), sample=1)
    found, gave_away, nothing, unsearched = gain(api).rows([perfect(), pasted, trail((QUESTION, [])), trail()])
    assert found.value > 0.5
    assert (
        gave_away.value == pytest.approx(0, abs=1e-9)
        and gave_away.parts["without evidence"] > found.parts["without evidence"]
    )
    assert nothing.value == 0.0 == unsearched.value
    assert found.value == pytest.approx(found.parts["with evidence"] - found.parts["without evidence"])
    assert found.parts["tokens"] == len(QUESTION.split())


def test_it_is_a_reward_and_its_masks_are_options(api):
    check_reward(gain(api))
    for mask in ({"blank": True}, {"shared_words": True}, {}):
        config = parse_config({"reward": "gain", "server": f"{api.url}#tiny/chat", "mask": mask, "sufficiency": 0.5})
        rewarded = open_reward(config).score([perfect()])
        assert rewarded[0] is not None and rewarded[0] > 0
    with pytest.raises(FrescoError, match="does not read sufficiency"):
        parse_config({"reward": "likelihood", "server": "http://h/v1#m", "sufficiency": 0.5})
    assert read_config(Path("paper")).reconstruct.kind == "llm"  # the paper's own form, by name


def test_sufficiency_is_what_ones_own_answer_owes_to_passages_and_question():
    """A word is likely once it was read; the county is, where the question asks for a county of the passage."""

    def reading(body: dict[str, Any]) -> dict[str, Any]:
        answer = copying(body)
        choice = answer["choices"][0]
        if "prompt_logprobs" in choice:
            asked = "Which county" in body["prompt"]
            ids, rows = choice["prompt_token_ids"], choice["prompt_logprobs"]
            county = zlib.crc32(b"Wexmere.")
            for at, one in enumerate(ids):
                if one == county and rows[at] is not None and one in ids[:at]:
                    rows[at] = {str(one): {"logprob": -0.5 if asked else -3.0}}
        return answer

    with chat_api.serve(reading) as api:
        good = trail(("x", [TOWN]), answer="Wexmere.")
        copied = trail(("x", [TOWN]), answer="market town", sample=1)  # stands in the passage, asked or not
        restated = trail(("x", [TOWN]), answer=QUESTION, sample=2)  # stands in the question, with passages or without
        absent = trail(("x", [TOWN]), answer="somewhere else entirely", sample=3)
        pasted = trail(("somewhere else entirely", [TOWN]), answer="somewhere else entirely", sample=4)
        silent = trail(("x", [TOWN]), answer=None, sample=5)
        rows = gain(api, weights=GainWeights(sufficiency=2.0)).rows([good, copied, restated, absent, pasted, silent])
    parts = rows[0].parts
    assert parts["answer"] - parts["answer without evidence"] == pytest.approx(4.5)
    assert parts["answer"] - parts["answer without question"] == pytest.approx(2.5)
    assert parts["sufficiency"] == pytest.approx(2.5)  # the lesser of the two
    assert rows[1].parts["answer"] - rows[1].parts["answer without evidence"] == pytest.approx(4.0)
    assert rows[2].parts["answer"] > rows[2].parts["answer without question"]
    assert [row.parts["sufficiency"] for row in rows[1:5]] == [0.0] * 4
    assert "sufficiency" not in rows[5].parts
    assert rows[0].value == pytest.approx(parts["gain"] + 2 * parts["sufficiency"])


def test_every_part_counts_as_its_weight_says_and_is_reported(api):
    weights = GainWeights(linkage=0.5, price=0.1, agreement=2.0)
    (row,) = gain(api, Bottleneck(None), weights=weights).rows([perfect(answer="Wexmere")])
    parts = row.parts
    assert parts["passages"] == 3 and 0 < parts["evidence"] < 1
    assert parts["agreement"] > 0 and "sufficiency" not in parts  # its weight is 0, so no model was asked
    assert parts["gain"] == pytest.approx(parts["with evidence"] - parts["without evidence"])
    expected = parts["gain"] * (1 - 0.5 * (1 - parts["evidence"])) + 2 * parts["agreement"] - 0.3
    assert row.value == pytest.approx(expected)
    bare, flooded = (
        gain(api, Bottleneck(None), weights=GainWeights(price=price)).score(
            [trail(("x", [FILM, OFF_TOPIC, OFF_TOPIC_TOO]))]
        )[0]
        for price in (0.0, 0.1)
    )
    assert bare - flooded == pytest.approx(0.3)
    assert GainWeights(linkage=1.0).total({"gain": -0.5, "evidence": 0.0, "passages": 1}) == -0.5  # harm is no less


def test_how_a_trajectory_searched_counts_for_nothing_where_queries_are_blank(api):
    """Again, in vain, the same page once more, or the query itself as a passage: the same reward, and no request."""
    plain = trail(("director of Hollow Lantern", [FILM]), ("Ada Quillfeather birthplace", [DIRECTOR]))
    again = trail(*[("y", [FILM, FILM])] * 3, ("z", []), ("x", [DIRECTOR]), sample=1)
    echoed = trail(
        ("director of Hollow Lantern", [FILM, "The director of Hollow Lantern"]), ("y", [DIRECTOR, "Y."]), sample=2
    )
    reward = gain(api, Bottleneck(None))
    (first,) = reward.score([plain])
    asked = len(api.requests)
    assert reward.score([again, echoed]) == [first, first] and len(api.requests) == asked
    assert first > 0


def test_repeats_are_asked_once_and_kept_on_disk_as_numbers(api, tmp_path):
    cache = tmp_path / "cache.sqlite"
    group = [perfect(sample=number) for number in range(6)]
    first = gain(api, cache=cache).score(group)
    asked = len(api.requests)
    assert asked == 3 and len(set(first)) == 1  # the question's tokens, with and without evidence
    assert gain(api, cache=cache).score(group) == first and len(api.requests) == asked
    assert b"prompt_logprobs" not in cache.read_bytes() + cache.with_name("cache.sqlite-wal").read_bytes()


@pytest.mark.parametrize("counts", [True, False])
def test_a_long_trace_is_cut_and_never_refused(counts):
    """By the server's count of tokens; without one, by halves after a refusal."""

    def refusing(body: dict[str, Any]) -> dict[str, Any]:
        if isinstance(body["prompt"], str) and len(body["prompt"].split()) > 300:
            raise RefusedError(400, {"error": {"message": "This model's maximum context length is 300 tokens."}})
        return copying(body)

    count = (lambda text: len(text.split())) if counts else None
    with chat_api.serve(refusing, window=300 if counts else None, count=count) as api:
        long = [trail(*[(f"x{n}", [FILM + " word" * 90, DIRECTOR]) for n in range(9)], sample=s) for s in range(2)]
        rows = gain(api).rows([*long, perfect(sample=2)])
        refused = [body for body in api.bodies() if len(body["prompt"].split()) > 300]
    assert all(row.value is not None and row.value > 0 for row in rows)
    assert bool(refused) is not counts


def test_a_refusal_is_final_and_a_dead_server_is_not(tmp_path, capsys):
    def picky(body: dict[str, Any]) -> dict[str, Any]:
        if "Basalt" in body["prompt"]:
            raise RefusedError(400, {"error": {"message": "No rocks, please."}})
        return copying(body)

    rollouts, out, config = (tmp_path / name for name in ("rollouts.jsonl", "rewards.jsonl", "gain.yaml"))
    group = [perfect(), trail(("x", [OFF_TOPIC]), sample=1)]
    rollouts.write_text("".join(f"{each.to_json()}\n" for each in group))
    arguments = ["reward", "--trajectories", str(rollouts), "--out", str(out), "--config", str(config)]
    with chat_api.serve(picky) as api:
        config.write_text(f"reward: gain\nserver: {api.url}#tiny/chat&retries=0\n")
        assert main(arguments) == 1
        one, other = map(json.loads, out.read_text().splitlines())
        assert one["reward"] > 0 and {"with evidence", "without evidence", "tokens", "gain", "evidence"} <= set(
            one["parts"]
        )
        assert other["reward"] is None and other["final"] and "No rocks, please" in other["cause"]
        asked = len(api.requests)
        table = pd.read_parquet(out.with_name("rewards.rows.parquet"))
        assert main(arguments) == 1 and len(api.requests) == asked  # final: not asked again
    good, refused = table.to_dict("records")
    assert good["reward"] == one["reward"] and good["part: with evidence"] == one["parts"]["with evidence"]
    assert FILM.splitlines()[1] in good["trace"] and good["question"] == QUESTION and pd.isna(good["cause"])
    assert "Basalt" in refused["trace"] and "No rocks, please" in refused["cause"]
    assert "seen" not in one  # texts stand in the Parquet file alone
    pd.testing.assert_frame_equal(pd.read_parquet(out.with_name("rewards.rows.parquet")), table)
    out.unlink()
    assert main(arguments) == 2 and "no server answers" in capsys.readouterr().err


def test_masking_hides_names_from_the_queries(api):
    named = trail(("Hollow Lantern director birthplace", [FILM]))
    (masked,) = gain(api, Bottleneck(open_masker("patterns"))).rows([named])
    (seen,) = gain(api).rows([named])
    assert masked.parts["without evidence"] <= seen.parts["without evidence"]
