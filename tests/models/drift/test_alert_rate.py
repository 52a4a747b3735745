"""The alert rate by the hour of the day."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from events import MILLIS_PER_HOUR
from models.drift.alert_rate import AlertLimits, AlertRate, AlertState

HABIT = 0.02 * (1 + 0.8 * np.sin(np.arange(24) / 24 * 2 * np.pi))
"""Alerts a patient and hour: more by day than by night."""


def live(rate, seed, hours, ratio=1.0, first=0, patients=40):
    generator = np.random.default_rng(seed)
    for hour in range(first, first + hours):
        for patient in range(patients):
            rate.scored(str(patient), hour * MILLIS_PER_HOUR)
        for number in range(generator.poisson(ratio * patients * HABIT[hour % 24])):
            rate.alerted(f"{hour}/{number}", hour * MILLIS_PER_HOUR + number)
    return rate


@pytest.mark.parametrize("seed", range(4))
def test_the_habit_is_not_told(seed):
    """Two months of nights and days as they were in the first week."""
    assert live(AlertRate(), seed, 60 * 24).findings() == ()


@pytest.mark.parametrize(("ratio", "above"), [(3.0, True), (0.2, False)])
def test_a_flood_and_a_drought_are_told(ratio, above):
    """Within five days, and by their direction."""
    rate = live(AlertRate(), 1, 8 * 24)
    found = live(rate, 2, 120, ratio, first=8 * 24).findings()
    assert [finding.level for finding in found][-1] == "serious"
    assert all(finding.above == above for finding in found)


def test_the_hour_of_the_day_counts():
    """At the hour of most alerts more are to be expected than at that of fewest."""
    rate = live(AlertRate(), 3, 10 * 24)
    assert rate.expected(6, 40) > 2 * rate.expected(18, 40)


def test_one_patient_s_flicker_is_one_alert():
    """An alert a minute about one patient is one in four hours."""
    rate = live(AlertRate(), 4, 8 * 24)
    before = rate.state().alerts
    for minute in range(60):
        rate.alerted("flicker", 8 * 24 * MILLIS_PER_HOUR + minute * 60_000)
    assert rate.state().alerts == 1
    assert before <= 20


def test_nothing_is_judged_before_enough_was_heard():
    """Of a ward with an alert a month nothing is usual yet after a week."""
    rate = AlertRate(AlertLimits())
    for hour in range(14 * 24):
        rate.scored("p", hour * MILLIS_PER_HOUR)
    rate.alerted("p", 14 * 24 * MILLIS_PER_HOUR)
    assert rate.findings() == ()
    assert rate.recent() == (0, 0)


def test_restored_goes_on_alike():
    """Within the first days and after them."""
    limits = AlertLimits(reference_h=96)
    one, other = live(AlertRate(limits), 5, 100), live(AlertRate(limits), 5, 100)
    for first in (100, 220, 300):
        other = AlertRate.restored(msgspec.json.decode(msgspec.json.encode(other.state()), type=AlertState), limits)
        live(one, 6, 80, 2.5, first=first)
        live(other, 6, 80, 2.5, first=first)
    assert one.findings() == other.findings() != ()
    assert one.state() == other.state()
