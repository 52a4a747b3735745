"""The published JSON Schema of an alert event, generated from its type.

Owns the schema's text. Must not know where it is written: `docs/schemas/alert.v1.json` is checked in, and a test holds
it equal to what is generated here.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from alerts.contract import CONTRACT_VERSION, EVIDENCE_TIME_FIELDS, TIME_FIELDS, AlertEvent

SCHEMA_ID = f"https://wardstream.invalid/schemas/alert.v{CONTRACT_VERSION}.json"
"""A name, not an address: `.invalid` never resolves (RFC 2606)."""

_INSTANT = {"type": "string", "format": "date-time", "description": "ISO 8601, UTC"}


def alert_schema() -> dict[str, Any]:
    """Give the schema of what `alerts.contract.to_json` writes (JSON Schema 2020-12).

    >>> alert_schema()["$defs"]["AlertEvent"]["properties"]["received_time"]["format"]
    'date-time'
    """
    schema = msgspec.json.schema(AlertEvent)
    definitions = schema["$defs"]
    del definitions["AlertEvent"]["properties"]["former_ward"]
    for name in TIME_FIELDS:
        definitions["AlertEvent"]["properties"][name] = dict(_INSTANT)
    for name in EVIDENCE_TIME_FIELDS:
        definitions["Evidence"]["properties"][name] = dict(_INSTANT)
    definitions["ToldExplanation"]["properties"]["as_of"] = dict(_INSTANT)
    definitions["Evidence"]["properties"]["observation_id"] = {"type": "string", "pattern": "^[0-9]+$"}
    definitions["AlertEvent"]["properties"]["seq"]["minimum"] = 1
    for bound in ("probability", "probability_low", "probability_high"):
        definitions["AlertEvent"]["properties"][bound] = {
            "anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "null"}]
        }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": f"Wardstream alert event, version {CONTRACT_VERSION}",
        **schema,
    }


def schema_text() -> str:
    """Write the schema as the checked-in file holds it."""
    return json.dumps(alert_schema(), indent=2, sort_keys=True) + "\n"
