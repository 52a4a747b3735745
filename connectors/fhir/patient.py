"""Patient to Demographics and Merge.

Owns the reading of a Patient. Must not know the patient keys that identifiers resolve to. Names and addresses are not
even parsed (see `wire`).
"""

from __future__ import annotations

from connectors.decoded import Decoded, Identifier, RefusalReason
from connectors.fhir import wire
from connectors.fhir.ethnicity import ethnicity_of
from connectors.fhir.faults import Fault
from connectors.fhir.message import Piece, patient_message_id
from connectors.fhir.references import identifiers_of, subject_of
from connectors.fhir.times import is_credible, is_date, read_time
from events import Demographics, Event, Merge, Millis

TIME_UNSTATED: Millis = 0
"""The event time of demographics that carry none: before all others, so that any dated statement is newer."""

PENDING = ""
"""`Merge.retired` as a codec leaves it: [parse] puts in the key that `Decoded.retired` resolves to."""


def read_patient(patient: wire.Patient, piece: Piece) -> Decoded:
    """Read a Patient (https://hl7.org/fhir/R4/patient.html); raises `Fault`.

    deceasedDateTime becomes a Demographics of its own at that time, so that the death keeps its hour. A link `replaces`
    retires the other's identifiers into this patient; `replaced-by` retires this patient's into the other, and then
    nothing else of the resource is used.
    """
    notes: list[str] = []
    sent = piece.sent(patient.meta, notes)
    own = identifiers_of(patient, piece.around)
    if not own:
        raise Fault(RefusalReason.MISSING_IDENTIFIER, ".identifier", "neither an id nor an identifier")
    subject, retired = _linked(patient, own, piece)
    at = TIME_UNSTATED if sent is None else sent
    events: list[Event] = []
    if retired is not own:
        events.extend(_demographics(patient, at, piece, notes))
    if retired:
        events.append(Merge(event_time=at, retired=PENDING))
    content_hash = piece.hashed(subject)
    return Decoded(
        feed=piece.around.settings.server,
        message_id=patient_message_id(content_hash),
        content_hash=content_hash,
        sent_time=sent,
        event_time=sent,
        subject=subject,
        events=tuple(events),
        retired=retired,
        kind="Patient",
        notes=tuple(notes),
    )


def _demographics(patient: wire.Patient, at: Millis, piece: Piece, notes: list[str]) -> list[Event]:
    birth_date = patient.birthDate
    if birth_date is not None and birth_date[10:11] == "T":
        # Converters write the time of birth into it; the date is certain, and who it is must not be lost with it.
        birth_date = birth_date[:10]
        notes.append("birth_date_with_time")
    if birth_date is not None and not is_date(birth_date):
        raise Fault(RefusalReason.INVALID_VALUE, ".birthDate", "not a FHIR date")
    if birth_date is not None and not is_credible(birth_date):
        # As in HL7 v2 it costs only itself: who this is must not be lost with a placeholder.
        birth_date = None
        notes.append("birth_date_unreadable")
    ethnicity = ethnicity_of(patient.extension, notes) if piece.around.settings.ethnicity else None
    stated = [
        Demographics(
            at, birth_date=birth_date, sex=patient.gender, deceased=patient.deceasedBoolean, ethnicity=ethnicity
        )
    ]
    if patient.deceasedDateTime is not None:
        died = read_time(patient.deceasedDateTime, piece.around.settings, ".deceasedDateTime", notes)
        stated.append(Demographics(died, deceased=True))
    return list(stated)


def _linked(
    patient: wire.Patient, own: tuple[Identifier, ...], piece: Piece
) -> tuple[tuple[Identifier, ...], tuple[Identifier, ...]]:
    retired: tuple[Identifier, ...] = ()
    for number, link in enumerate(patient.link or ()):
        path = f".link[{number}].other"
        if link.type == "replaced-by":
            return subject_of(link.other, piece.around, path), own
        if link.type == "replaces":
            retired += subject_of(link.other, piece.around, path)
    return own, retired
