"""Observation, and each of its components, to Observation or Correction.

Owns the reading of value[x], effective[x] and status. Must not know which codes matter, nor convert a unit: both are
the catalogue's. This is the hot path; it makes one pass over what `wire` has parsed.
"""

from __future__ import annotations

from msgspec import UNSET

from connectors.decoded import EVENTS_PER_MESSAGE_MAX, Decoded, RefusalReason
from connectors.fhir import wire
from connectors.fhir.devices import ERROR, TEST_DATA, is_doubted, is_metric, is_no_patients
from connectors.fhir.faults import Fault
from connectors.fhir.message import Piece, message_id
from connectors.fhir.references import id_of, subject_of
from connectors.fhir.settings import TEXT_CHARS_MAX
from connectors.fhir.systems import SHORT_NAMES, UCUM_NAMES
from connectors.fhir.times import read_time
from events import Coding, Correction, Event, Millis, observation_id
from events import Observation as Result
from events.clinical import UNRELIABLE, Comparator, ObservationStatus, disclaimed_text
from features.thinning import DEVICE_METRIC

STATUSES: dict[str, ObservationStatus] = {
    "registered": "preliminary",
    "preliminary": "preliminary",
    "final": "final",
    "amended": "corrected",
    "corrected": "corrected",
    "cancelled": "withdrawn",
    "entered-in-error": "withdrawn",
    # The sender does not know; the value may be true, so it is used as one not yet final, and noted.
    "unknown": "preliminary",
}
"""http://hl7.org/fhir/R4/valueset-observation-status.html."""

PANEL_MEMBERS: dict[Coding, tuple[str, ...]] = {
    ("loinc", "85354-9"): ("loinc|8480-6", "loinc|8462-4", "loinc|8478-0"),
    ("loinc", "35094-2"): ("loinc|8480-6", "loinc|8462-4", "loinc|8478-0"),
    ("loinc", "55284-4"): ("loinc|8480-6", "loinc|8462-4", "loinc|8478-0"),
}
"""Blood-pressure panels to the components that a withdrawal takes back when it no longer lists them."""

_NO_CODINGS: tuple[Coding, ...] = ()


def read_observation(sent_form: wire.Observation, piece: Piece) -> Decoded:
    """Read an Observation (https://hl7.org/fhir/R4/observation.html); raises `Fault`."""
    notes: list[str] = []
    around = piece.around
    if sent_form.status is None:
        raise Fault(RefusalReason.MISSING_FIELD, ".status", "an Observation needs its status")
    status = STATUSES[sent_form.status]
    if sent_form.status == "unknown":
        notes.append("status_unknown")
    subject = subject_of(sent_form.subject, around, ".subject")
    sent = piece.sent(sent_form.meta, notes, sent_form.issued)
    at = _effective(sent_form, piece, notes)
    if at is None:
        if sent is None:
            raise Fault(RefusalReason.MISSING_FIELD, ".effectiveDateTime", "neither effective, issued nor lastUpdated")
        if sent_form.issued is None:
            notes.append("event_time_from_sent_time")
        at = sent
    if len(sent_form.component or ()) > EVENTS_PER_MESSAGE_MAX:
        raise Fault(RefusalReason.TOO_MANY_EVENTS, ".component", f"more than {EVENTS_PER_MESSAGE_MAX}")
    results = _results(sent_form, status, at, piece, notes)
    events: tuple[Event, ...] = tuple(results)
    if status == "corrected":
        events = tuple(Correction(result) for result in results)
    elif status == "withdrawn":
        events = tuple(Correction(result, withdrawn=True) for result in results)
    return Decoded(
        feed=around.settings.server,
        message_id=message_id("Observation", sent_form.id, sent_form.meta),
        content_hash=piece.hashed(subject),
        sent_time=sent,
        event_time=at,
        subject=subject,
        events=events,
        encounter=id_of(sent_form.encounter, around) if sent_form.encounter is not None else "",
        kind="Observation",
        notes=tuple(notes),
    )


def _effective(sent_form: wire.Observation, piece: Piece, notes: list[str]) -> Millis | None:
    settings = piece.around.settings
    if sent_form.effectiveDateTime is not None:
        return read_time(sent_form.effectiveDateTime, settings, ".effectiveDateTime", notes)
    if sent_form.effectiveInstant is not None:
        return read_time(sent_form.effectiveInstant, settings, ".effectiveInstant", notes)
    period = sent_form.effectivePeriod
    if period is not None and period.end is not None:
        return read_time(period.end, settings, ".effectivePeriod.end", notes)
    if period is not None and period.start is not None:
        return read_time(period.start, settings, ".effectivePeriod.start", notes)
    if sent_form.effectiveTiming is not None and sent_form.effectiveTiming.event:
        listed = sent_form.effectiveTiming.event
        return max(read_time(text, settings, ".effectiveTiming.event", notes) for text in listed)
    return None


def _results(
    sent_form: wire.Observation, status: ObservationStatus, at: Millis, piece: Piece, notes: list[str]
) -> list[Result]:
    codings = codings_of(sent_form.code)
    identity = _identity(sent_form, codings, at, piece)
    qualifiers = _NO_CODINGS
    if sent_form.method is not None or sent_form.bodySite is not None:
        qualifiers = codings_of(sent_form.method) + codings_of(sent_form.bodySite)
    if sent_form.specimen is not None and sent_form.specimen.display:
        qualifiers = (*qualifiers, ("text", sent_form.specimen.display[:TEXT_CHARS_MAX]))
    if sent_form.device is not None and is_metric(sent_form.device):
        qualifiers = (*qualifiers, DEVICE_METRIC)
    standing = _standing(sent_form)
    components = sent_form.component or ()
    withdrawn = status == "withdrawn"
    whole = _result(sent_form, codings, identity, (status, at, qualifiers, "", notes, standing))
    results = [whole] if whole is not None else []
    if whole is None and withdrawn and not components:
        results.append(Result(observation_id(*identity), codings, None, "", at, status, qualifiers=qualifiers))
        members = next((PANEL_MEMBERS[coding] for coding in codings if coding in PANEL_MEMBERS), ())
        for member in members:
            system, _, code = member.partition("|")
            results.append(Result(observation_id(*identity, member), ((system, code),), None, "", at, status))
    if not components:
        return results
    seen: dict[str, int] = {}
    for number, component in enumerate(components):
        part_codings = codings_of(component.code)
        key = _component_key(component, part_codings)
        again = seen[key] = seen.get(key, 0) + 1
        # The second component of one code (left and right arm) is told from the first by its place among them.
        part = (*identity, key) if again == 1 else (*identity, key, str(again))
        path = f".component[{number}]"
        stands = standing or (UNRELIABLE if is_doubted(component.interpretation) else "")
        result = _result(component, part_codings, part, (status, at, qualifiers, path, notes, stands))
        if result is None and withdrawn:
            result = Result(observation_id(*part), part_codings, None, "", at, status, qualifiers=qualifiers)
        if result is not None:
            results.append(result)
    return results


def _identity(sent_form: wire.Observation, codings: tuple[Coding, ...], at: Millis, piece: Piece) -> tuple[str, ...]:
    """Name the result so that a later version of it has the same name: by id, else identifier, else what it is
    about.
    """
    server = piece.around.server
    if sent_form.id:
        return (server, "Observation", sent_form.id)
    for one in sent_form.identifier or ():
        if one.system and one.value:
            return (server, "Observation", one.system, one.value)
    subject = subject_of(sent_form.subject, piece.around, ".subject")[0]
    code = "|".join(codings[0]) if codings else ""
    return (server, "Observation", subject.authority, subject.value, code, str(at))


def _component_key(component: wire.Valued, codings: tuple[Coding, ...]) -> str:
    for coding in codings:
        if coding[0] == "loinc":
            return f"loinc|{coding[1]}"
    if codings:
        return "|".join(codings[0])
    return (component.code.text if component.code is not None else None) or ""


def _standing(sent_form: wire.Observation) -> str:
    """Say why the value does not count, in the words of `absent_reason`; empty where it does."""
    meta = sent_form.meta
    if sent_form.interpretation is None and (meta is None or meta.security is None):
        return ""
    if is_no_patients(meta, sent_form.interpretation):
        return TEST_DATA
    return UNRELIABLE if is_doubted(sent_form.interpretation) else ""


_Frame = tuple[ObservationStatus, Millis, tuple[Coding, ...], str, list[str], str]
"""status, event time, qualifiers, path, notes and why a value does not count: what a result takes from its resource."""


def _result(
    valued: wire.Valued, codings: tuple[Coding, ...], identity: tuple[str, ...], frame: _Frame
) -> Result | None:
    status, at, qualifiers, path, notes, standing = frame
    value: float | None = None
    unit = ""
    comparator: Comparator = ""
    answers = _NO_CODINGS
    text = ""
    absent = ""
    if valued.dataAbsentReason is not None:
        absent = _word(valued.dataAbsentReason)
    quantity = valued.valueQuantity
    if quantity is not None:
        value = quantity.value
        comparator = quantity.comparator or ""
        unit = (quantity.code if quantity.system in UCUM_NAMES else None) or quantity.unit or quantity.code or ""
        if value is None:
            notes.append("quantity_without_value")
    elif valued.valueCodeableConcept is not None:
        answers = codings_of(valued.valueCodeableConcept)
        text = (valued.valueCodeableConcept.text or "")[:TEXT_CHARS_MAX]
    else:
        value, text = _plain(valued, path, notes)
    if value is None and not (answers or text or absent):
        return None
    if standing:
        notes.append("measurement_no_patients" if standing == TEST_DATA else "measurement_unreliable")
        text = "" if standing == TEST_DATA else disclaimed_text(comparator, value, text)
        value, comparator, answers, absent = None, "", _NO_CODINGS, standing
    elif absent == ERROR and codings and codings[0][0] == "mdc":
        absent = UNRELIABLE
    if not codings:
        # A value that nothing names can never be used; it is shown with the unmapped codes.
        notes.append("code_without_coding")
        name = valued.code.text if valued.code is not None else None
        if not name:
            raise Fault(RefusalReason.MISSING_FIELD, f"{path}.code", "a value without a code")
        codings = (("text", name[:TEXT_CHARS_MAX]),)
    named = observation_id(*identity)
    return Result(named, codings, value, unit, at, status, comparator, answers, text, absent, qualifiers)


def _plain(valued: wire.Valued, path: str, notes: list[str]) -> tuple[float | None, str]:
    """Read the simple kinds of value[x]; text is never taken for a number."""
    if valued.valueInteger is not None:
        return _as_float(valued.valueInteger, path), ""
    if valued.valueString is not None:
        return None, valued.valueString[:TEXT_CHARS_MAX]
    if valued.valueBoolean is not None:
        return None, "true" if valued.valueBoolean else "false"
    if valued.valueDateTime is not None:
        return None, valued.valueDateTime[:TEXT_CHARS_MAX]
    if valued.valueTime is not None:
        return None, valued.valueTime[:TEXT_CHARS_MAX]
    unread = (valued.valueRatio, valued.valueSampledData, valued.valuePeriod)
    if valued.valueRange is not None or any(one is not UNSET for one in unread):
        notes.append("value_type_unread")
    return None, ""


def _as_float(integer: int, path: str) -> float:
    try:
        return float(integer)
    except OverflowError:
        raise Fault(RefusalReason.INVALID_VALUE, f"{path}.valueInteger", "out of range") from None


def _word(concept: wire.CodeableConcept) -> str:
    for coding in concept.coding or ():
        if coding.code:
            return coding.code[:TEXT_CHARS_MAX]
    return (concept.text or "unknown")[:TEXT_CHARS_MAX]


def codings_of(concept: wire.CodeableConcept | None) -> tuple[Coding, ...]:
    """Give all codings of a concept in their order, systems by their short names.

    >>> codings_of(wire.CodeableConcept([wire.Coding("http://loinc.org", "8867-4"), wire.Coding(None, "HR")]))
    (('loinc', '8867-4'), ('', 'HR'))
    """
    if concept is None or not concept.coding:
        return _NO_CODINGS
    if len(concept.coding) == 1:
        [only] = concept.coding
        if not only.code:
            return _NO_CODINGS
        return ((SHORT_NAMES.get(only.system, only.system) if only.system else "", only.code),)
    return tuple(
        (SHORT_NAMES.get(coding.system, coding.system) if coding.system else "", coding.code)
        for coding in concept.coding
        if coding.code
    )
