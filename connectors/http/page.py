"""The ward board for a browser: one page that holds its style and its script, and names nothing outside itself.

Owns the joining of its files and the policy that lets a browser run just this script. Must not know a patient:
the page has no data in it, it asks for them.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files

import msgspec

from connectors.acts.reasons import REASONS

STYLE_MARK = "/* board.css */"
SCRIPT_MARK = "/* board.js */"
FILES = ("board.html", "board.css", "board_why.js", "board.js")
"""The scripts last, in the order in which they are one."""
REASONS_MARK = "{/* reasons */}"


class Page(msgspec.Struct, frozen=True):
    """The page's bytes, and the Content-Security-Policy that goes with them."""

    body: bytes
    policy: str


def load_page() -> Page:
    """Read and join the page; why an alert may be dismissed is put in as it is declared.

    >>> load_page().body[:15]
    b'<!doctype html>'
    """
    folder = files("connectors.http")
    text, style, *scripts = (folder.joinpath(name).read_text(encoding="utf-8") for name in FILES)
    script = "".join(scripts).replace(REASONS_MARK, msgspec.json.encode(REASONS).decode())
    body = text.replace(STYLE_MARK, style).replace(SCRIPT_MARK, script)
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Page(body.encode(), policy)


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"
