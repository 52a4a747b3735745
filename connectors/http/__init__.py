"""What serves HTTP: FHIR and HL7 v2 in; health, patients, alerts and metrics out."""
