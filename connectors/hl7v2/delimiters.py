r"""Delimiters and escapes of ER7, the "pipe" encoding (HL7 v2.5.1, chapter 2, sections 2.5.4 and 2.7).

Owns the five delimiters a message declares in MSH-1 and MSH-2, and the two directions of escaping. Must not know
segments or what any field means.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

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
    mark = delimiters.escape
    if not mark or mark not in text:
        return text
    parts: list[str] = []
    at = 0
    while True:
        start = text.find(mark, at)
        end = text.find(mark, start + 1) if start >= 0 else -1
        if end < 0:
            parts.append(text[at:])
            return "".join(parts)
        parts.append(text[at:start])
        token = text[start + 1 : end]
        meaning = _meaning(token, delimiters)
        if meaning is not None:
            parts.append(meaning)
            at = end + 1
        elif token.isalnum():
            parts.append(text[start : end + 1])
            at = end + 1
        else:  # a lone escape character in plain text: the next one may open a real escape
            parts.append(text[start:end])
            at = end


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
