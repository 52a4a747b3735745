"""NEWS2's chart, against a table typed anew from the RCP's chart and against decimal rounding."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.news2_table import (
    CHARTS,
    POINTS_MAX,
    consciousness_points_from_gcs,
    oxygen_from_fio2,
    points,
    spo2_points,
)

# Every charted value at both sides of every boundary, typed from the chart itself.
BOUNDARIES = {
    "respiration_rate": [(0, 3), (8, 3), (9, 1), (11, 1), (12, 0), (20, 0), (21, 2), (24, 2), (25, 3), (120, 3)],
    "spo2": [(45, 3), (91, 3), (92, 2), (93, 2), (94, 1), (95, 1), (96, 0), (100, 0)],
    "spo2_scale_2_on_air": [(45, 3), (83, 3), (84, 2), (85, 2), (86, 1), (87, 1), (88, 0), (92, 0), (93, 0), (100, 0)],
    "spo2_scale_2_on_oxygen": [
        (83, 3), (84, 2), (85, 2), (86, 1), (87, 1), (88, 0), (92, 0), (93, 1), (94, 1), (95, 2), (96, 2), (97, 3),
        (100, 3),
    ],
    "systolic_bp": [(20, 3), (90, 3), (91, 2), (100, 2), (101, 1), (110, 1), (111, 0), (219, 0), (220, 3), (350, 3)],
    "pulse": [
        (0, 3), (40, 3), (41, 1), (50, 1), (51, 0), (90, 0), (91, 1), (110, 1), (111, 2), (130, 2), (131, 3), (300, 3),
    ],
    "temperature": [
        (27.0, 3), (35.0, 3), (35.1, 1), (36.0, 1), (36.1, 0), (38.0, 0), (38.1, 1), (39.0, 1), (39.1, 2), (43.0, 2),
    ],
}  # fmt: skip


@pytest.mark.parametrize("parameter", sorted(BOUNDARIES))
def test_every_boundary(parameter):
    """Each side of each boundary of the chart has the points that the chart gives it."""
    assert [(value, points(parameter, value)) for value, _ in BOUNDARIES[parameter]] == BOUNDARIES[parameter]


@pytest.mark.parametrize("parameter", sorted(BOUNDARIES))
def test_whole_chart(parameter):
    """Every charted value between two listed boundaries of equal points has those points too."""
    step = Decimal("0.1") if parameter == "temperature" else Decimal(1)
    listed = BOUNDARIES[parameter]
    for (low, low_points), (high, high_points) in pairwise(listed):
        if low_points != high_points:
            assert Decimal(str(high)) - Decimal(str(low)) == step
            continue
        value = Decimal(str(low))
        while value <= Decimal(str(high)):
            assert points(parameter, float(value)) == low_points
            value += step


def test_charts_are_the_tested_ones():
    """No row of the chart goes untested."""
    assert set(CHARTS) == set(BOUNDARIES)


@given(parameter=st.sampled_from(sorted(CHARTS)), hundredths=st.integers(0, 40_000))
def test_rounds_half_up_before_binning(parameter, hundredths):
    """A value to hundredths scores as it does after decimal rounding half up to the charted precision."""
    value = Decimal(hundredths) / 100
    precision = Decimal("0.1") if parameter == "temperature" else Decimal(1)
    charted = value.quantize(precision, ROUND_HALF_UP)
    assert points(parameter, float(value)) == points(parameter, float(charted))


@given(tenths_fahrenheit=st.integers(800, 1100))
def test_fahrenheit_is_rounded_in_celsius(tenths_fahrenheit):
    """A temperature converted from tenths of a degree Fahrenheit bins as its exact Celsius value rounded half up."""
    exact = (Decimal(tenths_fahrenheit) / 10 - 32) * 5 / 9
    value = (tenths_fahrenheit / 10 - 32) * 5 / 9
    assert points("temperature", value) == points("temperature", float(exact.quantize(Decimal("0.1"), ROUND_HALF_UP)))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_no_points_for_no_number(value):
    """What is no finite number has no points."""
    assert all(points(parameter, value) is None for parameter in CHARTS)


def test_maximum_is_twenty():
    """The maxima sum to NEWS2's range of 0 to 20, and no chart exceeds its own."""
    assert sum(POINTS_MAX.values()) == 20
    for name, chart in CHARTS.items():
        assert max(column.points for column in chart.columns) == POINTS_MAX[name.partition("_scale")[0]]


def test_air_is_21_per_cent_after_rounding():
    """21 % and what rounds to it, or less, is air; 22 % is oxygen."""
    assert [oxygen_from_fio2(fio2) for fio2 in (20, 21, 21.4, 21.5, 22, 100)] == [False, False, False, True, True, True]


def test_gcs_mapping():
    """GCS 15 is Alert, every lower total is altered."""
    assert [consciousness_points_from_gcs(total) for total in range(3, 16)] == [3] * 12 + [0]


def test_scale_2_needs_oxygen_only_above_92():
    """On scale 2 unknown oxygen leaves saturations up to 92 scored and higher ones open."""
    for value in range(60, 101):
        open_to_both = spo2_points(value, 2, on_oxygen=False) != spo2_points(value, 2, on_oxygen=True)
        assert (spo2_points(value, 2, on_oxygen=None) is None) == open_to_both == (value >= 93)
