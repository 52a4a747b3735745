"""ADT: admissions, transfers, discharges, their cancellations, demographics, merges and what takes a merge back.

Owns what each trigger event means, as a table, and when it happened. Must not know patient keys: a merge names the
retired side by the sender's identifiers, and the pipeline fills in the key.
"""

from __future__ import annotations

from connectors.decoded import Identifier, RefusalReason
from connectors.ethnicity import of_cdc, of_nhs
from connectors.hl7v2.dialect import NO_VISIT, Patient, Visit
from connectors.hl7v2.faults import Fault
from connectors.hl7v2.header import TIME_FROM_MESSAGE, Header, instant_if_readable, read_instant
from connectors.hl7v2.settings import Hl7Settings
from events import Admission, Cancellation, Demographics, Discharge, Ethnicity, Event, Merge, Millis, Transfer, Unmerge

TRIGGERS = {
    "A01": "admission",
    "A02": "transfer",
    "A03": "discharge",
    "A04": "admission",
    "A05": "planned",
    "A06": "class_change",
    "A07": "class_change",
    "A08": "demographics",
    "A11": "cancelled_admission",
    "A12": "cancelled_transfer",
    "A13": "cancelled_discharge",
    "A14": "planned",
    "A15": "planned",
    "A16": "planned",
    "A17": "swap",
    "A18": "merge",
    "A25": "planned",
    "A26": "planned",
    "A27": "planned",
    "A28": "person",
    "A31": "person",
    "A34": "merge",
    "A36": "merge",
    "A37": "unmerge",
    "A38": "planned",
    "A40": "merge",
    "A44": "visit_moved",
    "A45": "visit_moved",
    "A47": "renumbered",
    "A54": "person",
    "A55": "person",
    "A60": "person",
    "A61": "person",
    "A62": "person",
}
"""HL7 table 0003, as much of it as we use (chapter 3, section 3.3); docs/hl7.md says what each does.

A14 to A16 are an admission, a transfer and a discharge that somebody means to do, A25 to A27 and A38 that he no longer
means to; A54, A55, A61 and A62 name a doctor, A60 allergies: by none of these is anybody elsewhere than he was.

A18, A34 and A36 are A40's older forms. A17 is a transfer of two patients in one message (`connectors.hl7v2.swap`). A37
says that two persons are not one; A44 and A45 that an account or a visit was another patient's
(`connectors.hl7v2.moves`); A47 that one patient has another number now."""
PARTING = frozenset({"unmerge", "visit_moved"})
"""What names two people in one message."""
UNPLACED = frozenset({"planned", "person", "renumbered"})
"""Of these no PV1 is read: that of A05 and A14 has a planned bed, that of A15 may, and A28 and A31 must have one that
is no visit."""

PREADMITTED = "P"
"""PV1-2 of a patient who is not here yet (table 0004): the location is where a bed is planned."""


class AdtSegments:
    """The segments an ADT message is read from, as lines."""

    __slots__ = ("evn", "mrg", "patient", "visit")

    def __init__(self, patient: Patient, visit: Visit, evn: str, mrg: str) -> None:
        self.patient = patient
        self.visit = visit
        self.evn = evn
        self.mrg = mrg


def demographics(
    patient: Patient,
    event_time: Millis,
    settings: Hl7Settings,
    pregnant: bool | None = None,  # noqa: FBT001 - as the event has it
) -> Demographics:
    """Give what a PID says of a person, and an ADT's PV1-15."""
    ethnicity = ethnicity_of(patient, settings) if settings.ethnicity else None
    return Demographics(event_time, patient.birth_date, patient.sex, patient.deceased, pregnant, ethnicity)


def ethnicity_of(patient: Patient, settings: Hl7Settings) -> Ethnicity | None:
    """Give what PID-22 (ethnic group) and PID-10 (race) say by the site's table; None where it records neither."""
    if settings.ethnicity == "cdc":
        return of_cdc(patient.races, patient.ethnic_groups)
    return of_nhs((*patient.ethnic_groups, *patient.races)) if settings.ethnicity == "nhs" else None


def says_who(patient: Patient, settings: Hl7Settings) -> bool:
    """Whether a PID holds anything for `Demographics`."""
    if patient.birth_date is not None or patient.sex is not None or patient.deceased is not None:
        return True
    return ethnicity_of(patient, settings) is not None


def encounter_of(patient: Patient, visit: Visit, settings: Hl7Settings) -> str:
    """Give the number that names the visit, in the one field that the site says; empty where it says nothing."""
    return visit.encounter if settings.visit_number == "PV1-19" else patient.account


def location_event(
    visit: Visit, event_time: Millis, settings: Hl7Settings, *, incidental: bool = False
) -> Transfer | None:
    """Tell a patient's place from a message about something else; None where it is not known or no longer true.

    `incidental` is for what is no ADT message: a laboratory may know last week's ward.
    """
    if not settings.location_from_results or not visit.location.ward:
        return None
    if visit.discharged or visit.patient_class == PREADMITTED:
        return None
    return Transfer(event_time, visit.location, incidental)


def read_adt(header: Header, segments: AdtSegments, settings: Hl7Settings) -> tuple[list[Event], Millis, list[str]]:
    """Give the events of an ADT message, when it happened (milliseconds), and notes; raises `Fault`.

    The time is EVN-6 (when it occurred), else PV1-44 of an admission or PV1-45 of a discharge, else EVN-2 (when it was
    recorded), else MSH-7. An unreadable one of these is noted and passed over: the next differs by minutes, but a
    lost transfer would send alerts to the wrong ward.
    """
    trigger = header.kind[4:]
    meaning = TRIGGERS[trigger]
    patient, visit = segments.patient, segments.visit
    event_time, notes = _occurred(header, segments, meaning)
    if meaning in PARTING:
        # Until the two are parted, what it says of one would be kept of both.
        return [Unmerge(event_time, "")], event_time, notes
    events: list[Event] = []
    pregnant = visit.pregnant if settings.pregnancy_from_visits else None
    if meaning == "demographics" or says_who(patient, settings) or pregnant is not None:
        events.append(demographics(patient, event_time, settings, pregnant))
    if meaning in {"admission", "class_change"}:
        told = _told_later(header, segments, event_time)
        events.append(Admission(event_time, visit.location, visit.patient_class, told))
    elif meaning in {"transfer", "swap"}:
        if visit.location == NO_VISIT.location:
            raise Fault(RefusalReason.MISSING_FIELD, "PV1-3", "a transfer needs a location")
        events.append(Transfer(event_time, visit.location))
    elif meaning == "discharge":
        died = patient.deceased is True or visit.disposition in settings.expired_dispositions
        events.append(Discharge(event_time, visit.disposition, died))
    elif meaning == "cancelled_admission":
        events.append(Cancellation(event_time, "admission", visit.location))
    elif meaning == "cancelled_transfer":
        events.append(Cancellation(event_time, "transfer", visit.location))
    elif meaning == "cancelled_discharge":
        events.append(Cancellation(event_time, "discharge", visit.location, told=True))
    elif meaning == "merge":
        events.append(Merge(event_time, ""))
    elif (move := location_event(visit, event_time, settings)) is not None:
        events.append(move)
    return events, event_time, notes


def retired_identifiers(header: Header, mrg: str, settings: Hl7Settings) -> tuple[Identifier, ...]:
    """Give MRG-1: who is retired, whose a visit was, or what was his number; raises `Fault` where there is none."""
    if not mrg:
        raise Fault(RefusalReason.MISSING_SEGMENT, "MRG", "what names a former number or patient needs an MRG segment")
    field = header.dialect.split(mrg, 2)[1]
    retired = header.dialect.identifiers(field, header.authority(settings), header.facility or header.feed)
    if not retired:
        raise Fault(RefusalReason.MISSING_IDENTIFIER, "MRG-1", "the prior identifier is missing")
    return retired


def _told_later(header: Header, segments: AdtSegments, event_time: Millis) -> Millis | None:
    """Give when an admission was recorded (EVN-2, else MSH-7), where that is after it began.

    By it one that was taken back and is put right, of the same visit and beginning, is told from a mistaken one that
    arrives late.
    """
    instant = instant_if_readable(header, header.dialect.split(segments.evn, 3)[2], "EVN-2") or header.sent
    return instant.millis if instant is not None and instant.millis > event_time else None


def _occurred(header: Header, segments: AdtSegments, meaning: str) -> tuple[Millis, list[str]]:
    evn = header.dialect.split(segments.evn, 7)
    candidates = [(evn[6], "EVN-6"), (evn[2], "EVN-2")]
    if meaning == "admission":
        candidates.insert(1, (segments.visit.admitted, "PV1-44"))
    elif meaning == "discharge":
        candidates.insert(1, (segments.visit.discharged, "PV1-45"))
    notes = []
    stated = header.dialect.first(evn[1])
    if stated and stated != header.kind[4:]:
        notes.append("evn_trigger_differs")
    for field, position in candidates:
        try:
            instant = read_instant(header.clock, field, position, header.dialect) if field else None
        except Fault:
            notes.append("event_time_unreadable")
            continue
        if instant is not None:
            return instant.millis, notes + ([instant.note] if instant.note else [])
    if header.sent is None:
        raise Fault(RefusalReason.MISSING_FIELD, "MSH-7", "the message says nowhere when it happened")
    return header.sent.millis, [*notes, TIME_FROM_MESSAGE]


NO_SEGMENTS = AdtSegments(Patient((), None, None, None, (), True, ""), NO_VISIT, "", "")
"""Nothing said: for tests and as a default."""
