"""Claims about reading Patients."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from connectors.decoded import Decoded, Identifier, Refusal, RefusalReason
from connectors.fhir.codec import decode
from connectors.fhir.settings import FhirSettings
from events import Demographics, Merge

SETTINGS = FhirSettings(server="ehr", authorities={"http://mrn.example": "HOSP"})
MR = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]}


def decode_one(**fields: Any) -> Decoded | Refusal:
    resource = {"resourceType": "Patient", "id": "p1", "meta": {"lastUpdated": "1970-01-01T00:00:01Z"}, **fields}
    [result] = decode(msgspec.json.encode(resource), SETTINGS)
    return result


def read(**fields: Any) -> Decoded:
    result = decode_one(**fields)
    assert isinstance(result, Decoded), result
    return result


def test_demographics() -> None:
    """Birth date, sex and a living state are carried; a name never is."""
    result = read(gender="female", birthDate="1942-09", deceasedBoolean=False, name=[{"family": "Sekret"}])
    assert result.events == (Demographics(1000, "1942-09", "female", deceased=False),)
    assert "Sekret" not in repr(result)


def test_death_keeps_its_hour() -> None:
    """A deceasedDateTime is a statement of its own at that time."""
    events = read(deceasedDateTime="1970-01-01T00:00:00Z").events
    assert events == (Demographics(1000), Demographics(0, deceased=True))


def test_record_number_comes_first() -> None:
    """Record numbers come first, the server's own id last; blanks and old ones fall out."""
    sent = [
        {"system": "urn:ssn", "value": "999"},
        {"system": "urn:gone", "value": "1", "use": "old"},
        {"system": "urn:blank", "value": " "},
        {"value": "nobody's"},
        {"type": MR, "system": "http://mrn.example", "value": "7"},
        {"type": MR, "system": "http://mrn.example", "value": "7"},
    ]
    expected = (Identifier("HOSP", "7"), Identifier("urn:ssn", "999"), Identifier("ehr/Patient", "p1"))
    assert read(identifier=sent).subject == expected


def test_replaces() -> None:
    """`replaces` retires the other patient into this one."""
    result = read(link=[{"type": "replaces", "other": {"reference": "Patient/p2"}}], gender="male")
    assert result.subject == (Identifier("ehr/Patient", "p1"),)
    assert result.retired == (Identifier("ehr/Patient", "p2"),)
    assert [type(event) for event in result.events] == [Demographics, Merge]


def test_replaced_by() -> None:
    """`replaced-by` retires this patient into the other, and says nothing else of either."""
    result = read(link=[{"type": "replaced-by", "other": {"reference": "Patient/p2"}}], gender="male")
    assert result.subject == (Identifier("ehr/Patient", "p2"),)
    assert result.retired == (Identifier("ehr/Patient", "p1"),)
    assert [type(event) for event in result.events] == [Merge]


def test_other_links_change_nothing() -> None:
    """`seealso` is no merge."""
    assert read(link=[{"type": "seealso", "other": {"reference": "Patient/p2"}}]).retired == ()


@pytest.mark.parametrize(
    ("fields", "position", "reason"),
    [
        ({"birthDate": "02/09/1942"}, "$.birthDate", RefusalReason.INVALID_VALUE),
        ({"birthDate": "1942-02-30"}, "$.birthDate", RefusalReason.INVALID_VALUE),
        ({"birthDate": 1942}, "$.birthDate", RefusalReason.INVALID_VALUE),
        ({"gender": "F"}, "$.gender", RefusalReason.INVALID_VALUE),
        ({"id": None}, "$.identifier", RefusalReason.MISSING_IDENTIFIER),
        ({"deceasedDateTime": "yesterday"}, "$.deceasedDateTime", RefusalReason.INVALID_TIME),
        ({"link": [{"type": "replaces", "other": {}}]}, "$.link[0].other", RefusalReason.MISSING_IDENTIFIER),
        ({"meta": {"lastUpdated": "now"}}, "$.meta.lastUpdated", RefusalReason.INVALID_TIME),
    ],
)
def test_refusals(fields: dict[str, Any], position: str, reason: RefusalReason) -> None:
    """What cannot be read is refused where it stands."""
    result = decode_one(**fields)
    assert isinstance(result, Refusal)
    assert (result.position, result.reason) == (position, reason)


def test_birth_date_with_a_time() -> None:
    """A time of birth in birthDate, as some converters write, is cut off and noted."""
    result = read(birthDate="1970-06-01T09:12")
    assert isinstance(result.events[0], Demographics)
    assert (result.events[0].birth_date, result.notes) == ("1970-06-01", ("birth_date_with_time",))


def test_demographics_without_a_time_are_the_oldest() -> None:
    """A Patient that says not when it was written yields to every one that does."""
    result = read(meta=None, gender="male")
    assert (result.sent_time, result.event_time) == (None, None)
    assert result.events == (Demographics(0, sex="male"),)


def test_a_message_id_names_nobody() -> None:
    """Neither an accepted nor a refused Patient, nor a deletion of one, is called by its id: only by its content."""
    accepted, again, other = read(), read(), read(gender="male")
    refused = decode_one(birthDate="never")
    assert isinstance(refused, Refusal)
    deletion = {"request": {"method": "DELETE", "url": "Patient/p1"}}
    bundle = {"resourceType": "Bundle", "type": "history", "entry": [deletion]}
    [gone] = decode(msgspec.json.encode(bundle), SETTINGS)
    for result in (accepted, refused, gone):
        assert "p1" not in result.message_id
        assert "Patient/" in result.message_id
    assert accepted.message_id == again.message_id != other.message_id


def test_what_is_shown_names_nobody() -> None:
    """Neither a result nor an identifier shows a number when it is printed."""
    result = read(identifier=[{"type": MR, "system": "urn:mrn", "value": "4711"}])
    for shown in (repr(result), str(result), repr(result.subject), f"{result.subject[0]}"):
        assert "4711" not in shown
        assert "p1" not in shown
