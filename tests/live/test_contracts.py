"""The published contracts: schemas and AsyncAPI are those of the types, and what we write keeps to them.

`asyncapi-3.0.0.json.gz` is AsyncAPI's own JSON Schema of version 3.0.0, from the npm package @asyncapi/specs 6.11.1
(Apache-2.0).
"""

from __future__ import annotations

import gzip
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from jsonschema.protocols import Validator

from alerts.gate import GateChange, encode_change
from connectors.acts.documents import AcknowledgementRecord
from connectors.decoded import Refusal, RefusalReason
from connectors.kafka.headers import cloud_headers
from connectors.kafka.topics import TOPICS
from connectors.redis.identity_store import IdentityRecord
from events import Configuration, Envelope, KillSwitch, Promotion, encode_envelope
from models.version import dump
from stream.decisions import Decision, encode_decision
from stream.effects import Unfoldable, Unheeded, encode_effect
from stream.live.asyncapi import asyncapi, asyncapi_text
from stream.live.examples import encode_example, happened, scored
from stream.live.letters import dead_letter, letter_record, unreadable_record
from stream.live.outputs import records_of
from stream.live.stage import LogItem
from stream.live.topic_schemas import schema_texts, topic_schemas
from stream.partition_fold import PartitionFold
from stream.versions import load_versions, shipped_version
from tests.connectors.acts.each_act import EACH as EACH_ACT
from tests.live.parity import PreRecorded, hospital_log

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "docs" / "schemas"
PARTITIONS = 3


def validator(schema: dict[str, Any]) -> Validator:
    kind = jsonschema.validators.validator_for(schema)
    made: Validator = kind(schema, format_checker=kind.FORMAT_CHECKER)
    return made


def published(name: str) -> Validator:
    return validator(json.loads((SCHEMAS / name).read_text(encoding="utf-8")))


def faults(checker: Validator, document: Any) -> list[str]:
    return [f"{error.json_path}: {error.message[:200]}" for error in checker.iter_errors(document)]


@lru_cache(maxsize=1)
def recorded() -> tuple[PreRecorded, dict[str, list[bytes]]]:
    """Give a simulated hospital's log with its model heard, and all that its folds put out, by topic."""
    versions, _wrong = load_versions(None)
    log = hospital_log(PARTITIONS, version=shipped_version(versions), enabled=True, versions=versions)
    outputs: dict[str, list[bytes]] = {}
    for number, part in enumerate(log.partitions):
        fold = PartitionFold(number, PARTITIONS, versions)
        for envelope in part:
            read = fold.read(encode_envelope(envelope))
            if read is not None:
                for record in records_of(fold.fold(read), "/test"):
                    outputs.setdefault(record.topic, []).append(record.value or b"")
    return log, outputs


@pytest.mark.parametrize("name", sorted(schema_texts()))
def test_the_checked_in_schema_is_the_generated_one(name: str) -> None:
    """Each file under docs/schemas is what its type generates; `wardstream topics schemas docs` writes them anew."""
    assert (SCHEMAS / name).read_text(encoding="utf-8") == schema_texts()[name]
    jsonschema.Draft202012Validator.check_schema(json.loads(schema_texts()[name]))


def test_the_checked_in_asyncapi_is_the_generated_one() -> None:
    """docs/asyncapi.json is what the table of topics generates."""
    assert (ROOT / "docs" / "asyncapi.json").read_text(encoding="utf-8") == asyncapi_text()


def test_every_schema_belongs_to_a_topic() -> None:
    """The topics name every schema that is published for them, and no other."""
    assert {topic.schema for topic in TOPICS.values() if topic.schema} == set(schema_texts())


@pytest.mark.parametrize("topic", ["scores.v1", "suppressed.v1", "candidates.v1"])
def test_what_the_folds_put_out_keeps_to_its_schema(topic: str) -> None:
    """Every score, suppression and alert event of a simulated hospital validates."""
    values = recorded()[1][topic]
    checker = published(TOPICS[topic].schema)
    assert len(values) > 3
    assert [fault for value in values for fault in faults(checker, json.loads(value))] == []


def test_the_log_keeps_to_its_schema() -> None:
    """Every record of a simulated hospital's log validates: charts, stays, corrections, merges, control events."""
    checker = published("events.v1.json")
    kinds = set()
    for part in recorded()[0].partitions:
        for envelope in part:
            document = json.loads(encode_envelope(envelope))
            kinds |= {event["type"] for event in document["events"]}
            assert faults(checker, document) == []
    assert {"observation", "correction", "admission", "transfer", "discharge", "merge", "promotion"} <= kinds


def test_dead_letters_keep_to_their_schema() -> None:
    """A refusal of each reason, an unreadable record and a record we could not fold all validate."""
    checker = published("deadletters.v1.json")
    letters = [
        letter_record(dead_letter(Refusal(reason, "PID-3", "in words"), 0, "mllp/1#1"), b"MSH|", "LAB").value
        for reason in RefusalReason
    ]
    letters.append(unreadable_record("candidates.v1", 1, LogItem(3, b"", b"\xff", (), 5), "no_key").value)
    letters.append(encode_effect(Unfoldable("id", "M1", 0, "KeyError")))
    letters.append(encode_effect(Unheeded("id", "0" * 32, "A1", 0, "doctor-7", "scale_2", "l", "limit_outdated")))
    for letter in letters:
        assert faults(checker, json.loads(letter or b"")) == []


def examples_of_the_rest() -> dict[str, list[bytes]]:
    versions, _wrong = load_versions(None)
    version = versions[shipped_version(versions)]
    heard = [
        example for part in recorded()[0].partitions for envelope in part if (example := happened(envelope)) is not None
    ]
    encode = msgspec.json.Encoder(order="sorted").encode
    return {
        "control.v1.json": [
            encode_decision(Decision(Promotion(1, version.version, enabled=True), "role:safety-officer", "due")),
            encode_decision(Decision(Configuration(1, "0" * 16, "{}"), "key:1")),
            encode_decision(Decision(KillSwitch(1, engaged=True, reason="too many"), "role:duty-manager")),
        ],
        "gates.v1.json": [encode_change(GateChange(3, 17, closed=True, sequence=1))],
        "models.v1.json": [dump(each) for each in versions.values()],
        "identities.v1.json": [encode(IdentityRecord("MRN", "1", "k" * 32, "", 5, 1))],
        "examples.v1.json": [encode_example(scored("p", 0, [1.0, float("nan")])), *map(encode_example, heard)],
        "act.v1.json": [json.dumps(document).encode() for document, _event in EACH_ACT]
        + [encode(AcknowledgementRecord("0" * 32, "a-1", "2026-03-03T00:00:00Z"))],
    }


@pytest.mark.parametrize(
    "name",
    ["control.v1.json", "gates.v1.json", "models.v1.json", "identities.v1.json", "examples.v1.json",
     "act.v1.json"],
)  # fmt: skip
def test_the_rest_keeps_to_its_schema(name: str) -> None:
    """Decisions, gates, versions, links, examples and acknowledgements validate as they are written."""
    values = examples_of_the_rest()[name]
    assert values
    assert [fault for value in values for fault in faults(published(name), json.loads(value))] == []


@pytest.mark.parametrize("name", sorted(topic_schemas()))
def test_a_schema_refuses_what_is_none(name: str) -> None:
    """No schema of a topic accepts an empty object: each requires what makes a record of it."""
    assert faults(published(name), {})


def test_the_asyncapi_document_is_one() -> None:
    """The document validates against AsyncAPI's own schema, which refuses it once an operation loses its channel."""
    own = validator(json.loads(gzip.decompress(Path(__file__).with_name("asyncapi-3.0.0.json.gz").read_bytes())))
    document = asyncapi()
    assert faults(own, document) == []
    del next(iter(document["operations"].values()))["channel"]
    assert faults(own, document)


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        found = [str(node["$ref"])] if "$ref" in node else []
        return found + [one for value in node.values() for one in references(value)]
    return [one for item in node for one in references(item)] if isinstance(node, list) else []


def test_every_reference_of_the_document_leads_somewhere() -> None:
    """Each `$ref` names a part of the document or a file beside it, and every topic has its channel and operation."""
    document = asyncapi()
    for reference in references(document):
        path, _, pointer = reference.partition("#")
        if path:
            assert (ROOT / "docs" / path).is_file(), reference
        node: Any = document if not path else {}
        for key in pointer.strip("/").split("/") if pointer else ():
            node = node[key]
    assert [channel["address"] for channel in document["channels"].values()] == list(TOPICS)
    used = {operation["channel"]["$ref"] for operation in document["operations"].values()}
    assert used == {f"#/channels/{name}" for name in document["channels"]}


def test_headers_keep_to_the_document() -> None:
    """The headers that we write validate against the message's, the ward's own count among them."""
    message = asyncapi()["components"]["messages"]["alerts_v1"]
    headers = cloud_headers("i", "wardstream.alerts.v1", "/w/1", 0, schema="alert.v1.json", wardseq=1, received=5)
    document = {name: value.decode() for name, value in headers}
    assert faults(validator(message["headers"]), document) == []
    assert faults(validator(message["headers"]), {**document, "ce_wardseq": "0"})
    assert faults(validator(message["headers"]), {name: text for name, text in document.items() if name != "ce_id"})


def test_a_minimal_envelope_is_read() -> None:
    """Defaults are left out of what is written, and the schema does not ask for them."""
    assert faults(published("events.v1.json"), json.loads(encode_envelope(Envelope("id", "p", 0, 1, ())))) == []
