"""When a score would have spoken: episodes with hysteresis, what they were in time for, and the time they were watched.

Owns the count of alerts as the service counts them: raised at one level, standing until the score falls below a lower
one, raised again only then. Must not know whose score it is, nor the filters behind it.

It is the array form of `alerts.burden`, which measures what a ward was really told: a hundred thresholds on 800,000
rows take seconds here. Both give the same figures, and a test holds them to it.
"""

from __future__ import annotations

import msgspec
import numpy as np

from events import MILLIS_PER_DAY, MILLIS_PER_HOUR, Millis
from models.figures.scored_rows import (
    Bools,
    Floats,
    Groups,
    Ints,
    Labels,
    Scores,
    Times,
    beside,
    checked,
    runs_of,
    truths,
)

ROW_MS = MILLIS_PER_HOUR
"""How long the last row of a stay is taken to stand for: the public data have one row an hour."""


class Track(msgspec.Struct, frozen=True):
    """Scores by stay and time, sorted once for many thresholds."""

    order: Ints
    """Which of the given rows each sorted row is."""
    firsts: Bools
    """Whether a sorted row is its stay's first."""
    groups: Ints
    times: Ints
    scores: Floats


def track_of(scores: Scores, groups: Groups, times: Times) -> Track:
    """Sort rows by stay and time; raises `ValueError` where the columns do not fit."""
    _, p = checked(np.zeros(len(scores), dtype=bool), scores)
    members, at = beside(len(p), groups, "groups"), beside(len(p), times, "times")
    runs = runs_of(members, at)
    firsts = np.zeros(len(p), dtype=bool)
    firsts[runs.starts] = True
    return Track(runs.order, firsts, members[runs.order], at[runs.order], p[runs.order])


class Episodes(msgspec.Struct, frozen=True):
    """Alerts by stay and time: of which stay, raised when, and until when they stood (ms)."""

    groups: Ints
    started_at: Ints
    ended_at: Ints
    """The time of the first row that was below, or of the stay's last row."""
    standing: Bools
    """Whether an alert stood at each row, in the order rows were given."""


def episodes_of(track: Track, raise_at: float, release_at: float | None = None) -> Episodes:
    """Give the alerts of one threshold; see `alert_episodes`."""
    release = raise_at if release_at is None else release_at
    if not release <= raise_at:
        raise ValueError(f"an alert cannot be let go at {release}, above {raise_at} where it is raised")
    rows = len(track.scores)
    places = np.arange(rows)
    rises, falls = track.scores >= raise_at, track.scores < release
    decided = np.maximum.accumulate(np.where(rises | falls | track.firsts, places, 0)) if rows else places
    on = rises[decided]
    lasts = np.append(track.firsts[1:], True)[:rows]
    begins = on & (track.firsts | ~np.concatenate(([False], on[:-1]))[:rows])
    ends = np.flatnonzero(on & (lasts | ~np.append(on[1:], False)[:rows]))
    until = np.where(lasts[ends], ends, ends + 1)
    standing = np.zeros(rows, dtype=bool)
    standing[track.order] = on
    return Episodes(track.groups[begins], track.times[begins], track.times[until], standing)


def alert_episodes(
    scores: Scores, groups: Groups, times: Times, raise_at: float, release_at: float | None = None
) -> Episodes:
    """Give the alerts of a score: raised at `raise_at` and above, standing until it is below `release_at`.

    Without `release_at` one level serves for both, as for a rule that has no hysteresis. Rows without a score must be
    left out: no score changes nothing. Raises `ValueError` where `release_at` is the higher.

    >>> found = alert_episodes([0.1, 0.6, 0.4, 0.2, 0.7], [1] * 5, [0, 1, 2, 3, 4], raise_at=0.5, release_at=0.3)
    >>> found.started_at.tolist(), found.ended_at.tolist(), found.standing.tolist()
    ([1, 4], [3, 4], [False, True, True, False, True])
    """
    return episodes_of(track_of(scores, groups, times), raise_at, release_at)


def days_of(track: Track, row_ms: Millis = ROW_MS) -> float:
    """Give the patient-days under observation: from each stay's first row to its last, and `row_ms` for the last."""
    if not len(track.times):
        return 0.0
    starts = np.flatnonzero(track.firsts)
    ends = np.append(starts[1:], len(track.times)) - 1
    return float((track.times[ends] - track.times[starts] + row_ms).sum()) / MILLIS_PER_DAY


def observed_days(groups: Groups, times: Times, row_ms: Millis = ROW_MS) -> float:
    """Give the patient-days under observation; see `days_of`.

    >>> hour = 3_600_000
    >>> observed_days([1] * 12 + [2] * 12, [hour * n for n in range(12)] * 2)
    1.0
    """
    return days_of(track_of(np.zeros(len(groups)), groups, times), row_ms)


class Onsets(msgspec.Struct, frozen=True):
    """Outcomes, one entry each: of which stay, and when (ms). A stay may have several."""

    groups: Ints
    times: Ints


def onsets_of(labels: Labels, groups: Groups, outcome_at: Times) -> Onsets:
    """Give the distinct outcomes behind positive rows. `outcome_at` (ms) is read only where the label is true.

    >>> found = onsets_of([False, True, True], [1, 1, 1], [0, 50, 50])
    >>> found.groups.tolist(), found.times.tolist()
    ([1], [50])
    """
    y = truths(labels)
    members, at = beside(len(y), groups, "groups"), beside(len(y), outcome_at, "outcome times")
    distinct = np.unique(np.column_stack((members[y], at[y])), axis=0)
    return Onsets(distinct[:, 0], distinct[:, 1])


def before_onset(groups: Groups, times: Times, onsets: Onsets) -> Bools:
    """Tell for each row whether it is earlier than its stay's first outcome. All rows of stays without one are.

    For whoever wants only the alerts that could still warn: figures here count all they are given, for an alert at the
    outcome or after it costs a nurse's walk as well.

    >>> before_onset([1, 1, 2], [5, 6, 9], Onsets(np.array([1]), np.array([6]))).tolist()
    [True, False, True]
    """
    rows = len(groups)
    members, at = beside(rows, groups, "groups"), beside(rows, times, "times")
    order = np.lexsort((onsets.times, onsets.groups))
    names, places = np.unique(onsets.groups[order], return_index=True)
    if not len(names):
        return np.ones(rows, dtype=bool)
    firsts = onsets.times[order][places]
    near = np.minimum(np.searchsorted(names, members), len(names) - 1)
    early: Bools = (names[near] != members) | (at < firsts[near])
    return early


class Timeliness(msgspec.Struct, frozen=True):
    """What alerts were in time for."""

    leads_ms: Ints
    """One entry an outcome that was told in advance."""
    told: Bools
    """Whether each outcome was told in advance, in the order of the onsets."""
    came_true: Bools
    """Whether each alert that can be judged was followed by an outcome of its stay within the horizon."""


def timeliness(episodes: Episodes, onsets: Onsets, horizon_ms: Millis) -> Timeliness:
    """Hold alerts against outcomes, with the conventions of `alerts.burden`.

    An outcome is told in advance where an alert of its stay was raised before it and stood at any time within the
    horizon; the lead runs from its raising, at most the horizon. An alert is true where an outcome follows its raising
    within the horizon; one raised after the last outcome of its stay is not judged.
    """
    names, numbers = np.unique(np.concatenate((episodes.groups, onsets.groups)), return_inverse=True)
    of_alert, of_onset = numbers[: len(episodes.groups)], numbers[len(episodes.groups) :]
    line = _Line(np.concatenate((episodes.started_at, episodes.ended_at, onsets.times)), horizon_ms, len(names))

    ended = line.keys(of_alert, episodes.ended_at)
    first = np.searchsorted(ended, line.keys(of_onset, onsets.times - horizon_ms), side="left")
    known = first < len(ended)
    first = np.where(known, first, 0)
    if len(ended):
        known &= (of_alert[first] == of_onset) & (episodes.started_at[first] < onsets.times)
    lead = np.minimum(onsets.times[known] - episodes.started_at[first[known]], horizon_ms)

    order = np.lexsort((onsets.times, of_onset))
    outcomes = line.keys(of_onset[order], onsets.times[order])
    after = np.searchsorted(outcomes, line.keys(of_alert, episodes.started_at), side="right")
    owner, when = np.append(of_onset[order], -1), np.append(onsets.times[order], 0)
    follows = owner[after] == of_alert
    over = ~follows & (after > 0) & (owner[after - 1] == of_alert)
    came_true = follows & (when[after] <= episodes.started_at + horizon_ms)
    return Timeliness(lead, known, came_true[~over])


class _Line:
    """Stay and time as one whole number that sorts as the pair does."""

    def __init__(self, times: Ints, horizon_ms: Millis, stays: int) -> None:
        self._zero = int(times.min()) - horizon_ms if len(times) else 0
        self._span = int(times.max()) - self._zero + 1 if len(times) else 1
        if self._span * (stays + 1) >= np.iinfo(np.int64).max:
            raise ValueError(
                f"{stays} stays over {self._span} ms are more than one figure can hold: split them by time"
            )

    def keys(self, stays: Ints, times: Ints) -> Ints:
        return stays * self._span + (times - self._zero)
