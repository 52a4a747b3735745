"""What senders wrote, made fit for a terminal: it may hold what a terminal obeys.

Owns the escaping. Must not know who shows it. A message is any bytes: an ESC in one could clear the screen, rename the
window or type a command where somebody looks at a dead letter.
"""

from __future__ import annotations

from rich.markup import escape

_CONTROL = {number: f"\\x{number:02x}" for number in (*range(0x20), *range(0x7F, 0xA0)) if chr(number) not in "\t\n"}


def printable(text: str) -> str:
    r"""Write control characters (C0, DEL, C1) as what they are; tab and line feed stay.

    >>> print(printable("A\x1b[2JB\x9b"))
    A\x1b[2JB\x9b
    """
    return text.translate(_CONTROL)


def in_a_cell(text: str) -> str:
    r"""Make a text fit for a table of rich: neither a terminal's words nor rich's own count in it.

    >>> print(in_a_cell("[red]A\x1b"))
    \[red]A\x1b
    """
    return escape(printable(text))
