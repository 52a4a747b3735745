"""Who and where a reference means: a Patient, an Encounter, a Location.

Owns the resolution of `Patient/1`, absolute URLs, `urn:uuid:` within a Bundle, `Patient?identifier=`, and logical
identifiers. Must not know patient keys. A reference that cannot be resolved is refused, never guessed: the wrong
patient is the worst answer.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from connectors.decoded import Identifier, RefusalReason
from connectors.fhir import wire
from connectors.fhir.faults import Fault
from connectors.fhir.settings import FhirSettings
from events import Millis

_RECORD_NUMBER = "MR"
"""http://terminology.hl7.org/CodeSystem/v2-0203: medical record number."""
_HISTORY = "/_history/"
_CONDITIONAL = "Patient?identifier="


class Surroundings(msgspec.Struct, frozen=True):
    """What stands around a resource: its feed's settings and the other entries of its Bundle."""

    settings: FhirSettings
    origin: str = ""
    """The server whose ids these are: empty for the feed's own, else the foreign base URL."""
    targets: dict[str, str] = {}
    """fullUrl to `Type/id`."""
    people: dict[str, tuple[Identifier, ...]] = {}
    """`Patient/id` to all identifiers of that Patient entry."""
    places: dict[str, wire.Place] = {}
    """`Location/id` to that entry."""
    sent_time: Millis | None = None
    """Bundle.timestamp."""

    @property
    def server(self) -> str:
        """Name the server whose ids these are."""
        return self.origin or self.settings.server


def local_identifier(server: str, resource_id: str) -> Identifier:
    """Name a patient by the id it has on a server.

    >>> local_identifier("ehr", "1").authority, local_identifier("ehr", "1").value
    ('ehr/Patient', '1')
    """
    return Identifier(f"{server}/Patient", resource_id)


def identifiers_of(patient: wire.Patient, around: Surroundings) -> tuple[Identifier, ...]:
    """Give all identifiers of a Patient, medical record numbers first, its id on the server last (Patient.identifier).

    Blank and `old` ones are left out: an old number may have been given to somebody else since.
    """
    first: list[Identifier] = []
    then: list[Identifier] = []
    for sent in patient.identifier or ():
        if sent.use == "old":
            continue
        is_record = any(coding.code == _RECORD_NUMBER for coding in codings_in(sent.type))
        named = _named(sent, around.settings, is_record=is_record)
        if named is not None:
            (first if is_record else then).append(named)
    own = [local_identifier(around.server, patient.id)] if patient.id else []
    return _distinct([*first, *then, *own])


def subject_of(reference: wire.Reference | None, around: Surroundings, path: str) -> tuple[Identifier, ...]:
    """Resolve a subject to the identifiers of a patient; raises `Fault`.

    MISSING_IDENTIFIER where there is none or it cannot be resolved, UNSUPPORTED_TYPE where it is no Patient.
    """
    if reference is None:
        raise Fault(RefusalReason.MISSING_IDENTIFIER, path, "no subject")
    text = reference.reference
    # The common case, without the detours: a plain `Patient/id` or a Patient of the same Bundle.
    if text is not None and reference.type is None and reference.identifier is None and not around.origin:
        known = around.people.get(around.targets.get(text, text))
        if known:
            return known
        if text.startswith("Patient/") and text.count("/") == 1 and len(text) > len("Patient/"):
            return (Identifier(f"{around.settings.server}/Patient", text[8:]),)
    if reference.type is not None and reference.type.rpartition("/")[2] != "Patient":
        raise Fault(RefusalReason.UNSUPPORTED_TYPE, f"{path}.type", "the subject is no Patient")
    logical = _named(reference.identifier, around.settings, is_record=True) if reference.identifier else None
    found: tuple[Identifier, ...] = ()
    if reference.reference:
        found = _patient_at(reference.reference, around, f"{path}.reference", required=logical is None)
    if logical is not None and logical not in found:
        found = (*found, logical)
    if not found:
        raise Fault(RefusalReason.MISSING_IDENTIFIER, path, "neither a reference nor an identifier")
    return found


def id_of(reference: wire.Reference | None, around: Surroundings) -> str:
    """Give the id that a reference ends in, resolved through the Bundle; empty where there is none.

    >>> around = Surroundings(FhirSettings(server="ehr"), targets={"urn:uuid:9": "Encounter/e1"})
    >>> id_of(wire.Reference(reference="urn:uuid:9"), around)
    'e1'
    >>> id_of(wire.Reference(reference="Encounter/2/_history/1"), around)
    '2'
    """
    if reference is None or not reference.reference:
        return ""
    text = around.targets.get(reference.reference, reference.reference)
    if _HISTORY in text:
        text = text.partition(_HISTORY)[0]
    return _tail(text)


def local_name(full_url: str, kind: str, resource_id: str | None) -> str:
    """Name an entry as `Type/id`; an entry that has no id yet goes by the end of its fullUrl.

    >>> local_name("urn:uuid:9", "Patient", None)
    'Patient/9'
    """
    return f"{kind}/{resource_id or _tail(full_url)}"


def _tail(text: str) -> str:
    if text.startswith("urn:"):
        return text.rpartition(":")[2]
    return text.rpartition("/")[2]


def _patient_at(text: str, around: Surroundings, path: str, *, required: bool) -> tuple[Identifier, ...]:
    text = around.targets.get(text, text)
    if around.origin and text.startswith("Patient/"):
        text = f"{around.origin}/{text}"
    known = around.people.get(text)
    if known is not None:
        return known
    if text.startswith(_CONDITIONAL):
        system, bar, value = text[len(_CONDITIONAL) :].partition("|")
        named = _named(wire.Identifier(system=system, value=value), around.settings, is_record=False)
        if bar and named is not None and "%" not in text and "&" not in text:
            return (named,)
        raise Fault(RefusalReason.MISSING_IDENTIFIER, path, "a conditional reference that names no identifier")
    if text.startswith(("urn:", "#")):
        if required:
            raise Fault(RefusalReason.MISSING_IDENTIFIER, path, "refers to no Patient entry of this Bundle")
        return ()
    head, _, resource_id = text.partition(_HISTORY)[0].rpartition("/")
    base, _, kind = head.rpartition("/")
    if kind != "Patient":
        raise Fault(RefusalReason.UNSUPPORTED_TYPE, path, "the subject is no Patient")
    if not resource_id:
        raise Fault(RefusalReason.MISSING_IDENTIFIER, path, "a reference without an id")
    if foreign_base(base, around.settings):
        return (local_identifier(base, resource_id),)
    return around.people.get(f"Patient/{resource_id}") or (local_identifier(around.settings.server, resource_id),)


def foreign_base(base: str, settings: FhirSettings) -> bool:
    """Tell whether a base URL is another server's: only where the operator has said which ones are the feed's own.

    >>> foreign_base("http://b", FhirSettings(server="ehr")), foreign_base("http://b", FhirSettings("ehr", bases=("http://a",)))
    (False, True)
    """
    return bool(base and settings.bases and base not in settings.bases)


def base_of(url: str) -> str:
    """Give the base of an absolute `base/Type/id`, else an empty text.

    >>> base_of("http://a/fhir/Patient/1"), base_of("urn:uuid:1"), base_of("Patient/1")
    ('http://a/fhir', '', '')
    """
    return url.rpartition("/")[0].rpartition("/")[0] if url.startswith(("http://", "https://")) else ""


def _named(sent: wire.Identifier, settings: FhirSettings, *, is_record: bool) -> Identifier | None:
    value = sent.value.strip() if sent.value else ""
    system = sent.system.strip() if sent.system else ""
    if not value or (not system and not is_record):
        return None
    # A record number without a system is the sender's own; another number without one could be anybody's.
    return Identifier(settings.authorities.get(system, system) if system else settings.server, value)


def codings_in(concept: wire.CodeableConcept | None) -> Iterable[wire.Coding]:
    """Give the codings of a concept, none where there is none."""
    return (concept.coding if concept is not None else None) or ()


def _distinct(identifiers: list[Identifier]) -> tuple[Identifier, ...]:
    return tuple(dict.fromkeys(identifiers))
