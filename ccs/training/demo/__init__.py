"""The demo: everything that training needs, made from a seed in a minute or two, without a network."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

from ccs.training.config import TrainConfig
from ccs.training.demo.reader import SPEC
from fresco.io.files import write_atomically

_OTHER_SEED = 1000


def prepare(config: TrainConfig, folder: Path, tell: Callable[[str], None]) -> TrainConfig:
    """Make the world, its index and the warmed-up model, where they are not there yet.

    Args:
        config: With ``demo``.
        folder: Where they go; what was made by the same settings is taken.
        tell: Told what is made.

    Returns:
        The configuration with its paths filled in.
    """
    assert config.demo is not None
    done = folder / "done.json"
    wanted = json.dumps(asdict(config.demo))
    if not done.exists() or done.read_text(encoding="utf-8") != wanted:
        _make(config, folder, tell)
        write_atomically(done, wanted)
    if any(isinstance(each, Mapping) and each.get("reward") == SPEC for each in config.rewards):
        _make_reader(config, folder, tell)
    data = replace(
        config.data,
        train=(str(folder / "train.jsonl"),),
        held_out=(str(folder / "held_out.jsonl"),),
        retriever=str(folder / "index"),
    )
    agent = replace(config.agent, prompt=str(folder / "prompt.txt"), layout="plain")
    return replace(config, data=data, agent=agent, model=replace(config.model, path=str(folder / "model")))


def _make(config: TrainConfig, folder: Path, tell: Callable[[str], None]) -> None:
    import torch

    from ccs.retrieve.index import build_index, open_index
    from ccs.training.demo.model import PROMPT, make_model, make_tokenizer, save, warm_up
    from ccs.training.demo.world import make_world, write_world
    from fresco.terminal.progress import progress_bars

    demo = config.demo
    assert demo is not None
    world = make_world(demo.people, demo.held_out, demo.seed)
    write_world(world, folder)
    write_atomically(folder / "prompt.txt", PROMPT)
    build_index(str(folder / "corpus.jsonl"), folder / "index", {"method": "bm25"}, lambda *_: None)
    index = open_index(folder / "index")
    tell(f"demo: a world of {demo.people} people; warming up a small model on poor traces")
    tokenizer = make_tokenizer(world)
    model = make_model(tokenizer, demo.seed)
    state = torch.random.get_rng_state()
    with progress_bars() as progress:
        for done in warm_up(model, tokenizer, world, index, demo.warm_up_steps, demo.seed):
            progress("warming up", done, demo.warm_up_steps)
    torch.random.set_rng_state(state)
    save(model, tokenizer, folder / "model")


def _make_reader(config: TrainConfig, folder: Path, tell: Callable[[str], None]) -> None:
    """The frozen model of the reward, where it is not there yet; it is made like the policy, from another seed."""
    import torch

    from ccs.retrieve.index import open_index
    from ccs.training.demo.model import make_model, make_tokenizer, save
    from ccs.training.demo.reader import FOLDER, teach
    from ccs.training.demo.world import make_world
    from fresco.terminal.progress import progress_bars

    demo = config.demo
    assert demo is not None
    done, wanted = folder / "reader.json", json.dumps(asdict(demo))
    if done.exists() and done.read_text(encoding="utf-8") == wanted:
        return
    world = make_world(demo.people, demo.held_out, demo.seed)
    tell("demo: teaching a small frozen model which question a page belongs to")
    tokenizer = make_tokenizer(world)
    state = torch.random.get_rng_state()
    model = make_model(tokenizer, demo.seed + _OTHER_SEED)
    steps = demo.warm_up_steps * 4 // 5
    with progress_bars() as progress:
        for number in teach(model, tokenizer, world, open_index(folder / "index"), steps, demo.seed):
            progress("teaching the reader", number, steps)
    torch.random.set_rng_state(state)
    save(model, tokenizer, folder / FOLDER)
    write_atomically(done, wanted)
