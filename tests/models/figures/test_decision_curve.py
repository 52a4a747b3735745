"""Net benefit, against published tables and against counting one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.figures.decision_curve import THRESHOLDS, decision_curve, net_benefit, net_benefit_interval

rows = st.lists(
    st.tuples(st.booleans(), st.integers(0, 20).map(lambda part: part / 20), st.booleans()), min_size=1, max_size=40
)


@pytest.mark.parametrize(
    ("at", "printed"),
    [
        (0.03, 0.278), (0.05, 0.263), (0.08, 0.239), (0.10, 0.222), (0.20, 0.125), (0.30, 0.000), (0.40, -0.167),
        (0.50, -0.400), (0.60, -0.750), (0.70, -1.333), (0.80, -2.500), (0.90, -6.000),
    ],
)  # fmt: skip
def test_a_published_table_of_treating_all(at, printed):
    """Treating all where 30 % have the disease comes out as printed (PMC6993280, table 4, second column)."""
    point = decision_curve([True] * 3 + [False] * 7, [0.5] * 10, thresholds=[at])[0]
    assert point.treat_all == pytest.approx(printed, abs=1e-3)
    assert point.treat_none == 0.0


@pytest.mark.parametrize(
    ("at", "model", "everybody", "printed"),
    [(0.20, 0.206, 0.125, 32), (0.30, 0.178, 0.000, 42), (0.40, 0.163, -0.167, 50), (0.60, 0.111, -0.750, 57)],
)
def test_a_published_table_of_what_is_avoided(at, model, everybody, printed):
    """Interventions avoided in 100 patients follow from the two net benefits as printed (same table, last column)."""
    rows_in_all, cases = 10_000, 3_000
    false_alarms = round((everybody - model + cases / rows_in_all - everybody) / (at / (1 - at)) * rows_in_all)
    promised = np.concatenate((np.full(cases, 0.95), np.full(false_alarms, 0.95), np.zeros(7_000 - false_alarms)))
    point = decision_curve(np.arange(rows_in_all) < cases, promised, thresholds=[at])[0]
    assert point.model == pytest.approx(model, abs=1e-3)
    assert point.avoided_per_100 == pytest.approx(printed, abs=0.6)


@given(rows, st.integers(1, 19).map(lambda part: part / 20))
def test_net_benefit_is_counted(table, at):
    """Net benefit is true positives less false positives at the odds of the threshold, a row."""
    labels, promised, flags = zip(*table, strict=True)
    point = decision_curve(labels, promised, {"rule": flags}, [at])[0]

    def counted(told):
        hits = sum(y and t for y, t in zip(labels, told, strict=True))
        return (hits - (sum(told) - hits) * at / (1 - at)) / len(labels)

    assert point.model == pytest.approx(counted([p >= at for p in promised]))
    assert point.rules["rule"] == pytest.approx(counted(flags))
    assert point.treat_all == pytest.approx(counted([True] * len(labels)))


def test_a_calibrated_model_is_never_worse_than_either_default():
    """Where probabilities are true, acting on them beats treating all and none at every threshold, but for chance."""
    generator = np.random.default_rng(2)
    promised = generator.beta(0.4, 8.0, 60_000)
    for point in decision_curve(generator.random(60_000) < promised, promised):
        assert point.model > max(point.treat_all, 0.0) - 1e-3


def test_the_interval_is_by_stay():
    """The interval of a net benefit holds it, and is wider where the rows of a stay repeat each other."""
    generator = np.random.default_rng(3)
    labels, flags = generator.random(300) < 0.2, generator.random(300) < 0.4
    once = net_benefit_interval(labels, flags, 0.1, np.arange(300), np.random.default_rng(1))
    stays = np.repeat(np.arange(30), 10)
    again = net_benefit_interval(labels[stays * 10], flags[stays * 10], 0.1, stays, np.random.default_rng(1))
    assert once[0] < net_benefit(labels, flags, 0.1) < once[1]
    assert again[1] - again[0] > 2 * (once[1] - once[0])


def test_edges():
    """Nothing has no curve; a threshold of 0 or 1 has no rate of exchange; flags must fit."""
    assert decision_curve([], []) == ()
    assert net_benefit([], [], 0.1) is None
    assert (THRESHOLDS[0], THRESHOLDS[-1]) == (0.005, 0.2)
    for at in (0.0, 1.0):
        with pytest.raises(ValueError, match="between 0 and 1"):
            net_benefit([True], [True], at)
    with pytest.raises(ValueError, match="flags"):
        net_benefit([True], [True, False], 0.1)
