"""FHIR R4, R4B and R5 JSON: bytes to decoded messages and back. Pure: no socket, no clock."""
