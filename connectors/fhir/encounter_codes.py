"""The code tables of an Encounter: class, discharge disposition, kind of place.

Owns the tables, both ways. Must not know the resource's shape. Sources: HL7 v2-to-FHIR concept map
PatientClass[EncounterClass]; FHIR R4 value sets v3-ActEncounterCode, encounter-discharge-disposition,
location-physical-type; HL7 table 0112.
"""

from __future__ import annotations

CLASS_LETTERS: dict[str, str] = {
    "IMP": "I",
    "ACUTE": "I",
    "NONAC": "I",
    "OBSENC": "I",
    "SS": "I",
    "EMER": "E",
    "FLD": "E",
    "AMB": "O",
    "HH": "O",
    "VR": "O",
    "PRENC": "P",
    **{letter: letter for letter in "IEOPRBCNU"},
}
"""v3-ActCode to HL7 table 0004. OBSENC and SS lie in a hospital bed, so they count as inpatient. 0004's own letters
stay."""

CLASS_CODES: dict[str, str] = {"I": "IMP", "E": "EMER", "O": "AMB", "P": "PRENC"}
"""HL7 table 0004 to v3-ActCode."""

DEPARTURE_CODES = frozenset(
    {"home", "alt-home", "other-hcf", "hosp", "long", "aadvice", "exp", "psy", "rehab", "snf", "oth"}
)
"""http://terminology.hl7.org/CodeSystem/discharge-disposition."""

DECEASED_CODES = frozenset({"exp", "20", "40", "41", "42"})
"""Dispositions that mean death: `exp` of FHIR; 20, 40, 41, 42 of HL7 table 0112 and of NUBC's patient discharge
status."""

PHYSICAL_TYPES: dict[str, str] = {"si": "facility", "wa": "ward", "ro": "room", "bd": "bed"}
"""location-physical-type to the part of `events.Location` that it names."""
