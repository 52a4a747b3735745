"""The published schema of a story, and the table of its words: both made of the types, for editors and for people.

Owns both texts. Must not know where they are written: a test holds the checked-in files equal to these.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from stream.scenarios.vitals import CHARTED, NORMAL
from stream.scenarios.words import Expected, Limit, Model, Person, Scored, Step, Story, Update

SCHEMA_ID = "https://wardstream.invalid/schemas/scenario.v1.json"
"""A name, not an address: `.invalid` never resolves (RFC 2606)."""
TABLES: tuple[tuple[str, type[msgspec.Struct]], ...] = (
    ("A story", Story),
    ("A patient", Person),
    ("A step of the timeline", Step),
    ("What is expected (`then`)", Expected),
    ("A model", Model),
    ("A limit", Limit),
    ("An update", Update),
)
CHARTED_TOO = """`oxygen` is `air`, `oxygen`, a flow (`4 L/min`) or a fraction (`28 %`); with `rest: normal`, air. A
laboratory value goes by its name in the catalogue (`lactate: 4`). A value with another unit is written as it is sent
(`98.6 degF`, `98 no unit`); a code of the house's own is `local SYSTEM CODE: 18 /min`.
"""


def scenario_schema() -> dict[str, Any]:
    """Give the schema (JSON Schema 2020-12).

    >>> scenario_schema()["title"]
    'A ward story'
    """
    (story,), definitions = msgspec.json.schema_components([Story], ref_template="#/$defs/{name}")
    for definition in definitions.values():
        definition["description"] = definition.get("description", "").partition("\n\n")[0]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "A ward story",
        **story,
        "$defs": definitions,
    }


def schema_text() -> str:
    """Write the schema as the checked-in file holds it."""
    return json.dumps(_ordered(scenario_schema()), indent=2, sort_keys=True) + "\n"


def _ordered(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _ordered(value) for key, value in node.items()}
    if isinstance(node, list):
        items = [_ordered(item) for item in node]
        return sorted(items, key=lambda item: json.dumps(item, sort_keys=True))
    return node


def words_tables() -> str:
    """Write every word of a story with what it means, as Markdown."""
    definitions = scenario_schema()["$defs"]
    parts = []
    for title, kind in TABLES:
        rows = "\n".join(f"| `{name}` | {words} |" for name, words in _rows(kind, definitions))
        parts.append(f"### {title}\n\n| word | means |\n| --- | --- |\n{rows}\n")
    scored = ", ".join(f"`{field.encode_name}`" for field in msgspec.structs.fields(Scored))
    parts.append(f"### A score\n\nAny of {scored}. `none` is a parameter without a sub-score.\n")
    parts.append(_vitals())
    return "\n".join(parts)


def _rows(kind: type[msgspec.Struct], definitions: dict[str, Any]) -> Iterator[tuple[str, str]]:
    properties = definitions[kind.__name__]["properties"]
    for field in msgspec.structs.fields(kind):
        yield field.encode_name, properties[field.encode_name].get("description") or "A time since the start."


def _vitals() -> str:
    rows = "\n".join(
        f"| `{name}` | {coding[0]} {coding[1]} | {unit or 'a word'} | {_shown(NORMAL.get(name))} |"
        for name, (coding, unit) in CHARTED.items()
    )
    head = "| word | sent as | unit unless said | `rest: normal` |\n| --- | --- | --- | --- |"
    return f"### What is charted\n\n{head}\n{rows}\n\n{CHARTED_TOO}"


def _shown(value: object) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
