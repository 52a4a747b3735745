"""FHIR servers as a source: what we ask them, what they send us, and what of it was taken in."""
