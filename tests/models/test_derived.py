"""Derived inputs: ratios, differences and counts of the values of one row."""

from __future__ import annotations

from math import isinf, isnan, nan

from hypothesis import given
from hypothesis import strategies as st

from models.derived import FORMULAS, ratio, sirs_known

charted = st.just(nan) | st.integers(0, 10**7).map(lambda steps: steps / 1000)
"""What a state can hold: whole steps of a unit, or nothing."""


@given(st.lists(charted, min_size=8, max_size=8))
def test_a_derived_input_is_finite_or_unknown(values):
    """Whatever was charted, zeros among it, a formula gives a finite number or NaN, and never raises."""
    for parts, formula in FORMULAS.values():
        given_parts = [values[place % 8] for place in range(len(parts))]
        assert not isinf(formula(*given_parts))


def test_sirs_counts_what_is_met():
    """Each criterion counts once, by either of its values; nothing known is no count."""
    assert sirs_known(38.1, 91.0, 21.0, 30.0, 3.0) == 4.0
    assert sirs_known(36.0, 90.0, 20.0, 32.0, 12.0) == 0.0
    assert sirs_known(nan, nan, nan, 31.0, nan) == 1.0
    assert isnan(sirs_known(nan, nan, nan, nan, nan))


def test_nothing_is_divided_by_nothing():
    """A zero or unknown pressure makes a ratio unknown, not infinite."""
    assert isnan(ratio(100.0, 0.0))
    assert isnan(ratio(100.0, nan))
    assert isnan(ratio(nan, 100.0))
    assert ratio(90.0, 120.0) == 0.75
