r"""Delimiters and escapes of ER7, the "pipe" encoding (HL7 v2.5.1, chapter 2, sections 2.5.4 and 2.7).

Owns the five delimiters a message declares in MSH-1 and MSH-2, and the two directions of escaping. Must not know
segments or what any field means.
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

from connectors.hl7v2.memo import Memo

UNESCAPED_CHARS_MAX = 65_536
"""A longer text is unescaped so far, and kept as it stands beyond: of a value 200 characters are kept in the end."""
TOKENS_MAX = 4_096
"""Escapes remembered of a dialect: a handful is in use."""
ESCAPE_TOKEN_CHARS_MAX = 4096
r"""A longer run between two escape characters is text that happens to hold them: `\X..\` of 2 KiB is beyond any use."""


class Delimiters(msgspec.Struct, frozen=True):
    """What a message uses to part fields, components, repetitions and sub-components, and to escape."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    truncation: str = ""
    """The fifth character of MSH-2, from version 2.7 on (`#`)."""


STANDARD = Delimiters()


def fit_marks(marks: str) -> bool:
    r"""Say whether MSH-1 followed by MSH-2 can be delimiters: five or six different marks that stand in no value.

    >>> fit_marks("|^~\\&"), fit_marks("|^~\\"), fit_marks("|^^^^"), fit_marks("|^~.&")
    (True, False, False, False)
    """
    return 5 <= len(marks) <= 6 and len(set(marks)) == len(marks) and not any(_unfit(mark) for mark in marks)


def _unfit(mark: str) -> bool:
    return mark.isalnum() or mark.isspace() or not mark.isascii() or not mark.isprintable() or mark in '".+-:'


def escape(text: str, delimiters: Delimiters = STANDARD) -> str:
    r"""Escape text for a field; control characters become hexadecimal, the literal `""` too (unescaped it means null).

    >>> print(escape("mg|dL at 5^2"))
    mg\F\dL at 5\S\2
    """
    if text.isalnum():  # most codes, numbers and identifiers
        return text
    if text == '""':
        return f"{delimiters.escape}X2222{delimiters.escape}"
    return text.translate(_STANDARD_ESCAPES if delimiters is STANDARD else _escape_table(delimiters))


def unescape(text: str, delimiters: Delimiters = STANDARD) -> str:
    r"""Undo escapes; an unknown one is kept as it stands, for what we do not understand we do not change.

    Line breaks of formatted text (`\.br\`) become line feeds, highlighting disappears, `\Xhh..\` is read as UTF-8, else
    as ISO 8859-1.

    >>> unescape("Ratio 1\\S\\128, \\H\\high\\N\\, \\Z99\\")
    'Ratio 1^128, high, \\Z99\\'
    """
    if not delimiters.escape or delimiters.escape not in text:
        return text
    if len(text) > UNESCAPED_CHARS_MAX:
        return unescape(text[:UNESCAPED_CHARS_MAX], delimiters) + text[UNESCAPED_CHARS_MAX:]
    tokens, meanings = _tokens(delimiters)
    parts = tokens.split(text)
    parts[1::2] = map(meanings.__getitem__, parts[1::2])
    return "".join(parts)


@lru_cache(maxsize=16)  # one a dialect
def _tokens(delimiters: Delimiters) -> tuple[re.Pattern[str], Memo[str]]:
    """Give what finds the escapes of a dialect, each whole, and what stands for each.

    An escape character that opens none of them is plain text, and the next one may open one. One of letters and digits
    that we do not know is kept, its closing character with it.
    """
    mark = re.escape(delimiters.escape)
    words = "|".join(re.escape(word) for word in _FORMATTING)
    tokens = re.compile(rf"({mark}(?:[^\W_]+|(?:{words})[^{mark}]*){mark})")

    def meaning(token: str) -> str:
        found = _meaning(token[1:-1], delimiters)
        return token if found is None else found

    return tokens, Memo(meaning, limit=TOKENS_MAX)


def _meaning(token: str, delimiters: Delimiters) -> str | None:
    """Say what stands for an escape token, or None where it is unknown."""
    literal = _literals(delimiters).get(token)
    if literal is not None:
        return literal
    if token[:1] == "X" and len(token) <= ESCAPE_TOKEN_CHARS_MAX:
        return _from_hex(token[1:])
    if token[:3] in _FORMATTING:
        return _FORMATTING[token[:3]]
    return None


_FORMATTING = {".br": "\n", ".sp": "\n", ".ce": "\n", ".sk": " ", ".in": "", ".ti": "", ".fi": "", ".nf": ""}
"""Formatting commands of FT (section 2.7.6), reduced to what plain text can keep."""


@lru_cache(maxsize=16)  # one a dialect
def _literals(delimiters: Delimiters) -> dict[str, str]:
    return {
        "F": delimiters.field,
        "S": delimiters.component,
        "T": delimiters.subcomponent,
        "R": delimiters.repetition,
        "E": delimiters.escape,
        "P": delimiters.truncation or "#",
        "H": "",
        "N": "",
    }


def _escape_table(delimiters: Delimiters) -> dict[int, str]:
    mark = delimiters.escape
    table = {number: f"{mark}X{number:02X}{mark}" for number in [*range(0x20), 0x7F]}
    named = {
        delimiters.field: "F",
        delimiters.component: "S",
        delimiters.subcomponent: "T",
        delimiters.repetition: "R",
        mark: "E",
    }
    return table | {ord(char): f"{mark}{word}{mark}" for char, word in named.items() if char}


_STANDARD_ESCAPES = _escape_table(STANDARD)


def _from_hex(digits: str) -> str | None:
    if not digits or not digits.isascii() or not digits.isalnum():
        return None
    try:
        raw = bytes.fromhex(digits)
    except ValueError:
        return None
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
