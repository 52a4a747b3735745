"""One patient told of by HL7 v2 and by FHIR: one chart, whichever came first, and one cancelled discharge."""

from __future__ import annotations

from typing import Any

from connectors.decoded import Identifier
from connectors.fhir.codec import decode
from connectors.fhir.render import render_encounter, render_observation, render_patient
from connectors.fhir.settings import FhirSettings
from connectors.hl7v2.codec import decode as decode_hl7
from connectors.hl7v2.settings import Hl7Settings
from connectors.sources import Arrival
from events import Location, Merge
from stream.demonstration import demo_steps
from stream.identity import IdentityMap, Pseudonyms
from stream.parse import Parser, RecentMessages

ACVPU_ALERT = ("loinc", "LA9340-6")
SICK = (
    ("9279-1", 28.0, "/min"),
    ("59408-5", 90.0, "%"),
    ("8480-6", 88.0, "mm[Hg]"),
    ("8867-4", 132.0, "/min"),
    ("67775-7", ACVPU_ALERT, ""),
)


def post(ward: Any, resource: bytes, minute: float) -> Any:
    """Let a FHIR resource arrive at the ward's service."""
    [decoded] = decode(resource, FhirSettings(server="fhir"))
    return ward.service.accept([Arrival(f"http#{minute}", ward.at(minute), resource, "fhir", decoded)])[0]


def observe(ward: Any, patient_id: str, minute: float, code: str, value: Any, unit: str) -> None:
    """Post one Observation that names its patient by the server's id alone."""
    post(
        ward,
        render_observation(
            observation_id=f"o{minute}-{code}", patient_id=patient_id, encounter_id="", codings=[("loinc", code)],
            value=value, unit=unit, event_time=ward.at(minute - 1), issued=ward.at(minute), status="final",
        ),
        minute,
    )  # fmt: skip


def introduce(ward: Any, patient_id: str, mrn: str, minute: float) -> Any:
    """Post the Patient that ties the server's id to the hospital's number."""
    return post(
        ward,
        render_patient(
            patient=Identifier("MRN", mrn), patient_id=patient_id, birth_date="1950-01-01", sex="female",
            deceased=None, last_updated=ward.at(minute),
        ),
        minute,
    )  # fmt: skip


def test_half_a_chart_by_each_way_becomes_one_when_the_patient_is_introduced(ward):
    """Vital signs by FHIR under an unknown id and the rest by HL7 v2 are two charts until a Patient resource ties them;
    then one emergency is told, under the hospital's number.
    """
    ward.admit("1", 0)
    for code, value, unit in SICK[:2]:
        observe(ward, "p7", 10, code, value, unit)
    ward.chart("1", 11, {"sbp": 88.0, "hr": 132.0, "fio2": 21.0})
    assert ward.score("1")["news2"]["total"] == 6
    envelope = introduce(ward, "p7", "1", 12)
    assert [event for event in envelope.events if isinstance(event, Merge)]
    assert ward.score("1")["news2"]["total"] == 12
    observe(ward, "p7", 13, *SICK[0])
    assert ward.score("1")["news2"]["total"] == 12
    assert ward.alerts("1", "news2_floor")[-1]["priority"] == "interrupt"
    assert ward.service.identity_conflicts() == 0


def test_introduced_again_nothing_changes(ward):
    """The same tie told twice, and by another version of the resource, merges once."""
    ward.admit("1", 0)
    observe(ward, "p7", 10, *SICK[0])
    introduce(ward, "p7", "1", 12)
    again = introduce(ward, "p7", "1", 13)
    assert not [event for event in again.events if isinstance(event, Merge)]
    assert ward.score("1")["news2"]["respiration_rate"] == 3


def encounter(ward: Any, minute: float, status: str, end: float | None = None) -> None:
    """Post a version of the patient's Encounter."""
    post(
        ward,
        render_encounter(
            encounter_id="VISIT-1", patient_id="p7", status=status, location=Location(ward="Ward A", bed="12"),
            start=ward.at(0), end=None if end is None else ward.at(end), patient_class="I", disposition="",
            last_updated=ward.at(minute),
        ),
        minute,
    )  # fmt: skip


def test_an_encounter_that_is_under_way_again_takes_its_end_back(ward):
    """What HL7 v2 says by A13, FHIR says by an Encounter that is in progress again: the patient is told of again."""
    encounter(ward, 1, "in-progress")
    encounter(ward, 20, "finished", end=19)
    for code, value, unit in SICK:
        observe(ward, "p7", 18.5, code, value, unit)
    told = [alert for alert in ward.outputs("alerts") if alert["trigger"] == "news2_floor"]
    assert told == []
    encounter(ward, 30, "in-progress")
    told = [alert for alert in ward.outputs("alerts") if alert["trigger"] == "news2_floor"]
    assert [alert["state"] for alert in told] == ["raised"]


def test_an_older_version_that_comes_late_takes_nothing_back(ward):
    """An in-progress version of before the discharge, delivered after it, leaves the patient discharged."""
    encounter(ward, 1, "in-progress")
    encounter(ward, 20, "finished", end=19)
    encounter(ward, 18, "in-progress")
    [key] = {envelope.patient for _offset, envelope in ward.service.journal.read() if envelope.patient}
    record = ward.service.host.shelf.find(key)
    assert not record.state.admitted


def test_a_discharge_told_by_its_own_time_counts_after_a_newer_version(ward):
    """An end before the last in-progress version was written still ends the stay."""
    encounter(ward, 1, "in-progress")
    encounter(ward, 25, "in-progress")
    encounter(ward, 30, "finished", end=19)
    [key] = {envelope.patient for _offset, envelope in ward.service.journal.read() if envelope.patient}
    assert ward.service.host.shelf.find(key).state.discharged_time == ward.at(19)


def test_the_demos_two_ways_end_in_one_chart_a_patient():
    """Every patient of the demo's hospital, told of by HL7 v2 and by FHIR, has one key, and nobody is told apart in
    vain.
    """
    identity = IdentityMap(Pseudonyms(b"key"))
    parser = Parser(identity, RecentMessages())
    for number, step in enumerate(demo_steps(seed=3, beds=60, hours=72)):
        decoded = decode_hl7(step.data, Hl7Settings()) if step.way == "mllp" else None
        for one in [decoded] if decoded is not None else decode(step.data, FhirSettings(server="fhir")):
            parser.step(one, step.sent_time, f"#{number}")
    numbers = {name: identity.resolve((name,)) for name in known_names(identity)}
    local = {name.value: key for name, key in numbers.items() if name.authority == "fhir/Patient"}
    hospital = {name.value: key for name, key in numbers.items() if name.authority == "WARDSIM"}
    assert len(local) > 100
    assert {value: hospital[value] for value in local} == local
    assert identity.conflicts == 0


def known_names(identity: IdentityMap) -> list[Identifier]:
    """Give every identifier that the map knows."""
    return [Identifier(authority, value) for authority, value in identity._key_of]
