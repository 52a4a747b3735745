"""Clinical events: what happened to a patient, free of the format it arrived in.

Owns the frozen event types that the codecs produce and the folds consume. Must not know HL7 or FHIR beyond the comments
that name where a field comes from. Names and addresses of people have no field here (data minimisation); identifiers
appear only in `Merge`, `Unmerge`, `Retirement` and `Handover`, already resolved to patient keys.

The types are `msgspec.Struct`s, frozen and slotted; docs/decisions/0002 says why they are not dataclasses.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from events.times import Millis

Coding = tuple[str, str]
"""(system, code). Systems are `loinc`, `mdc`, `snomed`, `ucum`, or the sender's own name for a local table."""

ObservationStatus = Literal["preliminary", "final", "corrected", "withdrawn"]
Sex = Literal["male", "female", "other", "unknown"]
Ethnicity = Literal[
    "american_indian_or_alaska_native",
    "asian",
    "black",
    "hispanic_or_latino",
    "middle_eastern_or_north_african",
    "pacific_islander",
    "white",
    "multiple",
    "other",
]
"""Groups that ethnicity is told apart by: the minimum categories of OMB's SPD 15 (2024), `multiple` and `other`. The
five high-level groups of the United Kingdom's census (2011, 2021) are five of them."""
Comparator = Literal["", "<", "<=", ">", ">="]
UNRELIABLE = "unreliable"
"""An `absent_reason`: there is a number, and the device that sent it does not vouch for it; `text` has it."""


def disclaimed_text(comparator: Comparator, value: float | None, text: str) -> str:
    """Give the text that is kept of a result whose value does not count: the number as it was sent.

    >>> disclaimed_text(">", 90.0, ""), disclaimed_text("", 1234567.25, ""), disclaimed_text("", None, "sensor slipped")
    ('>90', '1234567.25', 'sensor slipped')
    """
    return text if value is None else f"{comparator}{value:.15g}"


class Location(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Where a patient lies (HL7 PV1-3, FHIR Encounter.location). Empty text means the sender did not say."""

    ward: str = ""
    room: str = ""
    bed: str = ""
    facility: str = ""


class Observation(msgspec.Struct, frozen=True, omit_defaults=True, tag="observation", gc=False):
    """One measured or charted value (HL7 OBX, FHIR Observation or one of its components).

    `observation_id` is the 63-bit identity of the result in its source: a correction or a repeat of the same result
    carries the same one. `value` is None where the answer is coded, textual, absent or not a number; `unit` is as sent.

    >>> Observation(observation_id=7, codings=(("loinc", "8867-4"),), value=72.0, unit="/min", event_time=0).status
    'final'
    """

    observation_id: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    codings: tuple[Coding, ...]
    """All codings the sender gave, best first (OBX-3.1/.3 and .4/.6, Observation.code.coding)."""
    value: float | None
    unit: str
    event_time: Millis
    """When it was true of the patient: OBX-14, else OBR-7, else MSH-7; effective[x], else issued."""
    status: ObservationStatus = "final"
    comparator: Comparator = ""
    answers: tuple[Coding, ...] = ()
    """The coded answer (OBX-5 of CE/CWE, valueCodeableConcept), all codings."""
    text: str = ""
    """A textual value, at most 200 characters of it."""
    absent_reason: str = ""
    """FHIR dataAbsentReason, or `null` for HL7's explicit `""`."""
    qualifiers: tuple[Coding, ...] = ()
    """Method, body site and specimen codings (OBX-17, OBX-20, SPM-4; method, bodySite)."""
    resource: str = ""
    """The FHIR resource it came in, where one envelope joins several; else empty: the envelope's message is it."""
    interpretation: tuple[str, ...] = ()
    """The sender's flags (OBX-8, HL7 table 0078: `H`, `LL`, `A`). This and what follows is evidence: nothing is decided
    by it, but for the flags by which a device disclaims its own value (`connectors.hl7v2.pcd`)."""
    producer: Coding | None = None
    """Who produced the result (OBX-15)."""
    devices: tuple[Coding, ...] = ()
    """(who names it, id) of what measured it (OBX-18)."""


class Correction(msgspec.Struct, frozen=True, omit_defaults=True, tag="correction", gc=False):
    """A result replaced, or taken back (`withdrawn`): OBX-11 C, D, W, X; FHIR `entered-in-error`.

    `observation.observation_id` names the result that changes; for a withdrawal its value may be None.
    """

    observation: Observation
    withdrawn: bool = False


class Admission(msgspec.Struct, frozen=True, omit_defaults=True, tag="admission", gc=False):
    """A stay begins (ADT A01, A04; Encounter in-progress)."""

    event_time: Millis
    location: Location
    patient_class: str = ""
    """HL7 table 0004: I inpatient, E emergency, O outpatient; FHIR's IMP, EMER, AMB are mapped to these."""
    told_time: Millis | None = None
    """When it was said, where that is after it began: what had been taken back of it until then is no more. A mistaken
    admission that is put right has the visit's number, and often its beginning."""


class Transfer(msgspec.Struct, frozen=True, omit_defaults=True, tag="transfer", gc=False):
    """A patient moves (ADT A02; a new Encounter.location)."""

    event_time: Millis
    location: Location
    incidental: bool = False
    """Told in passing by a result's PV1-3: it places a patient of whom no ADT message has spoken, and moves nobody."""


class Discharge(msgspec.Struct, frozen=True, omit_defaults=True, tag="discharge", gc=False):
    """A stay ends (ADT A03; Encounter finished)."""

    event_time: Millis
    disposition: str = ""
    deceased: bool = False


class Cancellation(msgspec.Struct, frozen=True, omit_defaults=True, tag="cancellation", gc=False):
    """An admission, transfer or discharge that is taken back (ADT A11, A12, A13; Encounter entered-in-error)."""

    event_time: Millis
    cancelled: Literal["admission", "transfer", "discharge"]
    location: Location = Location()
    """Where the patient is after a cancelled transfer or discharge, if the sender says so."""
    moved: bool = False
    """Of an admission: the visit is another patient's (ADT A44, A45), or came to nothing (an Encounter that is
    cancelled). Only a stay that is known by the number of that very visit is taken back, or comes to be, where none is
    known yet."""
    told: bool = False
    """Of a discharge: an act of its own (A13), which takes back a discharge of before it that arrives after it too. An
    Encounter under way only says that none stands by then: one that ends it later may be dated back."""


class Demographics(msgspec.Struct, frozen=True, omit_defaults=True, tag="demographics", gc=False):
    """What scoring may use of a person (ADT A08 and the PID of any message; Patient). None means not said."""

    event_time: Millis
    birth_date: str | None = None
    """As much as is known of an ISO date: `1942-09-02`, `1942-09` or `1942`."""
    sex: Sex | None = None
    deceased: bool | None = None
    pregnant: bool | None = None
    """Whether an ADT message says so (PV1-15, table 0009: B6); False where it takes that back."""
    ethnicity: Ethnicity | None = None
    """Only where a site records it, for figures by subgroup: nothing is predicted from it (docs/decisions/0039)."""


class Merge(msgspec.Struct, frozen=True, omit_defaults=True, tag="merge", gc=False):
    """One patient key is retired into the envelope's patient (ADT A40; Patient.link)."""

    event_time: Millis
    retired: str
    """The patient key that is retired."""
    provisional: bool = False
    """It was given for want of a number, and the number is known now: nothing will part the two."""


class Unmerge(msgspec.Struct, frozen=True, omit_defaults=True, tag="unmerge", gc=False):
    """A patient key that was retired into the envelope's patient is another person after all (ADT A37, A45)."""

    event_time: Millis
    restored: str
    """The patient key that is a patient of its own again."""
    apart: bool = False
    """It may lie in another partition: what is kept of it is handed back through the log."""


class Retirement(msgspec.Struct, frozen=True, omit_defaults=True, tag="retirement", gc=False):
    """The envelope's patient key is retired into another one: what `Merge` says, told to the retired side.

    [parse] writes it beside a merge, because the two keys may lie in two partitions of the log.
    """

    event_time: Millis
    survivor: str
    """The patient key that takes over."""
    provisional: bool = False
    """As in `Merge`."""


class Handover(msgspec.Struct, frozen=True, omit_defaults=True, tag="handover", gc=False):
    """All that was kept of a patient key, given to the envelope's patient: by a fold to another, never by a sender.

    Of another key: it was retired into this one. Of this one's own key: it is a patient of its own again, either sent
    `home` by whom it had been merged into, or come back through a ring of merges.
    """

    event_time: Millis
    retired: str
    """Whose record it is."""
    record: bytes = b""
    """A stored patient record (`stream.records`); empty where nothing was kept, and only its being so is told."""
    home: bool = False
    """An unmerge sends it to its own key."""
    provisional: bool = False
    """As in `Merge`."""


class Carried(msgspec.Struct, frozen=True, omit_defaults=True, tag="carried", gc=False):
    """All that was kept of a patient where the log before this one ended: the first of his records in this one.

    A log is begun anew for another number of partitions. Nothing is scored for it.
    """

    event_time: Millis
    record: bytes
    """A stored patient record (`stream.records`)."""
    alerts: tuple[str, ...] = ()
    """What was told of his open alerts, in order: alert events as JSON, told again for the wards of this log."""


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True, tag="outcome", gc=False):
    """A deterioration that happened, for learning (configured outcome definitions; the public data's own labels).

    `onset` is True at the event itself; False records that observation ended at `event_time` without one.
    """

    event_time: Millis
    kind: str
    """`death`, `critical_care`, `cardiac_arrest`, `sepsis` or a configured name."""
    onset: bool = True


ClinicalEvent = (
    Observation
    | Correction
    | Admission
    | Transfer
    | Discharge
    | Cancellation
    | Demographics
    | Merge
    | Unmerge
    | Retirement
    | Handover
    | Carried
    | Outcome
)
