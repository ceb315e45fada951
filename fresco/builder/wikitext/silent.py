"""Templates that add no words to a text: references, notes, icons, arrows, complaints of editors, styles."""

from __future__ import annotations

import re

_PREFIXES = (
    "cite ", "citation", "harv", "sfn", "efn", "refn", "#tag:ref", "#invoke:cite", "#invoke:sfn", "flagicon",
    "flag icon", "use ", "pp-", "infobox mapframe", "note ", "ref ", "ipa", "increase", "decrease", "update ",
    "#section", "#lst", "#tag:templatestyles", "#invoke:check for unknown", "displaytitle", "defaultsort",
)  # fmt: skip
_NAMES = frozenset(
    {
        "up", "down", "steady", "gain", "loss", "profit", "nochange", "no change", "positive", "negative", "same",
        "fact", "cn", "fcn", "cs1", "r", "rp", "ref", "reflist", "notelist", "note", "notetag", "dagger",
        "double dagger", "dag", "ddag", "anchor", "anchors", "asterisk", "bots", "cbignore", "webarchive",
        "web archive", "dead link", "deadlink", "subscription required", "registration required", "subscription",
        "closed access", "open access", "free access", "better source needed", "better source", "bsn", "nbsn",
        "primary source inline", "primary source", "non-primary source needed", "third-party inline",
        "unreliable source?", "unreliable source", "failed verification", "verify source", "verification needed",
        "full citation needed", "page needed", "clarify", "clarification needed", "when", "who", "which", "whom",
        "by whom", "according to whom", "where", "why", "how", "vague", "dubious", "disputed inline", "speculation?",
        "contradictory inline", "contradict-inline", "update after", "update inline", "updated", "needs update",
        "outdated inline", "obsolete source", "self-published inline", "peacock term", "weasel inline", "opinion",
        "original research inline", "or", "synthesis inline", "pov inline", "relevance inline", "undue inline",
        "link note", "edit on wikidata", "edit at wikidata", "editatwikidata", "wikidata icon", "fbaicon", "fbicon",
        "icon", "cricon", "nflicon", "ruicon", "rugby icon", "flagdeco", "flag deco", "color box", "legend0",
        "post-nominals", "postnominals", "post-nom", "postnom", "honorific", "nowrap begin", "nowrap end", "nobr begin",
        "nobr end", "wrap", "clear left", "clear right", "px2", "ts", "style", "hidden begin", "hidden end",
        "plainlist/styles.css", "nowraplinks end", "endplainlist", "endflatlist", "end plainlist", "end flatlist",
        "startplainlist", "infobox person/wikidata", "respell", "audio", "pronunciation", "listen", "main", "see also",
        "further", "for", "about", "short description", "coord", "official website", "official", "void",
        "sup note", "ublist/styles.css", "left arrow", "right arrow", "new", "rising", "arrow", "delisted", "shy",
        "redirect", "distinguish", "image", "multiple image",
        "css image crop", "nfl icon", "country icon", "thinspace",
    }
)  # fmt: skip
_ICON = re.compile(r"[\w-]*icons?|[\w-]+(?:-inline| inline)")


def is_silent(name: str) -> bool:
    """Whether a template (lower case, blanks for underscores) is known to add no words."""
    return name in _NAMES or name.startswith(_PREFIXES) or _ICON.fullmatch(name) is not None
