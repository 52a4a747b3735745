"""The simulated hospital's messages as bytes: HL7 v2 (ADT, ORU^R01) and FHIR (Bundles).

Owns the choice of message for each story. Must not know how the stories came about.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from connectors.decoded import Decoded
from connectors.fhir.render import render_bundle, render_encounter, render_observation, render_patient
from connectors.hl7v2.render import Result, render_adt, render_oru
from connectors.hospital.story import Charted, Story
from connectors.hospital.wards import FEED
from events import Outcome

FHIR_STATUS = {"F": "final", "C": "corrected", "W": "entered-in-error"}
"""OBX-11 (table 0085) to Observation.status."""
ENCOUNTER_STATUS = {"A03": "finished", "A11": "entered-in-error"}
"""Encounter.status after an event; after any other the stay goes on. So a discharge taken back (A13) is an Encounter in
progress again: FHIR states what is, and has no word for what is taken back."""
RESULTS_REMEMBERED_MAX = 16_384
"""Results made ready for HL7, by charted value: few whole numbers make a long stream; some 3 MB."""
MOVES = frozenset({"A02", "A12"})
"""What begins a time at a place. A move taken back (A12) is a move back: the same place afterwards."""


def as_hl7(story: Story) -> bytes | None:
    r"""Render a story as one HL7 v2 message; None for an outcome, which no message tells as such.

    >>> from connectors.hospital import Hospital
    >>> as_hl7(next(iter(Hospital(seed=1))))[:15]
    b'MSH|^~\\&|WARDSI'
    """
    if story.kind == "oru":
        return render_oru(
            control_id=story.control_id, sent_time=story.sent_time, feed=FEED, patient=story.patient,
            encounter=story.encounter, location=story.location, observed_time=story.event_time, order=story.order,
            results=[_result(charted) for charted in story.results],
        )  # fmt: skip
    if story.kind == "adt":
        return render_adt(
            story.trigger, control_id=story.control_id, sent_time=story.sent_time, feed=FEED, patient=story.patient,
            event_time=story.event_time, encounter=story.encounter, location=story.location,
            birth_date=story.birth_date, sex=story.sex, deceased=story.deceased, disposition=story.disposition,
            retired=story.retired, other=story.other,
        )  # fmt: skip
    return None


def as_fhir(story: Story) -> bytes | None:
    """Render a story as one FHIR Bundle (a collection); None for an outcome, and for a merge taken back.

    Admission, transfer, discharge and what takes them back are a Patient and an Encounter, as is a change of
    demographics; results an Observation each; a merge a Patient that replaces another (Patient.link).

    >>> from connectors.hospital import Hospital
    >>> b'"resourceType":"Encounter"' in as_fhir(next(iter(Hospital(seed=1))))
    True
    """
    if story.kind == "oru":
        return render_bundle([_observation(story, charted) for charted in story.results])
    if story.kind == "adt" and story.other is None:
        person = render_patient(
            patient=story.patient, patient_id=story.patient.value, birth_date=story.birth_date, sex=story.sex,
            deceased=story.deceased, last_updated=story.sent_time,
        )  # fmt: skip
        if story.retired is not None:
            return render_bundle([_link(person, story.retired.value)])
        return render_bundle([person, _encounter(story)])
    return None


def as_outcome(story: Story) -> Decoded | None:
    """Give the outcome that a story tells, as an event for training; None for what is a message.

    >>> from connectors.hospital import Hospital
    >>> as_outcome(next(iter(Hospital(seed=1)))) is None
    True
    """
    if story.kind != "outcome":
        return None
    # The control id is unique within the hospital, so it is the content.
    content_hash = story.control_id.encode().rjust(16, b"\0")[-16:]
    return Decoded(
        FEED, story.control_id, content_hash, story.sent_time, story.event_time, (story.patient,),
        (Outcome(story.event_time, story.outcome),), story.encounter, (), "outcome",
    )  # fmt: skip


@lru_cache(maxsize=RESULTS_REMEMBERED_MAX)
def _result(charted: Charted) -> Result:
    system, code = charted.coding
    return Result(code=code, system=system, value=charted.value, unit=charted.unit, status=charted.status)


def _observation(story: Story, charted: Charted) -> bytes:
    return render_observation(
        observation_id=f"{story.order}-{charted.coding[1]}", patient_id=story.patient.value,
        encounter_id=story.encounter, codings=[charted.coding], value=charted.value, unit=charted.unit,
        event_time=story.event_time, issued=story.sent_time, status=FHIR_STATUS[charted.status],
    )  # fmt: skip


def _encounter(story: Story) -> bytes:
    leaving = story.trigger == "A03"
    return render_encounter(
        encounter_id=story.encounter, patient_id=story.patient.value,
        status=ENCOUNTER_STATUS.get(story.trigger, "in-progress"),
        location=story.location, start=story.admitted_time, end=story.event_time if leaving else None,
        patient_class="I", disposition=story.disposition, last_updated=story.sent_time,
        location_start=story.event_time if story.trigger in MOVES else None,
    )  # fmt: skip


def _link(person: bytes, retired_id: str) -> bytes:
    resource: dict[str, Any] = msgspec.json.decode(person)
    resource["link"] = [{"other": {"reference": f"Patient/{retired_id}"}, "type": "replaces"}]
    return msgspec.json.encode(resource)
