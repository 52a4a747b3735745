"""What devices say in an Observation beside the value: whether they vouch for it, and that it is theirs.

Owns the codes of the Point-of-Care Device and Personal Health Device guides for measurement status, and what is
a device's clock. Must not know features. The same rules as for HL7 v2 (`connectors.hl7v2.pcd`).

Sources: http://hl7.org/fhir/uv/pocd, http://hl7.org/fhir/uv/phd: invalid is dataAbsentReason `error`; questionable and
calibration-ongoing are interpretations; test and demo data carry the security label HTEST.
"""

from __future__ import annotations

from connectors.fhir import wire
from connectors.fhir.references import codings_in

Interpretation = list[wire.CodeableConcept] | wire.CodeableConcept

STATUS_SYSTEMS = frozenset(
    {
        "http://hl7.org/fhir/uv/pocd/CodeSystem/measurement-status",
        "http://terminology.hl7.org/CodeSystem/measurement-status",
    }
)
"""The guides' code system, as drafted and as published."""
DOUBTED = frozenset({"invalid", "questionable", "calibration-ongoing"})
NO_PATIENTS = frozenset({"test-data", "demo-data"})
TEST_LABEL = ("http://terminology.hl7.org/CodeSystem/v3-ActReason", "HTEST")
TEST_DATA = "test-data"
"""The `absent_reason` of a number that is no patient's."""
ERROR = "error"
"""http://terminology.hl7.org/CodeSystem/data-absent-reason: an invalid number, where a device says it."""
CLOCKS = frozenset({"67975", "68226", "67983", "68072"})
"""MDC_ATTR_TIME_ABS, _BO, _REL, _REL_HI_RES: the code system that has them is the guide's to fix."""
_DEVICE_SUBJECTS = ("Device/", "DeviceMetric/")


def is_device_clock(sent_form: wire.Observation) -> bool:
    """Say whether an Observation tells a device's clock, and nothing of anybody (PhdCoincidentTimeStampObservation).

    Anything else about a device is refused with its subject: it may be a patient's value whose patient is lost.

    >>> clock = wire.CodeableConcept([wire.Coding("urn:iso:std:iso:11073:10101", "67975")])
    >>> is_device_clock(wire.Observation(code=clock, subject=wire.Reference(reference="Device/phd-1")))
    True
    """
    subject = sent_form.subject
    if subject is None or subject.reference is None or "Device" not in subject.reference:  # all but a few (hot path)
        return False
    if not _names(subject.reference, _DEVICE_SUBJECTS):
        return False
    return any(one.code in CLOCKS for one in codings_in(sent_form.code))


def is_metric(device: wire.Reference | None) -> bool:
    """Say whether a reference is to a DeviceMetric, by its type or its form.

    >>> is_metric(wire.Reference(reference="http://ehr/DeviceMetric/3"))
    True
    """
    return device is not None and (device.type == "DeviceMetric" or _names(device.reference, ("DeviceMetric/",)))


def is_doubted(interpretation: Interpretation | None) -> bool:
    """Say whether a device calls its number questionable."""
    return not DOUBTED.isdisjoint(_statuses(interpretation))


def is_no_patients(meta: wire.Meta | None, interpretation: Interpretation | None) -> bool:
    """Say whether it is a number of a test or a demonstration."""
    labels = (meta.security if meta is not None else None) or ()
    return any((label.system, label.code) == TEST_LABEL for label in labels) or not NO_PATIENTS.isdisjoint(
        _statuses(interpretation)
    )


def _statuses(interpretation: Interpretation | None) -> set[str]:
    if isinstance(interpretation, wire.CodeableConcept):
        interpretation = [interpretation]
    return {
        coding.code
        for concept in interpretation or ()
        for coding in codings_in(concept)
        if coding.code and coding.system in STATUS_SYSTEMS
    }


def _names(reference: str | None, kinds: tuple[str, ...]) -> bool:
    return reference is not None and any(reference.startswith(kind) or f"/{kind}" in reference for kind in kinds)
