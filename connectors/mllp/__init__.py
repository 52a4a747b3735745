"""What listens for HL7 v2 over MLLP, and what sends it."""
