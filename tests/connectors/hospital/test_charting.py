"""How wards chart."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.hospital.charting import chart_vitals
from connectors.hospital.noise import NORMAL
from connectors.hospital.physiology import Vitals
from connectors.hospital.rounds import draw_delay, next_round
from connectors.hospital.ward_score import add_up
from connectors.hospital.wards import CRITICAL_CARE_WARD, FAHRENHEIT_WARD
from events import MILLIS_PER_HOUR
from models.news2_table import points, spo2_points

WELL = Vitals(72.2, 16.1, 97.4, 121.0, 70.0, 36.81, 0.0, 0)
DRAWS = 4_000


def seeded(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - a simulation


def hours(total: int, *, red: bool = False, ward: str = "Ward A") -> list[float]:
    random = seeded(1)
    return sorted(next_round(random, ward, total, red=red) / MILLIS_PER_HOUR for _ in range(DRAWS))


def test_rounds_follow_the_response_to_news2() -> None:
    """NEWS2 0 is seen within about 12 h, 1 to 4 within 4 to 6, 5 and more or a red score about hourly."""
    assert 12 < hours(0)[-1] < 12.5
    assert 3.9 < hours(3)[0] < hours(3)[-1] < 6.3
    for urgent in (hours(5), hours(3, red=True)):
        assert 1.0 < urgent[DRAWS // 2] < 1.4
    assert hours(8)[DRAWS // 2] < hours(6)[DRAWS // 2] < hours(4)[0]
    assert set(hours(0, ward=CRITICAL_CARE_WARD)) == {1.0}


def test_what_is_seen_late_in_a_shift_may_wait_for_its_end() -> None:
    """Some rounds are charted together in the quarter of an hour after a shift, the others never past twelve hours."""
    random = seeded(2)
    at = 20_000 * 24 * MILLIS_PER_HOUR + 12 * MILLIS_PER_HOUR
    waits = [draw_delay(random, "Ward A", at) for _ in range(DRAWS)]
    batch = [wait for wait in waits if 7.0 <= wait / MILLIS_PER_HOUR <= 7.26]
    assert 0.02 < len(batch) / DRAWS < 0.08
    assert max(waits) <= 12.3 * MILLIS_PER_HOUR
    assert draw_delay(random, CRITICAL_CARE_WARD, at) == 60_000


@given(
    st.integers(20, 250),
    st.integers(4, 60),
    st.integers(50, 100),
    st.integers(40, 260),
    st.integers(300, 430),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
def test_the_ward_adds_up_the_colleges_chart(
    heart: int, breath: int, spo2: int, systolic: int, tenths: int, flags: tuple[bool, bool, bool]
) -> None:
    """The bedside sum is that of the chart's points, and red wherever one of them is 3."""
    oxygen, altered, hypercapnic = flags
    scored = [
        points("pulse", heart),
        points("respiration_rate", breath),
        spo2_points(spo2, 2 if hypercapnic else 1, on_oxygen=oxygen),
        points("systolic_bp", systolic),
        points("temperature", tenths / 10),
        3 if altered else 0,
    ]
    total, red = add_up(
        (heart, breath, spo2, systolic, tenths), oxygen=oxygen, altered=altered, hypercapnic=hypercapnic
    )
    assert total == sum(one or 0 for one in scored) + (2 if oxygen else 0)
    assert red == (3 in scored)


def test_a_tenth_of_sets_is_incomplete_and_few_are_wrong() -> None:
    """Of many sets a tenth lacks something; a slip leaves what should have stood there beside it."""
    random = seeded(3)
    charts = [chart_vitals(random, "Ward A", WELL) for _ in range(5 * DRAWS)]
    incomplete = sum(len(chart.results) < 8 for chart in charts) / len(charts)
    assert 0.085 < incomplete < 0.115
    slips = [chart for chart in charts if chart.wrong is not None]
    assert 10 < len(slips) < 100
    for chart in slips:
        assert chart.wrong in chart.results
        assert chart.right is not None
        assert chart.right not in chart.results
        assert (chart.right.coding, chart.right.unit) == (chart.wrong.coding, chart.wrong.unit)


def test_units_slip_too() -> None:
    """Degrees Fahrenheit come under a label of Celsius and the other way round, and a saturation as a fraction."""
    random = seeded(4)
    found = {
        (chart.wrong.coding[1], chart.wrong.unit, chart.wrong.value)
        for ward in ("Ward A", FAHRENHEIT_WARD)
        for _ in range(8 * DRAWS)
        if (chart := chart_vitals(random, ward, WELL)).wrong is not None
    }
    assert ("8310-5", "Cel", 98.2) in found
    assert ("8310-5", "[degF]", 36.8) in found
    assert ("59408-5", "%", 0.97) in found


@pytest.mark.parametrize(
    ("flow", "code", "value"),
    [(0.0, "3150-6", 21.0), (2.0, "3151-8", 2.0), (6.0, "3151-8", 6.0), (7.0, "3150-6", 40.0), (15.0, "3150-6", 85.0)],
)
def test_oxygen_is_charted_as_flow_or_by_mask(flow: float, code: str, value: float) -> None:
    """Air is an inspired fraction of 21 %, nasal oxygen a flow, and what needs a mask a fraction again."""
    random = seeded(5)
    vitals = Vitals(72, 16, 95, 120, 70, 36.8, flow, 0)
    results = chart_vitals(random, "Ward A", vitals).results
    assert [(r.coding[1], r.value) for r in results if r.coding[1] in {"3150-6", "3151-8"}] == [(code, value)]


def test_the_noise_table_is_the_normal_law() -> None:
    """Its mean is 0, its standard deviation 1 and its tails are even."""
    assert abs(sum(NORMAL)) < 1e-6
    assert abs(sum(one * one for one in NORMAL) / len(NORMAL) - 1) < 0.002
    assert abs(NORMAL[0] + NORMAL[-1]) < 1e-9
