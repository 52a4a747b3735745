"""HL7 v2 files that are put into a folder: which are ready, what is said of each, and where it goes then."""
