"""A page as one file: data as compressed base64, our scripts and styles inside, and a policy that lets no other run.

Nothing foreign is ever written into the markup but the escaped title. Data lies in blocks of base64, which no browser
reads as markup, and the scripts put it into the page as text, never as HTML. The content security policy names the
hash of our script and of our style: whatever else a hostile text might smuggle in neither runs nor loads anything.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from fresco.io.names import printable
from fresco.io.secrets import redacted

#: The block that a script reads first.
MAIN = "main"
_OWN = files("fresco.io.page")
_SCRIPTS = ("core.js", "table.js", "charts.js")


def render_page(title: str, main: Mapping[str, Any], *, script: str, blocks: Mapping[str, Any] | None = None) -> str:
    """The page as text.

    Args:
        title: Of the window; foreign text.
        main: What the script has from the start, as plain mappings, lists, numbers and None.
        script: Package with the page's own ``*.js``, read in the order of their names, behind the common ones.
        blocks: Further data by name, each unpacked when the script asks for it: bytes as they are, the rest as JSON.
    """
    own = sorted((each for each in files(script).iterdir() if each.name.endswith(".js")), key=lambda each: each.name)
    code = "\n".join(_text(each) for each in [*(_OWN / name for name in _SCRIPTS), *own])
    code = f'"use strict";\n(() => {{\n{code}\n}})();\n'
    style = _text(_OWN / "page.css")
    packed = "\n".join(_block(name, value) for name, value in {MAIN: main, **(blocks or {})}.items())
    page = _text(_OWN / "page.html")
    for name, value in (
        ("title", escape(printable(title, 200))),
        ("policy", f"default-src 'none'; script-src '{_hash(code)}'; style-src '{_hash(style)}'; img-src data:"),
        ("style", style),
        ("blocks", packed),
        ("script", code),
    ):
        page = page.replace(f"{{{{{name}}}}}", value, 1)
    return page


def _text(path: Traversable) -> str:
    return path.read_text(encoding="utf-8")


def _block(name: str, value: Any) -> str:
    # Without the time of day in the header the same data is the same bytes.
    raw = value if isinstance(value, bytes) else _json(value).encode("utf-8", "replace")
    packed = base64.b64encode(gzip.compress(raw, compresslevel=6, mtime=0)).decode("ascii")
    return f'<script type="application/octet-stream" id="block-{escape(name, quote=True)}">{packed}</script>'


def _json(value: Any) -> str:
    return json.dumps(redacted(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"
