"""How sure we may be of a figure: drawing whole stays with replacement.

Owns the bootstrap over groups (stays, patients), of one model and of the difference of two. Must not know what was
predicted. Random numbers come only from the generator a caller seeds and passes in; equal seeds draw equal stays.

A draw says how often each stay counts. Ranks, squares and gaps are sorted once and then weighed by the draw, so that a
thousand rounds on 800,000 rows take seconds; any other figure is computed on the drawn rows themselves, and takes as
long as it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
import numpy as np

from models.figures.calibration import CALIBRATION_BINS, bin_edges, brier, expected_calibration_error
from models.figures.discrimination import auroc, average_precision
from models.figures.proportions import LEVEL, Interval
from models.figures.scored_rows import Bools, Floats, Groups, Ints, Labels, Scores, beside, checked, numbered, tied

BOOTSTRAP_ROUNDS = 200
"""Enough for a 95 % interval's ends to two digits (Efron and Tibshirani 1993, chapter 13)."""

Metric = Callable[[Labels, Scores], float | None]
Draw = Floats
"""How often each group counts in one round, by the group's number."""
Weighed = Callable[[Draw], float | None]
"""A figure as a function of the draw alone."""


def bootstrap_interval(
    metric: Metric,
    labels: Labels,
    scores: Scores,
    groups: Groups,
    generator: np.random.Generator,
    rounds: int = BOOTSTRAP_ROUNDS,
    level: float = LEVEL,
) -> Interval | None:
    """Give the percentile interval of a figure when whole groups (stays) are drawn with replacement.

    Rows of one stay resemble each other, so rows are not drawn one by one. Rounds in which the figure is undefined are
    left out; None where fewer than half are defined. Uses `generator` only.

    >>> ends = bootstrap_interval(brier, [True, False], [0.9, 0.1], [1, 2], np.random.default_rng(0), rounds=10)
    >>> [round(end, 6) for end in ends]
    [0.01, 0.01]
    """
    y, p = checked(labels, scores)
    members, count = numbered(beside(len(y), groups, "groups"))
    weighed = weighed_by_draw(metric, y, p, members)
    return percentiles([weighed(draw) for draw in draws(count, generator, rounds)], level)


class Difference(msgspec.Struct, frozen=True):
    """By how much the first model's figure exceeds the second's on the same rows, with the interval of paired draws."""

    estimate: float
    interval: Interval | None
    share_above_0: float | None
    """The share of draws in which the first was the greater, ties counting half."""


def paired_difference(
    metric: Metric,
    labels: Labels,
    scores: Scores,
    other_scores: Scores,
    groups: Groups,
    generator: np.random.Generator,
    rounds: int = BOOTSTRAP_ROUNDS,
    level: float = LEVEL,
) -> Difference | None:
    """Give the difference of a figure between two models, drawing the same stays for both; None where undefined.

    Two models err on the same stays, so the difference is surer than either figure: two intervals that overlap say
    nothing of it.

    >>> found = paired_difference(brier, [True, False], [0.9, 0.1], [0.5, 0.5], [1, 2], np.random.default_rng(0), 10)
    >>> round(found.estimate, 6), found.share_above_0
    (-0.24, 0.0)
    """
    y, p = checked(labels, scores)
    _, q = checked(y, other_scores)
    members, count = numbered(beside(len(y), groups, "groups"))
    one, other = metric(y, p), metric(y, q)
    if one is None or other is None:
        return None
    first, second = weighed_by_draw(metric, y, p, members), weighed_by_draw(metric, y, q, members)
    found: list[float | None] = []
    for draw in draws(count, generator, rounds):
        here, there = first(draw), second(draw)
        found.append(None if here is None or there is None else here - there)
    defined = np.array([one for one in found if one is not None])
    above = float(np.mean((np.sign(defined) + 1.0) / 2.0)) if len(defined) else None
    return Difference(one - other, percentiles(found, level), above)


def ratio_interval(
    numerators: Scores,
    denominators: Scores,
    groups: Groups,
    generator: np.random.Generator,
    rounds: int = BOOTSTRAP_ROUNDS,
    level: float = LEVEL,
) -> Interval | None:
    """Give the interval of sum(numerators) / sum(denominators) over rows: a sensitivity, a PPV, alerts a patient-day.

    Both have one entry a row (or one a stay). Rounds with nothing below are left out; None where most are.

    >>> ratio_interval([1.0, 1.0], [2.0, 2.0], [1, 2], np.random.default_rng(0), rounds=10)
    (0.5, 0.5)
    """
    above, below = np.asarray(numerators, dtype=np.float64), np.asarray(denominators, dtype=np.float64)
    if above.shape != below.shape or not (np.isfinite(above).all() and np.isfinite(below).all()):
        raise ValueError("numerators and denominators are finite numbers, as many of one as of the other")
    members, count = numbered(beside(len(above), groups, "groups"))
    tops = np.bincount(members, weights=above, minlength=count)
    bottoms = np.bincount(members, weights=below, minlength=count)
    found: list[float | None] = []
    for draw in draws(count, generator, rounds):
        bottom = float(draw @ bottoms)
        found.append(float(draw @ tops) / bottom if bottom else None)
    return percentiles(found, level)


def draws(count: int, generator: np.random.Generator, rounds: int) -> Iterator[Draw]:
    """Draw `count` groups with replacement, `rounds` times; nothing of fewer than two: all draws were alike."""
    for _ in range(rounds if count > 1 else 0):
        yield np.bincount(generator.integers(0, count, count), minlength=count).astype(np.float64)


def percentiles(found: list[float | None], level: float) -> Interval | None:
    """Give the percentile interval of what was found in each round; None where fewer than half are defined.

    >>> percentiles([1.0, None], 0.95), percentiles([1.0, None, None], 0.95)
    ((1.0, 1.0), None)
    """
    defined = [one for one in found if one is not None]
    if not defined or len(defined) * 2 < len(found):
        return None
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(defined, [tail, 1.0 - tail])
    return float(low), float(high)


def weighed_by_draw(metric: Metric, y: Bools, p: Floats, members: Ints) -> Weighed:
    """Make ready a figure of rows as a function of how often each group counts. `members` are numbers from 0."""
    prepare = _PREPARED.get(metric)
    if prepare is not None and len(y):
        return prepare(y, p, members)
    every = np.arange(len(y))

    def on_drawn_rows(draw: Draw) -> float | None:
        rows = np.repeat(every, draw[members].astype(np.int64))
        return metric(y[rows], p[rows])

    return on_drawn_rows


class _Ranked(msgspec.Struct, frozen=True):
    """Rows sorted by score, highest first, parted by label; of the negatives only their places are of interest."""

    negatives: Ints
    """The group of each negative."""
    positives: Ints
    """The group of each positive."""
    blocks: Ints
    """Where among the positives each distinct score begins."""
    above: Ints
    """How many negatives score higher than each of those."""
    upto: Ints
    """How many score as high or higher."""


def _ranked(y: Bools, p: Floats, members: Ints) -> _Ranked:
    falling = np.argsort(-p, kind="stable")
    hits = falling[y[falling]]
    misses = falling[~y[falling]]
    blocks = tied(-p[hits]).starts
    levels, below = -p[hits][blocks], -p[misses]
    return _Ranked(
        negatives=members[misses],
        positives=members[hits],
        blocks=blocks,
        above=np.searchsorted(below, levels, side="left"),
        upto=np.searchsorted(below, levels, side="right"),
    )


def _counted(ranked: _Ranked, draw: Draw) -> tuple[Floats, Floats]:
    """Give how often each block of positives counts, and the running count of the negatives, from 0."""
    running = np.empty(len(ranked.negatives) + 1)
    running[0] = 0.0
    np.cumsum(draw[ranked.negatives], out=running[1:])
    if not len(ranked.positives):
        return np.zeros(0), running
    return np.add.reduceat(draw[ranked.positives], ranked.blocks), running


def _auroc_by_draw(y: Bools, p: Floats, members: Ints) -> Weighed:
    ranked = _ranked(y, p, members)

    def weighed(draw: Draw) -> float | None:
        hits, running = _counted(ranked, draw)
        pairs = float(hits.sum()) * float(running[-1])
        lost = float(hits @ (running[ranked.above] + running[ranked.upto])) / 2.0
        return 1.0 - lost / pairs if pairs else None

    return weighed


def _average_precision_by_draw(y: Bools, p: Floats, members: Ints) -> Weighed:
    ranked = _ranked(y, p, members)

    def weighed(draw: Draw) -> float | None:
        hits, running = _counted(ranked, draw)
        total = float(hits.sum())
        if not total:
            return None
        found = np.cumsum(hits)
        told = np.maximum(found + running[ranked.upto], 1.0)
        return float(hits @ (found / told)) / total

    return weighed


def _brier_by_draw(y: Bools, p: Floats, members: Ints) -> Weighed:
    if brier(y, p) is None:
        return lambda _: None
    squares = np.bincount(members, weights=(p - y) ** 2)
    rows = np.bincount(members)
    return lambda draw: float(draw @ squares) / float(draw @ rows)


def _calibration_error_by_draw(y: Bools, p: Floats, members: Ints) -> Weighed:
    if expected_calibration_error(y, p) is None:
        return lambda _: None
    ordered = tied(p)
    of_row, gaps = members[ordered.order], (p - y)[ordered.order]

    def weighed(draw: Draw) -> float:
        counts = draw[of_row]
        running = np.concatenate(([0.0], np.cumsum(counts * gaps)))
        edges = bin_edges(ordered, CALIBRATION_BINS, counts)
        return float(np.abs(np.diff(running[edges])).sum()) / float(counts.sum())

    return weighed


_PREPARED: dict[Metric, Callable[[Bools, Floats, Ints], Weighed]] = {
    auroc: _auroc_by_draw,
    average_precision: _average_precision_by_draw,
    brier: _brier_by_draw,
    expected_calibration_error: _calibration_error_by_draw,
}
"""The figures that are sorted once and weighed by the draw."""
