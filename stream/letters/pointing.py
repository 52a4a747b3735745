"""Pointing at a fault: where in the message it stands, and what stands there.

Owns the finding of a position in the bytes. Must not know why it is a fault. What it gives names people: it is for who
asks for one letter by its name.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from stream.letters.kept import KeptLetter

SHOWN_CHARS_MAX = 400
"""As much of one field, element or line as is shown beside the arrow."""
AROUND_BYTES = 32

_SEGMENT = re.compile(r"([A-Z][A-Z0-9]{2})(?:\[(\d+)\])?(?:-(\d+))?(?:\.(\d+))?")
_BYTE = re.compile(r"byte (\d+)")
_ENTRY = re.compile(r"\$(?:\.entry\[\d+\](?:\.resource)?)*")
_STEP = re.compile(r"\.?([A-Za-z_]\w*)|\[(\d+)\]")


def point(letter: KeptLetter) -> tuple[list[str], str]:
    r"""Give a letter's message line by line, an arrow before the line at fault, and what stands at the fault itself.

    >>> data = b"MSH|^~\\&|A\rOBX|1\rOBX|2|||||||||||||x"
    >>> letter = KeptLetter("1", "", "invalid_time", "OBX[2]-14", "", "", "", data, 0, "")
    >>> lines, fault = point(letter)
    >>> lines, fault
    (['  MSH|^~\\&|A', '  OBX|1', '→ OBX|2|||||||||||||x'], 'OBX[2]-14 is: x')
    """
    text = letter.data.decode("utf-8", "backslashreplace")
    if letter.fhir:
        return _plain(text), _element(letter)
    lines = text.replace("\r\n", "\r").replace("\n", "\r").strip("\r\x0b\x1c").split("\r")
    at = _SEGMENT.fullmatch(letter.fault)
    if at is not None:
        return _segment(lines, at[0], at[1], int(at[2] or 1), int(at[3] or 0))
    return _plain(text.replace("\r", "\n")), _byte(letter)


def _plain(text: str) -> list[str]:
    return [f"  {line}" for line in text.splitlines()]


def _segment(lines: list[str], fault: str, name: str, number: int, field: int) -> tuple[list[str], str]:
    """Find the numbered segment of a name, and a field of it."""
    found = [index for index, line in enumerate(lines) if line.lstrip()[:3].upper() == name]
    shown = [f"  {line}" for line in lines]
    if len(found) < number:
        return shown, f"{fault}: there is no {name} segment" + (f" number {number}" if number > 1 else "")
    index = found[number - 1]
    shown[index] = f"→ {lines[index]}"
    if not field:
        return shown, ""
    line = lines[index].lstrip()
    fields = line.split(line[3:4] or "|")
    place = field - 1 if name == "MSH" else field
    content = fields[place] if place < len(fields) else ""
    return shown, f"{fault} is: {content[:SHOWN_CHARS_MAX]}" if content else f"{fault} is empty"


def _byte(letter: KeptLetter) -> str:
    """Show the bytes around a position that is counted in bytes, from 1."""
    at = _BYTE.search(letter.fault)
    if at is None:
        return ""
    place = max(int(at[1]) - 1, 0)
    start = max(place - AROUND_BYTES, 0)
    return f"{letter.fault}: {letter.data[start:place]!r} → {letter.data[place : place + AROUND_BYTES]!r}"


def _element(letter: KeptLetter) -> str:
    """Show the element at a path: the letter of a Bundle's entry has the resource alone."""
    try:
        found: Any = msgspec.json.decode(letter.data.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return _byte(letter)
    if not letter.fault.startswith("$"):
        return _byte(letter)
    path = letter.fault.partition(" ")[0]
    within = path[1:] if "entry" in found else _ENTRY.sub("", path, count=1)
    for name, number in _STEP.findall(within):
        try:
            found = found[name] if name else found[int(number)]
        except (KeyError, IndexError, TypeError):
            return f"{letter.fault}: there is no {name or f'[{number}]'}"
    return f"{letter.fault} is: {msgspec.json.encode(found).decode()[:SHOWN_CHARS_MAX]}"
