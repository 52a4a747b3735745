"""Figures in words: how a number, an interval, a share, a table and a plot are written in the report.

Owns their writing as HTML. Must not know what they are of. A figure that could not be computed is a dash, never a zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from html import escape
from typing import TypeVar

import msgspec

from models.figures.proportions import Interval, Measured
from stream.reporting.drawing import Plot

Row = TypeVar("Row")

NONE = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"


def number(value: float | None, decimals: int = 3) -> str:
    """Write a figure.

    >>> number(0.12345), number(None) == NONE, number(-0.0001, 2)
    ('0.123', True, '0.00')
    """
    if value is None:
        return NONE
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", MINUS)


def interval(ends: Interval | None, decimals: int = 3) -> str:
    """Write an interval.

    >>> interval((0.1, 0.25), 2), interval(None) == NONE
    ('0.10 to 0.25', True)
    """
    return NONE if ends is None else f"{number(ends[0], decimals)} to {number(ends[1], decimals)}"


def measured(figure: Measured | None, decimals: int = 3) -> str:
    """Write a figure with its interval.

    >>> measured(Measured(0.5, (0.4, 0.6)), 1), measured(Measured(0.5, None), 1)
    ('0.5 (0.4 to 0.6)', '0.5')
    """
    if figure is None:
        return NONE
    ends = f" ({interval(figure.interval, decimals)})" if figure.interval is not None else ""
    return number(figure.value, decimals) + ends


def count(value: int) -> str:
    """Write a whole number, in groups of three.

    >>> count(1234567).split()
    ['1', '234', '567']
    """
    return f"{value:,}".replace(",", "\N{NO-BREAK SPACE}")


def percent(value: float | None, decimals: int = 1) -> str:
    """Write a share of one hundred.

    >>> percent(0.1234).split(), percent(None) == NONE
    (['12.3', '%'], True)
    """
    return NONE if value is None else f"{100 * value:.{decimals}f}\N{NO-BREAK SPACE}%"


def listed(names: Sequence[str]) -> str:
    """Write names in a sentence.

    >>> listed(["a", "b", "c"]), listed(["a"])
    ('a, b and c', 'a')
    """
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)


def paragraph(*sentences: str, kind: str = "") -> str:
    """Give a paragraph of plain text.

    >>> paragraph("a < b.", kind="limit").strip()
    '<p class="limit">a &lt; b.</p>'
    """
    css = f' class="{kind}"' if kind else ""
    return f"<p{css}>{escape(' '.join(sentences))}</p>\n"


def table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "figures") -> str:
    """Give a table: the first column names its row, the others are `figures` or `words`. A wide one scrolls by itself.

    >>> "<th scope='row'>a&amp;b</th><td>1</td>" in table("c", ["", "n"], [["a&b", "1"]]).replace('"', "'")
    True
    """
    cells = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in rest)}</tr>\n'
        for first, *rest in rows
    )
    # Beside the table and not in it: a caption within would scroll away with a wide one.
    name = f"table-{sha256(caption.encode()).hexdigest()[:8]}"
    return (
        f'<p class="caption" id="{name}">{escape(caption)}</p>\n'
        f'<div class="wide" role="region" tabindex="0" aria-labelledby="{name}">'
        f'<table class="{kind}" aria-labelledby="{name}"><thead><tr>{cells}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>\n"
    )


class Section(msgspec.Struct, frozen=True):
    """A part of the report: its anchor, its heading and its HTML."""

    name: str
    title: str
    body: str


def figure(plot: Plot, caption: str) -> str:
    """Give a plot with what is written beneath it."""
    return f"<figure>\n{plot.svg}<figcaption>{escape(caption)}</figcaption></figure>\n"


def thinned(rows: Sequence[Row], most: int = 16) -> list[Row]:
    """Give evenly spread rows of a long table, the first and the last among them.

    >>> thinned(list(range(10)), most=4)
    [0, 3, 6, 9]
    """
    if len(rows) <= most:
        return list(rows)
    return [rows[round(place * (len(rows) - 1) / (most - 1))] for place in range(most)]
