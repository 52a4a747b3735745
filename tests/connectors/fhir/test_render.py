"""Claims about rendering: what is written is valid R4B, and reads back as what was meant."""

from __future__ import annotations

from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.encounter import Encounter
from fhir.resources.R4B.observation import Observation as Validated
from fhir.resources.R4B.patient import Patient
from hypothesis import given
from hypothesis import strategies as st

from connectors.decoded import Decoded, Identifier
from connectors.fhir.codec import decode
from connectors.fhir.observation import STATUSES
from connectors.fhir.render import render_bundle, render_encounter, render_observation, render_patient
from connectors.fhir.settings import FhirSettings
from events import Admission, Cancellation, Correction, Demographics, Discharge, Location, Observation, Transfer

SETTINGS = FhirSettings(server="sim")
IDS = st.from_regex(r"[A-Za-z0-9\-.]{1,20}", fullmatch=True)
WORDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9 ]{0,8}[A-Za-z0-9]", fullmatch=True)
TIMES = st.integers(0, 4_000_000_000_000)
CODINGS = st.lists(st.tuples(st.sampled_from(["loinc", "mdc", "snomed", "urn:x"]), IDS), min_size=1, max_size=3)
VALUES = st.none() | st.floats(-1e6, 1e6) | WORDS | st.tuples(st.just("loinc"), IDS)
UNITS = st.sampled_from(["", "/min", "mm[Hg]", "Cel", "%"])


def read(data: bytes) -> Decoded:
    [result] = decode(data, SETTINGS)
    assert isinstance(result, Decoded), result
    return result


def shown(event: Observation) -> Any:
    if event.absent_reason:
        return None
    return event.value if event.value is not None else event.text or event.answers[0]


@given(
    IDS,
    CODINGS,
    VALUES,
    UNITS,
    TIMES,
    TIMES,
    st.sampled_from(sorted(STATUSES)),
    st.lists(st.tuples(CODINGS, VALUES, UNITS), max_size=3),
)
def test_observation(
    name: str, codings: Any, value: Any, unit: str, at: int, issued: int, status: str, components: Any
) -> None:
    """A rendered Observation validates, and decodes to the same values, units, codes and times."""
    data = render_observation(
        observation_id=name,
        patient_id="p1",
        encounter_id="e1",
        codings=codings,
        value=value,
        unit=unit,
        event_time=at,
        issued=issued,
        status=status,
        components=components,
    )
    Validated.model_validate_json(data)
    result = read(data)
    assert (result.event_time, result.sent_time, result.encounter) == (at, issued, "e1")
    assert result.subject == (Identifier("sim/Patient", "p1"),)
    found = [event.observation if isinstance(event, Correction) else event for event in result.events]
    meant = [(codings, value, unit)] if value is not None or not components else []
    meant += components
    assert len(found) == len(meant)
    for event, (part_codings, part_value, part_unit) in zip(found, meant, strict=True):
        assert isinstance(event, Observation)
        assert event.codings == tuple(part_codings)
        assert shown(event) == part_value
        assert event.unit == (part_unit if isinstance(part_value, float) else "")
        assert event.status == STATUSES[status]


@given(
    WORDS,
    WORDS,
    st.sampled_from([None, "1942", "1942-09", "1942-09-02"]),
    st.sampled_from([None, "male", "female", "other", "unknown"]),
    st.sampled_from([None, True, False]),
    TIMES,
)
def test_patient(
    authority: str,
    number: str,
    birth_date: str | None,
    sex: Any,
    deceased: bool | None,  # noqa: FBT001 - drawn, not passed by a caller
    at: int,
) -> None:
    """A rendered Patient validates, and its first identifier is the one that was given."""
    identifier = Identifier(authority, number)
    data = render_patient(
        patient=identifier, patient_id="p1", birth_date=birth_date, sex=sex, deceased=deceased, last_updated=at
    )
    Patient.model_validate_json(data)
    result = read(data)
    assert result.subject == (identifier, Identifier("sim/Patient", "p1"))
    assert result.events == (Demographics(at, birth_date, sex, deceased),)


def encounter(**fields: Any) -> bytes:
    return render_encounter(
        **{
            "encounter_id": "e1",
            "patient_id": "p1",
            "status": "in-progress",
            "location": Location("W", "R", "B", "F"),
            "start": 1000,
            "end": None,
            "patient_class": "I",
            "disposition": "",
            "last_updated": 9000,
            **fields,
        }
    )


@pytest.mark.parametrize("letter", ["I", "E", "O", "P", "R"])
@pytest.mark.parametrize("location", [Location(), Location("W"), Location("W", "R", "B", "F")])
def test_admission(letter: str, location: Location) -> None:
    """An admission keeps its class and every part of its place, and no earlier discharge stands beside it."""
    data = encounter(patient_class=letter, location=location)
    Encounter.model_validate_json(data)
    assert read(data).events == (Admission(1000, location, letter), Cancellation(9000, "discharge"))
    assert read(data).event_time == 1000


def test_transfer() -> None:
    """A place that was reached later than the start is a transfer."""
    data = encounter(location_start=2000)
    Encounter.model_validate_json(data)
    moves = (Admission(1000, Location(), "I"), Transfer(2000, Location("W", "R", "B", "F")))
    assert read(data).events == (*moves, Cancellation(9000, "discharge"))


@pytest.mark.parametrize(("disposition", "deceased"), [("exp", True), ("20", True), ("home", False), ("", False)])
def test_discharge(disposition: str, deceased: bool) -> None:  # noqa: FBT001 - a parameter of the table
    """A discharge keeps its disposition, and death is read from it."""
    data = encounter(status="finished", end=3000, disposition=disposition)
    Encounter.model_validate_json(data)
    assert read(data).events[1] == Discharge(3000, disposition, deceased=deceased)


@pytest.mark.parametrize("kind", ["collection", "batch", "transaction", "history", "searchset"])
def test_bundle(kind: Any) -> None:
    """A rendered Bundle validates, and its entries decode as they do alone."""
    entries = [encounter(encounter_id="e1"), encounter(encounter_id="e2")]
    data = render_bundle(entries, type=kind)
    Bundle.model_validate_json(data)
    alone = [read(entry) for entry in entries]
    results = decode(data, SETTINGS)
    assert sorted(result.message_id for result in results) == [result.message_id for result in alone]
    assert {r.content_hash for r in results if isinstance(r, Decoded)} == {r.content_hash for r in alone}


def test_time_of_death() -> None:
    """A time of death is written in place of the bare fact."""
    data = render_patient(
        patient=Identifier("H", "1"),
        patient_id="p1",
        birth_date=None,
        sex=None,
        deceased=True,
        last_updated=9,
        deceased_time=5,
    )
    assert read(data).events[1] == Demographics(5, deceased=True)
