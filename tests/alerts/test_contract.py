"""The contract: canonical JSON, and the published schema it keeps to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema

from alerts.contract import ABSENT_FIELDS, AlertEvent, to_json
from alerts.schema import alert_schema, schema_text

HOUR = 3_600_000


def a_full_story(bed: Any) -> list[AlertEvent]:
    bed.score(0, bed.HIGH, 0.9)
    bed.score(HOUR, (None, 2, 2, 0, 0, 0, 0), None)
    bed.keep(bed.book.tick(2 * HOUR))
    bed.keep(bed.book.discharged(3 * HOUR))
    bed.score(20 * HOUR, (0, 0, 0, None, None, None, None), quarantined=("respiration_rate", "spo2"))
    bed.score(21 * HOUR)
    return list(bed.said)


def test_the_checked_in_schema_is_the_generated_one() -> None:
    """docs/schemas/alert.v1.json is what the type generates: a change of contract shows in review."""
    checked_in = Path(__file__).resolve().parents[2] / "docs" / "schemas" / "alert.v1.json"
    assert checked_in.read_text(encoding="utf-8") == schema_text()


def test_every_event_of_a_story_keeps_to_the_schema(bed: Any) -> None:
    """Raised, updated, escalated and ended events validate against the published schema."""
    validator = jsonschema.Draft202012Validator(alert_schema())
    events = a_full_story(bed)
    assert len(events) >= 9
    for event in events:
        validator.validate(json.loads(to_json(event)))


def test_the_json_is_canonical(bed: Any) -> None:
    """Keys are sorted, times are ISO 8601 in UTC, every declared field is there, and nothing else."""
    event = a_full_story(bed)[0]
    document = json.loads(to_json(event))
    assert list(document) == sorted(set(AlertEvent.__struct_fields__) - {"former_ward", "answer_code", *ABSENT_FIELDS})
    assert document["received_time"] == "1970-01-01T00:00:00Z"
    assert document["evidence"][0]["observation_id"] == "1"
    assert to_json(event) == to_json(event)
