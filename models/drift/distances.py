"""How far counts lie from shares, and how likely chance alone gives it: many inputs in one go.

Owns the population stability index and Pearson's test of two samples. Must not know what is counted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc  # type: ignore[import-untyped]

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


def stability_index(counts: Counts, shares: Floats, bins: Counts, reference_rows: Floats) -> Floats:
    """Give each input's population stability index, sum of (p - q) ln(p / q) over its bins (Siddiqi 2006).

    `counts` and `shares` have shape (inputs, bins), of which the first `bins` count. Half a row is added to each bin of
    either side, so that an empty bin is no infinity.

    >>> one = np.array([[50, 50]]), np.array([[0.5, 0.5]]), np.array([2]), np.array([1e3])
    >>> round(float(stability_index(*one)[0]), 3), round(float(stability_index(np.array([[90, 10]]), *one[1:])[0]), 2)
    (0.0, 0.85)
    """
    inside = np.arange(counts.shape[1]) < bins[:, None]
    rows = counts.sum(axis=1)[:, None]
    p = (counts + 0.5) / (rows + 0.5 * bins[:, None])
    q = (shares * reference_rows[:, None] + 0.5) / (reference_rows + 0.5 * bins)[:, None]
    return np.asarray(np.where(inside, (p - q) * np.log(p / q), 0.0).sum(axis=1), dtype=np.float64)


def chance_of(counts: Counts, shares: Floats, bins: Counts, effective_share: float, reference_rows: Floats) -> Floats:
    """Give the chance of at least this much difference between two samples of one law: Pearson's test.

    `counts` weigh as `effective_share` of their number, `shares` as `reference_rows` (both already effective).

    >>> one = np.array([[60, 40]]), np.array([[0.5, 0.5]]), np.array([2])
    >>> [round(float(chance_of(*one, share, np.array([1e9]))[0]), 3) for share in (1.0, 0.5)]
    [0.046, 0.157]
    """
    rows = np.maximum(counts.sum(axis=1), 1)[:, None]
    own = rows * effective_share
    other = np.maximum(reference_rows, 1e-9)[:, None]
    p = counts / rows
    pooled = (p * own + shares * other) / (own + other)
    apart = np.where(pooled > 0.0, (p - shares) ** 2 / np.where(pooled > 0.0, pooled, 1.0), 0.0).sum(axis=1)
    statistic = apart / (1.0 / own + 1.0 / other)[:, 0]
    return np.asarray(chdtrc(np.maximum(bins - 1, 1), statistic), dtype=np.float64)
