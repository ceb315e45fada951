"""What several proposers write for one round, and what of it cannot be tried."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from fresco.optimizer.proposers.base import ProposedInstruction, Proposer, SearchState


def ask(
    proposers: Sequence[Proposer], children: int, state: Callable[[int, Collection[str]], SearchState]
) -> tuple[list[ProposedInstruction], list[dict[str, Any]]]:
    """Ask proposers in turn, each for its share; what one leaves over goes to the next ones.

    Args:
        proposers: In order.
        children: Instructions wanted in all.
        state: What a proposer may know, by its place and the texts that those before it wrote.

    Returns:
        The instructions, and for each rejected text operator, parents, reason and its beginning.
    """
    kept: dict[str, ProposedInstruction] = {}
    rejected: list[dict[str, Any]] = []
    for place, proposer in enumerate(proposers):
        known = state(place, kept)
        share = -(-(children - len(kept)) // (len(proposers) - place))
        for proposal in proposer.propose(known, share):
            if reason := _unusable(proposal.text, known.seen | kept.keys()):
                rejected.append(_rejection(proposal.operator, proposal.parents, reason, proposal.text))
            else:
                kept[proposal.text] = proposal
        rejected += [
            _rejection(each.operator, each.parents, each.reason, each.text)
            for each in getattr(proposer, "last_rejected", ())
        ]
    return list(kept.values()), rejected


def _unusable(text: str, seen: Collection[str]) -> str | None:
    if not text.strip():
        return "empty"
    if text.strip() != text or len(text.splitlines()) > 1:
        return "not one stripped line"
    if not text.isprintable():
        return "characters that cannot be printed"
    return "seen before" if text in seen else None


def _rejection(operator: str, parents: Sequence[int], reason: str, text: str) -> dict[str, Any]:
    shown = text[:200].encode("utf-8", "backslashreplace").decode("utf-8")  # half a surrogate pair fits no database
    return {"operator": operator, "parents": list(parents), "reason": reason, "text": shown}
