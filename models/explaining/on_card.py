"""An ensemble on its model card: what it listens to, and what is known to go wrong with it.

Owns the two sections' text. Must not know the rest of the card (models/card.py). All of it follows from the version.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from models.explaining.importance import Bin, Dependence, dependences
from models.version import ModelVersion

SHOWN = 15
"""Inputs of the table: what the version listens to most."""
UNKNOWNS_SHOWN = 5
"""Inputs named whose absence moves the score most."""
NOTABLE = 0.1
"""Log-odds: a tenth more or less of the odds."""


def listening(version: ModelVersion) -> list[str]:
    """Write what an ensemble listens to: the inputs that move it most, and at which values."""
    found = {one.name: one for one in dependences(version)}
    if version.importance:
        rows = 0 if version.background is None else version.background.rows
        how = f"Mean absolute contribution (Shapley values, log-odds) over reference rows, of {rows}."
        weighed = dict(zip(version.inputs.names, version.importance, strict=True))
    else:
        how = "By the span of their partial dependence (log-odds): no reference rows were kept."
        weighed = {name: one.span for name, one in found.items()}
    largest = sorted(weighed, key=lambda name: -weighed[name])[:SHOWN]
    return [
        how,
        "The values at which each, known alone, lowers and raises the log-odds most, and what it does where unknown",
        "(partial dependence, Friedman 2001).",
        "",
        "| input | moves the score by | lowest | highest | unknown |",
        "|---|---|---|---|---|",
        *[f"| `{name}` | {weighed[name]:.3f} | {_ends(found[name])} |" for name in largest if weighed[name]],
    ]


def known_failures(version: ModelVersion) -> list[str]:
    """Write what is known to go wrong: absence that counts, inputs it is deaf to, and where values stop to count."""
    found = dependences(version)
    absent = sorted(found, key=lambda one: -abs(one.unknown))[:UNKNOWNS_SHOWN]
    named = ", ".join(f"`{one.name}` {one.unknown:+.2f}" for one in absent if abs(one.unknown) >= NOTABLE)
    deaf = [one.name for one in found if not one.span]
    lines = [
        "- Beyond its outermost edges an input counts as at the edge: a value further out moves the score no further.",
        "- It has learned habits of charting: "
        + (f"an unknown value alone moves the log-odds, most of all {named}." if named else "little of it shows alone.")
        + " Where tests are ordered otherwise, it is wrong.",
    ]
    if deaf:
        lines.append(f"- It does not hear {len(deaf)} of its inputs: {_listed(deaf)}.")
    if version.background is None or not version.importance:
        lines.append("- No reference rows travel with it: its explanations start from no population.")
    return lines


def _ends(dependence: Dependence) -> str:
    low = min(dependence.bins, key=lambda one: one.log_odds)
    high = max(dependence.bins, key=lambda one: one.log_odds)
    if low.log_odds == high.log_odds:
        return f"| | {dependence.unknown:+.2f}"
    return f"{_range(low)}: {low.log_odds:+.2f} | {_range(high)}: {high.log_odds:+.2f} | {dependence.unknown:+.2f}"


def _range(one: Bin) -> str:
    """Say which values a bin holds.

    >>> _range(Bin(-math.inf, 3.0, 0.0)), _range(Bin(3.0, 4.25, 0.0)), _range(Bin(4.25, math.inf, 0.0))
    ('up to 3', '3 to 4.25', 'above 4.25')
    """
    if math.isinf(one.low):
        return "any value" if math.isinf(one.high) else f"up to {one.high:.4g}"
    return f"above {one.low:.4g}" if math.isinf(one.high) else f"{one.low:.4g} to {one.high:.4g}"


def _listed(names: Sequence[str], shown: int = 10) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(f"`{name}`" for name in names[:shown]) + more
