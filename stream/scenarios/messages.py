"""The messages of a story: what the ward's systems would send, in HL7 v2 or FHIR.

Owns the way from a step to bytes. Must not know who reads them. Numbers, visits, orders and control ids follow from the
story alone, so that it gives the same bytes each time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from connectors.fhir.render import render_bundle, render_encounter, render_observation, render_patient
from connectors.hl7v2.render import Result, render_adt, render_oru, render_time
from events import MILLIS_PER_MINUTE, Coding, Location, Millis, to_iso
from stream.scenarios.moments import is_clock, local_digits, on_clock, span
from stream.scenarios.names import OTHERS_NUMBER, Names
from stream.scenarios.vitals import Finding, findings
from stream.scenarios.words import Step, Story, Value

FEED = "CHART|HOSP"
TRIGGERS = {"admit": "A01", "transfer": "A02", "discharge": "A03", "update": "A08", "merge": "A40", "unmerge": "A37"}
CANCELLED = {"admission": "A11", "transfer": "A12", "discharge": "A13"}
DISPOSITIONS = {"home": "01", "died": "20"}
"""HL7 table 0112."""
FHIR_DISPOSITIONS = {"home": "home", "died": "exp"}
Status = Literal["F", "C", "W"]
_FHIR_STATUS = {"F": "final", "C": "corrected", "W": "entered-in-error"}
_SLOT = re.compile(r"\{(mrn|visit|now|taken|ward|id|now_local|taken_local)\}")


class Sent(msgspec.Struct, frozen=True):
    """A message as it is sent."""

    data: bytes
    format: Literal["hl7v2", "fhir"]


class Writer:
    """Writes one story's messages, in order."""

    def __init__(self, story: Story, names: Names) -> None:
        """Begin with nobody admitted."""
        self._story = story
        self._names = names
        self.start: Millis = on_clock(story.start, story.zone)
        self._number = 0
        self._visits: dict[str, int] = {}
        self._places: dict[str, Location] = {}
        self._begun: dict[str, Millis] = {}

    def write(self, step: Step, verb: str, at: Millis) -> Sent:
        """Write the message of a step that comes at an instant."""
        self._number += 1
        if verb == "hl7":
            text = self._filled(step.hl7 or "", step, at)
            return Sent(text.strip("\n").replace("\n", "\r").encode() + b"\r", "hl7v2")
        if verb == "fhir":
            return Sent(msgspec.json.encode(self._filled_in(step.fhir, step, at)), "fhir")
        if verb in ("chart", "correct", "withdraw"):
            return self._charted(step, verb, at)
        return self._moved(step, verb, at)

    # -- charts -----------------------------------------------------------------------------------------------------

    def _charted(self, step: Step, verb: str, at: Millis) -> Sent:
        status: Status = {"chart": "F", "correct": "C", "withdraw": "W"}[verb]  # type: ignore[assignment]
        charted: Mapping[str, Value] = step.chart or step.correct or dict.fromkeys(step.withdraw or ())
        taken = self.taken(step, at)
        mrn = self._names.mrn(step.who)
        order = step.order or f"{mrn.value}-{taken // MILLIS_PER_MINUTE}"
        found = findings(charted)
        if step.form == "fhir":
            return Sent(
                render_bundle([self._observation(step, one, order, taken, at, status) for one in found]), "fhir"
            )
        data = render_oru(
            control_id=f"S{self._number}",
            sent_time=at,
            feed=step.feed or FEED,
            patient=mrn,
            encounter=self._visit(step.who),
            location=Location(),
            observed_time=taken,
            order=order,
            results=[_result(one, status) for one in found],
            name=step.who,
        )
        if step.taken and is_clock(step.taken):
            data = self._on_clock(data, step.taken, taken, at)
        return Sent(data, "hl7v2")

    def _on_clock(self, data: bytes, text: str, taken: Millis, at: Millis) -> bytes:
        """Write the times as the ward's clock shows them, without an offset, as many charts do."""
        digits = "".join(letter for letter in text if letter.isdigit())
        data = data.replace(render_time(taken).encode(), f"{digits}00".encode())
        return data.replace(render_time(at).encode(), local_digits(at, self._story.zone).encode())

    def _observation(self, step: Step, one: Finding, order: str, taken: Millis, at: Millis, status: Status) -> bytes:
        return render_observation(
            observation_id=f"{order}-{one.coding[1]}",
            patient_id=self._names.fhir_id(step.who),
            encounter_id="",
            codings=[one.coding],
            value=one.value,
            unit=one.unit,
            event_time=taken,
            issued=at,
            status=_FHIR_STATUS[status],
        )

    def taken(self, step: Step, at: Millis) -> Millis:
        """Give when a step's values were true of the patient."""
        if not step.taken:
            return max(at - MILLIS_PER_MINUTE, self.start)
        if is_clock(step.taken):
            return on_clock(step.taken, self._story.zone)
        return self.start + span(step.taken)

    # -- stays ------------------------------------------------------------------------------------------------------

    def _moved(self, step: Step, verb: str, at: Millis) -> Sent:
        if verb == "admit":
            self._visits[step.who] = self._visits.get(step.who, 0) + 1
            self._begun[step.who] = at
        place = self._place(step, verb)
        if step.form == "fhir":
            return self._replaced(step, at) if step.merge else self._encounter(step, verb, place, at)
        names, update = self._names, step.update
        died = update.died if update is not None else None
        data = render_adt(
            CANCELLED[step.cancel] if step.cancel else TRIGGERS[verb],
            control_id=f"S{self._number}",
            sent_time=at,
            feed=step.feed or "PAS|HOSP",
            patient=names.mrn(step.who),
            event_time=at,
            encounter=self._visit(step.who),
            location=place,
            birth_date=self._born(step),
            sex=self._story.patients[step.who].sex,
            deceased=died,
            disposition=DISPOSITIONS[step.discharge] if step.discharge else "",
            retired=names.mrn(step.merge) if step.merge else None,
            other=names.mrn(step.unmerge) if step.unmerge else None,
            name=step.who,
        )
        return Sent(data, "hl7v2")

    def _replaced(self, step: Step, at: Millis) -> Sent:
        """Say of a patient's resource that another one takes its place."""
        assert step.merge is not None
        data = render_patient(
            patient=self._names.mrn(step.merge),
            patient_id=self._names.fhir_id(step.merge),
            birth_date=None,
            sex=None,
            deceased=None,
            last_updated=at,
        )
        link = {"other": {"reference": f"Patient/{self._names.fhir_id(step.who)}"}, "type": "replaced-by"}
        return Sent(msgspec.json.encode({**msgspec.json.decode(data), "active": False, "link": [link]}), "fhir")

    def _encounter(self, step: Step, verb: str, place: Location, at: Millis) -> Sent:
        patient_id, person = self._names.fhir_id(step.who), self._story.patients[step.who]
        begun = self._begun.get(step.who, at)
        cancelled = "cancelled" if step.cancel == "admission" else "in-progress"
        encounter = render_encounter(
            encounter_id=f"e{patient_id}-{self._visits.get(step.who, 1)}",
            patient_id=patient_id,
            status="finished" if verb == "discharge" else "entered-in-error" if cancelled == "cancelled" else cancelled,
            location=place,
            start=begun,
            end=at if verb == "discharge" else None,
            patient_class="I",
            disposition=FHIR_DISPOSITIONS[step.discharge] if step.discharge else "",
            last_updated=at,
            location_start=at if verb == "transfer" else None,
        )
        if verb != "admit":
            return Sent(encounter, "fhir")
        patient = render_patient(
            patient=self._names.mrn(step.who),
            patient_id=patient_id,
            birth_date=self._born(step),
            sex=person.sex,
            deceased=None,
            last_updated=at,
        )
        return Sent(render_bundle([patient, encounter]), "fhir")

    def _born(self, step: Step) -> str | None:
        """Give the birth date: of an age, the day of the start that many years before."""
        said = step.update if step.update is not None and (step.update.born or step.update.age is not None) else None
        person = said or self._story.patients[step.who]
        if person.born or person.age is None:
            return person.born or None
        year, month, day = self._story.start[:10].split("-")
        return f"{int(year) - person.age}-{month}-{min(int(day), 28):02d}"

    def _place(self, step: Step, verb: str) -> Location:
        if verb == "merge":
            return Location()
        text = step.admit or step.transfer or step.to or (step.update.ward if step.update is not None else "")
        if step.admit == "nowhere":
            return Location()
        if not text:
            return self._places.get(step.who, Location()) if verb != "update" else Location()
        ward, _, bed = text.partition("/")
        place = self._places[step.who] = Location(ward=self._names.ward(ward or self._story.ward), bed=bed)
        return place

    def _visit(self, name: str) -> str:
        return f"V{self._names.mrn(name).value}.{self._visits.get(name, 1)}"

    # -- messages as they are ---------------------------------------------------------------------------------------

    def _filled(self, text: str, step: Step, at: Millis) -> str:
        text = OTHERS_NUMBER.sub(lambda slot: self._names.mrn(slot.group(1)).value, text)
        return _SLOT.sub(lambda slot: self._slot(slot.group(1), step, at), text)

    def _slot(self, slot: str, step: Step, at: Millis) -> str:
        form = to_iso if step.fhir is not None else render_time
        zone = self._story.zone
        if slot in ("now", "taken"):
            return form(at if slot == "now" else self.taken(step, at))
        if slot in ("now_local", "taken_local"):
            return local_digits(at if slot == "now_local" else self.taken(step, at), zone)
        if slot == "ward":
            return self._names.ward(self._story.ward)
        if slot == "id":
            return self._names.fhir_id(step.who)
        return self._names.mrn(step.who).value if slot == "mrn" else self._visit(step.who)

    def _filled_in(self, value: Any, step: Step, at: Millis) -> Any:
        if isinstance(value, str):
            return self._filled(value, step, at)
        if isinstance(value, dict):
            return {key: self._filled_in(inner, step, at) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._filled_in(inner, step, at) for inner in value]
        return value


def _result(one: Finding, status: Status) -> Result:
    system, code = one.coding
    value: float | str | Coding | None = None if status == "W" else one.value
    return Result(code=code, system=system, value=value, unit=one.unit, status=status)
