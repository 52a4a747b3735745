"""Encounter to Admission, Transfer, Discharge and Cancellation.

Owns the reading of an Encounter and the rule for its places. Must not know what became of an earlier version of it: an
Encounter states the whole stay each time, so the same admission may come again, with the same event time.

The rule for places: entries without a period hold for the whole stay (the last `active` one wins a level, else the
last); entries that start together form a step. The stay begins in the first step if that is no later than its start;
each later step is a Transfer at its own start.
"""

from __future__ import annotations

from connectors.decoded import Decoded, RefusalReason
from connectors.fhir import wire
from connectors.fhir.encounter_codes import CLASS_LETTERS, DECEASED_CODES, PHYSICAL_TYPES
from connectors.fhir.faults import Fault
from connectors.fhir.message import Piece, message_id
from connectors.fhir.references import Surroundings, codings_in, id_of, subject_of
from connectors.fhir.times import read_time
from events import Admission, Cancellation, Discharge, Event, Location, Millis, Transfer

PLACE_DEPTH_MAX = 6
"""Location.partOf is followed this far: bed, room, ward, level, building, site."""

_NOT_YET = frozenset({"planned", "unknown"})
_ENDED = frozenset({"finished", "discharged", "completed", "discontinued"})
"""R4's one word for it, and R5's three: has left, is settled too, was begun and not carried through."""
_DEPARTED = "departed"
"""http://terminology.hl7.org/CodeSystem/encounter-subject-status."""
_NEVER_BEGAN = "cancelled"
_UNDONE = frozenset({_NEVER_BEGAN, "entered-in-error"})
_NOT_BEEN = frozenset({"planned", "reserved"})

Levels = dict[str, str]
"""`ward`, `room`, `bed`, `facility` to a name."""


def read_encounter(encounter: wire.Encounter, piece: Piece) -> Decoded:
    """Read an Encounter (https://hl7.org/fhir/R4/encounter.html, https://hl7.org/fhir/R5/encounter.html); raises
    `Fault`.

    planned: nothing yet. arrived, triaged, in-progress, onleave, on-hold: Admission, Transfers, and that no earlier
    discharge stands. finished (R5: discharged, completed, discontinued): the Discharge too. entered-in-error:
    Cancellation of the admission. cancelled (ended before it began): the same of a stay that is known by this very id,
    and of no other. unknown: nothing, noted. A subjectStatus of `departed` beside a stay under way ends nothing, noted:
    in doubt the patient is watched.
    """
    notes: list[str] = []
    around = piece.around
    if encounter.status is None:
        raise Fault(RefusalReason.MISSING_FIELD, ".status", "an Encounter needs its status")
    sent = piece.sent(encounter.meta, notes)
    subject = subject_of(encounter.subject, around, ".subject")
    name = ".actualPeriod" if encounter.period is None and encounter.actualPeriod is not None else ".period"
    period = encounter.period or encounter.actualPeriod or wire.Period()
    start = _time(period.start, piece, f"{name}.start", notes)
    end = _time(period.end, piece, f"{name}.end", notes)
    if encounter.status == "unknown":
        notes.append("status_unknown")
    if encounter.status in _NOT_YET:
        events: list[Event] = []
    elif encounter.status in _UNDONE:
        # An appointment that came to nothing ends no stay but one that is known by its very id.
        only_it = encounter.status == _NEVER_BEGAN
        events = [Cancellation(_required(start, sent, f"{name}.start", notes), "admission", moved=only_it)]
    else:
        events = _stay(encounter, _required(start, sent, f"{name}.start", notes), piece, notes)
        if encounter.status in _ENDED:
            events.append(_departure(encounter, _required(end, sent, f"{name}.end", notes)))
        elif sent is not None:
            # What is under way was not ended, whatever an earlier version said: HL7's A13 has no resource of its own.
            events.append(Cancellation(sent, "discharge"))
        if encounter.status not in _ENDED and _DEPARTED in _codes(encounter.subjectStatus):
            notes.append("subject_departed")
    return Decoded(
        feed=around.settings.server,
        message_id=message_id("Encounter", encounter.id, encounter.meta),
        content_hash=piece.hashed(subject),
        sent_time=sent,
        event_time=_latest(events, start),
        subject=subject,
        events=tuple(events),
        encounter=encounter.id or "",
        kind="Encounter",
        notes=tuple(notes),
    )


def _latest(events: list[Event], start: Millis | None) -> Millis | None:
    times = [
        event.event_time
        for event in events
        if isinstance(event, Admission | Transfer | Discharge)
        or (isinstance(event, Cancellation) and event.cancelled != "discharge")
    ]
    return max(times, default=start)


def _time(text: str | None, piece: Piece, path: str, notes: list[str]) -> Millis | None:
    return None if text is None else read_time(text, piece.around.settings, path, notes)


def _required(stated: Millis | None, sent: Millis | None, path: str, notes: list[str]) -> Millis:
    if stated is not None:
        return stated
    if sent is None:
        raise Fault(RefusalReason.MISSING_FIELD, path, "no time of its own, and none of sending")
    notes.append("event_time_from_sent_time")
    return sent


def _departure(encounter: wire.Encounter, end: Millis) -> Discharge:
    stayed = encounter.hospitalization or encounter.admission
    codes = _codes(stayed.dischargeDisposition if stayed is not None else None)
    return Discharge(
        event_time=end,
        disposition=codes[0] if codes else "",
        deceased=any(code in DECEASED_CODES for code in codes),
    )


def _stay(encounter: wire.Encounter, start: Millis, piece: Piece, notes: list[str]) -> list[Event]:
    always: Levels = {}
    steps: dict[Millis, Levels] = {}
    for number, stay in enumerate(encounter.location or ()):
        if stay.status in _NOT_BEEN:
            continue
        levels = _levels(stay, piece.around)
        begins = stay.period.start if stay.period is not None else None
        if begins is not None:
            at = read_time(begins, piece.around.settings, f".location[{number}].period.start", notes)
            steps.setdefault(at, {}).update(levels)
        elif stay.status == "active" or encounter.status in _ENDED:
            always.update(levels)
        else:
            always = levels | always
    times = sorted(steps)
    first: Levels = {}
    while times and times[0] <= start:
        first = steps[times.pop(0)]
    letter = next((CLASS_LETTERS[code] for code in _classes(encounter) if code in CLASS_LETTERS), "")
    events: list[Event] = [Admission(start, _location(always | first), letter)]
    events.extend(Transfer(at, _location(always | steps[at])) for at in times)
    return events


def _classes(encounter: wire.Encounter) -> list[str]:
    """Give the codes of its class: R4's one, or of R5's list all, in order."""
    stated = encounter.class_
    if isinstance(stated, list):
        return [code for concept in stated for code in _codes(concept)]
    return [stated.code] if stated is not None and stated.code else []


def _codes(concept: wire.CodeableConcept | None) -> list[str]:
    return [coding.code for coding in codings_in(concept) if coding.code]


def _location(levels: Levels) -> Location:
    return Location(**levels)


def _levels(stay: wire.Stay, around: Surroundings) -> Levels:
    reference = stay.location
    if reference is None:
        return {}
    levels: Levels = {}
    name = reference.reference or ""
    place = around.places.get(around.targets.get(name, name))
    for _ in range(PLACE_DEPTH_MAX):
        if place is None:
            break
        part = _part(place.physicalType or place.form)
        if part is not None:
            levels.setdefault(part, place.name or _number(place) or place.id or "")
        above = place.partOf.reference if place.partOf is not None else None
        place = around.places.get(around.targets.get(above, above)) if above else None
    if levels:
        return levels
    part = _part(stay.physicalType or stay.form) or "ward"
    text = reference.display or _identifier(reference) or id_of(reference, around)
    return {part: text} if text else {}


def _part(concept: wire.CodeableConcept | None) -> str | None:
    return next((PHYSICAL_TYPES[code] for code in _codes(concept) if code in PHYSICAL_TYPES), None)


def _number(place: wire.Place) -> str:
    return next((one.value for one in place.identifier or () if one.value), "")


def _identifier(reference: wire.Reference) -> str:
    return (reference.identifier.value if reference.identifier is not None else None) or ""
