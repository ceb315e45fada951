"""Attention on dates against the same sum, written out for one pair."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fresco.cli import main
from fresco.errors import FrescoError
from fresco.models.settings import Settings
from fresco.rerank.timestamp_attention import timestamp_attention
from tests import tiny_models
from tests.factories import make_passage, make_query

torch = pytest.importorskip("torch", reason="pip install 'fresco-ccs[models]'")
transformers = pytest.importorskip("transformers", reason="pip install 'fresco-ccs[models]'")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_models.causal_lm(tmp_path_factory.mktemp("model") / "lm")


def written_out(folder, instruction, query, passage):
    """The published prompt as one text; tokens found by where their characters stand."""
    from fresco.rerank.profiles import QWEN3

    text = QWEN3.text.replace("{instruction}", instruction)
    text = text.replace("{query}", query.text).replace("{document}", passage.text)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    encoded = tokenizer(text, return_offsets_mapping=True, return_tensors="pt", add_special_tokens=False)
    with torch.no_grad():
        layers = model(input_ids=encoded.input_ids, output_attentions=True).attentions
    paid = torch.stack([layer[0, :, -1] for layer in layers]).mean(dim=(0, 1))

    def mass(part, after=0):
        start = text.index(part, after)
        return sum(
            float(weight)
            for (low, high), weight in zip(encoded.offset_mapping[0].tolist(), paid, strict=True)
            if low < start + len(part) and high > start
        )

    at = text.index("<Document>:")
    dates = mass(query.text[len(query.content) + 1 :]), mass(passage.timestamp_line[1:], at)
    whole = mass(query.text), mass(passage.text, at)
    return [dates[0], dates[0] / whole[0], dates[1], dates[1] / whole[1]]


def test_the_shares_are_those_of_the_whole_prompt(folder):
    query, passage = make_query(), make_passage("p", days_old=100)
    instruction = "Prefer the most recent."
    found = timestamp_attention(str(folder), [(query, [passage])], [instruction], settings=Settings(device="cpu"))
    for own, told in zip(found.values, found.instructions, strict=True):
        np.testing.assert_allclose(own.value, written_out(folder, told, query, passage), atol=1e-5)
        assert 0 < own.value[0] < own.value[1] < 1
    np.testing.assert_allclose(found.gains[0].value, found.values[1].value - found.values[0].value, atol=1e-9)
    assert found.instructions[1] == instruction
    assert not np.allclose(found.gains[0].value, 0)
    assert (found.pairs, found.left_out) == (1, 0)


def test_even_attention_is_the_share_of_the_tokens(folder):
    short, long = (make_passage("p", body="The club is led by a player. " * times) for times in (1, 9))
    one, other = (
        timestamp_attention(str(folder), [(make_query(), [passage])], settings=Settings(device="cpu")).evenly[0].value
        for passage in (short, long)
    )
    assert one[2] > 1.2 * other[2] > 0  # the same date among more tokens
    assert one[1] == pytest.approx(other[1])


def test_the_command(folder, capsys):
    command = ["attention", str(folder), "--limit", "2", "--device", "cpu", "--instruction", "Prefer the newest."]
    assert main([*command, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["what"] for row in rows] == [*["attention", "even attention"] * 2, "less the first"]
    assert main(["attention", "./nowhere"]) == 2


def test_what_has_no_dates_or_takes_no_instruction(folder, tmp_path):
    import dataclasses

    query, passage = make_query(), make_passage("p")
    bare = [(dataclasses.replace(query, dated=False), [dataclasses.replace(passage, dated=False)])]
    with pytest.raises(FrescoError, match="no text has a date"):
        timestamp_attention(str(folder), bare, settings=Settings(device="cpu"))
    (tmp_path / "form").write_text("{query} {document}")
    with pytest.raises(FrescoError, match="no place for an instruction"):
        timestamp_attention(str(folder), bare, ["x"], settings=Settings(device="cpu", template=str(tmp_path / "form")))
