"""Burden and warning are counted by their definitions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from alerts.burden import RuleAlone, Telling, measure_burden

HOUR = 3_600_000


def told(patient: str, hour: float, until: float | None = None, **others: object) -> Telling:
    end = hour if until is None else until
    return Telling(patient, int(hour * HOUR), "x", int(end * HOUR), **others)


def test_a_deterioration_is_told_in_advance_only_within_the_horizon() -> None:
    """What was over before the horizon, or was told at the deterioration or after it, is no warning."""
    onsets = {name: [20 * HOUR] for name in ("over", "at", "after", "told", "standing")}
    heard = [told("over", 1, 7.9), told("at", 20), told("after", 21), told("told", 8), told("standing", 1, 8)]
    burden = measure_burden(heard, onsets, 1.0)
    assert (burden.deteriorations, burden.told_in_advance) == (5, 2)


def test_the_lead_is_from_the_earliest_alert_that_stood_and_at_most_the_horizon() -> None:
    """Leads count from when the alert was told, no further back than the horizon; the quartiles are those of all."""
    heard = [told("a", 1, 9), told("a", 19), told("b", 18), told("c", 14)]
    burden = measure_burden(heard, {name: [20 * HOUR] for name in "abc"}, 1.0)
    assert burden.lead_h_quartiles == (4.0, 6.0, 9.0)


def test_what_is_raised_after_a_deterioration_is_burden_and_no_false_alarm() -> None:
    """An alert after its patient's last deterioration is counted among the alerts, and not in PPV."""
    burden = measure_burden([told("a", 1), told("a", 30), told("b", 1)], {"a": [5 * HOUR]}, 1.5)
    assert (burden.alerts, burden.ppv, burden.alerts_per_patient_day) == (3, 0.5, 2.0)


def test_repeats_are_counted_apart_from_alerts() -> None:
    """Three alerts in two episodes are one and a half an episode; what is told of one again is no alert."""
    heard = [told("a", 1, episode="e"), told("a", 2, episode="e", times=3), told("b", 4, episode="f")]
    burden = measure_burden(heard, {}, 0.0)
    assert (burden.alerts_per_episode, burden.alerts, burden.told, burden.by_kind) == (1.5, 3, 5, {"x": 3})
    assert (burden.sensitivity, burden.ppv, burden.alerts_per_patient_day) == (None, 0.0, None)


def test_how_long_alerts_stand_is_counted_of_the_patients_time() -> None:
    """Two alerts of six hours each are a quarter of two days."""
    assert measure_burden([told("a", 1, 7), told("b", 2, 8)], {}, 2.0).standing_share == 0.25


def test_a_rule_with_hysteresis_stays_silent_between_its_levels() -> None:
    """Between the levels nothing is told, below the lower one the rule is armed anew, and no score changes nothing."""
    rule = RuleAlone("x", raise_at=0.5, hold_at=0.3)
    for at, score in enumerate((0.5, 0.4, 0.6, None, 0.29, 0.5)):
        rule.scored("a", at, score)
    assert [(one.at, one.until) for one in rule.tellings()] == [(0, 4), (5, 5)]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 50)), max_size=20), st.integers(1, 50))
def test_a_further_alert_never_makes_fewer_warnings(heard: list[tuple[str, int]], onset: int) -> None:
    """More that is told warns of no fewer deteriorations."""
    onsets = {"a": [onset * HOUR], "b": [onset * HOUR + 1]}
    tellings = [told(patient, at) for patient, at in heard]
    counts = [measure_burden(tellings[:length], onsets, 1.0).told_in_advance for length in range(len(tellings) + 1)]
    assert counts == sorted(counts)
