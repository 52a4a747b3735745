"""Claims about the Point-of-Care Device and Personal Health Device guides: monitors and wearables in FHIR."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from connectors.decoded import Decoded, Refusal
from connectors.fhir.codec import decode
from connectors.fhir.settings import FhirSettings
from events import MILLIS_PER_HOUR, Observation, from_iso
from features.catalogue import default_catalogue
from features.state import PatientState
from features.thinning import DEVICE_METRIC, is_device_reading
from models.news2 import score_news2

SETTINGS = FhirSettings(server="ehr")
MDC, LOINC, UCUM = "urn:iso:std:iso:11073:10101", "http://loinc.org", "http://unitsofmeasure.org"
NOON = "2026-03-03T12:00:00Z"
AT = from_iso(NOON)
POCD_STATUS = "http://hl7.org/fhir/uv/pocd/CodeSystem/measurement-status"
THO_STATUS = "http://terminology.hl7.org/CodeSystem/measurement-status"
ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"


def wearable(**changes: Any) -> dict[str, Any]:
    """A PhdNumericObservation: MDC code with its LOINC translation, no encounter, the PHD as device."""
    resource: dict[str, Any] = {
        "resourceType": "Observation",
        "meta": {"profile": ["http://hl7.org/fhir/uv/phd/StructureDefinition/PhdNumericObservation"]},
        "identifier": [{"value": "FEDCBA9876543210-1234-20260303T120000-150456"}],
        "status": "final",
        "code": {
            "coding": [
                {"system": MDC, "code": "150456", "display": "MDC_PULS_OXIM_SAT_O2"},
                {"system": LOINC, "code": "59408-5"},
            ],
            "text": "MDC_PULS_OXIM_SAT_O2",
        },
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": NOON,
        "performer": [{"reference": "Patient/p1"}],
        "device": {"reference": "Device/FEDCBA9876543210"},
        "derivedFrom": [{"reference": "Observation/coincident"}],
        "valueQuantity": {"value": 97, "unit": "percent", "system": UCUM, "code": "%"},
    }
    return {name: value for name, value in (resource | changes).items() if value is not ...}


def read(resource: dict[str, Any]) -> Decoded:
    [result] = decode(msgspec.json.encode(resource), SETTINGS)
    assert isinstance(result, Decoded), result
    return result


def only(resource: dict[str, Any]) -> Observation:
    [event] = read(resource).events
    assert isinstance(event, Observation)
    return event


def test_a_wearables_value() -> None:
    """MDC and LOINC say the same; nobody needs an encounter; the reading is the device's own."""
    event = only(wearable())
    assert (event.value, event.unit, event.event_time) == (97.0, "%", AT)
    assert event.codings == (("mdc", "150456"), ("loinc", "59408-5"))
    assert read(wearable()).encounter == ""
    assert is_device_reading(event.codings, event.qualifiers)


def test_what_was_measured_offline_keeps_its_time() -> None:
    """A night's values uploaded in the morning are of the night: late, with their age, and no newer one is hidden."""
    night = only(wearable(effectiveDateTime="2026-03-03T03:00:00Z", issued=NOON))
    assert night.event_time == AT - 9 * MILLIS_PER_HOUR
    state = PatientState()
    state.observe(only(wearable()), AT, "now")
    state.observe(msgspec.structs.replace(night, value=84.0), AT, "night")
    latest = state.latest("spo2", AT)
    assert latest is not None
    assert latest.value == 97.0


def test_uploaded_twice_is_one_result() -> None:
    """Observations to be created have no id: server, patient, code and time name them, so a repeat is a duplicate."""
    state = PatientState()
    fates = [state.observe(only(one), AT, "m").outcome for one in (wearable(), wearable(performer=...))]
    assert fates == ["accepted", "duplicate"]


def test_a_compound_of_the_guides() -> None:
    """A blood pressure with MDC components comes to its parts; supplemental and accuracy components to nothing."""
    compound = wearable(
        code={"coding": [{"system": MDC, "code": "150020"}, {"system": LOINC, "code": "85354-9"}]},
        valueQuantity=...,
        component=[
            {
                "code": {"coding": [{"system": MDC, "code": code}]},
                "valueQuantity": {"value": value, "code": "mm[Hg]", "system": UCUM},
            }
            for code, value in (("150021", 120), ("150022", 80), ("150023", 93))
        ]
        + [
            {
                "code": {"coding": [{"system": MDC, "code": "68193"}]},
                "valueCodeableConcept": {"coding": [{"system": MDC, "code": "150604"}]},
            }
        ],
    )
    state = PatientState()
    outcomes = [
        state.observe(event, AT, "m").outcome for event in read(compound).events if isinstance(event, Observation)
    ]
    assert outcomes == ["accepted"] * 3 + ["unmapped"]
    found = [state.latest(name, AT) for name in ("systolic_bp", "diastolic_bp", "mean_bp")]
    assert [one.value for one in found if one] == [120.0, 80.0, 93.0]


@pytest.mark.parametrize("system", [POCD_STATUS, THO_STATUS])
@pytest.mark.parametrize("status", ["questionable", "calibration-ongoing", "invalid"])
def test_questionable_is_quarantined(system: str, status: str) -> None:
    """A number that its device doubts does not count and is told, as in HL7 v2."""
    doubted = wearable(interpretation=[{"coding": [{"system": system, "code": status}]}])
    event = only(doubted)
    assert (event.value, event.text, event.absent_reason) == (None, "97", "unreliable")
    assert read(doubted).notes == ("measurement_unreliable",)
    state = PatientState()
    assert state.observe(event, AT, "m").reason == "unreliable"
    assert score_news2(state, AT).quarantined == ("spo2",)


def test_a_doubted_number_is_kept_as_it_was_sent() -> None:
    """With its comparator and every digit: what is shown of it is not another number."""
    doubted = {"interpretation": [{"coding": [{"system": POCD_STATUS, "code": "questionable"}]}]}
    assert only(wearable(**doubted, valueQuantity={"value": 90, "comparator": ">"})).text == ">90"
    assert only(wearable(**doubted, valueQuantity={"value": 1234567.25})).text == "1234567.25"


def test_invalid_is_quarantined_too() -> None:
    """The guides write `invalid` as dataAbsentReason `error`; of anybody but a device that is an absence."""
    absent = {"coding": [{"system": ABSENT, "code": "error"}]}
    assert only(wearable(valueQuantity=..., dataAbsentReason=absent)).absent_reason == "unreliable"
    charted = wearable(
        valueQuantity=..., dataAbsentReason=absent, code={"coding": [{"system": LOINC, "code": "59408-5"}]}
    )
    assert only(charted).absent_reason == "error"


@pytest.mark.parametrize("code", ["validated-data", "early-indication", "in-alarm", "alarm-inhibited", "msmt-ongoing"])
def test_other_statuses_change_no_value(code: str) -> None:
    """Validated, early or in alarm: the value counts. So does one with any other interpretation."""
    assert only(wearable(interpretation=[{"coding": [{"system": POCD_STATUS, "code": code}]}])).value == 97.0
    foreign = [{"coding": [{"system": "http://other", "code": "questionable"}]}, {"text": "low"}]
    assert only(wearable(interpretation=foreign)).value == 97.0


def test_an_interpretation_of_before_r4() -> None:
    """STU3 had one interpretation and not a list: it costs no value, and is read."""
    assert only(wearable(interpretation={"text": "high"})).value == 97.0
    one = {"coding": [{"system": POCD_STATUS, "code": "questionable"}]}
    assert only(wearable(interpretation=one)).absent_reason == "unreliable"


def test_test_data_is_no_patients() -> None:
    """The label HTEST makes it no value, and neither well nor ill."""
    label = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST"}]}
    told = wearable(meta=label, valueQuantity={"value": 60, "code": "%", "system": UCUM})
    event = only(told)
    assert (event.value, event.text, event.absent_reason) == (None, "", "test-data")
    assert read(told).notes == ("measurement_no_patients",)
    assert PatientState().observe(event, AT, "m").outcome == "absent"


def test_a_component_may_be_doubted_alone() -> None:
    """The doubt of one component is of that one."""
    status = [{"coding": [{"system": POCD_STATUS, "code": "questionable"}]}]
    parts: list[dict[str, Any]] = [
        {
            "code": {"coding": [{"system": MDC, "code": code}]},
            "valueQuantity": {"value": 120, "code": "mm[Hg]", "system": UCUM},
        }
        for code in ("150021", "150022")
    ]
    parts[1]["interpretation"] = status
    events = read(wearable(valueQuantity=..., component=parts)).events
    assert [event.value for event in events if isinstance(event, Observation)] == [120.0, None]


def test_point_of_care() -> None:
    """An Observation of a DeviceMetric is the device's own, whatever it is coded in."""
    metric = wearable(
        id="n1",
        code={"coding": [{"system": LOINC, "code": "59408-5"}]},
        device={"reference": "DeviceMetric/channel-7"},
    )
    event = only(metric)
    assert event.qualifiers == (DEVICE_METRIC,)
    assert is_device_reading(event.codings, event.qualifiers)
    charted = only(wearable(id="n1", code={"coding": [{"system": LOINC, "code": "59408-5"}]}))
    assert not is_device_reading(charted.codings, charted.qualifiers)


def test_a_waveform_is_no_feature() -> None:
    """SampledData is noted; it makes no value."""
    wave = wearable(
        code={"coding": [{"system": MDC, "code": "131329"}]},
        valueQuantity=...,
        valueSampledData={"origin": {"value": 0}, "period": 4, "dimensions": 1, "data": "1 2 3 E U L"},
    )
    assert (read(wave).events, read(wave).notes) == ((), ("value_type_unread",))


def test_a_devices_clock_is_no_result() -> None:
    """The coincident timestamp is an Observation of the device: understood, and nothing of a patient."""
    clock = wearable(
        meta={"profile": ["http://hl7.org/fhir/uv/phd/StructureDefinition/PhdCoincidentTimeStampObservation"]},
        code={"coding": [{"system": MDC, "code": "67975"}]},
        subject={"reference": "Device/FEDCBA9876543210"},
        valueQuantity=...,
        valueDateTime=NOON,
    )
    found = read(clock)
    assert (found.events, found.subject, found.notes) == ((), (), ("device_clock",))


def test_a_value_about_a_device_stays_refused() -> None:
    """A vital sign whose subject is a device may be a patient's who got lost: it is kept as a dead letter, and seen."""
    [result] = decode(msgspec.json.encode(wearable(subject={"reference": "Device/d1"})), SETTINGS)
    assert isinstance(result, Refusal)
    assert result.position == "$.subject.reference"


@pytest.mark.parametrize("kind", ["Device", "DeviceMetric", "DeviceDefinition"])
def test_device_resources_hold_nothing(kind: str) -> None:
    """A Device and a DeviceMetric are understood; nothing in them is scored."""
    assert read({"resourceType": kind, "id": "d1"}).events == ()


def test_the_guides_units_are_the_catalogues() -> None:
    """What the guides' numeric profiles carry in UCUM is converted for every vital sign."""
    catalogue = default_catalogue()
    for code, unit in (("149530", "{beat}/min"), ("151562", "{breath}/min"), ("150344", "[degF]"), ("150021", "kPa")):
        resolution = catalogue.resolution((("mdc", code),), unit, ())
        assert resolution is not None
        assert not resolution.fault
