"""The simulated hospital: seeded patients, physiology and charting, as HL7 v2 and as FHIR.

Owns a hospital that never was: its wards, its patients, what goes wrong with them and how late it is charted. Must not
know features or decisions; of models it takes NEWS2's chart, which hangs on every ward (`ward_score`). One seed gives
one traffic, byte for byte; nothing here reads a clock. Its distributions stand beside published ones in
docs/hospital.md.
"""

from connectors.hospital.hospital import Hospital
from connectors.hospital.rendering import as_fhir, as_hl7, as_outcome
from connectors.hospital.story import Charted, Story
from connectors.hospital.wards import CRITICAL_CARE_WARD

__all__ = ["CRITICAL_CARE_WARD", "Charted", "Hospital", "Story", "as_fhir", "as_hl7", "as_outcome"]
