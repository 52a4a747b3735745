"""The rows that figures are computed on: labels, scores, groups and times, checked once and alike for every figure.

Owns the checks and the two orderings that the figures share: by score with ties together, and by group and time. Must
not know any figure, model or outcome.

Labels are true where the outcome happened. A score may be any finite number (a NEWS2 total ranks as well as a
probability); a probability lies in [0, 1]. Groups number the stays or patients that rows belong to. Times are in ms.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

Labels = Sequence[bool] | NDArray[np.bool_]
Scores = Sequence[float] | NDArray[np.float64]
Groups = Sequence[int] | NDArray[np.int64]
Times = Sequence[int] | NDArray[np.int64]

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def truths(values: Labels, what: str = "labels") -> Bools:
    """Give what is true or false as an array; 0 and 1 are taken too. Raises `ValueError` for anything else.

    NaN is true to numpy, and so an unknown outcome would count as a death.

    >>> truths([0.0, 1.0])
    array([False,  True])
    """
    column = np.asarray(values)
    if column.dtype == np.bool_:
        return column
    if not column.size:
        return np.zeros(column.shape, dtype=bool)
    if column.dtype.kind not in "iuf" or not np.isin(column, (0, 1)).all():
        raise ValueError(f"{what} are true or false, and nothing else")
    return column.astype(bool)


def checked(labels: Labels, scores: Scores) -> tuple[Bools, Floats]:
    """Give both as arrays; raises `ValueError` where their lengths differ, a label is no truth or a score not finite.

    >>> checked([True, False], [5, 3])[1]
    array([5., 3.])
    """
    y = truths(labels)
    p = np.asarray(scores, dtype=np.float64)
    if y.shape != p.shape or y.ndim != 1:
        raise ValueError(f"{y.shape} labels beside {p.shape} probabilities")
    if not np.isfinite(p).all():
        raise ValueError("a probability is not finite")
    return y, p


def checked_probabilities(labels: Labels, probabilities: Scores) -> tuple[Bools, Floats]:
    """Give both as arrays; raises `ValueError` also where a probability lies outside [0, 1]."""
    y, p = checked(labels, probabilities)
    if len(p) and not (p.min() >= 0.0 and p.max() <= 1.0):
        raise ValueError("a probability lies outside [0, 1]")
    return y, p


def beside(rows: int, values: Groups | Times, what: str) -> Ints:
    """Give whole numbers, one a row, as an array; raises `ValueError` where there are more or fewer than `rows`."""
    column = np.asarray(values)
    if column.shape != (rows,):
        raise ValueError(f"{column.shape} {what} beside {rows} rows")
    if column.size and column.dtype.kind not in "iu":
        raise ValueError(f"{what} are whole numbers, not {column.dtype}")
    return column.astype(np.int64, copy=False)


def numbered(groups: Ints) -> tuple[Ints, int]:
    """Number groups 0, 1, 2 ... by ascending name; gives the number of each row, and how many groups there are."""
    names, members = np.unique(groups, return_inverse=True)
    return members.astype(np.int64, copy=False), len(names)


class Tied(msgspec.Struct, frozen=True):
    """Rows by ascending score: `order` sorts them, `starts` are the places where a new distinct score begins."""

    order: Ints
    starts: Ints


def tied(scores: Floats) -> Tied:
    """Order rows by score, equal scores together, so that no figure can depend on the order rows came in.

    >>> tied(np.array([0.4, 0.1, 0.4])).starts
    array([0, 1])
    """
    order = np.argsort(scores, kind="stable")
    if not len(order):
        return Tied(order, order)
    new = np.diff(scores[order]) != 0
    return Tied(order, np.flatnonzero(np.concatenate(([True], new))))


class Runs(msgspec.Struct, frozen=True):
    """Rows by group and then time: `order` sorts them, `starts` are the places where a new group begins."""

    order: Ints
    starts: Ints
    members: Ints
    """The group's number of each sorted row."""


def runs_of(groups: Ints, times: Ints | None = None) -> Runs:
    """Order rows by group, and within a group by time; without times, and at equal times, in the order they came.

    >>> runs_of(np.array([7, 3, 7]), np.array([2, 5, 1])).order
    array([1, 2, 0])
    """
    members, _ = numbered(groups)
    order = np.argsort(members, kind="stable") if times is None else np.lexsort((times, members))
    inside = members[order]
    starts = np.flatnonzero(np.concatenate(([True], np.diff(inside) != 0))) if len(inside) else order
    return Runs(order, starts, inside)
