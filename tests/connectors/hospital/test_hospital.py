"""The simulated hospital as a stream."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from connectors.hospital import CRITICAL_CARE_WARD, Hospital, Story, as_hl7
from connectors.hospital.wards import FAHRENHEIT_WARD


@pytest.fixture(scope="module")
def month() -> list[Story]:
    return list(Hospital(seed=11, beds=60, hours=24 * 28))


def test_one_seed_gives_one_traffic_byte_for_byte() -> None:
    """The same seed gives the same bytes, another seed others."""
    first, again, other = ([as_hl7(story) for story in Hospital(seed, beds=6, hours=30)] for seed in (5, 5, 6))
    assert first == again
    assert first != other


def test_stories_come_in_order_of_sent_time(month: list[Story]) -> None:
    """Sent times never go back, and nothing is sent before it was true or after the end."""
    hospital = Hospital(seed=11, beds=60, hours=24 * 28)
    assert all(before.sent_time <= after.sent_time for before, after in pairwise(month))
    assert all(hospital.start_time <= story.event_time <= story.sent_time < hospital.end_time for story in month)


def test_charting_delay_is_as_published(month: list[Story]) -> None:
    """On the wards, vital signs are charted a median of about 42 min late, the upper quartile about 104 min."""
    delays = sorted(
        (story.sent_time - story.event_time) / 60_000
        for story in month
        if story.kind == "oru"
        and story.results[0].coding[1] == "8867-4"
        and story.results[0].status == "F"
        and story.location.ward != CRITICAL_CARE_WARD
    )
    assert 38 < delays[len(delays) // 2] < 50
    assert 90 < delays[len(delays) * 3 // 4] < 130


def test_a_month_holds_every_kind_of_trouble(month: list[Story]) -> None:
    """Outcomes, transfers, merges, corrections, withdrawals, artefacts, repeats, a child and Fahrenheit all occur."""
    kinds = Counter(story.trigger or story.outcome or "oru" for story in month)
    for kind in ("A01", "A02", "A03", "A40", "critical_care", "death"):
        assert kinds[kind] >= 3, kind
    statuses = Counter(result.status for story in month for result in story.results)
    assert statuses["C"] >= 3
    assert statuses["W"] >= 1
    assert any(result.value == 723.0 for story in month for result in story.results)
    assert any(before == after for before, after in pairwise(month))
    assert any((story.birth_date or "") > "2012" for story in month)
    units = {
        (story.location.ward, result.unit)
        for story in month
        for result in story.results
        if result.coding[1] == "8310-5" and story.location.ward != CRITICAL_CARE_WARD
    }
    assert {ward for ward, unit in units if unit == "[degF]"} == {FAHRENHEIT_WARD}


def test_outcomes_are_told_by_messages_too(month: list[Story]) -> None:
    """Each transfer to critical care is an A02 there, each death an A03 of the deceased, at the outcome's own time."""
    moves = {
        (story.encounter, story.event_time): story for story in month if story.kind == "adt" and story.trigger != "A40"
    }
    last = month[-1].sent_time
    for story in month:
        if story.kind == "outcome" and story.event_time < last - 600_000:
            move = moves[story.encounter, story.event_time]
            if story.outcome == "death":
                assert (move.trigger, move.deceased) == ("A03", True)
            else:
                assert (move.trigger, move.location.ward) == ("A02", CRITICAL_CARE_WARD)


def test_before_an_outcome_the_patient_is_sicker(month: list[Story]) -> None:
    """In the six hours before an outcome the mean heart and respiration rates stand clearly above the others'."""
    outcomes = {story.encounter: story.event_time for story in reversed(month) if story.kind == "outcome"}
    near: list[float] = []
    far: list[float] = []
    for story in month:
        if story.kind != "oru" or story.results[0].coding[1] != "8867-4" or len(story.results) < 2:
            continue
        rate = story.results[1].value
        assert isinstance(rate, float)
        end = outcomes.get(story.encounter)
        (near if end is not None and 0 < end - story.event_time < 6 * 3_600_000 else far).append(rate)
    assert sum(near) / len(near) > sum(far) / len(far) + 4


def test_corrections_name_the_result_they_change(month: list[Story]) -> None:
    """A correction carries the order and code of a result that was sent before it."""
    sent: set[tuple[str, str, str]] = set()
    corrected = 0
    for story in month:
        for result in story.results:
            key = (story.encounter, story.order, result.coding[1])
            if result.status == "F":
                sent.add(key)
            else:
                assert key in sent
                corrected += 1
    assert corrected > 5


def test_an_empty_hospital_is_refused() -> None:
    """No beds, or no time, is a mistake and says so."""
    with pytest.raises(ValueError, match="a bed at least"):
        Hospital(1, beds=0)
