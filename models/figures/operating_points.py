"""What a threshold costs and what it finds: by hour, and by alert as the service raises them.

Owns sensitivity, specificity, PPV, alert rates and lead times along the threshold, and the comparison of two scores at
the same sensitivity. Must not know which threshold is right: that is a clinical decision.

Both counts are given because they answer different questions. By hour (row): how many of the hours that preceded an
outcome were flagged, as the literature reports it. By alert (`models.figures.alert_episodes`): how often a nurse is
called, and how many outcomes somebody was called for in time. Neither can be computed from the other. Undefined is
None.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from events import MILLIS_PER_DAY, MILLIS_PER_HOUR, Millis
from models.figures.alert_episodes import ROW_MS, Episodes, Onsets, Track, days_of, episodes_of, timeliness, track_of
from models.figures.bootstrap import BOOTSTRAP_ROUNDS, draws, percentiles
from models.figures.proportions import LEVEL, Interval
from models.figures.scored_rows import Bools, Floats, Groups, Labels, Scores, Times, beside, checked, numbered, truths

HORIZON_MS = 12 * MILLIS_PER_HOUR
"""The default outcome window (clinical.md, "Outcomes")."""

RELEASE_SHARE = 0.7
"""Hysteresis as the model cards recommend it: an alert ends below this share of its threshold."""

LEADS_MIN = 2
"""With fewer leads there are no quartiles."""

FLAGGED_SHARE_MIN = 1e-4
"""The strictest threshold that a curve shows flags one row in ten thousand."""


class HourPoint(msgspec.Struct, frozen=True):
    """One threshold, counted by hour (row): a row is flagged where its score is at or above it."""

    threshold: float
    flagged: int
    true_positives: int
    sensitivity: float | None
    specificity: float | None
    ppv: float | None
    number_needed_to_evaluate: float | None
    """Flagged rows to look at for one that preceded an outcome: 1 / PPV."""
    flagged_per_patient_day: float | None


def thresholds_along(scores: Scores, points: int) -> Floats:
    """Give thresholds that flag from one row in ten thousand to every row, evenly on the logarithmic scale; ascending.

    >>> thresholds_along([0.1, 0.2, 0.3], points=3)
    array([0.1, 0.2, 0.3])
    """
    ordered = np.sort(np.asarray(scores, dtype=np.float64))
    if not len(ordered):
        return ordered
    flagged = np.ceil(np.geomspace(max(FLAGGED_SHARE_MIN, 1.0 / len(ordered)), 1.0, points) * len(ordered) - 1e-9)
    return np.unique(ordered[len(ordered) - flagged.astype(np.int64)])


def operating_curve(
    labels: Labels,
    scores: Scores,
    thresholds: Sequence[float] | Floats | None = None,
    points: int = 100,
    patient_days: float | None = None,
) -> tuple[HourPoint, ...]:
    """Count by hour at each threshold, ascending. Without `patient_days` there are no rates a patient-day.

    >>> point = operating_curve([True, True, False, False], [0.9, 0.2, 0.6, 0.1], [0.5], patient_days=0.5)[0]
    >>> point.sensitivity, point.specificity, point.ppv, point.flagged_per_patient_day
    (0.5, 0.5, 0.5, 4.0)
    """
    y, p = checked(labels, scores)
    levels = np.sort(np.asarray(thresholds_along(p, points) if thresholds is None else thresholds, dtype=np.float64))
    everybody, hits = np.sort(p), np.sort(p[y])
    positives, negatives = len(hits), len(p) - len(hits)
    flagged = len(p) - np.searchsorted(everybody, levels, side="left")
    found = positives - np.searchsorted(hits, levels, side="left")
    return tuple(
        HourPoint(
            threshold=level,
            flagged=told,
            true_positives=true,
            sensitivity=true / positives if positives else None,
            specificity=1.0 - (told - true) / negatives if negatives else None,
            ppv=true / told if told else None,
            number_needed_to_evaluate=told / true if true else None,
            flagged_per_patient_day=told / patient_days if patient_days else None,
        )
        for level, told, true in zip(levels.tolist(), flagged.tolist(), found.tolist(), strict=True)
    )


class AlertPoint(msgspec.Struct, frozen=True):
    """One threshold, counted by alert: an episode with hysteresis. A share of nothing is None."""

    raise_at: float
    release_at: float
    alerts: int
    alerts_per_patient_day: float | None
    stays_alerted: float | None
    """The share of stays with any alert."""
    standing_share: float | None
    """Of the patients' time, how much an alert stood."""
    outcomes: int
    told_in_advance: int
    sensitivity: float | None
    """The share of outcomes told in advance (see `models.figures.alert_episodes.timeliness`)."""
    ppv: float | None
    number_needed_to_evaluate: float | None
    """Alerts to answer for one that came true: 1 / PPV."""
    lead_h_quartiles: tuple[float, float, float] | None
    """Lower quartile, median, upper quartile of the hours from the alert to the outcome, at most the horizon."""


def _alert_point(
    track: Track, onsets: Onsets, days: float, raise_at: float, release_at: float, horizon_ms: Millis
) -> AlertPoint:
    episodes = episodes_of(track, raise_at, release_at)
    found = timeliness(episodes, onsets, horizon_ms)
    alerts, stays, told = len(episodes.groups), int(track.firsts.sum()), int(found.told.sum())
    leads_h = found.leads_ms / MILLIS_PER_HOUR
    quartiles = np.quantile(leads_h, [0.25, 0.5, 0.75]).tolist() if len(leads_h) >= LEADS_MIN else None
    true, judged = int(found.came_true.sum()), len(found.came_true)
    return AlertPoint(
        raise_at=raise_at,
        release_at=release_at,
        alerts=alerts,
        alerts_per_patient_day=alerts / days if days else None,
        stays_alerted=len(np.unique(episodes.groups)) / stays if stays else None,
        standing_share=_standing_ms(episodes) / (days * MILLIS_PER_DAY) if days else None,
        outcomes=len(onsets.times),
        told_in_advance=told,
        sensitivity=told / len(onsets.times) if len(onsets.times) else None,
        ppv=true / judged if judged else None,
        number_needed_to_evaluate=judged / true if true else None,
        lead_h_quartiles=None if quartiles is None else (quartiles[0], quartiles[1], quartiles[2]),
    )


def _standing_ms(episodes: Episodes) -> int:
    return int((episodes.ended_at - episodes.started_at).sum())


def alert_point(
    scores: Scores,
    groups: Groups,
    times: Times,
    onsets: Onsets,
    raise_at: float,
    release_at: float | None = None,
    horizon_ms: Millis = HORIZON_MS,
    row_ms: Millis = ROW_MS,
) -> AlertPoint:
    """Count by alert at one threshold. Times are in ms; without `release_at` one level serves for both.

    Every row given is counted, those at and after an outcome too: what is raised there is burden, and left out of PPV
    alone, as `alerts.burden` has it. `models.figures.alert_episodes.before_onset` tells which rows those are.

    >>> hour = 3_600_000
    >>> onsets = Onsets(np.array([1]), np.array([5 * hour]))
    >>> point = alert_point([0.1, 0.9, 0.1], [1, 1, 1], [0, 2 * hour, 3 * hour], onsets, raise_at=0.5)
    >>> point.alerts, point.sensitivity, point.ppv, point.alerts_per_patient_day
    (1, 1.0, 1.0, 6.0)
    """
    track = track_of(scores, groups, times)
    release = raise_at if release_at is None else release_at
    return _alert_point(track, onsets, days_of(track, row_ms), raise_at, release, horizon_ms)


def alert_curve(
    scores: Scores,
    groups: Groups,
    times: Times,
    onsets: Onsets,
    thresholds: Sequence[float] | Floats | None = None,
    release_share: float = RELEASE_SHARE,
    points: int = 40,
    horizon_ms: Millis = HORIZON_MS,
    row_ms: Millis = ROW_MS,
) -> tuple[AlertPoint, ...]:
    """Count by alert along the threshold, ascending; an alert ends below `release_share` of its threshold.

    A share below 1 is for scores of at least 0; of others, ask `alert_point` with a level of its own.
    """
    track = track_of(scores, groups, times)
    days = days_of(track, row_ms)
    levels = thresholds_along(track.scores, points) if thresholds is None else np.sort(np.asarray(thresholds))
    return tuple(
        _alert_point(track, onsets, days, level, level * release_share, horizon_ms)
        for level in levels.astype(np.float64).tolist()
    )


class Matched(msgspec.Struct, frozen=True):
    """Two scores at the same sensitivity: what each then tells. `share` is the first's alerts over the comparator's."""

    threshold: float
    """The strictest threshold at which the score is at least as sensitive as the comparator."""
    sensitivity: float
    alerts: int
    comparator_sensitivity: float
    comparator_alerts: int
    share: float


def hours_at_sensitivity_of(labels: Labels, scores: Scores, comparator_flags: Sequence[bool] | Bools) -> Matched | None:
    """Compare flagged hours at the comparator's sensitivity by hour; None where the comparator finds nothing.

    >>> labels = [True, True, False, False, False, False]
    >>> flags = [True, False, True, True, False, False]
    >>> hours_at_sensitivity_of(labels, [0.9, 0.5, 0.6, 0.4, 0.3, 0.2], flags).share
    0.3333333333333333
    """
    y, p = checked(labels, scores)
    flags = truths(comparator_flags, "flags")
    if flags.shape != y.shape:
        raise ValueError(f"{flags.shape} flags beside {len(y)} rows")
    positives, wanted = int(y.sum()), int((y & flags).sum())
    if not wanted:
        return None
    threshold = float(np.partition(p[y], positives - wanted)[positives - wanted])
    told = p >= threshold
    return Matched(
        threshold=threshold,
        sensitivity=int((told & y).sum()) / positives,
        alerts=int(told.sum()),
        comparator_sensitivity=wanted / positives,
        comparator_alerts=int(flags.sum()),
        share=int(told.sum()) / int(flags.sum()),
    )


def hours_share_interval(
    labels: Labels,
    scores: Scores,
    comparator_flags: Sequence[bool] | Bools,
    groups: Groups,
    generator: np.random.Generator,
    rounds: int = BOOTSTRAP_ROUNDS,
    level: float = LEVEL,
) -> Interval | None:
    """Give the bootstrap interval, by stay, of the share in `hours_at_sensitivity_of`.

    In each draw the threshold is found anew, so the interval holds the doubt about the threshold too.
    """
    y, p = checked(labels, scores)
    flags = truths(comparator_flags, "flags")
    if flags.shape != y.shape:
        raise ValueError(f"{flags.shape} flags beside {len(y)} rows")
    members, count = numbered(beside(len(y), groups, "groups"))
    falling = np.argsort(-p, kind="stable")
    hits, everybody = members[falling[y[falling]]], members[falling]
    # How many rows score at least as high as each positive.
    told_upto = np.searchsorted(-p[falling], -p[falling[y[falling]]], side="right")
    flagged, found = np.bincount(members[flags], minlength=count), np.bincount(members[flags & y], minlength=count)
    shares: list[float | None] = []
    for draw in draws(count, generator, rounds):
        wanted, told_by_other = float(draw @ found), float(draw @ flagged)
        if not wanted:
            shares.append(None)
            continue
        strictest = int(np.searchsorted(np.cumsum(draw[hits]), wanted, side="left"))
        shares.append(float(draw[everybody[: told_upto[strictest]]].sum()) / told_by_other)
    return percentiles(shares, level)


def alerts_at_sensitivity_of(
    scores: Scores,
    groups: Groups,
    times: Times,
    onsets: Onsets,
    comparator: AlertPoint,
    release_share: float = RELEASE_SHARE,
    horizon_ms: Millis = HORIZON_MS,
) -> Matched | None:
    """Compare alerts at the comparator's share of outcomes told in advance; None where it tells none.

    The lower the threshold, the more outcomes are told (where an alert stood it still stands), so the strictest
    threshold is found by halving. `comparator` is from `alert_point` on the same rows and onsets.
    """
    track = track_of(scores, groups, times)
    if not comparator.told_in_advance or comparator.sensitivity is None:
        return None

    def told_at(level: float) -> tuple[int, int]:
        episodes = episodes_of(track, level, level * release_share)
        return int(timeliness(episodes, onsets, horizon_ms).told.sum()), len(episodes.groups)

    levels = np.unique(track.scores)
    low, high = 0, len(levels)
    # Below `low` every level is known to tell enough, from `high` on none does.
    while low < high:
        middle = (low + high) // 2
        if told_at(float(levels[middle]))[0] >= comparator.told_in_advance:
            low = middle + 1
        else:
            high = middle
    if not low:
        return None
    threshold = float(levels[low - 1])
    told, alerts = told_at(threshold)
    return Matched(
        threshold=threshold,
        sensitivity=told / comparator.outcomes,
        alerts=alerts,
        comparator_sensitivity=comparator.sensitivity,
        comparator_alerts=comparator.alerts,
        share=alerts / comparator.alerts,
    )
