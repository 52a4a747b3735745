"""FHIR R4 and R4B JSON: bytes to decoded messages and back. Pure: no socket, no clock."""
