"""Claims about reading Observations."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from connectors.decoded import Decoded, Refusal, RefusalReason
from connectors.fhir.codec import decode
from connectors.fhir.settings import FhirSettings
from events import Correction, Observation

SETTINGS = FhirSettings(server="ehr")
LOINC = "http://loinc.org"


def observation(**changes: Any) -> dict[str, Any]:
    resource: dict[str, Any] = {
        "resourceType": "Observation",
        "id": "o1",
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": "8867-4"}]},
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": "2020-01-01T12:00:00Z",
        "issued": "2020-01-01T12:30:00Z",
        "valueQuantity": {"value": 72, "unit": "bpm", "system": "http://unitsofmeasure.org", "code": "/min"},
    }
    resource.update(changes)
    return {name: value for name, value in resource.items() if value is not ...}


def read(**changes: Any) -> Decoded:
    [result] = decode(msgspec.json.encode(observation(**changes)), SETTINGS)
    assert isinstance(result, Decoded), result
    return result


def refuse(**changes: Any) -> Refusal:
    [result] = decode(msgspec.json.encode(observation(**changes)), SETTINGS)
    assert isinstance(result, Refusal), result
    return result


def only(result: Decoded) -> Observation:
    [event] = result.events
    assert isinstance(event, Observation)
    return event


def test_ucum_code_is_the_unit() -> None:
    """The UCUM code is preferred to the unit's display text."""
    event = only(read())
    assert (event.value, event.unit, event.codings) == (72.0, "/min", (("loinc", "8867-4"),))


@pytest.mark.parametrize(("oid", "name"), [("1", "loinc"), ("24", "mdc"), ("96", "snomed")])
def test_a_system_by_its_oid(oid: str, name: str) -> None:
    """Converters of documents name code systems by OID: the codes are the same, and UCUM's code is the unit."""
    root = "urn:oid:2.16.840.1.113883.6"
    quantity = {"value": 37.5, "unit": "degrees", "system": f"{root}.8", "code": "Cel"}
    event = only(read(code={"coding": [{"system": f"{root}.{oid}", "code": "8310-5"}]}, valueQuantity=quantity))
    assert (event.codings, event.value, event.unit) == (((name, "8310-5"),), 37.5, "Cel")


def test_unit_text_without_ucum() -> None:
    """A code of another unit system is not taken for UCUM; the text is carried as sent."""
    event = only(read(valueQuantity={"value": 1.10, "unit": "mm[Hg]", "system": "http://other", "code": "X"}))
    assert (event.value, event.unit) == (1.1, "mm[Hg]")


@pytest.mark.parametrize("comparator", ["<", "<=", ">", ">="])
def test_comparator(comparator: str) -> None:
    """A comparator is carried."""
    assert only(read(valueQuantity={"value": 5, "comparator": comparator})).comparator == comparator


def test_unknown_comparator_is_refused() -> None:
    """A comparator that R4 does not define is refused where it stands, unquoted."""
    refusal = refuse(valueQuantity={"value": 5, "comparator": "SECRET"})
    assert (refusal.reason, refusal.position) == (RefusalReason.INVALID_VALUE, "$.valueQuantity.comparator")
    assert "SECRET" not in refusal.detail


@pytest.mark.parametrize(
    ("sent", "expected"), [("registered", "preliminary"), ("preliminary", "preliminary"), ("final", "final")]
)
def test_status(sent: str, expected: str) -> None:
    """Plain statuses give Observations."""
    assert only(read(status=sent)).status == expected


@pytest.mark.parametrize(
    ("sent", "withdrawn"), [("amended", False), ("corrected", False), ("cancelled", True), ("entered-in-error", True)]
)
def test_corrections(sent: str, withdrawn: bool) -> None:  # noqa: FBT001 - a parameter of the table
    """A changed status gives a Correction that names the result it changes."""
    [event] = read(status=sent).events
    assert isinstance(event, Correction)
    assert event.withdrawn is withdrawn
    assert event.observation.observation_id == only(read()).observation_id


def test_unknown_status_is_noted() -> None:
    """Status `unknown` is used as preliminary and counted."""
    result = read(status="unknown")
    assert only(result).status == "preliminary"
    assert result.notes == ("status_unknown",)


@pytest.mark.parametrize(("status", "reason"), [("fnial", "invalid_value"), (..., "missing_field")])
def test_bad_status(status: Any, reason: str) -> None:
    """A bogus or absent status is refused at its place."""
    refusal = refuse(status=status)
    assert (refusal.reason, refusal.position) == (reason, "$.status")


def test_times() -> None:
    """Event time is effective; sent time is issued."""
    result = read()
    assert result.event_time == only(result).event_time == 1_577_880_000_000
    assert result.sent_time == 1_577_881_800_000


@pytest.mark.parametrize(
    "changes",
    [
        {"effectiveDateTime": ..., "effectiveInstant": "2020-01-01T12:00:00Z"},
        {"effectiveDateTime": ..., "effectivePeriod": {"start": "2020-01-01T11:00:00Z", "end": "2020-01-01T12:00:00Z"}},
        {"effectiveDateTime": ..., "effectivePeriod": {"start": "2020-01-01T12:00:00Z"}},
        {"effectiveDateTime": ..., "effectiveTiming": {"event": ["2020-01-01T12:00:00Z", "2020-01-01T10:00:00Z"]}},
        {"effectiveDateTime": ..., "issued": "2020-01-01T12:00:00Z"},
        {"effectiveDateTime": ..., "issued": ..., "meta": {"lastUpdated": "2020-01-01T12:00:00Z"}},
    ],
)
def test_event_time_falls_back(changes: dict[str, Any]) -> None:
    """Every kind of effective[x] is read; without one, issued, and then lastUpdated, stand in."""
    assert read(**changes).event_time == 1_577_880_000_000


def test_no_time_at_all() -> None:
    """An Observation without any time is refused."""
    refusal = refuse(effectiveDateTime=..., issued=...)
    assert (refusal.reason, refusal.position) == (RefusalReason.MISSING_FIELD, "$.effectiveDateTime")


def test_time_without_zone() -> None:
    """A date-time without its offset is refused where it stands."""
    refusal = refuse(effectiveDateTime="2020-01-01T12:00:00")
    assert (refusal.reason, refusal.position) == (RefusalReason.INVALID_TIME, "$.effectiveDateTime")
    assert refusal.message_id == "Observation/o1"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"valueInteger": 15}, (15.0, "")),
        ({"valueString": "Alert"}, (None, "Alert")),
        ({"valueString": "72"}, (None, "72")),
        ({"valueBoolean": True}, (None, "true")),
        ({"valueString": "x" * 500}, (None, "x" * 200)),
    ],
)
def test_plain_values(value: dict[str, Any], expected: tuple[float | None, str]) -> None:
    """Integers are numbers; texts stay texts, bounded, and are never parsed."""
    event = only(read(valueQuantity=..., **value))
    assert (event.value, event.text) == expected


def test_coded_answer() -> None:
    """All codings of a coded answer are carried, systems by short name."""
    codings = [{"system": LOINC, "code": "LA9340-6"}, {"system": "urn:x", "code": "A"}, {"display": "no code"}]
    event = only(read(valueQuantity=..., valueCodeableConcept={"coding": codings, "text": "Alert"}))
    assert (event.answers, event.text) == ((("loinc", "LA9340-6"), ("urn:x", "A")), "Alert")


def test_absent() -> None:
    """A dataAbsentReason is an event without a value."""
    event = only(read(valueQuantity=..., dataAbsentReason={"coding": [{"code": "not-performed"}]}))
    assert (event.value, event.absent_reason) == (None, "not-performed")


def test_nothing_said() -> None:
    """No value and no reason for its absence is no event (a panel that only has members)."""
    result = read(valueQuantity=..., hasMember=[{"reference": "Observation/2"}])
    assert result.events == ()


def test_unread_kind_of_value_is_noted() -> None:
    """A kind of value that we do not read is counted, not lost silently."""
    result = read(valueQuantity=..., valueSampledData={"origin": {"value": 0}, "period": 1, "dimensions": 1})
    assert (result.events, result.notes) == ((), ("value_type_unread",))


BP = {
    "code": {"coding": [{"system": LOINC, "code": "85354-9"}]},
    "valueQuantity": ...,
    "component": [
        {"code": {"coding": [{"system": LOINC, "code": "8480-6"}]}, "valueQuantity": {"value": 120, "unit": "mmHg"}},
        {
            "code": {"coding": [{"system": LOINC, "code": "8462-4"}]},
            "dataAbsentReason": {"coding": [{"code": "not-performed"}]},
        },
    ],
}


def test_components() -> None:
    """Each component is an observation of its own, with its own id and its own absence."""
    systolic, diastolic = read(**BP).events
    assert isinstance(systolic, Observation)
    assert isinstance(diastolic, Observation)
    assert (systolic.value, diastolic.value, diastolic.absent_reason) == (120.0, None, "not-performed")
    assert systolic.observation_id != diastolic.observation_id


def test_withdrawn_panel_takes_back_its_components() -> None:
    """A withdrawn panel withdraws its components by the ids they had, even where it no longer lists them."""
    ids = {event.observation_id for event in read(**BP).events if isinstance(event, Observation)}
    for changes in ({}, {"component": ...}):
        events = read(**{**BP, "status": "entered-in-error", **changes}).events
        assert all(isinstance(event, Correction) and event.withdrawn for event in events)
        assert ids <= {event.observation.observation_id for event in events if isinstance(event, Correction)}


def test_two_components_of_one_code_stay_apart() -> None:
    """Components that repeat a code have different ids."""
    first, second = read(**{**BP, "component": [BP["component"][0]] * 2}).events  # type: ignore[index]
    assert isinstance(first, Observation)
    assert isinstance(second, Observation)
    assert first.observation_id != second.observation_id


def test_result_without_id_keeps_its_identity() -> None:
    """Without an id the result is named by patient, code and time: the same measurement is the same result."""
    first, again = only(read(id=...)), only(read(id=..., issued="2020-01-01T13:00:00Z"))
    later = only(read(id=..., effectiveDateTime="2020-01-01T12:01:00Z"))
    assert first.observation_id == again.observation_id != later.observation_id


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ({"reference": "Patient/p1"}, [("ehr/Patient", "p1")]),
        ({"reference": "Patient/p1/_history/3"}, [("ehr/Patient", "p1")]),
        ({"reference": "http://ehr/fhir/Patient/p1"}, [("ehr/Patient", "p1")]),
        ({"reference": "Patient?identifier=urn:mrn|77"}, [("urn:mrn", "77")]),
        ({"identifier": {"system": "urn:mrn", "value": " 77 "}}, [("urn:mrn", "77")]),
        ({"reference": "Patient/p1", "identifier": {"value": "77"}}, [("ehr/Patient", "p1"), ("ehr", "77")]),
        ({"reference": "#p", "identifier": {"system": "urn:mrn", "value": "77"}}, [("urn:mrn", "77")]),
        ({"type": "Patient", "reference": "Patient/p1"}, [("ehr/Patient", "p1")]),
    ],
)
def test_subjects(subject: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    """Every way of naming a Patient gives its identifiers, best first."""
    assert [(one.authority, one.value) for one in read(subject=subject).subject] == expected


@pytest.mark.parametrize(
    ("subject", "reason"),
    [
        (..., RefusalReason.MISSING_IDENTIFIER),
        ({}, RefusalReason.MISSING_IDENTIFIER),
        ({"display": "A Name"}, RefusalReason.MISSING_IDENTIFIER),
        ({"reference": "#contained"}, RefusalReason.MISSING_IDENTIFIER),
        ({"reference": "urn:uuid:nowhere"}, RefusalReason.MISSING_IDENTIFIER),
        ({"reference": "Patient/"}, RefusalReason.MISSING_IDENTIFIER),
        ({"reference": "Patient?identifier=a%7Cb"}, RefusalReason.MISSING_IDENTIFIER),
        ({"reference": "Group/g"}, RefusalReason.UNSUPPORTED_TYPE),
        ({"reference": "Device/d"}, RefusalReason.UNSUPPORTED_TYPE),
        ({"type": "Location", "identifier": {"value": "1"}}, RefusalReason.UNSUPPORTED_TYPE),
        ({"reference": 7}, RefusalReason.INVALID_VALUE),
    ],
)
def test_subjects_that_are_no_patient(subject: Any, reason: RefusalReason) -> None:
    """A subject that cannot be resolved to one Patient is refused, never guessed."""
    refusal = refuse(subject=subject)
    assert refusal.reason is reason
    assert refusal.position.startswith("$.subject")
    assert "Name" not in refusal.detail


def test_foreign_server() -> None:
    """Once the feed's own base is named, another server's Patient of the same id is another person."""
    settings = FhirSettings(server="ehr", bases=("http://ehr",))
    data = [
        msgspec.json.encode(observation(subject={"reference": f"{base}/Patient/p1"}))
        for base in ("http://ehr", "http://other")
    ]
    [[own], [foreign]] = [decode(one, settings) for one in data]
    assert isinstance(own, Decoded)
    assert isinstance(foreign, Decoded)
    assert (own.subject[0].authority, foreign.subject[0].authority) == ("ehr/Patient", "http://other/Patient")


def test_encounter_and_version() -> None:
    """The encounter's id and the resource's version are carried."""
    result = read(encounter={"reference": "Encounter/e1"}, meta={"versionId": "4"})
    assert (result.encounter, result.message_id, result.kind) == ("e1", "Observation/o1/_history/4", "Observation")


def test_qualifiers() -> None:
    """Method and body site are qualifiers."""
    concept = {"coding": [{"system": "http://snomed.info/sct", "code": "1"}]}
    event = only(read(method=concept, bodySite={"coding": [{"system": "urn:x", "code": "2"}]}))
    assert event.qualifiers == (("snomed", "1"), ("urn:x", "2"))


def test_value_without_code() -> None:
    """A value that nothing names is refused; one named by text alone is carried under it, and noted."""
    assert refuse(code={}).position == "$.code"
    result = read(code={"text": "Pulse"})
    assert (only(result).codings, result.notes) == ((("text", "Pulse"),), ("code_without_coding",))


def test_too_many_components() -> None:
    """More components than one message may bring are refused."""
    component = {"code": {"coding": [{"code": "x"}]}, "valueInteger": 1}
    assert refuse(component=[component] * 5_001).reason is RefusalReason.TOO_MANY_EVENTS


def test_content_hash() -> None:
    """The same bytes hash the same under one feed, differently under another."""
    data = msgspec.json.encode(observation())
    hashes = [decode(data, FhirSettings(server=name))[0] for name in ("a", "a", "b")]
    first, again, other = (one.content_hash for one in hashes if isinstance(one, Decoded))
    assert first == again != other
    assert len(first) == 16
