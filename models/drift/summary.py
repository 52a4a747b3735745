"""What a version was made for, in numbers that later rows can be held against: the reference of its monitors.

Owns the summary of the inputs (quantile bins and their shares), what was found of outcomes and risks beside it, how
both are made of rows that the version did not learn, and their check. Must not know what is made of a difference.

Rows are to be thinned (models/drift/thinning.py) as those that will be held against them are. A patient gives several,
so a share is as sure as `effective_rows` rows would make it: Kish's effective number (1965), taking all rows of one
patient to be alike, which is the worst that clustering can do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import msgspec
import numpy as np
from numpy.typing import NDArray

BINS = 10
"""Tenths of the known values: the habit of the population stability index."""
VALUES_MIN = 50
"""Known values below which an input has no bins, and only its being missing is watched."""
ROWS_MIN = 200
"""With fewer rows there is no reference."""
RISK_SHARES = (0.5, 0.9)
"""Risk is looked at in three groups: the lower half, the tenth of highest risk, and what lies between."""
POSITIVES_MIN = 20
"""With fewer outcomes nothing is said of their rate or of discrimination."""
INPUTS_MAX = 2_048


class InputSummary(msgspec.Struct, frozen=True):
    """The distribution of each input, in the order of `names`."""

    names: tuple[str, ...]
    cuts: tuple[tuple[float, ...], ...]
    """Between bins, rising; a value at a cut is in the lower bin. Empty where too few or no two values were known."""
    shares: tuple[tuple[float, ...], ...]
    """Of the known values, one more than cuts."""
    missing: tuple[float, ...]
    """The share of rows in which the input was unknown."""
    rows: int
    effective_rows: float


class Reference(msgspec.Struct, frozen=True):
    """What a version's monitors hold the present against. None: not known, and what rests on it is not watched."""

    inputs: InputSummary
    base_rate: float | None = None
    """The share of rows that the outcome followed within the horizon."""
    auroc: float | None = None
    risk_cuts: tuple[float, float] | None = None
    """Probabilities that part the three groups of risk."""


def effective_rows(counts: NDArray[np.int64] | Sequence[int]) -> float:
    """Give Kish's effective number of rows, given how many each patient gave.

    >>> effective_rows([1, 1, 1, 1]), effective_rows([2, 2]), effective_rows([])
    (4.0, 2.0, 0.0)
    """
    each = np.asarray(counts, dtype=np.float64)
    squares = float((each * each).sum())
    return float(each.sum()) ** 2 / squares if squares else 0.0


def summary_of(
    names: Sequence[str], matrix: NDArray[np.floating], patients: NDArray[np.int64], bins: int = BINS
) -> InputSummary:
    """Summarise thinned rows of shape (rows, inputs); NaN is unknown.

    >>> made = summary_of(("x",), np.arange(100.0)[:, None], np.arange(100), bins=4)
    >>> made.cuts, made.shares, made.missing, made.effective_rows
    (((24.0, 49.0, 74.0),), ((0.25, 0.25, 0.25, 0.25),), (0.0,), 100.0)
    """
    rows = len(matrix)
    cuts: list[tuple[float, ...]] = []
    shares: list[tuple[float, ...]] = []
    missing: list[float] = []
    for place in range(len(names)):
        column = np.asarray(matrix[:, place], dtype=np.float64)
        known = column[~np.isnan(column)]
        missing.append((rows - len(known)) / rows if rows else 1.0)
        own: tuple[float, ...] = ()
        if len(known) >= VALUES_MIN:
            between = np.arange(1, bins) / bins
            found = np.unique(np.quantile(known, between, method="lower"))
            own = tuple(float(cut) for cut in found if cut < known.max())
        cuts.append(own)
        counted = np.bincount(np.searchsorted(own, known, side="left"), minlength=len(own) + 1)
        shares.append(tuple(float(count / len(known)) for count in counted) if len(known) else (1.0,))
    _, counts = np.unique(patients, return_counts=True)
    return InputSummary(
        tuple(names), tuple(cuts), tuple(shares), tuple(missing), rows, effective_rows(counts) if rows else 0.0
    )


def reference_of(
    names: Sequence[str],
    matrix: NDArray[np.floating],
    patients: NDArray[np.int64],
    labels: NDArray[np.bool_] | None = None,
    probabilities: NDArray[np.float64] | None = None,
) -> Reference | None:
    """Make the reference of thinned rows that the version did not learn; None under `ROWS_MIN` of them.

    `probabilities` are those the version gave the rows, by which `labels` are ranked.
    """
    if len(matrix) < ROWS_MIN:
        return None
    inputs = summary_of(names, matrix, patients)
    cuts = None
    if probabilities is not None:
        low, high = (float(cut) for cut in np.quantile(probabilities, RISK_SHARES))
        cuts = (low, high)
    if labels is None or int(labels.sum()) < POSITIVES_MIN:
        return Reference(inputs, risk_cuts=cuts)
    ranked = None
    if probabilities is not None and not labels.all():
        positives, negatives = probabilities[labels], np.sort(probabilities[~labels])
        ranked = float(placements(positives, negatives).mean())
    return Reference(inputs, float(labels.mean()), ranked, cuts)


def placements(positives: NDArray[np.float64], negatives: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give for each positive the share of the (sorted) negatives that it stands above, ties counting half.

    Their mean is the AUROC (DeLong, DeLong and Clarke-Pearson 1988 call them structural components).

    >>> placements(np.array([0.4, 0.8]), np.array([0.1, 0.4])).tolist()
    [0.75, 1.0]
    """
    below = np.searchsorted(negatives, positives, side="left") + np.searchsorted(negatives, positives, side="right")
    return np.asarray(below / (2.0 * len(negatives)), dtype=np.float64)


def problem_of(reference: Reference, names: Sequence[str]) -> str:
    """Say why a reference that was read must not be held against anything, or nothing.

    >>> problem_of(Reference(InputSummary(("x",), ((1.0,),), ((0.5, 0.6),), (0.0,), 300, 300.0)), ("x",))
    'reference: shares of an input are no shares'
    """
    rates = (reference.base_rate, reference.auroc, *(reference.risk_cuts or ()))
    if not all(rate is None or 0.0 <= rate <= 1.0 for rate in rates):
        return "reference: a rate is not within 0 and 1"
    if reference.risk_cuts is not None and reference.risk_cuts[0] > reference.risk_cuts[1]:
        return "reference: the groups of risk overlap"
    return _problem_of_inputs(reference.inputs, names)


def _problem_of_inputs(inputs: InputSummary, names: Sequence[str]) -> str:
    width = len(inputs.names)
    if not 0 < width <= INPUTS_MAX or len(set(inputs.names)) != width or not set(inputs.names) <= set(names):
        return "reference is of no inputs, of too many, of doubled ones, or of others than the version's"
    if not len(inputs.cuts) == len(inputs.shares) == len(inputs.missing) == width:
        return "reference: cuts, shares and inputs are not as many"
    if not (0.0 < inputs.effective_rows <= inputs.rows and all(0.0 <= share <= 1.0 for share in inputs.missing)):
        return "reference: it rests on no rows, or a share is not within 0 and 1"
    for cuts, shares in zip(inputs.cuts, inputs.shares, strict=True):
        rising = all(map(math.isfinite, cuts)) and all(one < other for one, other in pairwise(cuts))
        if len(cuts) >= BINS or len(shares) != len(cuts) + 1 or not rising:
            return "reference: an input's cuts are too many, do not rise, or do not fit its shares"
        if not all(0.0 <= share <= 1.0 for share in shares) or not abs(sum(shares) - 1.0) < 1e-6:
            return "reference: shares of an input are no shares"
    return ""
