"""The AsyncAPI 3.0 document: which topics there are, what their records are, who writes and who reads them.

Owns the document. Must not know where it is written: `docs/asyncapi.json` is checked in and held equal by a test. It is
made from the table of topics (connectors/kafka/topics.py) and refers to the schemas beside it.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import TOPICS, Declaration, Topic, declarations

Node = dict[str, Any]
Side = Literal["send", "receive"]

VERSION = "1.0.0"
"""Of the contract: the second number rises with what is added, the first with what changes its meaning."""

_OUTSIDE: dict[str, tuple[Side, str]] = {
    "hl7v2.ingest.v1": ("receive", "integration engines write here, or to a gateway, which does"),
    "fhir.ingest.v1": ("receive", "integration engines and FHIR servers write here, or to a gateway, which does"),
    "ack.ingest.v1": ("receive", "ward systems, and gateways for people, write here what somebody did"),
    "alerts.v1": ("send", "ward systems read here what they are told, in order for each ward"),
    "alerts.state.v1": ("send", "ward systems read here where every alert stands, when they start"),
    "scores.v1": ("send", "boards and auditors read here"),
    "suppressed.v1": ("send", "safety officers and auditors read here"),
    "signals.v1": ("send", "ward systems and operators read here what is no longer heard, and heartbeats each minute"),
    "deadletters.v1": ("send", "operators read here what could not be used"),
}
"""The topics that others use. The rest is between our own processes: it is described, and only ours to write."""

_HEADERS: Node = {
    "ce_specversion": {"type": "string", "const": "1.0"},
    "ce_id": {"type": "string", "description": "the same content has the same id: whoever sees it twice may drop one"},
    "ce_type": {"type": "string"},
    "ce_source": {"type": "string", "format": "uri-reference", "description": "the process or partition it came of"},
    "ce_time": {"type": "string", "format": "date-time", "description": "its cause's received time"},
    "ce_subject": {"type": "string", "description": "a pseudonymous patient key, where there is one"},
    "ce_dataschema": {"type": "string", "format": "uri"},
    "content-type": {"type": "string"},
    "ws_received": {
        "type": "string",
        "pattern": "^[0-9]{1,15}$",
        "description": "when the gateway took it: milliseconds of the epoch; without it the record's own time counts",
    },
}
_OF_TOPIC: dict[str, Node] = {
    "alerts.v1": {
        "ce_wardseq": {
            "type": "string",
            "pattern": "^[1-9][0-9]*$",
            "description": "1, 2, 3 ... without gaps for each ward: whoever misses one knows; the newest of each is "
            "told every minute by its partition's heartbeat on signals.v1, as `newest`",
        },
        "ce_candidateoffset": {"type": "string", "pattern": "^[0-9]+$"},
        "ce_subscribers": {
            "type": "string",
            "description": "who is to hear of it, by name, with commas between: those that cover the ward, or the "
            "catch-all",
        },
    },
    "hl7v2.ingest.v1": {
        "ce_mllpport": {
            "type": "string",
            "pattern": "^[0-9]{1,5}$",
            "description": "the MLLP port that the message came to, where a route of [hl7] goes by it",
        },
    },
    "ack.ingest.v1": {
        "ws_actor": {"type": "string", "description": "from a gateway alone: whom it authenticated"},
        "ws_signature": {
            "type": "string",
            "description": "Ed25519, in hexadecimal, over `wardstream act 1`, line end, ws_actor, line end, the value",
        },
        "ws_key_id": {"type": "string", "description": "the first 16 digits of the SHA-256 of the public key"},
    },
    "models.v1": {
        "ws_signature": {"type": "string", "description": "Ed25519 over the value, in hexadecimal"},
        "ws_key_id": {"type": "string", "description": "which of the trusted keys signed it"},
    },
}


def asyncapi() -> Node:
    """Give the document.

    >>> sorted(asyncapi()["channels"])[:2]
    ['ack_ingest_v1', 'alerts_state_v1']
    """
    declared = {each.topic.name: each for each in declarations(KafkaSettings())}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Wardstream on Kafka",
            "version": VERSION,
            "license": {"name": "Apache-2.0"},
            "description": (
                "The topics of the live service. Names stand without the installation's prefix (kafka.prefix). Records "
                "are CloudEvents 1.0 in Kafka's binary mode; headers beyond those named here are to be ignored, and so "
                "are unknown fields. Whoever reads takes a record twice without harm: its `ce_id` is derived from its "
                "cause. Read with isolation.level=read_committed. A key's partition is murmur2 of its bytes, as every "
                "Kafka client reckons by default. Retention and partition counts are those of the default "
                "configuration."
            ),
        },
        "defaultContentType": "application/json",
        "servers": {
            "site": {
                "host": "{bootstrap}",
                "protocol": "kafka-secure",
                "description": "the site's own brokers: kafka.bootstrap, with TLS and SASL as configured",
                "variables": {"bootstrap": {"default": "127.0.0.1:9092"}},
            }
        },
        "channels": {_id(topic): _channel(topic, declared[topic.name]) for topic in TOPICS.values()},
        "operations": {_operation_id(topic): _operation(topic) for topic in TOPICS.values()},
        "components": {"messages": {_id(topic): _message(topic) for topic in TOPICS.values()}},
    }


def asyncapi_text() -> str:
    """Write the document as the checked-in file holds it."""
    return json.dumps(asyncapi(), indent=2, sort_keys=True) + "\n"


def _id(topic: Topic) -> str:
    return topic.name.replace(".", "_")


def _channel(topic: Topic, declared: Declaration) -> Node:
    config = declared.config
    retention = int(config["retention.ms"])
    return {
        "address": topic.name,
        "summary": topic.summary,
        "description": f"Keyed by {topic.key}. {_order(topic)}",
        "messages": {"record": {"$ref": f"#/components/messages/{_id(topic)}"}},
        "bindings": {
            "kafka": {
                "bindingVersion": "0.5.0",
                "topic": topic.name,
                "partitions": declared.partitions,
                "replicas": declared.replication,
                "topicConfiguration": {
                    "cleanup.policy": [topic.cleanup],
                    **({} if retention < 0 else {"retention.ms": retention}),
                    "max.message.bytes": int(config["max.message.bytes"]),
                },
            }
        },
    }


def _order(topic: Topic) -> str:
    if topic.single:
        return "One partition: its order is the order."
    if topic.cleanup == "compact":
        return "Compacted: the newest record of a key stands, and one without a value ends it."
    return "In order for each key."


def _operation_id(topic: Topic) -> str:
    return f"{_OUTSIDE.get(topic.name, ('send', ''))[0]}_{_id(topic)}"


def _operation(topic: Topic) -> Node:
    side, who = _OUTSIDE.get(topic.name, ("send", "between our own processes: only they may write here"))
    return {
        "action": side,
        "channel": {"$ref": f"#/channels/{_id(topic)}"},
        "messages": [{"$ref": f"#/channels/{_id(topic)}/messages/record"}],
        "summary": who,
    }


def _message(topic: Topic) -> Node:
    headers: Node = {"type": "object", "properties": {**_HEADERS, **_OF_TOPIC.get(topic.name, {})}}
    if _OUTSIDE.get(topic.name, ("",))[0] == "send":
        headers["required"] = ["ce_id", "ce_source", "ce_specversion", "ce_time", "ce_type", "content-type"]
    return {
        "name": topic.name,
        "title": topic.summary,
        "contentType": topic.content_type,
        "headers": headers,
        "payload": _payload(topic),
        "bindings": {
            "kafka": {"bindingVersion": "0.5.0", "key": {"type": "string", "description": topic.key}},
        },
    }


def _payload(topic: Topic) -> Node:
    if topic.schema:
        return {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": {"$ref": f"./schemas/{topic.schema}"},
        }
    return {"description": f"the bytes as the sender gave them ({topic.content_type})"}
