"""Burden and warning are counted by their definitions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from alerts.burden import RuleAlone, Telling, measure_burden

HOUR = 3_600_000


def test_a_deterioration_is_told_in_advance_only_within_the_horizon() -> None:
    """What was told too early, at the deterioration or after it, is no warning."""
    onsets = {"early": [20 * HOUR], "at": [20 * HOUR], "after": [20 * HOUR], "told": [20 * HOUR]}
    told = [
        Telling("early", 20 * HOUR - 12 * HOUR - 1, "x"),
        Telling("at", 20 * HOUR, "x"),
        Telling("after", 21 * HOUR, "x"),
        Telling("told", 8 * HOUR, "x"),
        Telling("told", 19 * HOUR, "x", first=False),
    ]
    burden = measure_burden(told, onsets, 1.0)
    assert (burden.deteriorations, burden.told_in_advance) == (4, 1)


def test_the_lead_is_from_the_earliest_telling_within_the_horizon() -> None:
    """Leads count from the first thing told, and their quartiles are those of all of them."""
    told = [Telling("a", 10 * HOUR, "x"), Telling("a", 19 * HOUR, "x"), Telling("b", 18 * HOUR, "x")]
    burden = measure_burden(told, {"a": [20 * HOUR], "b": [20 * HOUR]}, 1.0)
    assert burden.lead_h_quartiles == (4.0, 6.0, 8.0)


def test_what_is_raised_after_a_deterioration_is_burden_and_no_false_alarm() -> None:
    """An alert after its patient's last deterioration is counted among the alerts, and not in PPV."""
    told = [Telling("a", 1 * HOUR, "x"), Telling("a", 30 * HOUR, "x"), Telling("b", HOUR, "x")]
    burden = measure_burden(told, {"a": [5 * HOUR]}, 1.5)
    assert (burden.alerts, burden.ppv, burden.alerts_per_patient_day) == (3, 0.5, 2.0)


def test_repeats_within_an_episode_are_counted() -> None:
    """Three alerts in two episodes are one and a half an episode; what is told again is no alert."""
    told = [
        Telling("a", 1, "x", episode="e"),
        Telling("a", 2, "x", episode="e"),
        Telling("a", 3, "x", first=False, episode="e"),
        Telling("b", 4, "y", episode="f"),
    ]
    burden = measure_burden(told, {}, 0.0)
    assert (burden.alerts_per_episode, burden.told, burden.by_kind) == (1.5, 4, {"x": 2, "y": 1})
    assert (burden.sensitivity, burden.ppv, burden.alerts_per_patient_day) == (None, 0.0, None)


def test_a_rule_with_hysteresis_stays_silent_between_its_levels() -> None:
    """Between the levels nothing is told, below the lower one the rule is armed anew, and no score changes nothing."""
    rule = RuleAlone("x", raise_at=0.5, hold_at=0.3)
    scores = (0.5, 0.4, 0.6, None, 0.29, 0.5)
    assert [len(rule.scored("a", at, score)) for at, score in enumerate(scores)] == [1, 0, 0, 0, 0, 1]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 50)), max_size=20), st.integers(1, 50))
def test_a_further_telling_never_makes_fewer_warnings(told: list[tuple[str, int]], onset: int) -> None:
    """More that is told warns of no fewer deteriorations."""
    onsets = {"a": [onset * HOUR], "b": [onset * HOUR + 1]}
    tellings = [Telling(patient, at * HOUR, "x") for patient, at in told]
    counts = [measure_burden(tellings[:length], onsets, 1.0).told_in_advance for length in range(len(tellings) + 1)]
    assert counts == sorted(counts)
