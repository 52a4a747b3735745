"""A patient's facts: what events say of them, as of when, and that the core's own stay says the same."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import MILLIS_PER_HOUR as H
from events import Admission, Cancellation, Demographics, Discharge, Envelope, Handover, Location, Transfer
from features.state import PatientState
from models.groups import groups_of_stay
from stream.facts import NO_FACTS, WARDS_MAX, Facts, Known, PatientFacts


def heard(*events, facts=None):
    facts = facts or Facts()
    for number, event in enumerate(events):
        facts.hear(Envelope(str(number), "p", event.event_time, event.event_time, (event,)))
    return facts


def test_a_transfer_moves_and_leaves_where_the_stay_began():
    """A ward told in passing moves nobody; a further admission of an open stay keeps where it began."""
    facts = heard(
        Admission(0, Location("ED")),
        Admission(H, Location("Ward")),
        Transfer(2 * H, Location("ICU")),
        Transfer(3 * H, Location("Lab"), incidental=True),
    )
    assert facts.of("p") == PatientFacts("", "ICU", "ED")


def test_a_readmission_is_another_stay():
    """With its own origin; one after a discharge that was taken back is not."""
    stay = (Admission(0, Location("A")), Discharge(H), Admission(9 * H, Location("B")))
    assert heard(*stay).of("p").unit_of_origin == "B"
    taken_back = (stay[0], stay[1], Cancellation(2 * H, "discharge"), stay[2])
    assert heard(*taken_back).of("p") == PatientFacts("", "B", "A")


def test_what_is_not_said_stays():
    """A message without sex or ethnicity takes neither away, nor does a discharge."""
    said = Demographics(0, sex="female", ethnicity="black")
    facts = heard(said, Demographics(H, birth_date="1950"), Discharge(2 * H), Admission(3 * H, Location("A")))
    assert (facts.of("p").sex, facts.of("p").ethnicity) == ("female", "black")


def test_the_ward_is_that_of_the_time_that_is_asked_for():
    """A row of ward A whose patient lies in the ICU when its label is known is counted for ward A."""
    facts = heard(Admission(0, Location("A")), Transfer(10 * H, Location("ICU")))
    assert [dict(facts.groups_of("p", at))["ward"] for at in (-1, 0, 9 * H, 10 * H)] == ["", "A", "A", "ICU"]
    assert dict(facts.groups_of("p", 0))["unit_of_origin"] == "A"


def test_the_newest_wards_are_remembered():
    """However often somebody moves; before them he lay where the eldest of them says."""
    facts = heard(*(Transfer(number * H, Location(f"W{number}")) for number in range(WARDS_MAX + 3)))
    wards = facts.state()["p"].wards
    assert len(wards) == WARDS_MAX
    assert dict(facts.groups_of("p", 0))["ward"] == wards[0][1] == "W3"


def test_past_the_bound_who_was_heard_of_longest_ago_is_forgotten():
    """And counts as not recorded."""
    facts = Facts(2)
    for patient in ("a", "b", "a", "c"):
        facts.aged(patient, 50.0)
    assert [dict(facts.groups_of(patient, 0))["age"] for patient in "abc"] == ["45-64", "", "45-64"]
    assert facts.of("b") == NO_FACTS


EVENTS = st.one_of(
    st.builds(Admission, st.just(0), st.sampled_from(["", "A", "B"]).map(Location)),
    st.builds(Transfer, st.just(0), st.sampled_from(["A", "B", "ICU"]).map(Location)),
    st.builds(Discharge, st.just(0)),
    st.builds(
        Demographics,
        st.just(0),
        sex=st.sampled_from([None, "male", "female"]),
        ethnicity=st.sampled_from([None, "white", "asian"]),
    ),
)


def dated(events):
    return [msgspec.structs.replace(event, event_time=number * H) for number, event in enumerate(events, 1)]


@given(st.lists(EVENTS, max_size=12), st.integers(0, 12))
def test_gone_on_from_a_state_it_knows_the_same(events, cut):
    """Through bytes and back, at any place."""
    events = dated(events)
    whole, first = heard(*events), heard(*events[:cut])
    state = msgspec.msgpack.decode(msgspec.msgpack.encode(first.state()), type=dict[str, Known])
    second = Facts()
    second.restore(state)
    assert heard(*events[cut:], facts=second).state() == whole.state()


@given(st.lists(EVENTS, max_size=12))
def test_the_scoring_core_tells_the_same_groups(events):
    """Of a stay whose events come in order, of one encounter: what figures are by is what the guardrail asks by."""
    events = _in_order(dated(events))
    state = PatientState()
    for event in events:
        state.apply(event, received_time=event.event_time)
    facts = heard(*events)
    assert groups_of_stay(state.stay, None) == facts.groups_of("p", 100 * H)


def _in_order(events):
    """Leave out what the core's stay reads by rules of its own: moves of who has left, and places that are not told."""
    kept, here = [], False
    for event in events:
        if type(event) is Admission:
            here = bool(event.location.ward)
        elif type(event) is not Demographics and not here:
            continue
        elif type(event) is Discharge:
            here = False
        if type(event) is not Admission or event.location.ward:
            kept.append(event)
    return kept


@pytest.mark.parametrize("events", [(), (Demographics(0),)])
def test_of_whom_nothing_is_said_nothing_is_recorded(events):
    """Every group is there, each without a name."""
    assert {name for _, name in heard(*events).groups_of("p", 0)} == {""}


def test_who_was_merged_is_of_his_groups_under_the_one_key():
    """A monitor's provisional patient gets his sex with the merge, as the scoring core's stay does; not the reverse."""
    facts, own = Facts(), PatientState()
    for patient, event in (
        ("old", Demographics(1, sex="female", ethnicity="black")),
        ("new", Admission(2, Location("A"))),
        ("new", Handover(3, "old")),
    ):
        facts.happened(patient, event, 3)
    retired = PatientState()
    retired.apply(Demographics(1, sex="female", ethnicity="black"), received_time=1)
    own.apply(Admission(2, Location("A")), received_time=2)
    own.absorb(retired)
    assert groups_of_stay(own.stay, None) == facts.groups_of("new", 3)
    facts.happened("new", Demographics(4, sex="male"), 4)
    facts.happened("new", Handover(5, "old"), 5)
    assert dict(facts.groups_of("new", 5))["sex"] == "male"
