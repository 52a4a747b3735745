"""What a gateway writes of FHIR comes out of [parse]'s decoding as the embedded host's own server decoded it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest

from connectors.decoded import Decoded, Refusal
from connectors.fhir.settings import FhirSettings
from connectors.http.arrivals import fhir_arrivals
from connectors.kafka.record import Record
from events import Envelope
from stream.feeds import Feeds
from stream.identity import IdentityMap, Pseudonyms
from stream.live.intake import KafkaIntake
from stream.live.parsing import read_item
from stream.live.stage import LogItem
from stream.metrics import IntakeMetrics
from stream.parse import Parser, RecentMessages
from stream.settings import Settings
from stream.simulation import hospital_stream

NOW = 1_767_225_600_000
PERSON = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"
VISIT = "urn:uuid:1c3151bd-1cbf-4d64-b04d-cd9187a4c6e1"
VITALS = (("final", "8867-4", 72), ("final", "9279-1", 16), ("fnial", "8867-4", 1), ("final", "8867-4", 80))


def _observation(number: int, status: str, code: str, value: int) -> dict[str, object]:
    return {
        "resourceType": "Observation",
        "id": f"o{number}",
        "status": status,
        "effectiveDateTime": "2026-01-01T00:00:01Z",
        "subject": {"reference": PERSON},
        "encounter": {"reference": VISIT},
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "valueQuantity": {"value": value, "system": "http://unitsofmeasure.org", "code": "/min"},
    }


_PATIENT = {
    "resourceType": "Patient",
    "identifier": [{"system": "urn:mrn", "value": "42"}],
    "birthDate": "1950-01-01",
}
_ENCOUNTER = {
    "resourceType": "Encounter",
    "status": "in-progress",
    "class": {"code": "IMP"},
    "subject": {"reference": PERSON},
    "period": {"start": "2026-01-01T00:00:00Z"},
}
TRANSACTION = json.dumps(
    {
        "resourceType": "Bundle",
        "type": "transaction",
        "timestamp": "2026-01-01T00:00:05Z",
        "entry": [
            {"fullUrl": PERSON, "resource": _PATIENT},
            {"fullUrl": VISIT, "resource": _ENCOUNTER},
            *({"resource": _observation(number, *one)} for number, one in enumerate(VITALS)),
        ],
    }
).encode()
"""Ids that mean something in this Bundle alone, a time that stands on the Bundle, a moment of several observations,
and one entry that cannot be used."""


class KeepingSender:
    """Keeps what it is given, and acknowledges it at once."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    async def send(self, records: Sequence[Record]) -> None:
        """Keep them."""
        self.records += records


def as_written(bodies: Sequence[bytes]) -> list[Record]:
    """Give what a gateway writes of posted bodies."""

    async def write() -> list[Record]:
        sender = KeepingSender()
        intake = KafkaIntake(sender, lambda: NOW, IntakeMetrics(Feeds(), "test"))
        for number, body in enumerate(bodies):
            await (await intake.offer(fhir_arrivals(body, FhirSettings(), f"http/{number}")))
        return sender.records

    return asyncio.run(write())


def from_the_topic(records: Sequence[Record]) -> list[Decoded | Refusal]:
    items = [LogItem(at, one.key, one.value, one.headers, NOW) for at, one in enumerate(records)]
    return [taken.decoded for item in items for taken in read_item("fhir.ingest.v1", 0, item, Settings()).messages]


def envelopes(decoded: Sequence[Decoded | Refusal]) -> list[tuple[object, ...]]:
    """Give what the log would hold of them, but for their places."""
    parser = Parser(IdentityMap(Pseudonyms()), RecentMessages())
    parsed = [parser.step(one, NOW, "")[0] for one in decoded]
    return [(one.envelope_id, one.patient, one.encounter, one.events) for one in parsed if type(one) is Envelope]


def test_a_transaction_means_the_same_behind_the_gateway() -> None:
    """References that only their Bundle explains, joined observations and the refused entry come out alike."""
    posted = [arrival.decoded for arrival in fhir_arrivals(TRANSACTION, FhirSettings(), "http/1")]
    read = from_the_topic(as_written([TRANSACTION]))
    assert read == posted
    assert [type(one) for one in posted].count(Refusal) == 1
    assert any(one.parts > 1 for one in posted if isinstance(one, Decoded))
    assert len(envelopes(read)) == len(envelopes(posted)) > 2


@pytest.mark.parametrize("body", [b'{"resourceType":"Basic","id":"b"}', b'\xef\xbb\xbf{"resourceType":"Basic"}'])
def test_a_single_resource_means_the_same_behind_the_gateway(body) -> None:
    """A resource that was posted alone is written alone, with its byte order mark if it has one."""
    posted = [arrival.decoded for arrival in fhir_arrivals(body, FhirSettings(), "http/1")]
    assert from_the_topic(as_written([body])) == posted


def test_a_hospital_s_fhir_gives_the_same_log() -> None:
    """A simulated hospital posted through the gateway gives the envelopes that the embedded host would have stored."""
    bodies = [data for _, data in hospital_stream(seed=5, beds=8, hours=96, wire="fhir")]
    posted = [arrival.decoded for body in bodies for arrival in fhir_arrivals(body, FhirSettings(), "http/1")]
    read = from_the_topic(as_written(bodies))
    assert len(bodies) > 50
    assert envelopes(read) == envelopes(posted)
