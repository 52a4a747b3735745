"""Importers of public data sets: PhysioNet 2019 and 2012.

Owns the reading of their files, the placing of their stays on one time line, and the same stays written as HL7 v2 and
as FHIR. Must not know features, models or decisions: an importer is one more sender.
"""
