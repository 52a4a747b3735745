"""The published JSON Schema of `wardstream.toml`, generated from its types; editors complete and check by it.

Owns the schema's text. Must not know where it is written: `docs/schemas/wardstream.toml.v1.json` is checked in, and a
test holds it equal to what is generated here.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from stream.settings import MACHINE_TABLES, Settings

SCHEMA_ID = "https://wardstream.invalid/schemas/wardstream.toml.v1.json"
"""A name, not an address: `.invalid` never resolves (RFC 2606)."""


def site_schema() -> dict[str, Any]:
    """Give the schema (JSON Schema 2020-12).

    >>> sorted(site_schema()["properties"])[:3]
    ['alerts', 'batch', 'change_control']
    """
    (settings, *tables), definitions = msgspec.json.schema_components(
        [Settings, *MACHINE_TABLES.values()], ref_template="#/$defs/{name}"
    )
    properties = definitions.pop("Settings")["properties"]
    assert settings["$ref"] == "#/$defs/Settings"
    for definition in definitions.values():
        # What the docstrings say to programmers, with their doctests, helps nobody who writes a configuration.
        definition["description"] = definition.get("description", "").partition("\n\n")[0]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "wardstream.toml",
        "type": "object",
        "additionalProperties": False,
        "properties": {**properties, **dict(zip(MACHINE_TABLES, tables, strict=True))},
        "$defs": definitions,
    }


def schema_text() -> str:
    """Write the schema as the checked-in file holds it; what has no order of its own is sorted."""
    return json.dumps(_ordered(site_schema()), indent=2, sort_keys=True) + "\n"


def _ordered(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _ordered(value) for key, value in node.items()}
    if isinstance(node, list):
        items = [_ordered(item) for item in node]
        return sorted(items) if all(isinstance(item, str) for item in items) else items
    return node
