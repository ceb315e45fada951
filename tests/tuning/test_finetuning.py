"""Fine-tuning: what is trained on, what it leaves, killed and gone on with, loaded by the plain library."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fresco
from fresco.benchmarks import select_split
from fresco.errors import FrescoError
from fresco.models.settings import Settings
from fresco.records import Conflict, Label, Task
from fresco.rerank.registry import open_reranker
from fresco.tuning.examples import lists, pair_rows
from fresco.tuning.model import export, open_trainable, source_of
from fresco.tuning.plan import FineTuning
from tests import tiny_models
from tests.tuning.small import PLAN, small
from tests.waiting import PATIENCE

pytest.importorskip("sentence_transformers", reason="pip install 'fresco-ccs[models]'")
pytest.importorskip("tensorboard", reason="pip install 'fresco-ccs[tune]'")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def train():
    return select_split(fresco.open_benchmark("mini"), "train").pools


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_models.cross_encoder(tmp_path_factory.mktemp("model") / "tiny", max_position_embeddings=1024)


def by_id(listed, pool):
    return {passage.id: (passage, label) for passage, label in zip(listed.passages, listed.labels, strict=True)}


def test_shown_lists_are_the_pools_themselves(train):
    for pool, listed in zip(train, lists(train, ["shown"], None, 0), strict=True):
        assert {(p.id, p.text) for p in listed.passages} == {(p.id, p.text) for p in pool.passages}
        right = {p.id for p in pool.labelled(Label.POSITIVE)}
        assert {p.id for p, label in zip(listed.passages, listed.labels, strict=True) if label > 0} == right


def test_hidden_lists_hold_no_date_and_nothing_that_only_a_date_would_tell(train):
    for pool, listed in zip(train, lists(train, ["hidden"], None, 0), strict=True):
        assert "Timestamp:" not in listed.query.text + "".join(passage.text for passage in listed.passages)
        kept = {passage.id for passage in listed.passages}
        conflicts = pool.conflicts or [None] * len(pool)
        for passage, label, conflict in zip(pool.passages, pool.labels, conflicts, strict=True):
            telling = conflict in (Conflict.HISTORY, Conflict.ANNOUNCED)
            assert (passage.id in kept) == (label is not Label.OUTDATED or telling)


def test_swapped_dates_leave_every_label_true_and_the_newest_passage_wrong(train):
    newest_right = {"shown": 0, "swapped": 0}
    moved = 0
    for pool, shown, swapped in zip(
        train, lists(train, ["shown"], None, 0), lists(train, ["swapped"], None, 0), strict=True
    ):
        before, after = by_id(shown, pool), by_id(swapped, pool)
        assert before.keys() == after.keys()
        for passage, label in zip(pool.passages, pool.labels, strict=True):
            same = before[passage.id][0].timestamp == after[passage.id][0].timestamp
            moved += not same
            if pool.query.task is Task.EK and label in (Label.POSITIVE, Label.OUTDATED):
                assert same  # which of them is right hangs on their dates
            assert after[passage.id][0].timestamp <= pool.query.timestamp
        if pool.query.task is Task.EK:
            for name, own in (("shown", before), ("swapped", after)):
                newest_right[name] += max(own.values(), key=lambda each: (each[0].timestamp, -each[1]))[1] > 0
    assert moved > 1000
    assert newest_right["swapped"] == 0 < newest_right["shown"]


def test_negatives_are_drawn_by_the_seed_and_positives_are_always_there(train):
    one, same, other = (list(lists(train, ["shown"], 4, seed)) for seed in (0, 0, 1))
    assert one == same != other
    assert all(sum(label == 0 for label in each.labels) == 4 for each in one)
    assert all(max(each.labels) > 0 for each in one)
    rows = pair_rows(one, lambda _query, passage: passage.text)
    assert len(rows["query"]) == sum(len(each.passages) for each in one)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"losses": ("mse",)}, "--train mse: choose of bce, listnet, lambdarank"),
        ({"losses": ("bce",), "dates": ("shown", "shown")}, "--dates shown,shown"),
        ({"losses": ("bce",), "learning_rate": 0.0}, "--learning-rate 0.0"),
        ({"losses": ("bce",), "lora": 0}, "--lora 0"),
    ],
)
def test_options_that_mean_nothing_are_one_line(options, said):
    with pytest.raises(FrescoError, match=said):
        FineTuning(**options)


def test_what_has_no_weights_is_refused_before_anything_is_scored():
    with pytest.raises(
        FrescoError, match="bm25 has no weights to train; name cross-encoder:MODEL, dense:MODEL, causal-lm:MODEL"
    ):
        fresco.tune("bm25", train="bce", progress=False)


@pytest.fixture(scope="module")
def tuned(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuned")
    return fresco.tune(
        f"cross-encoder:{model}",
        small(),
        train=PLAN,
        out=folder / "out",
        store=folder / "store.sqlite",
        resamples=20,
        progress=False,
    )


@pytest.mark.slow
def test_models_stand_beside_the_priors_and_the_controls(tuned):
    assert {"base", "half-life", "bce", "listnet", "newest", "random"} <= tuned.content["test"].keys()
    assert tuned.record["milliseconds"].keys() >= {"base", "half-life", "bce", "listnet"}
    assert "| `listnet` | listnet | 0 |" in tuned.card
    for name in ("bce", "listnet"):
        folder = tuned.folder / "models" / name
        record = json.loads((folder / "training.json").read_text())
        best = max(record["looks"], key=lambda look: look["hypervolume"])
        assert record["best step"] == best["step"]
        assert list((tuned.folder / "tensorboard" / name).glob("events.*"))
        card = (folder / "README.md").read_text()
        assert card.startswith("---\nlibrary_name: sentence-transformers\n")
        assert f"| EK MAP | {tuned.content['test'][name]['EK']['value']:.3f}" in card
    assert not (tuned.folder / "training" / "bce").exists()


@pytest.mark.slow
def test_another_plan_in_the_same_folder_trains_anew(model, tmp_path):
    def go(rate: float) -> bytes:
        plan = FineTuning(("bce",), epochs=1, learning_rate=rate, negatives=2, evaluations=1, queries=4)
        fresco.tune(
            f"cross-encoder:{model}",
            small(2),
            train=plan,
            out=tmp_path / "out",
            store=tmp_path / "store.sqlite",
            resamples=20,
            overwrite=True,
            progress=False,
        )
        return weights(tmp_path / "out", "bce")

    first = go(1e-3)
    assert go(1e-3) == first
    assert go(1e-2) != first


@pytest.mark.slow
def test_training_changed_the_weights_and_the_scores_are_those_of_the_exported_model(tuned, model):
    settings, pools = Settings(), select_split(small(), "test").pools
    base = open_reranker(f"cross-encoder:{model}", settings)
    for name in ("bce", "listnet"):
        own = open_reranker(f"cross-encoder:{tuned.folder / 'models' / name}", settings)
        assert not np.allclose(
            own.score(pools[0].query, pools[0].passages), base.score(pools[0].query, pools[0].passages)
        )
        result = fresco.score(own, small(), baselines=False, split="test", progress=False, resamples=20)
        (ek,) = [
            row["value"]
            for row in result.evaluation.rows
            if (row["task"], row["kind"], row["metric"]) == ("EK", "all", "MAP")
        ]
        assert tuned.content["test"][name]["EK"]["value"] == pytest.approx(ek, abs=1e-9)


@pytest.mark.slow
def test_the_plain_library_gives_the_same_scores_in_a_fresh_process(tuned):
    folder = tuned.folder / "models" / "bce"
    pools = select_split(small(), "test").pools
    own = open_reranker(f"cross-encoder:{folder}", Settings())
    expected = [score for pool in pools for score in own.score(pool.query, pool.passages)]
    pairs = [(pool.query.text, passage.text) for pool in pools for passage in pool.passages]
    code = (
        "import json, sys; from sentence_transformers import CrossEncoder; "
        f"print(json.dumps(CrossEncoder({str(folder)!r}).predict(json.load(sys.stdin)).tolist()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(pairs), capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout.splitlines()[-1]) == pytest.approx(expected, abs=1e-5)


def weights(folder: Path, name: str) -> bytes:
    return (folder / "models" / name / "model.safetensors").read_bytes()


def start(model: Path, out: Path, losses: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.tuning.small", str(model), str(out), losses]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def killed_after(process: subprocess.Popen[str], wanted: str) -> None:
    """Let it go on from step to step until it tells of this one, where it waits for its end."""
    assert process.stdin is not None and process.stdout is not None
    for line in process.stdout:
        if line.strip() == wanted:
            break
        process.stdin.write("\n")
        process.stdin.flush()
    else:
        pytest.fail(f"it ended without {wanted!r}")
    process.send_signal(signal.SIGKILL)
    process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["bce", "listnet"])
def test_killed_training_goes_on_and_ends_in_the_same_weights(model, tmp_path, loss):
    whole = start(model, tmp_path / "whole", loss)
    told, _ = whole.communicate(timeout=2 * PATIENCE)  # the end of its input lets it run through
    assert whole.returncode == 0
    steps = [line for line in told.splitlines() if line.startswith(f"training {loss}")]
    # After the first checkpoint, and at the last step, when training is over and nothing is exported.
    for wanted in (steps[len(steps) // 2], steps[-1]):
        killed_after(start(model, tmp_path / "killed", loss), wanted)
        assert not (tmp_path / "killed" / "models").exists()
    again, _ = start(model, tmp_path / "killed", loss).communicate(timeout=2 * PATIENCE)
    later = [line for line in again.splitlines() if line.startswith(f"training {loss}")]
    assert len(later) < len(steps) // 2  # it went on, and did not begin again
    assert weights(tmp_path / "killed", loss) == weights(tmp_path / "whole", loss)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["cross_encoder", "sequence_classifier", "causal_lm"])
def test_low_rank_updates_leave_a_plain_model(kind, tmp_path):
    pytest.importorskip("peft", reason="pip install 'fresco-ccs[tune]'")
    start_from = getattr(tiny_models, kind)(tmp_path / "tiny", max_position_embeddings=1024)
    family = "causal-lm" if kind == "causal_lm" else "cross-encoder"
    plan = FineTuning(("lambdarank",), epochs=1, learning_rate=1e-2, negatives=4, evaluations=1, queries=4, lora=4)
    found = fresco.tune(
        f"{family}:{start_from}",
        small(3),
        train=plan,
        out=tmp_path / "out",
        store=tmp_path / "store.sqlite",
        resamples=20,
        progress=False,
    )
    from safetensors.torch import load_file

    before = load_file(start_from / "model.safetensors")
    after = load_file(found.folder / "models" / "lambdarank" / "model.safetensors")
    assert after.keys() == before.keys()
    assert any(not np.allclose(after[name], before[name]) for name in before if "layer" in name)
    assert all(np.array_equal(after[name], before[name]) for name in before if "embed" in name)


@pytest.mark.parametrize(
    "profile", ["", *(pytest.param(f"#profile={name}", marks=pytest.mark.slow) for name in ("plain", "mxbai-v2"))]
)
def test_a_language_model_keeps_its_question(profile, tmp_path):
    """As a ``CrossEncoder`` it gives the scores that ``causal-lm:`` gives; here before any training."""
    settings = Settings(device="cpu")
    folder = tiny_models.causal_lm(tmp_path / "lm", max_position_embeddings=4096)
    asked = open_reranker(f"causal-lm:{folder}{profile}", settings)
    export(open_trainable(source_of(asked), settings, 0, None), tmp_path / "exported", "# card\n")
    exported = open_reranker(f"cross-encoder:{tmp_path / 'exported'}", settings)
    for pool in small(1).pools[:2]:
        expected = asked.score(pool.query, pool.passages)
        assert exported.score(pool.query, pool.passages) == pytest.approx(expected, abs=1e-4)
        assert max(expected) - min(expected) > 0.1


def test_an_instruction_for_a_model_that_reads_none_is_one_line():
    with pytest.raises(FrescoError, match="--instructions: bm25 takes none"):
        fresco.tune("bm25", instructions=["Prefer the newest."], progress=False)
