"""A stay's messages as a hospital would have sent them: HL7 v2 and FHIR JSON.

Owns the choice of message for each thing that an importer tells. Must not know any data set: it renders `Decoded`. What
is rendered decodes to the same observations (codings, values, units, times), the same encounter and the same times, so
a replay of any of the three gives the same scores. Outcomes that no message of these formats tells (`sepsis`) are left
out.

In FHIR a row is one Observation with components, so that it is one message there as well; its subject is `Patient/id`,
which the admission's Patient ties to the identifier.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from connectors.decoded import Decoded
from connectors.fhir.render import Component, render_bundle, render_encounter, render_observation, render_patient
from connectors.hl7v2.render import Result, render_adt, render_oru
from events import Admission, Demographics, Discharge, Location, Millis, Observation

ROW_PANEL = ("loinc", "85353-1")
"""Vital signs, weight, height, head circumference, oxygen saturation and BMI panel: the code of a charted row."""


def as_hl7(decoded: Decoded) -> list[bytes]:
    """Render one message as HL7 v2: ADT^A01, ORU^R01 or ADT^A03; none where HL7 has no word for it.

    >>> from connectors.datasets.stays import StayChart
    >>> [message] = as_hl7(StayChart("set", "p1").admit(0, "MICU", "1950", "male")[1])
    >>> message.split(b"|")[8:10]
    [b'ADT^A01', b'p1#admission']
    """
    sent_time = _sent(decoded)
    patient, feed, encounter, control_id = decoded.subject[0], decoded.feed, decoded.encounter, decoded.message_id
    observations = _observations(decoded)
    if observations:
        results = [
            Result(code=o.codings[0][1], system=o.codings[0][0], value=o.value, unit=o.unit, sub_id=str(number))
            for number, o in enumerate(observations, 1)
        ]
        message = render_oru(
            control_id=control_id, sent_time=sent_time, feed=feed, patient=patient, encounter=encounter,
            location=Location(), observed_time=observations[0].event_time, order=control_id, results=results,
        )  # fmt: skip
        return [message]
    admission, person, discharge = _opening_and_closing(decoded)
    if admission is not None:
        message = render_adt(
            "A01", control_id=control_id, sent_time=sent_time, feed=feed, patient=patient, encounter=encounter,
            event_time=admission.event_time, location=admission.location, patient_class=admission.patient_class,
            birth_date=person.birth_date if person else None, sex=person.sex if person else None,
        )  # fmt: skip
        return [message]
    if discharge is not None:
        message = render_adt(
            "A03", control_id=control_id, sent_time=sent_time, feed=feed, patient=patient, encounter=encounter,
            event_time=discharge.event_time, disposition=discharge.disposition, deceased=discharge.deceased or None,
        )  # fmt: skip
        return [message]
    return []


def render_all(messages: Iterable[Decoded], format_: Literal["hl7v2", "fhir"]) -> Iterator[tuple[Decoded, bytes]]:
    """Render a stream of messages of any stays; yields each message with each of its renderings.

    >>> list(render_all([], "fhir"))
    []
    """
    admissions: dict[str, Admission] = {}
    for decoded in messages:
        if format_ == "hl7v2":
            rendered = as_hl7(decoded)
        else:
            for event in decoded.events:
                if isinstance(event, Admission):
                    admissions[decoded.encounter] = event
            rendered = as_fhir(decoded, admissions.get(decoded.encounter))
        for data in rendered:
            yield decoded, data


def as_fhir(decoded: Decoded, admitted: Admission | None = None) -> list[bytes]:
    """Render one message as FHIR: Patient and Encounter in a Bundle, an Observation, or a finished Encounter.

    `admitted` is how the stay began: a finished Encounter states the whole stay. Without it, it began when it ended.

    >>> from connectors.datasets.stays import StayChart
    >>> [bundle] = as_fhir(StayChart("set", "p1").admit(0, "MICU", "1950", "male")[1])
    >>> b'"birthDate":"1950"' in bundle and b'"display":"MICU"' in bundle
    True
    """
    sent_time = _sent(decoded)
    patient = decoded.subject[0]
    observations = _observations(decoded)
    if observations:
        components: list[Component] = [(o.codings, o.value, o.unit) for o in observations]
        resource = render_observation(
            observation_id=_resource_id(decoded.message_id), patient_id=patient.value, encounter_id=decoded.encounter,
            codings=[ROW_PANEL], value=None, unit="", event_time=observations[0].event_time, issued=sent_time,
            status="final", components=components,
        )  # fmt: skip
        return [resource]
    admission, person, discharge = _opening_and_closing(decoded)
    if admission is not None:
        who = render_patient(
            patient=patient, patient_id=patient.value, birth_date=person.birth_date if person else None,
            sex=person.sex if person else None, deceased=None, last_updated=sent_time,
        )  # fmt: skip
        stay = render_encounter(
            encounter_id=decoded.encounter, patient_id=patient.value, status="in-progress", location=admission.location,
            start=admission.event_time, end=None, patient_class=admission.patient_class, disposition="",
            last_updated=sent_time,
        )  # fmt: skip
        return [render_bundle([who, stay])]
    if discharge is not None:
        opening = admitted or Admission(discharge.event_time, Location())
        stay = render_encounter(
            encounter_id=decoded.encounter, patient_id=patient.value, status="finished", location=opening.location,
            start=opening.event_time, end=discharge.event_time, patient_class="I", disposition=discharge.disposition,
            last_updated=sent_time,
        )  # fmt: skip
        return [stay]
    return []


def _sent(decoded: Decoded) -> Millis:
    if decoded.sent_time is None:
        raise ValueError("a message of a data set names its time")
    return decoded.sent_time


def _observations(decoded: Decoded) -> list[Observation]:
    return [event for event in decoded.events if isinstance(event, Observation)]


def _opening_and_closing(decoded: Decoded) -> tuple[Admission | None, Demographics | None, Discharge | None]:
    admission = next((event for event in decoded.events if isinstance(event, Admission)), None)
    person = next((event for event in decoded.events if isinstance(event, Demographics)), None)
    discharge = next((event for event in decoded.events if isinstance(event, Discharge)), None)
    return admission, person, discharge


def _resource_id(message_id: str) -> str:
    """FHIR ids hold letters, digits, `-` and `.` only."""
    return message_id.replace("#", "-").replace(":", ".")
