"""HL7 v2: bytes to decoded messages and back. Pure: no socket, no clock."""
