"""The published JSON Schemas of what topics carry, generated from the types that are written to them.

Owns the schemas' texts. Must not know where they are written: `docs/schemas` holds them checked in, a test holds those
files equal to what is generated here, and another holds what the service really writes to them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec

from alerts.gate import GateChange
from alerts.monitoring.signal import TIME_FIELDS, Signal
from alerts.schema import schema_text as alert_text
from connectors.acts.documents import AcknowledgementRecord, Document
from connectors.decoded import RefusalReason
from connectors.kafka.headers import SCHEMAS
from connectors.redis.identity_store import IdentityRecord
from events import Envelope
from models.change_control import MonitorFinding
from models.version import ModelVersion
from stream.decisions import Decision
from stream.effects import Score, Suppression, Unfoldable, Unheeded
from stream.live.examples import ExampleRecord
from stream.live.letters import LETTER_BYTES_MAX, UNREADABLE

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_INSTANT: Schema = {"type": "string", "format": "date-time", "description": "ISO 8601, UTC"}
_MISREAD = ("undecodable", "misrouted", "no_key")
"""The words of a letter about a candidate that [ward] could not use; they stand in its `detail`."""


def topic_schemas() -> dict[str, Schema]:
    """Give every schema by its file's name under `docs/schemas`, that of the alert excepted (alerts/schema.py).

    >>> topic_schemas()["scores.v1.json"]["$defs"]["Score"]["properties"]["received_time"]["format"]
    'date-time'
    """
    return {name: make() for name, make in _MAKERS.items()}


def schema_texts() -> dict[str, str]:
    """Give the text of every schema of a topic as its checked-in file holds it."""
    texts = {
        name: json.dumps(_ordered(schema), indent=2, sort_keys=True) + "\n" for name, schema in topic_schemas().items()
    }
    return {"alert.v1.json": alert_text(), **texts}


def _generated(name: str, title: str, kind: Any) -> Schema:
    schema = msgspec.json.schema(kind)
    for definition in schema.get("$defs", {}).values():
        # What the docstrings say to programmers, with their doctests, helps nobody who reads a topic.
        if "description" in definition:
            definition["description"] = definition["description"].partition("\n\n")[0]
    return {"$schema": DIALECT, "$id": SCHEMAS + name, "title": title, **schema}


def _events() -> Schema:
    return _generated("events.v1.json", "One record of the log: all that one message says of one patient", Envelope)


def _scores() -> Schema:
    schema = _generated("scores.v1.json", "One scoring of one patient, with every verdict on it", Score)
    score = schema["$defs"]["Score"]
    _drop(score, "source")
    score["properties"] |= {"received_time": dict(_INSTANT), "event_time": dict(_INSTANT)}
    score["properties"]["probability"] = _probability()
    return schema


def _suppressed() -> Schema:
    schema = _generated("suppressed.v1.json", "A model alert that was withheld, and by which filter", Suppression)
    schema["$defs"]["Suppression"]["properties"] |= {"received_time": dict(_INSTANT), "probability": _probability()}
    return schema


def _signals() -> Schema:
    schema = _generated("signals.v1.json", "Something is no longer heard, or heard otherwise; or a heartbeat", Signal)
    schema["$defs"]["Signal"]["properties"] |= {field: dict(_INSTANT) for field in TIME_FIELDS}
    return schema


def _dead_letters() -> Schema:
    words = {"type": "string"}
    letter = {
        "title": "DeadLetter",
        "description": "A message that could not be used: why, where the fault is, and its bytes.",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "reason": {"enum": [*sorted(reason.value for reason in RefusalReason), UNREADABLE]},
            "fault": {**words, "description": "where in the message: a segment and field, a path, a byte"},
            "detail": {**words, "description": f"in words; for {UNREADABLE} of a candidate: {', '.join(_MISREAD)}"},
            "source": {**words, "description": "where the message stood: a topic's partition and offset, a connection"},
            "received_time": dict(_INSTANT),
            "message_id": {**words, "description": "MSH-10, or the resource's type and id; empty where unread"},
            "feed": {**words, "description": "the sender, by its configured name; empty where unknown"},
            "bytes_total": {"type": "integer", "minimum": 0},
            "bytes_sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            "data_base64": {
                **words,
                "contentEncoding": "base64",
                "description": f"the first {LETTER_BYTES_MAX} bytes; they may name people",
            },
        },
    }
    letter["required"] = sorted(letter["properties"])  # type: ignore[call-overload]
    schema = _generated("deadletters.v1.json", "What could not be used, and why", Unfoldable)
    unfoldable = schema["$defs"]["Unfoldable"]
    unfoldable["properties"] |= {"received_time": dict(_INSTANT), "reason": {"const": "unfoldable"}}
    unfoldable["required"] = sorted({*unfoldable["required"], "reason"})
    unfoldable["additionalProperties"] = False
    unheeded = _generated("", "", Unheeded)["$defs"]["Unheeded"]
    unheeded["properties"] |= {"received_time": dict(_INSTANT), "reason": {"const": "unheeded"}}
    unheeded["required"] = sorted({*unheeded["required"], "reason"})
    unheeded["additionalProperties"] = False
    schema["$defs"] |= {"DeadLetter": letter, "Unheeded": unheeded}
    del schema["$ref"]
    schema["oneOf"] = [{"$ref": f"#/$defs/{name}"} for name in ("DeadLetter", "Unfoldable", "Unheeded")]
    return schema


def _acts() -> Schema:
    schema = _generated("act.v1.json", "What somebody did about an alert, a score or a patient", Document)
    schema["$defs"] |= _generated("", "", AcknowledgementRecord)["$defs"]
    for definition in schema["$defs"].values():
        for name in ("at", "expires_at"):
            if name in definition["properties"]:
                definition["properties"][name]["format"] = "date-time"
    # No discriminator: the plain one has no kind.
    schema.pop("discriminator", None)
    schema["anyOf"].append({"$ref": "#/$defs/AcknowledgementRecord"})
    return schema


def _examples() -> Schema:
    return _generated("examples.v1.json", "What the learner hears: scores, what happened, words", ExampleRecord)


def _findings() -> Schema:
    return _generated("findings.v1.json", "What a monitor found of the version in force, and stands", MonitorFinding)


def _versions() -> Schema:
    return _generated("models.v1.json", "A model version, named by the hash of its content", ModelVersion)


def _decisions() -> Schema:
    return _generated("control.v1.json", "One thing that somebody decided", Decision)


def _gates() -> Schema:
    return _generated("gates.v1.json", "From which candidate on gate and ward settings stand so", GateChange)


def _identities() -> Schema:
    return _generated("identities.v1.json", "One identifier and the patient key it stands for", IdentityRecord)


_MAKERS: dict[str, Callable[[], Schema]] = {
    "act.v1.json": _acts,
    "control.v1.json": _decisions,
    "deadletters.v1.json": _dead_letters,
    "events.v1.json": _events,
    "examples.v1.json": _examples,
    "findings.v1.json": _findings,
    "gates.v1.json": _gates,
    "identities.v1.json": _identities,
    "models.v1.json": _versions,
    "scores.v1.json": _scores,
    "signals.v1.json": _signals,
    "suppressed.v1.json": _suppressed,
}


def _probability() -> Schema:
    return {"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "null"}]}


def _drop(definition: Schema, name: str) -> None:
    del definition["properties"][name]
    definition["required"].remove(name)


def _ordered(node: Any) -> Any:
    """Sort what has no order of its own, so that one set of types gives one text."""
    if isinstance(node, dict):
        return {
            key: sorted(value) if key in ("enum", "required") and all(isinstance(v, str) for v in value)
            else _ordered(value)
            for key, value in node.items()
        }  # fmt: skip
    return [_ordered(item) for item in node] if isinstance(node, list) else node
