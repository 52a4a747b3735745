"""Vectors of features as of an instant: named, compiled once, evaluated per patient.

Owns the names of statistics, their definitions and the window arithmetic. Must not know models. A window of h hours at
T holds the readings with T - h < event_time <= T; nothing later than T is ever used. All sums are of whole numbers,
and one division at the end makes the float, so a statistic does not depend on the order of arrival.

Where a window reaches into hourly buckets, the bucket that its far edge cuts counts whole (a window is up to an hour
longer there); a bucket that holds readings later than T counts not at all.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from math import nan, sqrt
from operator import mul
from typing import NamedTuple

from events import MILLIS_PER_HOUR, Millis
from features.carried import KINDS, Asked, fill_carried
from features.catalogue import Catalogue, Feature, default_catalogue
from features.series import (
    COUNT,
    FIRST,
    FIRST_ID,
    GRID_MS,
    HIGHEST,
    HOUR,
    LAST,
    LAST_ID,
    LOWEST,
    ST,
    STT,
    STV,
    SV,
    SVV,
    R,
    Series,
    W,
    last_time,
    mark_time_value,
    mark_value,
)

WINDOWS_H = (1, 6, 24)
"""The windows there are; the longest is within what a series retains."""
POINTS = ("last", "age_h", "previous", "previous_age_h", "change")
LAST_VALUE, AGE, PREVIOUS, PREVIOUS_AGE = range(4)
"""Of the last two readings: value, age in hours, and last minus previous."""
BASELINE = "delta_baseline"
"""The last reading minus the mean of the others of the 24 h before T: the patient's own baseline."""
BASELINE_MS = 24 * MILLIS_PER_HOUR
RECENT = 2 * W
"""Words of the last two raw entries."""
OF_STAY = ("age_years", "hours_since_admission")
"""Entries that belong to no feature; the state itself supplies them."""


class UnknownStatisticError(ValueError):
    """A vector asks for a name that is none: ours or the operator's."""


class Sums(NamedTuple):
    """What a window that reaches into buckets amounts to; times are since the first bucket's hour, values in steps."""

    n: int
    v: int
    vv: int
    t: int
    tt: int
    tv: int
    lowest: int
    highest: int
    last: int


class Statistic(NamedTuple):
    """One windowed statistic: of readings in full (times, values, how many, steps a unit), and of sums."""

    of_readings: Callable[[list[int], list[int], int, int], float]
    of_sums: Callable[[Sums, int], float]


class FeaturePlan(NamedTuple):
    """What to compute of one feature: points and windows, with the places in the vector they go to."""

    feature: int
    steps: int
    last: int
    """The place of the last value, or -1."""
    age: int
    """The place of its age, or -1."""
    of_two: tuple[tuple[int, int], ...]
    """(which of POINTS, place) of those that need the reading before the last too."""
    windows: tuple[tuple[int, tuple[tuple[Statistic, int], ...], bool], ...]
    """(width in ms, ((statistic, place)...), whether a slope is among them), the widest last."""
    asked: tuple[Asked, ...] | None
    """The same for `fill_carried`; None where windows are not to be, or cannot be, carried on."""


class VectorSpec:
    """A list of names, compiled.

    `carried` says that vectors of it will be asked for again and again as time goes on: the sums of its windows are
    then kept with each patient from one vector to the next. It changes nothing of what is computed.

    >>> spec = VectorSpec(["heart_rate.last", "heart_rate.mean_6h", "age_years"])
    >>> len(spec.plans), spec.names[1]
    (1, 'heart_rate.mean_6h')
    """

    __slots__ = ("admission_places", "age_places", "names", "plans", "template")

    def __init__(self, names: Iterable[str], catalogue: Catalogue | None = None, *, carried: bool = False) -> None:
        self.names = tuple(names)
        catalogue = catalogue or default_catalogue()
        points: dict[str, list[tuple[int, int]]] = {}
        windows: dict[str, dict[int, list[tuple[str, int]]]] = {}
        self.age_places = tuple(place for place, name in enumerate(self.names) if name == OF_STAY[0])
        self.admission_places = tuple(place for place, name in enumerate(self.names) if name == OF_STAY[1])
        self.template = [nan] * len(self.names)
        for place, name in enumerate(self.names):
            if name in OF_STAY:
                continue
            feature, _, statistic = name.partition(".")
            catalogue.by_name(feature)
            points.setdefault(feature, [])
            if statistic in POINTS:
                points[feature].append((POINTS.index(statistic), place))
                continue
            width, kind = _window(name, statistic)
            windows.setdefault(feature, {}).setdefault(width, []).append((kind, place))
            if kind == "count":
                self.template[place] = 0.0
        self.plans = tuple(
            _plan(catalogue.by_name(feature), points[feature], windows.get(feature, {}), carried=carried)
            for feature in points
        )


def _plan(
    feature: Feature, points: list[tuple[int, int]], windows: dict[int, list[tuple[str, int]]], *, carried: bool
) -> FeaturePlan:
    ordered = [(width, windows[width], any(kind == "slope" for kind, _ in windows[width])) for width in sorted(windows)]
    carried = (carried and all(kind in KINDS for _, wanted, _ in ordered for kind, _ in wanted)) or not ordered
    places = dict(points)
    return FeaturePlan(
        feature.index,
        feature.steps,
        places.get(LAST_VALUE, -1),
        places.get(AGE, -1),
        tuple((which, place) for which, place in points if which >= PREVIOUS),
        tuple(
            (width, tuple((STATISTICS[kind], place) for kind, place in wanted), sloped)
            for width, wanted, sloped in ordered
        ),
        tuple(
            (width, sloped, tuple((KINDS[kind], place) for kind, place in wanted)) for width, wanted, sloped in ordered
        )
        if carried
        else None,
    )


def _window(name: str, statistic: str) -> tuple[int, str]:
    if statistic == BASELINE:
        return BASELINE_MS, BASELINE
    kind, _, width = statistic.rpartition("_")
    if kind not in STATISTICS or kind == BASELINE or width not in [f"{hours}h" for hours in WINDOWS_H]:
        raise UnknownStatisticError(f"{name}: no such statistic")
    return int(width[:-1]) * MILLIS_PER_HOUR, kind


def fill(out: list[float], series: Series, plan: FeaturePlan, at: Millis) -> None:
    """Compute one feature's part of a vector into `out` (hot path)."""
    _, steps, last, age, of_two, _, asked = plan
    raw = series.raw
    if asked is None or not raw or (newest := raw[-3]) > at or (len(raw) < RECENT and series.rows is not None):
        fill_anew(out, series, plan, at)
        return
    if last >= 0:
        out[last] = raw[-2] / steps
    if age >= 0:
        out[age] = (at - newest) / MILLIS_PER_HOUR
    if of_two and len(raw) >= RECENT:
        _fill_of_two(out, of_two, (newest, raw[-6]), (raw[-2], raw[-5]), steps, at)
    if asked:
        fill_carried(out, series, asked, steps, at)


def _fill_of_two(
    out: list[float],
    of_two: tuple[tuple[int, int], ...],
    times: tuple[int, int],
    values: tuple[int, int],
    steps: int,
    at: Millis,
) -> None:
    """Compute the points of the last two readings, newest first."""
    for which, place in of_two:
        if which == PREVIOUS:
            out[place] = values[1] / steps
        elif which == PREVIOUS_AGE:
            out[place] = (at - times[1]) / MILLIS_PER_HOUR
        else:
            out[place] = (values[0] - values[1]) / steps


def fill_anew(out: list[float], series: Series, plan: FeaturePlan, at: Millis) -> None:
    """Compute the same from the readings alone: of any instant, past ones too."""
    steps, windows = plan.steps, plan.windows
    raw = series.raw
    times, values = raw[0::W].tolist(), raw[1::W].tolist()
    if times and times[-1] > at:
        end = bisect_right(times, at)
        del times[end:], values[end:]
    if plan.last >= 0 or plan.age >= 0 or plan.of_two:
        _fill_points(out, series, plan, at, times, values)
    oldest = times[0] if times else at + 1
    for width, wanted, sloped in windows:
        start = at - width
        if start >= oldest:
            begin = bisect_right(times, start)
            part_times, part = times[begin:], values[begin:]
        else:
            part_times, part = times, values
            sums = _sums(series, start, at, times, values, sloped) if series.rows is not None else None
            if sums is not None:
                for statistic, place in wanted:
                    out[place] = statistic.of_sums(sums, steps)
                continue
        n = len(part)
        if n:
            for statistic, place in wanted:
                out[place] = statistic.of_readings(part_times, part, n, steps)


def _fill_points(
    out: list[float], series: Series, plan: FeaturePlan, at: Millis, times: list[int], values: list[int]
) -> None:
    if not times or (len(times) == 1 and series.rows is not None):
        times, values = _with_bucket_lasts(series, at, times, values)
        if not times:
            return
    if plan.last >= 0:
        out[plan.last] = values[-1] / plan.steps
    if plan.age >= 0:
        out[plan.age] = (at - times[-1]) / MILLIS_PER_HOUR
    if len(times) > 1:
        _fill_of_two(out, plan.of_two, (times[-1], times[-2]), (values[-1], values[-2]), plan.steps, at)


def _with_bucket_lasts(series: Series, at: Millis, times: list[int], values: list[int]) -> tuple[list[int], list[int]]:
    """Put the buckets' last readings up to T before the raw ones (only ever needed after removals or for a past T)."""
    rows = series.rows
    if not rows:
        return times, values
    pairs = []
    for base in range(0, len(rows), R):
        time, value = mark_time_value(rows[base + LAST])
        if rows[base + HOUR] * GRID_MS + time <= at:
            pairs.append((rows[base + HOUR] * GRID_MS + time, value))
    return [time for time, _ in pairs] + times, [value for _, value in pairs] + values


def _sums(
    series: Series,
    start: Millis,
    at: Millis,
    times: list[int],
    values: list[int],
    sloped: bool,  # noqa: FBT001 -- hot
) -> Sums | None:
    """Sum the buckets of a window together with the raw readings; None where no bucket takes part.

    The sums over time cost as much again as the others; they are 0 where no slope is asked for.
    """
    rows = series.rows
    if rows is None:
        return None
    hours = rows[HOUR::R].tolist()
    low, high = bisect_right(hours, start // GRID_MS), len(hours)
    if low and last_time(rows, (low - 1) * R) > start:
        low -= 1
    while high and last_time(rows, (high - 1) * R) > at:
        high -= 1
    if low >= high:
        return None
    part = rows[low * R : high * R]
    count, sv = part[COUNT::R].tolist(), part[SV::R].tolist()
    t = tt = tv = 0
    if sloped:
        origin, st = hours[low], part[ST::R].tolist()
        begins = [(hour - origin) * GRID_MS for hour in hours[low:high]]
        since = [time - origin * GRID_MS for time in times]
        t = sum(map(mul, begins, count)) + sum(st) + sum(since)
        tt = sum(map(mul, map(mul, begins, begins), count)) + 2 * sum(map(mul, begins, st))
        tt += sum(part[STT::R]) + sum(map(mul, since, since))
        tv = sum(map(mul, begins, sv)) + sum(part[STV::R]) + sum(map(mul, since, values))
    lowest, highest = [mark_value(min(part[LOWEST::R]))], [mark_value(max(part[HIGHEST::R]))]
    return Sums(
        n=sum(count) + len(times),
        v=sum(sv) + sum(values),
        vv=sum(part[SVV::R]) + sum(map(mul, values, values)),
        t=t,
        tt=tt,
        tv=tv,
        lowest=min(lowest + values),
        highest=max(highest + values),
        last=values[-1] if values else mark_time_value(part[LAST - R])[1],
    )


def _count(_times: list[int], _values: list[int], n: int, _steps: int) -> float:
    return float(n)


def _mean(_times: list[int], values: list[int], n: int, steps: int) -> float:
    return sum(values) / (n * steps)


def _min(_times: list[int], values: list[int], _n: int, steps: int) -> float:
    return min(values) / steps


def _max(_times: list[int], values: list[int], _n: int, steps: int) -> float:
    return max(values) / steps


def _sd(_times: list[int], values: list[int], n: int, steps: int) -> float:
    if n < 2:
        return nan
    total = sum(values)
    return sqrt((n * sum(map(mul, values, values)) - total * total) / (n * (n - 1))) / steps


def _slope(times: list[int], values: list[int], n: int, steps: int) -> float:
    if n < 2:
        return nan
    # Times since the first of the window: small integers multiply four times as quickly.
    origin = times[0]
    since = [time - origin for time in times]
    total = sum(since)
    below = n * sum(map(mul, since, since)) - total * total
    if not below:
        return nan
    return float((n * sum(map(mul, since, values)) - total * sum(values)) * MILLIS_PER_HOUR / (below * steps))


def _delta_baseline(_times: list[int], values: list[int], n: int, steps: int) -> float:
    return (values[-1] * n - sum(values)) / ((n - 1) * steps) if n > 1 else nan


def _sd_of_sums(s: Sums, steps: int) -> float:
    return sqrt((s.n * s.vv - s.v * s.v) / (s.n * (s.n - 1))) / steps if s.n > 1 else nan


def _slope_of_sums(s: Sums, steps: int) -> float:
    below = s.n * s.tt - s.t * s.t
    return (s.n * s.tv - s.t * s.v) * MILLIS_PER_HOUR / (below * steps) if below else nan


def _delta_of_sums(s: Sums, steps: int) -> float:
    return (s.last * s.n - s.v) / ((s.n - 1) * steps) if s.n > 1 else nan


STATISTICS: dict[str, Statistic] = {
    "count": Statistic(_count, lambda s, _steps: float(s.n)),
    "mean": Statistic(_mean, lambda s, steps: s.v / (s.n * steps)),
    "min": Statistic(_min, lambda s, steps: s.lowest / steps),
    "max": Statistic(_max, lambda s, steps: s.highest / steps),
    "sd": Statistic(_sd, _sd_of_sums),
    "slope": Statistic(_slope, _slope_of_sums),
    BASELINE: Statistic(_delta_baseline, _delta_of_sums),
}
"""Over a window: `sd` is the sample's (two readings at least), `slope` the least-squares one in units an hour."""


def latest_in(series: Series, at: Millis) -> tuple[int, int, int] | None:
    """Give (event_time, value in steps, id) of the newest reading up to `at`; in buckets, of those marked last."""
    raw = series.raw
    place = bisect_right(raw[0::W], at) * W
    if place:
        return raw[place - 3], raw[place - 2], raw[place - 1]
    rows = series.rows
    if rows is None:
        return None
    for base in range(len(rows) - R, -1, -R):
        for column, identity in ((LAST, LAST_ID), (FIRST, FIRST_ID)):
            time, value = mark_time_value(rows[base + column])
            if rows[base + HOUR] * GRID_MS + time <= at:
                return rows[base + HOUR] * GRID_MS + time, value, rows[base + identity]
    return None
