"""Code maps: what a site's own codes mean, as reviewed files; CSV and FHIR ConceptMap."""
