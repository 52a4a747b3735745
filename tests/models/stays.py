"""Made-up stays with a known true risk: what the tests of belts and of rows held back are drawn from."""

from __future__ import annotations

import numpy as np

HOURS = 12
"""Rows a stay: told alike, give or take, with a risk of its own that they share."""


def drawn(seed: int, stays: int, *, slope: float = 1.0, shift: float = 0.0):
    """Draw what was told, the true risk of what was told, labels that come in runs of a stay, and the stay of each row.

    The label of a row is its stay's or its own, half and half: rows are no independent witnesses, and the risk holds.
    """
    random = np.random.default_rng(seed)
    logits = np.repeat(random.normal(-3.9, 1.1, stays), HOURS) + random.normal(0.0, 0.05, stays * HOURS)
    truth = 1.0 / (1.0 + np.exp(-shift - slope * logits))
    luck = np.repeat(random.random(stays), HOURS)
    own = random.random(stays * HOURS)
    labels = np.where(random.random(stays * HOURS) < 0.5, luck, own) < truth
    return 1.0 / (1.0 + np.exp(-logits)), truth, labels, np.repeat(np.arange(stays), HOURS)
