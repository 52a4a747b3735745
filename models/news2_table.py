"""NEWS2's chart as data, and its look-up.

Owns the table of the Royal College of Physicians, "National Early Warning Score (NEWS) 2", London 2017 (chart 1), and
how a measured number finds its column: rounded half up to the precision it is charted in, then binned. Must not know a
patient, a time, or what is missing.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import Literal

import msgspec

Parameter = Literal["respiration_rate", "spo2", "oxygen", "systolic_bp", "pulse", "consciousness", "temperature"]
Scale = Literal[1, 2]

HALF_TOLERANCE = 1e-6
"""A value within a millionth of a half counts as the half: binary floats hold 38.05 as a hair less, and so does a value
converted from degrees Fahrenheit; no device reports a millionth."""

FIO2_AIR = 21
"""Per cent oxygen in air; at or below it (after rounding) the patient is on air whatever the flow."""

GCS_ALERT = 15
"""GCS 15 is Alert; 14 or less is altered, score 3. RCP 2017 has no GCS on its chart; this is our stated mapping."""

ALERT = 0
"""The catalogue's number for Alert; 1 new Confusion, 2 Voice, 3 Pain, 4 Unresponsive all score 3."""

OXYGEN_POINTS = 2
ALTERED_POINTS = 3
RED_POINTS = 3

POINTS_MAX: dict[str, int] = {
    "respiration_rate": 3,
    "spo2": 3,
    "oxygen": OXYGEN_POINTS,
    "systolic_bp": 3,
    "pulse": 3,
    "consciousness": ALTERED_POINTS,
    "temperature": 3,
}
"""The most a parameter can score; it opens the upper bound where the parameter is unknown. They sum to 20."""


class Column(msgspec.Struct, frozen=True):
    """A run of charted values with the same points; `up_to` is the last of them, infinite in the rightmost column."""

    up_to: float
    points: int


class Chart(msgspec.Struct, frozen=True):
    """One parameter's row of the chart: its precision and its columns, lowest values first."""

    decimals: int
    columns: tuple[Column, ...]


def _chart(decimals: int, *columns: tuple[float, int]) -> Chart:
    return Chart(decimals, tuple(Column(up_to, points) for up_to, points in columns))


CHARTS: dict[str, Chart] = {
    "respiration_rate": _chart(0, (8, 3), (11, 1), (20, 0), (24, 2), (math.inf, 3)),
    "spo2": _chart(0, (91, 3), (93, 2), (95, 1), (math.inf, 0)),
    "spo2_scale_2_on_air": _chart(0, (83, 3), (85, 2), (87, 1), (math.inf, 0)),
    "spo2_scale_2_on_oxygen": _chart(0, (83, 3), (85, 2), (87, 1), (92, 0), (94, 1), (96, 2), (math.inf, 3)),
    "systolic_bp": _chart(0, (90, 3), (100, 2), (110, 1), (219, 0), (math.inf, 3)),
    "pulse": _chart(0, (40, 3), (50, 1), (90, 0), (110, 1), (130, 2), (math.inf, 3)),
    "temperature": _chart(1, (35.0, 3), (36.0, 1), (38.0, 0), (39.0, 1), (math.inf, 2)),
}


class Steps(msgspec.Struct, frozen=True):
    """A chart made ready: `points[bisect_right(cuts, value)]`, with the rounding folded into the cuts."""

    cuts: tuple[float, ...]
    points: tuple[int, ...]


def _steps(chart: Chart) -> Steps:
    # A value rounds half up to more than `up_to` exactly when it reaches half a charted step above it.
    half = 0.5 / 10**chart.decimals - HALF_TOLERANCE
    return Steps(
        tuple(column.up_to + half for column in chart.columns[:-1]),
        tuple(column.points for column in chart.columns),
    )


STEPS: dict[str, Steps] = {name: _steps(chart) for name, chart in CHARTS.items()}

FIO2_OXYGEN_FROM = FIO2_AIR + 0.5 - HALF_TOLERANCE
GCS_ALERT_FROM = GCS_ALERT - 0.5 - HALF_TOLERANCE


def points(parameter: str, value: float) -> int | None:
    """Give the points of one value on one row of `CHARTS`; None where it is not a finite number.

    Units: breaths and beats a minute, %, mmHg, degrees Celsius. `spo2` is scale 1; scale 2 has a row on air and one on
    oxygen. Raises `KeyError` for a name that is no row.

    >>> points("respiration_rate", 8.4), points("respiration_rate", 8.5), points("temperature", 38.05)
    (3, 1, 1)
    >>> points("spo2", 92), points("spo2_scale_2_on_air", 97), points("spo2_scale_2_on_oxygen", 97)
    (2, 0, 3)
    """
    steps = STEPS[parameter]
    if not math.isfinite(value):
        return None
    return steps.points[bisect_right(steps.cuts, value)]


def spo2_points(value: float, scale: Scale, *, on_oxygen: bool | None) -> int | None:
    """Give the points of a saturation (%); None on scale 2 where they depend on oxygen and that is unknown.

    >>> spo2_points(95, 2, on_oxygen=True), spo2_points(95, 2, on_oxygen=None), spo2_points(90, 2, on_oxygen=None)
    (2, None, 0)
    """
    if scale == 1:
        return points("spo2", value)
    on_air, with_oxygen = points("spo2_scale_2_on_air", value), points("spo2_scale_2_on_oxygen", value)
    if on_oxygen is None:
        return on_air if on_air == with_oxygen else None
    return with_oxygen if on_oxygen else on_air


def oxygen_from_fio2(percent: float) -> bool:
    """Tell whether an inspired fraction (%) is more than air, after rounding to a whole per cent.

    >>> oxygen_from_fio2(21.4), oxygen_from_fio2(21.5)
    (False, True)
    """
    return percent >= FIO2_OXYGEN_FROM


def consciousness_points_from_gcs(total: float) -> int:
    """Give the points of a GCS total: 15 is Alert, 14 or less is altered.

    >>> consciousness_points_from_gcs(15), consciousness_points_from_gcs(14)
    (0, 3)
    """
    return 0 if total >= GCS_ALERT_FROM else ALTERED_POINTS
