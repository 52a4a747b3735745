"""The catalogue as a page of documentation: docs/catalogue.md is written from here, and a test holds it to that.

Owns the page's form. Must not know a code, unit or limit: they are the catalogue's. Write it anew with
`.venv/bin/python -m features.tables > docs/catalogue.md`.
"""

from __future__ import annotations

from events import MILLIS_PER_HOUR
from features.catalogue import Catalogue, Feature, default_catalogue

HEADER = """# The feature catalogue

Written from `features/feature_table.py` by `python -m features.tables`; do not edit. A value outside *possible* is
quarantined, never clipped; one older than *counts for* is stale. Codes of one site belong in its configuration.

| feature | unit (UCUM) | possible | counts for | LOINC | MDC | SNOMED CT |
| --- | --- | --- | --- | --- | --- | --- |
"""
SYSTEMS = ("loinc", "mdc", "snomed")


def catalogue_page(catalogue: Catalogue) -> str:
    """Write the catalogue as Markdown.

    >>> catalogue_page(default_catalogue()).startswith("# The feature catalogue")
    True
    """
    return HEADER + "".join(_row(feature) for feature in catalogue.features)


def _row(feature: Feature) -> str:
    age = "any age" if feature.max_age_ms is None else f"{feature.max_age_ms // MILLIS_PER_HOUR} h"
    possible = f"{feature.possible_min:g} to {feature.possible_max:g}"
    codes = [", ".join(code for system, code in feature.codes if system == wanted) for wanted in SYSTEMS]
    return f"| {feature.name} | {feature.unit} | {possible} | {age} | {' | '.join(codes)} |\n"


if __name__ == "__main__":
    import sys

    sys.stdout.write(catalogue_page(default_catalogue()))
