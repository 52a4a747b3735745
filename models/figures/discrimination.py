"""Whether those with the outcome score above those without: by row, and by stay.

Owns AUROC, average precision and the one row that stands for a stay. Must not know calibration, thresholds, or whose
scores they are: any finite score ranks, so NEWS2 totals are measured like probabilities. Undefined is None.
"""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np

from models.figures.scored_rows import Bools, Floats, Groups, Ints, Labels, Scores, Times, beside, checked, runs_of

StayScore = Literal["max", "last"]


def auroc(labels: Labels, scores: Scores) -> float | None:
    """Give the chance that a positive scores above a negative, ties counting half (Hanley and McNeil 1982).

    None where only one class is present.

    >>> auroc([False, True, False, True], [0.1, 0.4, 0.4, 0.8])
    0.875
    """
    y, p = checked(labels, scores)
    positives = int(y.sum())
    negatives = len(y) - positives
    if not positives or not negatives:
        return None
    _, inverse, counts = np.unique(p, return_inverse=True, return_counts=True)
    mid_ranks = np.cumsum(counts) - (counts - 1) / 2.0
    rank_sum = float(mid_ranks[inverse[y]].sum())
    return (rank_sum - positives * (positives + 1) / 2.0) / (positives * negatives)


def average_precision(labels: Labels, scores: Scores) -> float | None:
    """Give the precision averaged over the recall gained at each distinct threshold, highest first.

    Rows with equal scores enter together, so their order cannot matter. None without a positive.

    >>> round(average_precision([False, True, False, True], [0.1, 0.4, 0.4, 0.8]), 4)
    0.8333
    """
    y, p = checked(labels, scores)
    positives = int(y.sum())
    if not positives:
        return None
    order = np.argsort(-p, kind="stable")
    hits = np.cumsum(y[order])
    ends = np.flatnonzero(np.append(np.diff(p[order]) != 0, True))
    hits_at_ends = hits[ends]
    gained = np.diff(np.concatenate(([0], hits_at_ends)))
    return float((gained * (hits_at_ends / (ends + 1.0))).sum() / positives)


class StayRows(msgspec.Struct, frozen=True):
    """One row a stay, stays in ascending order: whether the outcome came, and the score that stands for the stay."""

    labels: Bools
    scores: Floats
    groups: Ints


def stay_level(
    labels: Labels, scores: Scores, groups: Groups, times: Times | None = None, score: StayScore = "max"
) -> StayRows:
    """Give one row a stay: positive where any of its rows is, scored by its highest score or by its last.

    The highest asks whether the stay would ever have been flagged; a long stay has more chances to be, which is no
    fault of the figure but must be said beside it. The last is by `times` (ms), or by the order rows came in.

    >>> stay_level([False, True, False], [0.2, 0.1, 0.4], [8, 8, 5]).scores
    array([0.4, 0.2])
    >>> stay_level([False, True, False], [0.2, 0.1, 0.4], [8, 8, 5], score="last").scores
    array([0.4, 0.1])
    """
    y, p = checked(labels, scores)
    members = beside(len(y), groups, "groups")
    runs = runs_of(members, None if times is None else beside(len(y), times, "times"))
    if not len(y):
        return StayRows(y, p, members)
    of_stay = p[runs.order]
    if score == "max":
        chosen = np.maximum.reduceat(of_stay, runs.starts)
    else:
        chosen = of_stay[np.append(runs.starts[1:], len(of_stay)) - 1]
    return StayRows(np.logical_or.reduceat(y[runs.order], runs.starts), chosen, members[runs.order][runs.starts])
