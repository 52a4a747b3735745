"""Gaps between groups: told beyond the limit and no chance, silent where there are too few."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from events import MILLIS_PER_DAY
from models.drift.subgroups import (
    DAYS_MAX,
    GROUPS_MAX,
    OTHER,
    Counts,
    GapLimits,
    SubgroupTally,
    figures_of,
    gaps_of,
)
from models.groups import NOT_RECORDED


def tallied(shares, seed=1, count=2_000, attribute="sex"):
    """Labels at 10 %; `shares` is the sensitivity of each group."""
    generator = np.random.default_rng(seed)
    tally = SubgroupTally()
    for group, sensitivity in shares.items():
        for _ in range(count):
            label = generator.random() < 0.1
            flagged = generator.random() < (sensitivity if label else 0.05)
            tally.label(0, ((attribute, group),), 0.1, label=bool(label), flagged=bool(flagged))
    return tally


@pytest.mark.parametrize("seed", range(5))
def test_groups_that_are_served_alike_have_no_gap(seed):
    """Also of three hundred patients each: chance alone tells nothing."""
    assert gaps_of(tallied({"female": 0.6, "male": 0.6}, seed, 300).totals()) == ()


def test_a_group_whose_outcomes_are_missed_is_told():
    """By name, with both shares, and not the group that is served better."""
    gaps = [gap for gap in gaps_of(tallied({"female": 0.3, "male": 0.7}).totals()) if gap.measure == "sensitivity"]
    assert [(gap.group, gap.level) for gap in gaps] == [("female", "serious")]
    assert gaps[0].value < 0.45
    assert gaps[0].rest > 0.6
    assert gaps[0].interval[1] < -GapLimits().sensitivity


def test_a_group_is_held_against_all_others_of_its_attribute():
    """Not against those of another one."""
    tally = tallied({"W1": 0.3, "W2": 0.7, "W3": 0.7}, attribute="ward_type")
    totals = {**tally.totals(), **tallied({"female": 0.1}).totals()}
    assert {gap.group for gap in gaps_of(totals)} == {"W1"}


def test_too_few_are_not_judged_and_not_shown():
    """Below the minimum counts no figure is given, which is no equality."""
    tally = tallied({"female": 0.0, "male": 0.9}, count=60)
    assert [gap for gap in gaps_of(tally.totals()) if gap.measure == "sensitivity"] == []
    assert all(one.sensitivity is None for one in figures_of(tally.totals()))


def test_rates_are_held_by_their_ratio():
    """Three times the alerts a patient-day are told of both, for either is unlike the other; a tenth more is not."""

    def totals(ratio):
        return {
            ("unit", "A"): Counts(alerts=round(100 * ratio), patient_hours=24_000),
            ("unit", "B"): Counts(alerts=100, patient_hours=24_000),
        }

    assert {(gap.group, gap.measure) for gap in gaps_of(totals(3.0))} == {("A", "alert_rate"), ("B", "alert_rate")}
    assert gaps_of(totals(1.1)) == ()


def test_what_is_not_recorded_is_a_group_like_any_other():
    """Whom nobody recorded may be served worst."""
    assert ("ethnicity", NOT_RECORDED) in tallied({"": 0.5}, attribute="ethnicity").totals()


def test_days_and_groups_are_bounded():
    """Four weeks, and so many groups; the rest count as others."""
    tally = SubgroupTally()
    for day in range(100):
        tally.alert(day * MILLIS_PER_DAY, (("ward_type", f"W{day * 5 + ward}") for ward in range(5)))
    totals = tally.totals()
    assert sum(one.alerts for one in totals.values()) == 5 * DAYS_MAX
    assert len(totals) <= GROUPS_MAX + 1
    assert totals["ward_type", OTHER].alerts >= 5 * DAYS_MAX - GROUPS_MAX
    tally.alert(0, (("ward_type", "W1"),))
    assert tally.totals() == totals, "a day long past counts no more"


def test_restored_goes_on_alike():
    """Through bytes and back: the same totals, and each goes on by itself."""
    one = tallied({"female": 0.5, "male": 0.5}, count=50)
    state = msgspec.msgpack.decode(msgspec.msgpack.encode(one.state()), type=type_of_state)
    other = SubgroupTally.restored(state)
    for tally in (one, other):
        tally.label(MILLIS_PER_DAY, (("sex", "female"),), 0.5, label=True, flagged=True)
    assert one.totals() == other.totals()
    assert one.state() == other.state()


def test_restored_knows_the_same_names():
    """Names of a day that no longer counts, and whatever was beyond the bound, stand as they do without a restart."""
    one = SubgroupTally()
    for ward in range(GROUPS_MAX + 2):
        one.alert(0, (("ward", f"W{ward}"),))
    one.alert(DAYS_MAX * MILLIS_PER_DAY, (("ward", "W0"),))
    other = SubgroupTally.restored(one.state())
    for tally in (one, other):
        for ward in range(GROUPS_MAX + 2):
            tally.alert(DAYS_MAX * MILLIS_PER_DAY, (("ward", f"new {ward}"),))
    assert one.totals() == other.totals()
    assert ("ward", "new 0") in one.totals()


type_of_state = tuple[tuple[int, str, str, Counts], ...]
