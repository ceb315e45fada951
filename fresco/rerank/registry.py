"""The re-rankers: from a spec on the command line to a re-ranker.

Each family is one file of this package that registers itself with :data:`RERANKERS`; :mod:`fresco.io.registry` says how
specs, installed plug-ins and classes of the user's own are written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from fresco.errors import FrescoError
from fresco.io.registry import Registry
from fresco.models.settings import Settings
from fresco.rerank.base import Reranker, as_wrapper
from fresco.rerank.conformance import fault_of_members
from fresco.rerank.many_devices import ManyDevices, devices_of
from fresco.rerank.model_reranker import ModelReranker
from fresco.rerank.on_cluster import OnCluster

RERANKERS: Registry[Reranker] = Registry(
    "re-ranker",
    flag="--reranker",
    package="fresco.rerank",
    group="fresco.rerankers",
    columns=("instruction",),
    members=("name", "takes_instruction", "score"),
    check=fault_of_members,
)

#: What families that load a model need.
MODELS_EXTRA = "pip install 'fresco-ccs[models]'"


def open_reranker(spec: str, settings: Settings) -> Reranker:
    """Make the re-ranker that a spec names.

    Raises:
        FrescoError: unknown spec, missing extra, a model or plug-in that cannot be loaded.
    """
    if spec.startswith(("http://", "https://")):  # a bare address can mean nothing else
        spec = f"http:{spec}"
    devices = [] if settings.ray else devices_of(settings)
    alone = replace(settings, ray=None, device=devices[0] or None) if devices else replace(settings, ray=None)
    lead = RERANKERS.open(spec, settings=alone)
    if not settings.ray and len(devices) == 1:
        return lead
    if as_wrapper(lead):  # its base is opened by this function, and divided there
        return RERANKERS.open(spec, settings=settings)
    if settings.ray:
        return OnCluster(lead, spec, settings) if _is_spread(lead, f"--ray {settings.ray}") else lead
    return ManyDevices(lead, spec, settings, devices) if _is_spread(lead, f"--device {settings.device}") else lead


def _is_spread(reranker: Reranker, asked: str) -> bool:
    """Whether it is one for several devices: baselines and models of others are not.

    Raises:
        FrescoError: it has a model, but its work cannot be divided.
    """
    if not isinstance(reranker, ModelReranker):
        return False
    if not hasattr(reranker, "score_batches"):
        raise FrescoError(f"{asked}: {reranker.name} runs on one device; name one")
    return True


def open_over_base(
    family: str, arguments: str, settings: Settings, make: Callable[[Reranker, float], Reranker]
) -> Reranker:
    """Make a re-ranker over another: ``BASE,NUMBER``, where BASE is a spec itself.

    Args:
        family: The name before the colon.
        arguments: What follows it.
        settings: For the base.
        make: Makes the re-ranker from the base and the number.

    Raises:
        FrescoError: there is no base or no number, or the base cannot be opened.
    """
    base, _, number = arguments.rpartition(",")
    try:
        value = float(number)
    except ValueError:
        base = ""
    if not base:
        raise FrescoError(f"--reranker {family}:{arguments}: write {RERANKERS.parts()[family].usage}")
    return make(open_reranker(base, settings), value)
