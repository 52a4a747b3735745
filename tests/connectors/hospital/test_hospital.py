"""The simulated hospital as a stream."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Iterator
from itertools import islice, pairwise

import pytest

from connectors.hospital import CRITICAL_CARE_WARD, Hospital, Story, as_fhir, as_hl7
from connectors.hospital.wards import FAHRENHEIT_WARD
from events import Millis


@pytest.fixture(scope="module")
def month() -> list[Story]:
    return list(Hospital(seed=11, beds=60, hours=24 * 28))


@pytest.fixture(scope="module")
def quarter() -> list[Story]:
    """A larger hospital, for what is rare: who comes, moves, leaves and is merged, without the charts."""
    return [story for story in Hospital(seed=12, beds=240, hours=24 * 42) if story.kind != "oru"]


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
    for kind in ("A01", "A02", "A03", "A08", "A40", "critical_care", "death"):
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
        if story.outcome in {"critical_care", "death"} and story.event_time < last - 600_000:
            move = moves[story.encounter, story.event_time]
            if story.outcome == "death":
                assert (move.trigger, move.deceased) == ("A03", True)
            else:
                assert (move.trigger, move.location.ward) == ("A02", CRITICAL_CARE_WARD)


def test_an_arrest_call_ends_in_death_or_critical_care_within_the_hour(quarter: list[Story]) -> None:
    """A cardiac arrest is an outcome that no message tells; a death or a transfer to critical care follows soon."""
    arrests = [story for story in quarter if story.outcome == "cardiac_arrest"]
    assert len(arrests) >= 3
    ends = {(s.encounter, s.outcome): s.event_time for s in quarter if s.outcome in {"critical_care", "death"}}
    for arrest in arrests:
        later = [ends.get((arrest.encounter, kind), 0) - arrest.event_time for kind in ("critical_care", "death")]
        assert any(0 < wait <= 3_600_000 for wait in later)
        assert as_hl7(arrest) is as_fhir(arrest) is None


def test_clerks_take_back_what_was_wrong(quarter: list[Story]) -> None:
    """Admissions, moves and discharges are cancelled now and then, each after the message that it takes back."""
    told: set[tuple[str, str]] = set()
    cancelled: Counter[str] = Counter()
    undone = {"A11": "A01", "A12": "A02", "A13": "A03"}
    for story in quarter:
        if story.trigger in undone:
            assert (story.encounter, undone[story.trigger]) in told
            cancelled[story.trigger] += 1
        told.add((story.encounter, story.trigger))
    assert all(cancelled[trigger] >= 5 for trigger in undone)


def test_a_stay_goes_on_after_a_discharge_that_was_taken_back(quarter: list[Story]) -> None:
    """After an A13 the same stay is discharged once more, later and for good."""
    taken_back = {story.encounter: story.event_time for story in quarter if story.trigger == "A13"}
    ends = {story.encounter: story.event_time for story in quarter if story.trigger == "A03"}
    assert taken_back
    assert sum(ends[stay] > at for stay, at in taken_back.items()) >= len(taken_back) - 1


def test_merges_are_repeated_and_inverted_now_and_then(quarter: list[Story]) -> None:
    """Some merges come twice as new messages, some the wrong way round and then rightly again."""
    merges: dict[str, list[tuple[str, str]]] = {}
    seen: set[str] = set()
    for story in quarter:
        if story.retired is not None and story.control_id not in seen:
            seen.add(story.control_id)
            merges.setdefault(story.encounter, []).append((story.patient.value, story.retired.value))
    assert any(len(pairs) == 2 and pairs[0] == pairs[1] for pairs in merges.values())
    inverted = [pairs for pairs in merges.values() if any(kept[0] == "T" for kept, _ in pairs)]
    assert inverted
    assert all(pairs[0] == pairs[-1] == pairs[1][::-1] for pairs in inverted if len(pairs) == 3)


def test_a_changed_birth_date_is_told_by_an_a08(quarter: list[Story]) -> None:
    """An A08 puts right the birth date that the admission stated."""
    born = {story.encounter: story.birth_date for story in reversed(quarter) if story.trigger == "A01"}
    changed = [story for story in quarter if story.trigger == "A08"]
    assert len(changed) > 20
    assert all(story.birth_date != born[story.encounter] for story in changed)


def test_an_old_man_lies_on_home_oxygen() -> None:
    """Stay 5 of each hospital is a man past 80 who is never charted on air."""
    stories = [s for s in Hospital(seed=4, beds=8, hours=40) if s.encounter.startswith("V000005")]
    assert {story.sex for story in stories if story.trigger == "A01"} == {"male"}
    assert all((story.birth_date or "") < "1946" for story in stories if story.trigger == "A01")
    flows = [r.value for s in stories for r in s.results if r.coding[1] == "3151-8"]
    assert flows
    assert all(isinstance(flow, float) and flow >= 2 for flow in flows)
    assert not any(r.coding[1] == "3150-6" and r.value == 21.0 for s in stories for r in s.results)


def test_memory_does_not_grow_with_the_time_that_is_simulated() -> None:
    """Streaming four times as long holds no more at its worst than the stays that go on at a time."""

    def peak(hours: float) -> int:
        tracemalloc.start()
        for _ in Hospital(seed=3, beds=20, hours=hours):
            pass
        worst = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return worst

    peak(24)  # whatever is remembered by value is so now
    assert peak(24 * 40) < 1.5 * peak(24 * 10)


def test_a_month_of_a_large_hospital_begins_at_once() -> None:
    """The first messages of 500 beds for a month are there after drawing the stays that have begun, and no others."""
    drawn: list[int] = []

    class Counting(Hospital):
        def _stays(self) -> Iterator[tuple[Millis, list[Story]]]:
            for one in super()._stays():
                drawn.append(one[0])
                yield one

    first = list(islice(Counting(seed=1, beds=500, hours=24 * 30), 200))
    assert len(drawn) <= 500
    assert drawn[-1] <= first[-1].sent_time + 60_000


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


def test_mistaken_merges_are_taken_back_and_change_nothing_else() -> None:
    """Each merge by mistake is followed by an A37 of the same two; who comes and what is charted is as without them."""
    plain = list(Hospital(seed=5, beds=8, hours=48))
    mistaken = list(Hospital(seed=5, beds=8, hours=48, mistaken_share=0.9))
    merged = {(one.patient, one.retired) for one in mistaken if one.retired and one.patient.value[0] != "T"}
    parted = [(one.patient, one.other) for one in mistaken if one.trigger == "A37"]
    assert len(set(parted)) >= 3
    assert merged >= set(parted)

    def charted(stories: list[Story]) -> set[tuple[Millis, str, tuple[object, ...]]]:
        return {(one.event_time, one.encounter, one.results) for one in stories if one.kind == "oru"}

    assert charted(mistaken) == charted(plain)
    assert all(as_fhir(one) is None for one in mistaken if one.trigger == "A37")
