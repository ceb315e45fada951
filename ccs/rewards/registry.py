"""The rewards by name. Each is registered in a file of this package; :mod:`fresco.io.registry` says how specs are read.

A reward's file says which settings it reads: ``settings="server!, mask, characters"``, where ``!`` marks what must be
given. All others must stay as they are by default, so that no setting is without effect in silence. ``make`` may ask
for ``config`` (:class:`~ccs.rewards.settings.RewardConfig`) and ``cache`` (an SQLite file, or None); a plug-in may
ask for ``cache`` and takes its settings in its spec: ``my_rewards:Mine,2,floor=0.1``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ccs.rewards.base import Reward
from fresco.io.registry import Registry

if TYPE_CHECKING:
    from ccs.rewards.settings import RewardConfig


def _fault(reward: Any) -> str | None:
    """What is wrong with the members of a reward that somebody brought along."""
    for name in ("name", "fingerprint"):
        text = getattr(reward, name)
        if not isinstance(text, str) or not text.strip() or "\n" in text:
            return f"its {name} is {text!r:.60}; one line of text is wanted"
    for name in ("needs_gold", "signed"):
        if not isinstance(getattr(reward, name), bool):
            return f"its {name} is neither True nor False"
    if not callable(reward.score):
        return "its score cannot be called"
    try:
        inspect.signature(reward.score).bind([], None)
    except TypeError:
        return "its score does not take (batch, questions)"
    except ValueError:  # built in C
        return None
    return None


REWARDS: Registry[Reward] = Registry(
    "reward",
    flag="reward",
    package="ccs.rewards",
    group="ccs.rewards",
    columns=("settings", "gates"),
    members=("name", "fingerprint", "needs_gold", "signed", "score"),
    check=_fault,
    listing="ccs parts",
)

#: Rewards whose settings depend on other settings: what says which of them are read, as dotted keys.
NARROWED: dict[str, Callable[[RewardConfig], Sequence[str]]] = {}
