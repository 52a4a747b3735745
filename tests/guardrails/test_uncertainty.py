"""The fifth filter with tables as versions carry them: what straddles, what is clear, and what is no interval."""

from __future__ import annotations

import math

import msgspec
import pytest

from features.state import PatientState
from guardrails.candidate import Candidate
from guardrails.configuration import GuardrailSettings
from guardrails.uncertainty import Uncertainty
from models.belt import belt_table
from models.conformal import WIDTH_MAX, WIDTH_MIN
from models.news2 import score_news2
from models.scorer import Prediction
from models.venn import VennTable, venn_table
from tests.models.stays import drawn

LEVEL = 0.04
CANDIDATE = Candidate(
    at=0,
    event_time=0,
    ward="W1",
    news2=score_news2(PatientState(), 0),
    prediction=None,
    settings=msgspec.convert({"raise_at": LEVEL, "clear_at": LEVEL}, GuardrailSettings),
)


def reason(probability: float, low: float | None, high: float | None) -> str:
    prediction = Prediction(probability, (), "v", low=low, high=high)
    verdict = Uncertainty().check(msgspec.structs.replace(CANDIDATE, prediction=prediction))
    assert verdict is not None
    return verdict.reason


def undecided(table: VennTable, probabilities: list[float]) -> list[float]:
    return [p for p in probabilities if reason(p, *table.interval(p)) == "indeterminate"]


def test_a_belt_leaves_fewer_undecided_than_venns_ranges_and_all_about_the_threshold() -> None:
    """Of the same held-back stays a belt abstains from a narrower band, which holds the threshold."""
    told, _, labels, who = drawn(1, 1500)
    grid = [number / 1000 for number in range(1, 200)]
    ours, venns = (undecided(make(told, labels, who), grid) for make in (belt_table, venn_table))
    assert 0 < len(ours) < len(venns)
    assert min(ours) <= LEVEL <= max(ours) + 0.001
    assert ours == [p for p in grid if min(ours) <= p <= max(ours)]


def test_a_wider_told_belt_abstains_from_more_and_the_widest_from_all() -> None:
    """As the stream widens what is told, more is undecided; at the greatest width everything is."""
    told, _, labels, who = drawn(2, 1500)
    grid = [number / 1000 for number in range(1, 200)]
    counts = [
        len(undecided(belt_table(told, labels, who, width), grid)) for width in (WIDTH_MIN, 2 * WIDTH_MIN, WIDTH_MAX)
    ]
    assert counts == sorted(set(counts))
    assert counts[-1] == len(grid)


@pytest.mark.parametrize(("low", "high"), [(math.nan, 0.5), (0.1, math.nan), (math.nan, math.nan)])
def test_a_bound_that_is_no_number_decides_nothing_it_should_not(low: float, high: float) -> None:
    """A bound that is no number never makes a score determinate, unless the other alone does."""
    assert reason(0.2, low, high) == ("determinate" if low >= LEVEL else "indeterminate")


def test_without_bounds_it_is_said() -> None:
    """A version without a table has its scores annotated."""
    assert reason(0.2, None, None) == "no_summary"
