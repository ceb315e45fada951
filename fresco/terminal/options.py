"""Options that several commands take, each written down once."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fresco.terminal.arguments import count, listed, positive

if TYPE_CHECKING:
    from fresco.models.settings import Settings

#: Numeric types that models can be loaded with; ``auto`` is what the checkpoint says.
DTYPES = ("float32", "bfloat16", "float16", "auto")

#: A parser, or a group of one.
Options = argparse._ActionsContainer


def add_device(options: Options, *, of: str = "") -> None:
    """Add ``--device``.

    Args:
        options: Where to.
        of: Whose device it is, where that does not go without saying ("the embedder").
    """
    whose = f"of {of}: " if of else ""
    several = "" if of else "; several as in cuda:0,cuda:1, or all"
    options.add_argument(
        "--device", metavar="D", help=f"{whose}cpu, cuda, cuda:1, mps{several} (default: the best there is)"
    )


def add_ray(options: Options) -> None:
    """Add ``--ray``."""
    options.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="work on a Ray cluster: auto (the one that this machine belongs to), HOST:PORT, or local (made for this)",
    )


def add_dtype(options: Options, choices: Sequence[str] = DTYPES) -> None:
    """Add ``--dtype``."""
    options.add_argument("--dtype", default="float32", choices=choices, help="of the weights (default: float32)")


def add_models(parser: argparse.ArgumentParser) -> None:
    """Add the group of options that :func:`model_settings` reads."""
    group = parser.add_argument_group("models")
    add_device(group)
    add_dtype(group, (*DTYPES, "int8"))
    group.add_argument("--max-length", type=positive, metavar="N", help="longest input in tokens")
    group.add_argument("--batch-tokens", type=positive, default=16384, metavar="N", help="tokens in one forward pass")
    group.add_argument(
        "--template", metavar="FILE", help="prompt of models asked in words: {query}, {document}, {instruction}"
    )
    group.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="MODEL@COMMIT",
        help="let the code of this model's repository run; repeatable",
    )
    group.add_argument(
        "--answers", type=listed, default=(), metavar="YES,NO", help="what such a model answers (default: its own)"
    )


def model_settings(options: argparse.Namespace) -> Settings:
    """The settings that :func:`add_models` and :func:`add_resampling` let a user choose."""
    from fresco.models.settings import Settings

    return Settings(
        options.device,
        options.dtype,
        options.max_length,
        options.batch_tokens,
        options.seed,
        options.template,
        options.answers,
        tuple(options.trust),
    )


def add_store(options: Options) -> None:
    """Add ``--store``."""
    options.add_argument(
        "--store", metavar="FILE", help="score store (default: $FRESCO_STORE or the user's cache folder)"
    )


def add_seed(options: Options, of: str) -> None:
    """Add ``--seed``; ``of`` says what is drawn with it."""
    options.add_argument("--seed", type=count, default=0, metavar="S", help=f"of {of} (default: 0)")


def add_resamples(options: Options) -> None:
    """Add ``--resamples``."""
    options.add_argument(
        "--resamples", type=positive, default=1000, metavar="N", help="bootstrap samples for each interval"
    )


def add_unit(options: Options) -> None:
    """Add ``--unit``."""
    options.add_argument(
        "--unit",
        default="subject",
        choices=("subject", "relation"),
        help="what comes and goes together: a page with its queries, or a whole relation (default: subject)",
    )


def add_out(options: Options, default: str) -> None:
    """Add ``--out`` and ``--overwrite`` for a folder of results."""
    options.add_argument("--out", metavar="DIR", help=f"folder of the results (default: {default})")
    options.add_argument("--overwrite", action="store_true", help="replace what --out holds")


def add_benchmark(options: Options) -> None:
    """Add ``--benchmark``, ``--nek`` and ``--strict``."""
    options.add_argument("--benchmark", default="mini", metavar="B", help="name, folder or dataset id (default: mini)")
    add_sides(options)


def add_sides(options: Options) -> None:
    """Add ``--nek`` and ``--strict``."""
    options.add_argument(
        "--nek", metavar="B", help="another benchmark, BEIR or MTEB folder as the static side; B@dev: these judgements"
    )
    options.add_argument(
        "--strict", action="store_true", help="refuse rows of a BEIR or MTEB folder that are otherwise left out"
    )
