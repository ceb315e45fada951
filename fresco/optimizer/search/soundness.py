"""What a study must hold to be read: a database is shared, copied and edited, and may hold anything.

Optuna checks values and states; what a search keeps in attributes is checked here, once for each trial that has ended,
so that a damaged study gets one line instead of an error from deep within a round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fresco.io.state import is_finite

_Check = Callable[[Any], bool]


def _is_count(value: Any) -> bool:
    return is_finite(value) and value >= 0 and value == int(value)


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(is_finite, value))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _has_counts(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_count, value.values()))


def _has_numbers(value: Any) -> bool:
    return isinstance(value, dict) and all(map(is_finite, value.values()))


def _are_rejections(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


_TRIAL: Mapping[str, _Check] = {
    "text": lambda value: value is None or isinstance(value, str),
    "sha256": _is_text,
    "operator": _is_text,
    "parents": lambda value: isinstance(value, list) and all(map(_is_count, value)),
    "round": _is_count,
    "seed": lambda value: isinstance(value, int),
    "detail": lambda value: isinstance(value, dict),
}
_ENDED: Mapping[str, _Check] = {"pairs_scored": _is_count, "pairs_charged": _is_count, "seconds": is_finite}
_DROPPED: Mapping[str, _Check] = {**_ENDED, "estimate": _is_pair, "error": _is_pair}
_BY_STATE: Mapping[str, Mapping[str, _Check]] = {
    "COMPLETE": {**_TRIAL, **_ENDED},
    "PRUNED": {**_TRIAL, **_DROPPED},
}
_PLAN: Mapping[str, _Check] = {"rejected": _has_counts, "rejections": _are_rejections, "cost": _has_numbers}


def flaw_of_trial(state: str, attributes: Mapping[str, Any]) -> str | None:
    """The first attribute that a trial of this state lacks, or that is not what a search wrote; None where all is well.

    Args:
        state: Name of Optuna's state.
        attributes: Of the trial.
    """
    return _flaw(attributes, _BY_STATE.get(state, _TRIAL))


def flaw_of_plan(plan: Any) -> str | None:
    """The same of what a study says of a round; ``""`` where it is no plan at all."""
    return _flaw(plan, _PLAN) if isinstance(plan, dict) else ""


def _flaw(attributes: Mapping[str, Any], checks: Mapping[str, _Check]) -> str | None:
    return next(
        (key for key, is_sound in checks.items() if key not in attributes or not is_sound(attributes[key])), None
    )
