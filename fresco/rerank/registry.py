"""From a spec on the command line to a re-ranker.

A spec is ``family`` or ``family:rest``; each family is one row of :data:`FAMILIES`. Anything else is a plug-in: a name
that an installed package registers under the entry point group ``fresco.rerankers``, or ``module:Class``.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from fresco.errors import FrescoError
from fresco.models.settings import Settings
from fresco.rerank.base import Reranker
from fresco.rerank.baselines import Newest, Random
from fresco.rerank.lexical import Bm25
from fresco.rerank.temporal import HalfLife, Mrag, TempRalm

ENTRY_POINT_GROUP = "fresco.rerankers"


@dataclass(frozen=True)
class Family:
    """A row of ``fresco rerankers``.

    Attributes:
        spec: How it is written.
        what: What it is, in a few words.
        needs: What must be installed or running besides the core.
        instruction: Whether it takes one.
        build: Makes the re-ranker from what follows the colon.
    """

    spec: str
    what: str
    needs: str
    instruction: str
    build: Callable[[str, Settings], Reranker]


def _no_argument(family: str, make: Callable[[Settings], Reranker]) -> Callable[[str, Settings], Reranker]:
    def build(rest: str, settings: Settings) -> Reranker:
        if rest:
            raise FrescoError(f"--reranker {family}:{rest}: {family} takes nothing after its name; write just {family}")
        return make(settings)

    return build


def _fusion(
    family: str, make: Callable[[Reranker, float], Reranker], what: str, example: str
) -> Callable[[str, Settings], Reranker]:
    def build(rest: str, settings: Settings) -> Reranker:
        base, _, number = rest.rpartition(",")
        try:
            value = float(number)
        except ValueError:
            base = ""
        if not base:
            raise FrescoError(
                f"--reranker {family}:{rest}: write {FAMILIES[family].spec} with {what}, as in {family}:{example}"
            )
        return make(open_reranker(base, settings), value)

    return build


def _dense(rest: str, settings: Settings) -> Reranker:
    from fresco.rerank.dense import Dense

    return Dense(_model("dense", rest), settings)


def _cross_encoder(rest: str, settings: Settings) -> Reranker:
    from fresco.rerank.cross_encoder import CrossEncoderReranker

    return CrossEncoderReranker(_model("cross-encoder", rest), settings)


def _causal_lm(rest: str, settings: Settings) -> Reranker:
    from fresco.rerank.causal_lm import CausalLmReranker

    return CausalLmReranker(_model("causal-lm", rest), settings)


def _http(rest: str, settings: Settings) -> Reranker:
    from fresco.rerank.http import HttpReranker

    return HttpReranker(rest, settings)


def _model(family: str, rest: str) -> str:
    if not rest:
        raise FrescoError(f"--reranker {family}: name a model, as in {family}:ORGANISATION/NAME or {family}:./folder")
    return rest


_MODELS = "pip install 'fresco-ccs[models]'"

FAMILIES: dict[str, Family] = {
    "random": Family(
        "random", "a random order", "nothing", "no", _no_argument("random", lambda settings: Random(settings.seed))
    ),
    "newest": Family("newest", "newest date first", "nothing", "no", _no_argument("newest", lambda _: Newest())),
    "half-life": Family(
        "half-life:BASE,DAYS",
        "a recency prior over any base",
        "what BASE needs",
        "as BASE",
        _fusion("half-life", HalfLife, "a number of days above zero", "bm25,365"),
    ),
    "tempralm": Family(
        "tempralm:BASE,ALPHA",
        "any base plus ALPHA times closeness in time (TempRALM)",
        "what BASE needs",
        "as BASE",
        _fusion("tempralm", TempRalm, "a weight from zero up", "bm25,1"),
    ),
    "mrag": Family(
        "mrag:BASE,DAYS",
        "any base times closeness in time, a half at DAYS (MRAG)",
        "what BASE needs",
        "as BASE",
        _fusion("mrag", Mrag, "a number of days above zero", "bm25,365"),
    ),
    "bm25": Family("bm25", "BM25 over words", "nothing", "no", _no_argument("bm25", lambda _: Bm25())),
    "dense": Family("dense:MODEL", "a sentence-transformers embedding model", _MODELS, "no", _dense),
    "cross-encoder": Family(
        "cross-encoder:MODEL",
        "a sentence-transformers cross-encoder",
        _MODELS,
        "where the model has a prompt",
        _cross_encoder,
    ),
    "causal-lm": Family("causal-lm:MODEL", "an LLM's yes/no logits (Qwen3-Reranker)", _MODELS, "yes", _causal_lm),
    "http": Family(
        "http:URL",
        "a served /rerank: vLLM, TEI, Infinity, Cohere, Jina",
        "pip install 'fresco-ccs[http]'",
        "vLLM",
        _http,
    ),
}


def open_reranker(spec: str, settings: Settings) -> Reranker:
    """Make the re-ranker that a spec names.

    Raises:
        FrescoError: unknown spec, missing extra, a model or plug-in that cannot be loaded.
    """
    if spec.startswith(("http://", "https://")):  # a bare address can mean nothing else
        spec = f"http:{spec}"
    family, _, rest = spec.partition(":")
    if family in FAMILIES:
        return FAMILIES[family].build(rest, settings)
    for entry in entry_points(group=ENTRY_POINT_GROUP, name=spec):
        return checked(spec, construct(spec, _imported(spec, entry.load), settings))
    if rest:
        return _plug_in(spec, family, rest, settings)
    known = ", ".join(row.spec for row in FAMILIES.values())
    raise FrescoError(f"--reranker {spec}: unknown; known are {known}, or module:Class for your own")


def plug_ins() -> dict[str, str]:
    """The re-rankers that installed packages register: name to ``module:attribute``."""
    return {entry.name: entry.value for entry in entry_points(group=ENTRY_POINT_GROUP)}


def _plug_in(spec: str, module_name: str, attribute: str, settings: Settings) -> Reranker:
    # As with `python -m`, a module beside the user's shell is found; a console script alone would not look there.
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    module = _imported(spec, lambda: importlib.import_module(module_name))
    if not hasattr(module, attribute):
        raise FrescoError(f"--reranker {spec}: module {module_name} has no {attribute}; write module:Class")
    return checked(spec, construct(spec, getattr(module, attribute), settings))


def _imported(spec: str, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except ModuleNotFoundError as error:
        raise FrescoError(
            f"--reranker {spec}: no module named {error.name}; run `fresco rerankers` for the built-in ones, "
            "or install the plug-in's package"
        ) from error
    except Exception as error:  # whatever the plug-in's own top level raises
        raise FrescoError(f"--reranker {spec}: importing it failed: {_one_line(error)}") from error


def construct(spec: str, make: Any, settings: Settings) -> Any:
    """Make a plug-in from its class.

    Args:
        spec: How the user wrote it, for error messages.
        make: The class; it is given the settings if its constructor names them.
        settings: Of models.

    Raises:
        FrescoError: it is none, or its constructor fails.
    """
    if not callable(make):
        raise FrescoError(f"--reranker {spec}: {make!r} is no class; write module:Class")
    try:
        wants_settings = "settings" in inspect.signature(make).parameters
        return make(settings=settings) if wants_settings else make()
    except FrescoError:
        raise
    except Exception as error:  # whatever the plug-in's constructor raises
        raise FrescoError(f"--reranker {spec}: making it failed: {_one_line(error)}") from error


def checked(spec: str, reranker: Any) -> Reranker:
    """The object, if it has what a re-ranker has.

    Raises:
        FrescoError: it lacks a member.
    """
    missing = [member for member in ("name", "takes_instruction", "score") if not hasattr(reranker, member)]
    if missing:
        raise FrescoError(
            f"--reranker {spec}: it lacks {', '.join(missing)}; a re-ranker has name, takes_instruction and "
            "score(query, passages, instruction=None)"
        )
    checked: Reranker = reranker
    return checked


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
