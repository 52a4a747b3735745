"""Subgroups: the same figures as over the group alone, and nothing below the minimum counts."""

from __future__ import annotations

import numpy as np
import pytest

from models.figures.alert_episodes import alert_episodes, observed_days
from models.figures.calibration import expected_calibration_error
from models.figures.proportions import clustered_interval
from models.figures.recalibration import logistic_recalibration
from models.figures.subgroups import Minimums, age_band, subgroup_figures, subgroups_by
from models.groups import NOT_RECORDED

HOUR = 3_600_000


def world(seed=1, stays=400, hours=12):
    """Give stays of 12 hours, half of them female, in whom the outcome is promised truly but for group B's."""
    generator = np.random.default_rng(seed)
    groups = np.repeat(np.arange(stays), hours)
    times = np.tile(np.arange(hours) * HOUR, stays)
    risk = np.repeat(generator.normal(-2.0, 1.5, stays), hours) + generator.normal(0.0, 0.3, stays * hours)
    promised = 1 / (1 + np.exp(-risk))
    labels = generator.random(stays * hours) < promised
    names = np.where(groups % 2 == 0, "female", "male")
    return labels, promised, groups, names, times


def test_a_group_is_measured_as_if_alone():
    """Each figure of a group is that of the group's rows alone."""
    labels, promised, groups, names, times = world()
    found = subgroup_figures(labels, promised, groups, names, times, threshold=0.3, release=0.2)
    assert [one.name for one in found] == ["female", "male"]
    for one in found:
        here = names == one.name
        y, p, g, t = labels[here], promised[here], groups[here], times[here]
        assert (one.rows, one.stays, one.positives, one.positive_stays) == (
            len(y), len(np.unique(g)), y.sum(), len(np.unique(g[y])),
        )  # fmt: skip
        assert one.sensitivity.value == (p[y] >= 0.3).mean()
        assert one.sensitivity.interval == clustered_interval(p[y] >= 0.3, g[y])
        assert one.ppv.value == y[p >= 0.3].mean()
        line = logistic_recalibration(y, p, g)
        assert (one.slope.value, one.slope.interval) == (line.slope, line.slope_interval)
        assert one.calibration_error == expected_calibration_error(y, p)
        alerts = len(alert_episodes(p, g, t, 0.3, 0.2).groups)
        assert one.alerts_per_patient_day.value == pytest.approx(alerts / observed_days(g, t))
        low, high = one.alerts_per_patient_day.interval
        assert low < one.alerts_per_patient_day.value < high
        assert one.withheld == ()


def test_too_few_stays_give_no_figure():
    """A group below the least number of stays has its counts and the reason, and no figure at all."""
    labels, promised, groups, names, times = world()
    names = np.where(groups < 10, "few", names)
    few = subgroup_figures(labels, promised, groups, names, times, threshold=0.3)[1]
    assert (few.name, few.stays) == ("few", 10)
    figures = (few.sensitivity, few.ppv, few.slope, few.calibration_error, few.alerts_per_patient_day)
    assert figures == (None,) * 5
    assert few.withheld == ("every figure: 10 stays, fewer than 50",)


def test_too_few_outcomes_give_an_alert_rate_alone():
    """A group with enough stays but few outcomes has an alert rate, and says what else is withheld and why."""
    labels, promised, groups, names, times = world()
    labels = labels & ((names == "female") | (groups == 1))
    labels[groups == 1] = True
    male = subgroup_figures(labels, promised, groups, names, times, threshold=0.3)[1]
    assert (male.positive_stays, male.sensitivity, male.slope, male.calibration_error) == (1, None, None, None)
    assert male.alerts_per_patient_day is not None
    assert male.withheld == (
        "sensitivity: 1 stay with the outcome, fewer than 10",
        "calibration: 1 stay with the outcome, fewer than 20",
    )


def test_a_threshold_that_nobody_reaches():
    """Where nobody is flagged there is no PPV, sensitivity is 0, and the alert rate is 0 with an upper end."""
    labels, promised, groups, names, times = world()
    one = subgroup_figures(labels, promised, groups, names, times, threshold=1.0)[0]
    assert (one.ppv, one.sensitivity.value, one.alerts_per_patient_day.value) == (None, 0.0, 0.0)
    assert one.alerts_per_patient_day.interval[1] > 0.0
    assert one.withheld == ("ppv: 0 stays flagged, fewer than 10",)


def test_promises_all_alike_have_no_slope():
    """Where every promise is the same there is no slope, and that is said."""
    labels, promised, groups, names, times = world()
    one = subgroup_figures(labels, np.full(len(promised), 0.2), groups, names, times, threshold=0.1)[0]
    assert one.slope is None
    assert "slope: it is undefined on these rows" in one.withheld


def test_who_is_not_recorded_is_shown():
    """Rows without a name make a group of their own; no row is lost."""
    labels, promised, groups, names, times = world()
    names = np.where(groups % 3 == 0, "", names)
    found = subgroups_by({"sex": names, "all": np.full(len(names), "all")}, labels, promised, groups, times, 0.3)
    assert [one.name for one in found["sex"]] == ["female", "male", NOT_RECORDED]
    assert sum(one.rows for one in found["sex"]) == found["all"][0].rows == len(labels)


def test_minimums_can_be_chosen():
    """With lower minimums the same group has its figures."""
    labels, promised, groups, names, times = world(stays=40)
    assert subgroup_figures(labels, promised, groups, names, times, 0.3)[0].sensitivity is None
    found = subgroup_figures(labels, promised, groups, names, times, 0.3, minimums=Minimums(5, 2, 2))[0]
    assert found.sensitivity is not None


def test_age_bands():
    """An age falls in the band that holds it, at every edge; an unknown or negative age in none."""
    ages = [0, 17.9, 18, 44.9, 45, 64.9, 65, 79.9, 80, 110, float("nan"), -1]
    under, young, middle, older, oldest = "under 18", "18-44", "45-64", "65-79", "80 and over"
    expected = [under, under, young, young, middle, middle, older, older, oldest, oldest, "", ""]
    assert age_band(ages).tolist() == expected


def test_columns_must_fit():
    """Names that do not fit the rows are an error."""
    with pytest.raises(ValueError, match="names"):
        subgroup_figures([True], [0.5], [1], ["a", "b"], [0], 0.5)
