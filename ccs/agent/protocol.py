"""The agent's tags: ``<think> <search> <information> <answer>``, written and read.

The protocol is Search-R1's (arXiv 2503.09516): a turn of the model ends with one ``<search>`` or one ``<answer>``, and
the environment alone writes ``<information>``. What comes from outside (questions, passages) passes :func:`escape`, so
that it can spell neither a tag nor a control token of a chat template.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ccs.agent.trajectory import Hit
from fresco.errors import FrescoError

#: Give these to the engine as stop strings: a turn ends with the first of them.
TURN_ENDS = ("</search>", "</answer>")
#: What an agent may be: it searches as it likes; one search with the question itself; no search, with a thought or not.
AGENTS = ("search", "rag", "cot", "direct")
#: Agents that need no retriever.
UNSEARCHING_AGENTS = ("cot", "direct")
#: Agents that were published without tags: a reply without them is their answer.
PLAIN_AGENTS = ("rag", "cot", "direct")
#: Name of the prompt with examples, for small models and base models.
FEW_SHOT = "few-shot"
#: What a turn may be made to begin with.
BEGINNINGS = ("", "<think>", "<search>")
#: Characters of an information block that each passage needs at least, to say anything.
SHORTEST_PASSAGE = 80

_PROMPTS = Path(__file__).parent / "prompts"
_TAG = re.compile(r"</?(?:think|search|information|answer)>")
_THOUGHT_TAG = re.compile(r"</?think>")
_OWN_INFORMATION = re.compile(r"<\s*/?\s*information\b", re.IGNORECASE)
# The less-than sign and the two characters that compatibility normalization, which some tokenizers do, turns into it.
_OPENERS = str.maketrans(dict.fromkeys("<\ufe64\uff1c", "\u2039"))
# Control tokens without a less-than sign: Mistral's, BERT's, Moonlight's, EXAONE's ([|user|]). No other bracket is
# touched: [NATO] stays as it is.
_BRACKETED = re.compile(
    r"\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_(?:CALLS|RESULTS|CONTENT)|CALL_ID|ARGS|MODEL_SETTINGS|THINK|"
    r"IMG(?:_BREAK|_END)?|(?:BEGIN_|NEXT_|REPEAT_)?AUDIO(?:_TEXT)?|TRANSCRIBE|STREAMING_(?:PAD|WORD)|PREFIX|MIDDLE|"
    r"SUFFIX|control_\d+|CLS|SEP|MASK|PAD|UNK|BOS|EOS|EOT|(?:start|end)_header_id|\|[a-z]+\|)\])"
)
_ANSWER_LINE = re.compile(
    r"^\W*(?:the |my )?(?:final |short )?answer(?: is)?\s*[:\uff1a]\W*(?=\w)", re.IGNORECASE | re.MULTILINE
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_CUT = " [...]"

_CORRECTIONS = {
    "own information": "Only the search engine writes information; what you wrote there was not used.",
    "no action": "There was neither a search nor an answer.",
    "unclosed search": "The search was not closed with </search>.",
    "unclosed answer": "The answer was not closed with </answer>.",
    "empty search": "The search was empty.",
    "empty answer": "The answer was empty.",
    "long search": "The search was too long; use a few words.",
    "tags out of place": "The tags were out of place: think first, then one search or one answer.",
}


@dataclass(frozen=True, slots=True)
class Reply:
    """One turn of the model, read.

    Attributes:
        text: What the context keeps of it: up to the first closing tag of an action, and nothing from an
            ``<information>`` of the model's own on.
        thought: What it said before it acted.
        query: What it wants to search for; None where the turn is no well-formed search.
        answer: What it answers; None where the turn is no well-formed answer.
        fault: Why the turn is malformed, for :func:`correction`. A turn that acts and then goes on to write
            information has an action and a fault.
    """

    text: str
    thought: str = ""
    query: str | None = None
    answer: str | None = None
    fault: str | None = None


def check_agent(agent: str) -> None:
    """Refuse an agent that there is not.

    Raises:
        FrescoError: it is none of :data:`AGENTS`.
    """
    if agent not in AGENTS:
        raise FrescoError(f"there is no agent {agent!r}; choose from {', '.join(AGENTS)}")


def write_prompt(agent: str, question: str, template: str | None = None) -> str:
    """What the model reads first.

    Args:
        agent: One of :data:`AGENTS`.
        question: Its text, from outside: escaped here.
        template: Another prompt, of :func:`read_template`.
    """
    check_agent(agent)
    if template is None:
        template = (_PROMPTS / f"{'agent' if agent == 'search' else agent}.txt").read_text(encoding="utf-8")
    return template.replace("{question}", one_line(question))


def read_template(path: Path) -> str:
    """The text of another prompt: a file, or :data:`FEW_SHOT` by its name.

    Raises:
        FrescoError: it cannot be read, or has no place for the question.
    """
    if str(path) == FEW_SHOT:
        path = _PROMPTS / "few_shot.txt"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FrescoError(f"prompt {path}: cannot be read ({error})") from error
    if "{question}" not in text:
        raise FrescoError(f"prompt {path}: {{question}} stands nowhere in it; put it where the question goes")
    return text


def write_information(hits: Sequence[Hit], characters: int) -> str:
    """The block that shows the model what its search found, one line a passage.

    Args:
        hits: Best first.
        characters: Most characters between the tags; at least :data:`SHORTEST_PASSAGE` for each hit. Where they do
            not suffice the longest passages are cut, visibly, and none is left out.

    Returns:
        The block with its tags, and line breaks around it.
    """
    body = fit_lines([f"Doc {number}: {one_line(hit.contents)}" for number, hit in enumerate(hits, 1)], characters)
    return f"\n\n<information>\n{body or 'The search engine found nothing for this query.'}\n</information>\n\n"


def fit_lines(lines: Sequence[str], characters: int) -> str:
    """Lines as one text of at most so many characters; the longest are cut, visibly, and none is left out."""
    longest = _longest(sorted(map(len, lines)), characters - len(lines))
    return "\n".join(line if len(line) <= longest else line[: longest - len(_CUT)] + _CUT for line in lines)


def correction(fault: str) -> str:
    """What the model is told after a malformed turn, with line breaks around it."""
    how = "Write <search>words to look for</search> to search, or <answer>the answer</answer> to answer."
    return f"\n\nYour last turn could not be used. {_CORRECTIONS[fault]} {how}\n\n"


def last_call() -> str:
    """What the model is told before the turn in which only an answer counts."""
    return "No search is left. Give your answer now, inside <answer> and </answer>.\n\n"


def read_reply(text: str) -> Reply:
    """Read one turn of the model.

    What stands before the last ``</think>`` of the turn is thought, and a tag that is quoted there is no action. But
    for that the result is the same whether the engine stopped at :data:`TURN_ENDS` or generated on; only the fault of
    a model that goes on to write its own information is seen in the latter alone. Never fails: what cannot be read is
    a fault.
    """
    text = well_formed(text)
    thought = thought_end(text)
    end = min((at + len(tag) for tag in TURN_ENDS if (at := text.find(tag, thought)) >= 0), default=len(text))
    kept, rest = text[:end], text[end:]
    if own := _OWN_INFORMATION.search(kept):
        return Reply(kept[: own.start()], fault="own information")
    reply = _read_action(kept, thought)
    return replace(reply, fault=reply.fault or "own information") if _OWN_INFORMATION.search(rest) else reply


def plain_answer(reply: Reply) -> str | None:
    """The answer in a turn without tags, as an agent of :data:`PLAIN_AGENTS` gives it.

    It is what follows the thought; where a line begins with "Answer:", the rest of the last such line. A model that
    opened the tag of the answer and ended has answered, too.

    Returns:
        None where the turn acts, breaks a rule, or says nothing beyond its thought.
    """
    if reply.fault not in ("no action", "unclosed answer") or in_thought(reply.text):
        return None
    said = reply.text[thought_end(reply.text) :]
    said = said[said.rfind("<answer>") + len("<answer>") :] if reply.fault == "unclosed answer" else said
    lines = list(_ANSWER_LINE.finditer(said))
    if lines:
        said = said[lines[-1].end() :].partition("\n")[0]
    return spoken(said).strip("*` ") or None


def in_thought(text: str) -> bool:
    """Whether a turn that the engine stopped at :data:`TURN_ENDS` has a thought that it opened and did not close.

    The tag is then one that the thought quotes: an engine that can go on from a text should.
    """
    return text.rfind("<think>") > text.rfind("</think>")


def thought_end(text: str) -> int:
    """Where the thought of a turn ends: after its last ``</think>``; 0 where there is none.

    Templates of reasoning models open the thought in the prompt, so a ``</think>`` needs no opening tag. The turn is
    over where an action outside a thought is followed by a new thought or by information: what an engine without stop
    strings goes on to write there is no part of it.
    """
    end, opened, acted = 0, False, False
    for match in _TAG.finditer(text):
        tag = match.group()
        if tag == "</think>":
            end, opened, acted = match.end(), False, False
        elif acted and tag in ("<think>", "<information>", "</information>"):
            break
        elif tag == "<think>":
            opened = True
        elif tag in TURN_ENDS:
            acted = acted or not opened
    return end


def spoken(text: str) -> str:
    """What a model wrote between two tags: no control characters, all white space as single spaces."""
    return " ".join(_CONTROL.sub(" ", text).split())


def escape(text: str) -> str:
    """Text from outside that can spell no tag and no control token; control characters become spaces.

    Every ``<`` becomes the quotation mark that looks like it, U+2039: shorter than an entity, which models copy into
    their answers, and no tokenizer's normalization turns it back. Likewise the bracket of ``[INST]`` and its kind.
    """
    text = _CONTROL.sub(" ", well_formed(text)).translate(_OPENERS)
    return _BRACKETED.sub("\u2045", text)


def one_line(text: str) -> str:
    """:func:`escape`, with all white space as single spaces: a passage cannot begin a line of its own."""
    return " ".join(escape(text).split())


def well_formed(text: str) -> str:
    """Text that UTF-8 can carry: a surrogate without its half, which JSON may hold, becomes the replacement mark."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _read_action(text: str, start: int) -> Reply:
    """The action in a turn whose thought ends at ``start``."""
    matches = list(_TAG.finditer(text, start))
    tags = [match.group() for match in matches]
    if "".join(tags[-2:]) not in ("<search></search>", "<answer></answer>"):
        return Reply(text, fault=_shortfall(tags))
    if tags[:-2]:
        return Reply(text, fault="tags out of place")
    opening, closing = matches[-2:]
    body = spoken(text[opening.end() : closing.start()])
    name = opening.group()[1:-1]
    if not body:
        return Reply(text, fault=f"empty {name}")
    thought = _THOUGHT_TAG.sub("", text[: opening.start()]).strip()
    return Reply(text, thought, query=body) if name == "search" else Reply(text, thought, answer=body)


def _shortfall(tags: Sequence[str]) -> str:
    actions = [tag for tag in tags if "think" not in tag]
    if not actions:
        return "no action"
    return f"unclosed {actions[-1][1:-1]}" if not actions[-1].startswith("</") else "tags out of place"


def _longest(lengths: Sequence[int], characters: int) -> int:
    """The length to which lines must be cut so that their sum keeps within ``characters``; ``lengths`` ascend."""
    left = characters
    for index, length in enumerate(lengths):
        share = left // (len(lengths) - index)
        if length > share:
            return share
        left -= length
    return characters
