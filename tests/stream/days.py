"""A ward's day as messages, in HL7 v2 and in FHIR, and a log that takes them in any order: for the laws of arrival.

Owns the making of the messages from a story's steps, and what is known of each patient once all have arrived. Must not
know which orders are tried.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from math import isnan
from typing import Any, NamedTuple

import msgspec

from connectors.decoded import Decoded, Identifier
from connectors.fhir.codec import decode as decode_fhir
from connectors.fhir.render import render_encounter, render_observation, render_patient
from connectors.fhir.settings import FhirSettings
from connectors.hl7v2.codec import decode as decode_hl7
from connectors.hl7v2.render import Result, render_adt, render_oru
from connectors.hl7v2.settings import Hl7Settings
from events import MILLIS_PER_MINUTE, Envelope, Location
from features.catalogue import default_catalogue
from features.store import MemoryStateStore
from features.vector import OF_STAY, POINTS, STATISTICS, WINDOWS_H, VectorSpec
from stream.control import Control
from stream.effects import Effect, Forward
from stream.fold import fold_record
from stream.identity import IdentityMap, Pseudonyms
from stream.parse import Parser, RecentMessages, apart
from stream.pipeline import Pipeline
from stream.records import PatientRecord, RecordShelf

START = 1_767_225_600_000
"""2026-01-01T00:00:00Z."""
DAY = 24 * 60
"""Minutes of a day: what is told by its end is late by no more than the longest window."""
AUTHORITY, SERVER = "MRN", "sim/Patient"
CODES = {
    "rr": ("9279-1", "/min"),
    "spo2": ("59408-5", "%"),
    "sbp": ("8480-6", "mm[Hg]"),
    "hr": ("8867-4", "/min"),
    "temp": ("8310-5", "Cel"),
}
FEATURES = ("respiration_rate", "spo2", "systolic_bp", "heart_rate", "temperature")
SPEC = VectorSpec(
    [
        *(f"{name}.{point}" for name in FEATURES for point in POINTS),
        *(
            f"{name}.{kind}" if kind == "delta_baseline" else f"{name}.{kind}_{hours}h"
            for name in FEATURES
            for kind in STATISTICS
            for hours in WINDOWS_H
            if kind != "delta_baseline" or hours == WINDOWS_H[0]
        ),
        *OF_STAY,
    ]
)
"""Every statistic of the five features that are charted."""


class Told(NamedTuple):
    """What is told at a minute, in both formats; FHIR may take several resources for it, or have no word for it."""

    minute: int
    hl7: bytes
    fhir: tuple[bytes, ...]
    chain: str = ""
    """What must arrive in order among itself: `merge`, or the Encounter whose version it is (FHIR only)."""


class Known(NamedTuple):
    """What is known of a patient in the end."""

    vector: tuple[float, ...]
    place: Location
    stay: tuple[Any, ...]
    person: tuple[Any, ...]

    def without_origin(self) -> Known:
        """Give it without the ward where the stay began."""
        return self._replace(stay=self.stay[:-1])


def at(minute: float) -> int:
    """Give the instant of a minute."""
    return START + int(minute * MILLIS_PER_MINUTE)


class Day:
    """Writes the messages of a day, one after another."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self._began: dict[str, int] = {}

    def _adt(self, trigger: str, mrn: str, minute: int, fhir: Iterable[bytes] = (), **fields: Any) -> None:
        fields.setdefault("encounter", f"VISIT-{mrn}")
        fields.setdefault("event_time", at(minute))
        hl7 = render_adt(
            trigger,
            control_id=f"C{len(self.told)}",
            sent_time=at(minute),
            feed="PAS|MAIN",
            patient=Identifier(AUTHORITY, mrn),
            **fields,
        )
        chain = "merge" if trigger in {"A40", "A37"} else "" if trigger in {"A08", "A28"} else f"VISIT-{mrn}"
        self.told.append(Told(minute, hl7, tuple(fhir), chain))

    def _encounter(self, mrn: str, minute: int, ward: str, **fields: Any) -> bytes:
        given = {
            "status": "in-progress",
            "start": at(self._began.get(mrn, 0)),
            "end": None,
            "disposition": "",
            "patient_class": "I",
        }
        return render_encounter(
            encounter_id=f"VISIT-{mrn}",
            patient_id=f"p{mrn}",
            location=place(ward),
            last_updated=at(minute),
            **given | fields,
        )

    def admit(self, mrn: str, minute: int, ward: str) -> None:
        """Admit a patient (A01; a Patient and an Encounter)."""
        person = render_patient(
            patient=Identifier(AUTHORITY, mrn), patient_id=f"p{mrn}", birth_date="1950-01-01", sex="female",
            deceased=None, last_updated=at(minute),
        )  # fmt: skip
        self._began[mrn] = minute
        fhir = (person, self._encounter(mrn, minute, ward))
        self._adt("A01", mrn, minute, fhir, location=place(ward), birth_date="1950-01-01", sex="female")

    def introduce(self, mrn: str, minute: int) -> None:
        """Say who has a number, and nothing of a visit (A28)."""
        person = render_patient(
            patient=Identifier(AUTHORITY, mrn), patient_id=f"p{mrn}", birth_date="1950-01-01", sex="female",
            deceased=None, last_updated=at(minute),
        )  # fmt: skip
        self._adt("A28", mrn, minute, (person,), birth_date="1950-01-01", sex="female", encounter="")

    def cancel_admission(self, mrn: str, minute: int) -> None:
        """Take the admission back (A11)."""
        self._adt("A11", mrn, minute, (self._encounter(mrn, minute, "", status="entered-in-error"),))

    def move(self, mrn: str, minute: int, ward: str, *, back: bool = False) -> None:
        """Move him, or take a move back (A02, A12): the message says where he is now."""
        fhir = (self._encounter(mrn, minute, ward, location_start=at(minute)),)
        self._adt("A12" if back else "A02", mrn, minute, fhir, location=place(ward))

    def leave(self, mrn: str, minute: int, ward: str, *, dead: bool = False) -> None:
        """Discharge him (A03), alive or not."""
        disposition = "20" if dead else ""
        fhir = (self._encounter(mrn, minute, ward, status="finished", end=at(minute), disposition=disposition),)
        self._adt("A03", mrn, minute, fhir, location=place(ward), disposition=disposition, deceased=dead or None)

    def cancel_leave(self, mrn: str, minute: int, ward: str) -> None:
        """Take the discharge back (A13)."""
        self._adt("A13", mrn, minute, (self._encounter(mrn, minute, ward),), location=place(ward))

    def describe(self, mrn: str, minute: int, birth_date: str, ward: str) -> None:
        """Say who he is anew (A08)."""
        person = render_patient(
            patient=Identifier(AUTHORITY, mrn), patient_id=f"p{mrn}", birth_date=birth_date, sex="male",
            deceased=None, last_updated=at(minute),
        )  # fmt: skip
        self._adt("A08", mrn, minute, (person,), birth_date=birth_date, sex="male", location=place(ward))

    def chart(self, mrn: str, minute: int, observed: int, values: dict[str, float], status: str = "F") -> None:
        """Chart values as true of `observed`; a correction or withdrawal names the same time."""
        results = [
            Result(code=CODES[name][0], value=value, unit=CODES[name][1], status=status)  # type: ignore[arg-type]
            for name, value in values.items()
        ]
        hl7 = render_oru(
            control_id=f"C{len(self.told)}", sent_time=at(minute), feed="CHART|MAIN",
            patient=Identifier(AUTHORITY, mrn), encounter=f"VISIT-{mrn}", location=Location(),
            observed_time=at(observed), order=f"O-{mrn}-{observed}", results=results,
        )  # fmt: skip
        fhir = [
            render_observation(
                observation_id=f"o-{mrn}-{observed}-{name}", patient_id=f"p{mrn}", encounter_id=f"VISIT-{mrn}",
                codings=[("loinc", CODES[name][0])], value=value, unit=CODES[name][1], event_time=at(observed),
                issued=at(minute), status={"F": "final", "C": "corrected", "W": "entered-in-error"}[status],
            )
            for name, value in values.items()
        ]  # fmt: skip
        self.told.append(Told(minute, hl7, tuple(fhir)))

    def merge(self, survivor: str, retired: str, minute: int) -> None:
        """Say that two numbers are one patient (A40; Patient.link)."""
        person: dict[str, Any] = msgspec.json.decode(
            render_patient(
                patient=Identifier(AUTHORITY, survivor), patient_id=f"p{survivor}", birth_date=None, sex=None,
                deceased=None, last_updated=at(minute),
            )
        )  # fmt: skip
        person["link"] = [{"other": {"reference": f"Patient/p{retired}"}, "type": "replaces"}]
        fhir = (msgspec.json.encode(person),)
        self._adt("A40", survivor, minute, fhir, retired=Identifier(AUTHORITY, retired), encounter="")

    def unmerge(self, one: str, other: str, minute: int) -> None:
        """Say that they are not (A37), for which FHIR has no word."""
        self._adt("A37", one, minute, other=Identifier(AUTHORITY, other), encounter="")


def place(ward: str) -> Location:
    """Give a bed of a ward."""
    return Location(ward, "1", f"{ward}-bed") if ward else Location()


class Arriving:
    """A log in one piece, as the embedded service has it: takes messages in as they arrive."""

    def __init__(self) -> None:
        self.identity = IdentityMap(Pseudonyms(b"key"))
        self._parser = Parser(self.identity, RecentMessages())
        self._shelf = RecordShelf(MemoryStateStore(), default_catalogue(), live_max=2)
        self._pipeline = Pipeline(self._shelf, Control({}))
        self.effects: list[Effect] = []

    def take(self, decoded: Iterable[Any], received: int) -> None:
        """Take in what a message, or several resources, say."""
        for whole in decoded:
            assert isinstance(whole, Decoded), whole
            for part, position in apart(whole, ""):
                parsed, _ = self._parser.step(part, received, position)
                if type(parsed) is Envelope:
                    self._fold(parsed)

    def _fold(self, envelope: Envelope) -> None:
        waiting = deque([envelope])
        while waiting:
            effects = fold_record(self._pipeline, waiting.popleft())
            self.effects += effects
            waiting.extend(effect.envelope for effect in effects if type(effect) is Forward)

    def key(self, mrn: str, authority: str = AUTHORITY) -> str:
        """Give the patient key that a number leads to, or that the server's id for it does."""
        names = Identifier(authority, mrn), Identifier(SERVER, f"p{mrn}")
        return next((key for name in names if (key := self.identity.find((name,)))), "")

    def record(self, mrn: str, authority: str = AUTHORITY) -> PatientRecord | None:
        """Give what is kept of the patient whom a number leads to."""
        key = self.key(mrn, authority)
        return self._shelf.find(key) if key else None

    def known(self, mrn: str, minute: int, authority: str = AUTHORITY) -> Known | None:
        """Give what is known of a patient as of a minute."""
        record = self.record(mrn, authority)
        if record is None:
            return None
        state = record.state
        stay = state.stay
        numbers = tuple(-1.0 if isnan(value) else value for value in state.vector(at(minute), SPEC))
        return Known(
            numbers,
            state.location,
            (
                stay.admitted,
                stay.admitted_time,
                stay.discharged_time,
                stay.patient_class if stay.admitted else "",
                stay.origin,
            ),
            (stay.birth_date, stay.sex, stay.deceased),
        )


def arrive(deliveries: Sequence[tuple[int, bytes | tuple[bytes, ...]]]) -> Arriving:
    """Let (arrival in minutes, HL7 message or FHIR resources) arrive in the order given."""
    log = Arriving()
    for minute, message in deliveries:
        if isinstance(message, bytes):
            log.take([decode_hl7(message, Hl7Settings())], at(minute))
        else:
            for resource in message:
                log.take(decode_fhir(resource, FhirSettings(server="sim")), at(minute))
    return log
