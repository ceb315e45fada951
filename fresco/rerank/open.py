"""From whatever a user names or holds to the re-rankers of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fresco.errors import FrescoError
from fresco.rerank.adapters import Renamed, adapt
from fresco.rerank.base import Reranker, as_wrapper
from fresco.rerank.conformance import fault_of_name
from fresco.rerank.many_devices import devices_of
from fresco.rerank.registry import RERANKERS, open_reranker

if TYPE_CHECKING:
    from fresco.models.settings import Settings

#: Scored beside whatever the user names: reading a model's row needs these. `newest` and `latest` are what dates alone
#: are worth on the benchmark (`fresco audit` has more of that kind).
BASELINES = ("random", "newest", "bm25", "latest", "half-life:bm25,365")


def open_rerankers(
    what: Any, settings: Settings, baselines: Iterable[Any] = BASELINES
) -> tuple[list[str], list[Reranker]]:
    """The re-rankers of one run.

    Args:
        what: A spec; a re-ranker (:class:`fresco.rerank.base.Reranker`) or its class; a ``CrossEncoder`` or
            ``SentenceTransformer``; an object of the ``rerankers`` library; a function of a query and its passages; a
            mapping from a name to any of these; a list of them; None for the baselines alone.
        settings: For what is opened by a spec.
        baselines: Scored first; one that is named besides is scored once.

    Returns:
        The names of the re-rankers asked for (of the baselines where ``what`` is None), and all of them.

    Raises:
        FrescoError: something cannot be opened, two have one name, or nothing is left to score.
    """
    baselines = list(baselines)
    asked = _listed(what)
    if what is not None and not asked:
        raise FrescoError(f"{what!r} names no re-ranker; leave it out for the baselines alone")
    wanted = [(name, given) for name, given in [*((None, each) for each in baselines), *asked]]
    opened: dict[tuple[str | None, Any], Reranker] = {}
    for name, given in wanted:
        key = (name, given if isinstance(given, str) else id(given))
        if key not in opened:
            opened[key] = _as_reranker(given, settings, name)
    if not opened:
        raise FrescoError("--no-baselines leaves nothing to score; name a re-ranker with --reranker SPEC")
    _check_names(opened)
    _check_divided(list(opened.values()), settings)
    named = asked or [(None, each) for each in baselines]
    return (
        [opened[name, given if isinstance(given, str) else id(given)].name for name, given in named],
        list(opened.values()),
    )


def as_reranker(given: Any, settings: Settings) -> Reranker:
    """One re-ranker; see :func:`open_rerankers` for what may be given.

    Args:
        given: What is to be scored.
        settings: For a spec.

    Raises:
        FrescoError: it is none of these, or cannot be opened.
    """
    (reranker,) = as_rerankers([given], settings)
    return reranker


def as_rerankers(given: Iterable[Any], settings: Settings) -> list[Reranker]:
    """Several; one at least must use the devices that the settings name. See :func:`as_reranker`."""
    opened = [_as_reranker(each, settings, None) for each in given]
    _check_divided(opened, settings)
    return opened


def _as_reranker(given: Any, settings: Settings, name: str | None) -> Reranker:
    reranker = _opened(given, settings)
    return reranker if name is None or name == reranker.name else Renamed(reranker, name)


def _opened(given: Any, settings: Settings) -> Reranker:
    if isinstance(given, str):
        return open_reranker(given, settings)
    shown = f"the re-ranker {type(given).__name__}"
    if isinstance(given, type) and hasattr(given, "score"):
        return RERANKERS.adopt(f"the re-ranker {given.__name__}", given, settings=settings)
    if hasattr(given, "takes_instruction"):
        return RERANKERS.adopt(shown, given, settings=settings)
    adapted = adapt(given, settings)
    if adapted is not None:
        return adapted
    if hasattr(given, "score") or hasattr(given, "name"):
        return RERANKERS.adopt(shown, given, settings=settings)
    raise FrescoError(
        f"{type(given).__name__} objects cannot score; give a spec such as 'bm25', a re-ranker, a CrossEncoder or "
        "SentenceTransformer, an object of the rerankers library, or a function f(query, passages) -> scores"
    )


def _check_divided(rerankers: Sequence[Reranker], settings: Settings) -> None:
    """Refuse several devices, or a cluster, that nothing would compute on.

    Raises:
        FrescoError: they are asked for, and no re-ranker's work is divided.
    """
    asked = f"--ray {settings.ray}" if settings.ray else f"--device {settings.device}"
    if (settings.ray or len(devices_of(settings)) > 1) and not any(map(_is_divided, rerankers)):
        raise FrescoError(
            f"{asked}: nothing here would use it, only pointwise models that a spec names do, as in "
            f"cross-encoder:MODEL (this is {', '.join(each.name for each in rerankers)}); leave it out"
        )


def _is_divided(reranker: Reranker) -> bool:
    wrapper = as_wrapper(reranker)
    return bool(getattr(reranker, "divided", False)) or (wrapper is not None and _is_divided(wrapper.base))


def _listed(what: Any) -> list[tuple[str | None, Any]]:
    if what is None:
        return []
    if isinstance(what, Mapping):
        for name in what:
            if fault := fault_of_name(name):
                raise FrescoError(f"{name!r} cannot be the name of a re-ranker: {fault}; give one line of text")
        return list(what.items())
    if isinstance(what, Path):
        raise FrescoError(f"{what} is a path; name a model in a folder by its family, as in cross-encoder:{what}")
    if isinstance(what, Sequence) and not isinstance(what, str):
        return [entry for each in what for entry in (_listed(each) if isinstance(each, Mapping) else [(None, each)])]
    return [(None, what)]


def _check_names(opened: Mapping[tuple[str | None, Any], Reranker]) -> None:
    by_name: dict[str, str] = {}
    for (name, given), reranker in opened.items():
        own = given if isinstance(given, str) else name or reranker.name
        if reranker.name in by_name:
            raise FrescoError(
                f"--reranker {by_name[reranker.name]} and --reranker {own} both call themselves {reranker.name!r}; "
                "score them in two runs, or give one another name"
            )
        by_name[reranker.name] = own
