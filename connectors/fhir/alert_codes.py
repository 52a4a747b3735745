"""The codes an alert carries as FHIR.

Owns the tables. Must not know the resources they go into. The SNOMED CT codes are the UK edition's for NEWS2, a total
and one for each parameter. They are those of the NHS guide to the UK Core NEWS2 Observation, and of the public NEWS2
example in SynaneticsLtd/emergency-department-ig, which agree. No LOINC code for NEWS2's sub-scores is known to us, so
none is sent.
"""

from __future__ import annotations

SNOMED = "http://snomed.info/sct"
TOTAL = ("1104051000000101", "Royal College of Physicians NEWS2 (National Early Warning Score 2) total score")

_PREFIX = "Royal College of Physicians NEWS2 (National Early Warning Score 2) - "
SUB_SCORES: dict[str, tuple[str, str]] = {
    "respiration_rate": ("1104301000000104", _PREFIX + "respiration rate score"),
    "spo2": ("1104311000000102", _PREFIX + "oxygen saturation scale 1 score"),
    "oxygen": ("1104331000000105", _PREFIX + "air or oxygen score"),
    "systolic_bp": ("1104341000000101", _PREFIX + "systolic blood pressure score"),
    "pulse": ("1104351000000103", _PREFIX + "pulse score"),
    "consciousness": ("1104361000000100", _PREFIX + "consciousness score"),
    "temperature": ("1104371000000107", _PREFIX + "temperature score"),
}
"""NEWS2 parameter to (code, display), in the chart's order."""
SPO2_SCALE_2 = ("1104321000000108", _PREFIX + "oxygen saturation scale 2 score")

ABSENT_SYSTEM = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
ABSENT_MISSING = "unknown"
ABSENT_STALE = "temp-unknown"
ABSENT_QUARANTINED = "error"

RISK_SYSTEM = "http://terminology.hl7.org/CodeSystem/risk-probability"
RISKS: dict[str, str] = {"low": "low", "low_medium": "moderate", "medium": "moderate", "high": "high"}
"""NEWS2 band to qualitative risk."""

STATUSES: dict[str, str] = {"raised": "final", "retracted": "entered-in-error"}
"""Alert state to status; every other state amends what was said before."""
STATUS_LATER = "amended"

PATIENT_SYSTEM = "urn:x-wardstream:patient"
ENCOUNTER_SYSTEM = "urn:x-wardstream:encounter"
MESSAGE_SYSTEM = "urn:x-wardstream:message"
ALERT_SYSTEM = "urn:x-wardstream:alert"
EVENT_SYSTEM = "urn:x-wardstream:alert-event"
DEVICE_SYSTEM = "urn:x-wardstream:device"
VERSION_SYSTEM = "urn:x-wardstream:version"
TRIGGER_SYSTEM = "urn:x-wardstream:trigger"
BOUND_SYSTEM = "urn:x-wardstream:news2-bound"
EXTENSION = "urn:x-wardstream:extension:"
"""Our own names, under an experimental URN: nothing of ours claims a registered namespace."""
