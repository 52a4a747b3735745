"""Drawing: a plot as SVG text that can stand inside a page.

Owns matplotlib: its settings, the colours and strokes by which models are told apart, and the text that comes out. Must
not know what is plotted. No date, no random id: the same numbers give the same text. matplotlib is imported when
something is drawn, so that no other command pays for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape
from io import StringIO
from typing import Any

import msgspec

INCHES = (5.4, 3.4)
"""518 by 326 px and the legend: read without zooming on a telephone, two beside each other on a desk."""
LEGEND_INCHES = 0.21
"""The height of one line of a legend, which lies above its plot and so hides nothing."""
INK, FAINT = "#1a1a1a", "#8a8a8a"

Strokes = tuple[str, str | tuple[float, tuple[float, ...]], float]
"""(colour, dashes as matplotlib has them, width)."""
STROKES: tuple[Strokes, ...] = (
    ("#00558c", "-", 2.4),
    ("#b23a00", "--", 1.8),
    ("#5a5a5a", ":", 1.8),
    ("#7a5c00", "-.", 1.6),
    ("#6a3d9a", (0, (6, 1.5)), 1.8),
    ("#00694b", (0, (3, 1, 1, 1)), 1.8),
    ("#a0005a", (0, (1, 1)), 1.8),
    ("#003f3f", (0, (8, 2, 2, 2)), 1.6),
    ("#1a1a1a", (0, (10, 2)), 2.0),
    ("#b23a00", (0, (4, 1, 1, 1, 1, 1)), 1.8),
    ("#5a5a5a", (0, (2, 4)), 2.0),
    ("#00694b", (0, (12, 3, 3, 3)), 1.8),
    ("#6a3d9a", (0, (1, 4)), 2.2),
    ("#7a5c00", (0, (7, 1, 1, 1, 1, 1, 1, 1)), 1.6),
)
"""By place among the models. Each has at least 4.5:1 on white, and dashes of its own for whoever sees no colour."""

SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10.5,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "figure.facecolor": "white",
    # A ward or a file may be called anything: its name is text, and no formula.
    "text.parse_math": False,
}

_PROLOG = re.compile(r"^.*?(?=<svg )", re.DOTALL)
_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
_ID = re.compile(r'(?<=\bid=")([^"]+)(?=")')
_REFERENCE = re.compile(r'(?<=url\(#)([^)]+)(?=\))|(?<=href="#)([^"]+)(?=")')
_FAMILY = re.compile(r"font: ([^;\"]*?)'?(?:DejaVu Sans|sans-serif)[^;\"]*")


class Plot(msgspec.Struct, frozen=True):
    """A plot and what is said in its place to whoever cannot see it."""

    name: str
    svg: str
    alternative: str


def strokes(place: int) -> Strokes:
    """Give the look of the model at a place; past the last one they come again.

    >>> strokes(0) == strokes(len(STROKES))
    True
    """
    return STROKES[place % len(STROKES)]


def draw(name: str, alternative: str, paint: Callable[[Any], None], inches: tuple[float, float] = INCHES) -> Plot:
    """Let `paint` draw on axes; give the SVG with ids of its own, so that several stand on one page.

    >>> plot = draw("line", "A line that rises.", lambda axes: axes.plot([0, 1], [0, 1]))
    >>> plot.svg.startswith("<svg"), 'aria-label="A line that rises."' in plot.svg, "dc:date" in plot.svg
    (True, True, False)
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    text = StringIO()
    settings: Any = {**SETTINGS, "svg.hashsalt": f"wardstream-{name}"}
    with mpl.rc_context(settings):
        figure = Figure(figsize=inches, layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        paint(axes)
        handles, labels = axes.get_legend_handles_labels()
        if handles:
            figure.set_figheight(inches[1] + LEGEND_INCHES * len(handles))
            figure.legend(handles, labels, loc="outside upper left", handlelength=3.2)
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return Plot(name, _inline(text.getvalue(), name, alternative), alternative)


def _inline(svg: str, name: str, alternative: str) -> str:
    """Make a whole SVG document an element of a page."""
    svg = _METADATA.sub("", _PROLOG.sub("", svg, count=1))
    svg = _ID.sub(lambda found: f"{name}-{found[1]}", svg)
    svg = _REFERENCE.sub(lambda found: f"{name}-{found[1] or found[2]}", svg)
    svg = _FAMILY.sub(lambda found: f"font: {found[1]}system-ui, sans-serif", svg)
    head, _, rest = svg.partition(">")
    view = re.search(r'viewBox="[^"]*"', head)
    assert view is not None, "matplotlib writes a viewBox"
    label = escape(alternative, quote=True)
    return f'<svg xmlns="http://www.w3.org/2000/svg" {view[0]} role="img" aria-label="{label}">{rest}'.rstrip() + "\n"
