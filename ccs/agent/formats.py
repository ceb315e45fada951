"""How an agent's turns are written and read: our own format, and that of published Search-R1 checkpoints.

A checkpoint runs as it was trained only where the observations look as they did then. ``search-r1`` (arXiv 2503.09516)
puts a question mark behind each question that has none, writes a passage as ``Doc 1(Title: T) text``, takes the first
whole action of a turn wherever it stands, and tells the model nothing before its last turn. Give the prompt that the
checkpoint was trained with as ``--prompt FILE``. What comes from outside is escaped as in ours, and what the model
writes as information is not believed: both are for safety, and differ from the published loop.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ccs.agent import protocol
from ccs.agent.protocol import Reply
from ccs.agent.trajectory import Hit
from fresco.errors import FrescoError

_ACTION = re.compile(r"<(search|answer)>(.*?)</\1>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Format:
    """How turns are written and read.

    Attributes:
        question: What stands for ``{question}`` in the prompt.
        information: What shows the model what a search found; see :func:`ccs.agent.protocol.write_information`.
        read: Reads a turn; see :func:`ccs.agent.protocol.read_reply`.
        last_call: What the model is told before the turn in which only an answer counts.
        is_open: Whether a turn that ended with a closing tag has more to say: the tag was one that its thought quotes.
    """

    question: Callable[[str], str]
    information: Callable[[Sequence[Hit], int], str]
    read: Callable[[str], Reply]
    last_call: str
    is_open: Callable[[str], bool]


def _asking(question: str) -> str:
    question = question.strip()
    return question if question.endswith("?") else f"{question}?"


def _titled(hits: Sequence[Hit], characters: int) -> str:
    """The first line of a passage stands for its title, quotation marks and all."""
    lines = []
    for number, hit in enumerate(hits, 1):
        title, _, text = hit.contents.partition("\n")
        lines.append(f"Doc {number}(Title: {protocol.one_line(title)}) {protocol.one_line(text)}")
    return f"\n\n<information>{protocol.fit_lines(lines, characters)}</information>\n\n"


def _read_first(text: str) -> Reply:
    """The first whole action behind the thought, or else in it; a thought need not be closed."""
    reply = protocol.read_reply(text)
    if reply.fault != "tags out of place":
        return reply
    found = _ACTION.search(reply.text, protocol.thought_end(reply.text)) or _ACTION.search(reply.text)
    body = protocol.spoken(found[2]) if found else ""
    if not found or not body:
        return reply
    reply = replace(reply, text=reply.text[: found.end()], thought=reply.text[: found.start()].strip(), fault=None)
    return replace(reply, query=body) if found[1] == "search" else replace(reply, answer=body)


#: By name.
FORMATS: Mapping[str, Format] = {
    "ccs": Format(str, protocol.write_information, protocol.read_reply, protocol.last_call(), protocol.in_thought),
    "search-r1": Format(_asking, _titled, _read_first, "", lambda _: False),
}


def open_format(name: str, agent: str = "search") -> Format:
    """The format of a name.

    Raises:
        FrescoError: there is none of that name, or it has no such agent.
    """
    if name not in FORMATS:
        raise FrescoError(f"there is no format {name!r}; choose from {', '.join(FORMATS)}")
    if name != "ccs" and agent != "search":
        raise FrescoError(f"--format {name} is for --agent search; the {agent} agent has none of its own there")
    return FORMATS[name]
