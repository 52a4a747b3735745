"""NEWS2 as a nurse adds it up at the bedside, from whole charted numbers.

Owns the sum that decides when a patient is looked at next. Takes the RCP's chart from `models.news2_table`, for there
is one chart. Must not know what the service makes of a patient: it scores late, with gaps and by its own rules.
"""

from __future__ import annotations

from models.news2_table import ALTERED_POINTS, OXYGEN_POINTS, RED_POINTS, points, spo2_points

RATE_MAX = 320
"""Charted rates and pressures end here."""
TENTHS_MIN, TENTHS_MAX = 300, 440
"""Charted temperatures, in tenths of a degree Celsius."""

_RED = 1 << 8
"""Added to a sub-score of 3, so that one sum holds both the total and whether any was red."""


def _marked(value: int | None) -> int:
    score = value or 0
    return score | _RED if score == RED_POINTS else score


_HEART = tuple(_marked(points("pulse", value)) for value in range(RATE_MAX + 1))
_BREATH = tuple(_marked(points("respiration_rate", value)) for value in range(RATE_MAX + 1))
_SYSTOLIC = tuple(_marked(points("systolic_bp", value)) for value in range(RATE_MAX + 1))
_HEAT = tuple(_marked(points("temperature", tenths / 10)) for tenths in range(TENTHS_MAX + 1))
_SPO2 = {
    (hypercapnic, oxygen): tuple(
        _marked(spo2_points(value, 2 if hypercapnic else 1, on_oxygen=oxygen)) for value in range(101)
    )
    for hypercapnic in (False, True)
    for oxygen in (False, True)
}


def add_up(
    whole: tuple[int, int, int, int, int], *, oxygen: bool, altered: bool, hypercapnic: bool
) -> tuple[int, bool]:
    """Give NEWS2 and whether a parameter is red, of (pulse, respiration rate, SpO2, systolic, temperature in tenths).

    >>> add_up((88, 18, 97, 120, 368), oxygen=False, altered=False, hypercapnic=False)
    (0, False)
    >>> add_up((131, 25, 90, 89, 350), oxygen=True, altered=True, hypercapnic=False)
    (20, True)
    """
    heart, breath, spo2, systolic, tenths = whole
    total = _HEART[heart] + _BREATH[breath] + _SPO2[hypercapnic, oxygen][spo2] + _SYSTOLIC[systolic] + _HEAT[tenths]
    if oxygen:
        total += OXYGEN_POINTS
    if altered:
        total += ALTERED_POINTS | _RED
    return total & (_RED - 1), total >= _RED
