"""A17 in the embedded service: one message, two records, one answer."""

from __future__ import annotations

import pytest

from connectors.decoded import Identifier
from events import Envelope, Location, Transfer
from stream.parse import IDENTIFIERS_MAX, DeadLetter, Duplicate

MINUTE = 30


def a17(roth="1^^^MRN^MR", bauer="2^^^MRN^MR", more=""):
    """Write the swap of patients 1 and 2, who lie in beds 12 and 13 of Ward A."""
    return (
        f"MSH|^~\\&|PAS|MAIN|||20260101003000||ADT^A17|SWAP|P|2.5.1\rEVN|A17|20260101003000\r"
        f"PID|1||{roth}\rPV1|1|I|Ward A^1^13\rPID|2||{bauer}\rPV1|2|I|Ward A^1^12\r{more}"
    ).encode()


@pytest.fixture
def ward(new_ward):
    """Give a ward where 1 is sick and 2 is well."""
    ward = new_ward()
    for mrn, bed in (("1", "12"), ("2", "13")):
        ward.admit(mrn, location=Location("Ward A", "1", bed))
    ward.chart("1", 5, ward.SICK)
    ward.chart("2", 6, ward.WELL)
    return ward


def counts(ward):
    """Give the accounting so far."""
    told = ward.service.journal.counts()
    return {name: told.get(name, 0) for name in ("messages", "accepted", "duplicates", "dead_letters")}


def records(ward):
    """Give the records of the log that came of the swap."""
    return [envelope for _, envelope in ward.service.journal.read(0) if envelope.message_id == "SWAP"]


def test_one_message_is_two_records(ward):
    """The swap is counted as one message, and is a record for each patient, with an id and a place of its own."""
    before = counts(ward)
    assert isinstance(ward.send(a17(), MINUTE), Envelope)
    after = counts(ward)
    assert after == {**before, "messages": before["messages"] + 1, "accepted": before["accepted"] + 1}
    first, second = records(ward)
    assert first.patient != second.patient
    assert first.envelope_id != second.envelope_id
    assert (first.position, second.position) == (f"ward#{len(ward.sent) - 1}", f"ward#{len(ward.sent) - 1}#2")
    assert [event.location.bed for one in (first, second) for event in one.events if type(event) is Transfer] == [
        "13",
        "12",
    ]


def test_the_alert_goes_with_its_patient(ward):
    """The open alert names the new bed, and only the sick patient has one."""
    ward.send(a17(), MINUTE)
    last = ward.alerts("1")[-1]
    assert (last["state"], last["reason"], last["bed"]) == ("updated", "transferred", "13")
    assert ward.alerts("2") == []


def test_a_swap_sent_again_is_one_duplicate(ward):
    """The same message again adds no record and is one duplicate."""
    ward.send(a17(), MINUTE)
    before = counts(ward)
    assert isinstance(ward.send(a17(), MINUTE + 1), Duplicate)
    after = counts(ward)
    assert after == {**before, "messages": before["messages"] + 1, "duplicates": before["duplicates"] + 1}
    assert len(records(ward)) == 2


@pytest.mark.parametrize("which", ["roth", "bauer"])
def test_what_cannot_be_used_of_one_is_not_used_of_the_other(ward, which):
    """Too many identifiers of either patient make the message a dead letter, and nobody is moved."""
    many = "~".join(f"7^^^A{number}^MR" for number in range(IDENTIFIERS_MAX + 1))
    assert isinstance(ward.send(a17(**{which: many}), MINUTE), DeadLetter)
    assert records(ward) == []


def test_a_third_patient_is_a_dead_letter(ward):
    """A swap of three is refused whole, with its place."""
    letter = ward.send(a17(more="PID|3||3^^^MRN^MR\rPV1|3|I|Ward A^1^14\r"), MINUTE)
    assert isinstance(letter, DeadLetter)
    assert (letter.reason.value, letter.fault) == ("invalid_value", "PID[3]")
    assert records(ward) == []


def test_two_numbers_of_one_patient_swap_nothing(ward):
    """Merged by then, the two are one: which of the places is his nobody knows, and his alert stays where he lies."""
    ward.adt("A40", "1", 10, retired=Identifier("MRN", "2"), location=Location())
    before, told = counts(ward), len(ward.alerts("1"))
    letter = ward.send(a17(), MINUTE)
    assert isinstance(letter, DeadLetter)
    assert (letter.reason.value, letter.fault) == ("invalid_value", "PID[2]-3")
    after = counts(ward)
    assert after == {**before, "messages": before["messages"] + 1, "dead_letters": before["dead_letters"] + 1}
    assert records(ward) == []
    assert all(alert["reason"] != "transferred" for alert in ward.alerts("1")[told:])
    ward.adt("A37", "1", MINUTE + 1, other=Identifier("MRN", "2"), location=Location())
    assert isinstance(ward.send(a17(), MINUTE + 2), Envelope), "parted again, the very same message counts"
    assert len(records(ward)) == 2
