"""Partitions of the live host over a real Redis, without Faust: what [parse] writes, and the stages that fold it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from types import MappingProxyType
from typing import Any

import msgspec

from connectors.decoded import Identifier
from connectors.hl7v2.codec import decode
from connectors.hl7v2.render import Result, render_adt, render_oru
from connectors.hl7v2.settings import Hl7Settings
from connectors.redis.connection import connect
from connectors.redis.partition_store import RedisPartitionStore
from connectors.redis.settings import RedisSettings
from events import Envelope, Location, Millis, encode_envelope
from models.version import ModelVersion
from stream.decisions import Decisions
from stream.identity import IdentityMap, Pseudonyms
from stream.live.patient_stage import PatientPartition, PatientSettings
from stream.live.stage import LogItem, LogRange
from stream.parse import Parser, RecentMessages

START = 1_767_225_600_000
MINUTE = 60_000
LOG = LogRange(0, 1_000_000)
"""A log that has every record a test asks for."""
UNTIL_S = 30.0
"""What has not come about by then, on a machine however busy, does not come about."""
LOOK_S = 0.01

CODES = {
    "rr": ("9279-1", "/min"),
    "spo2": ("59408-5", "%"),
    "fio2": ("3150-6", "%"),
    "sbp": ("8480-6", "mm[Hg]"),
    "hr": ("8867-4", "/min"),
    "acvpu": ("67775-7", ""),
    "temp": ("8310-5", "Cel"),
}
Vitals = dict[str, Any]
WELL: Vitals = {
    "rr": 16.0,
    "spo2": 98.0,
    "fio2": 21.0,
    "sbp": 128.0,
    "hr": 72.0,
    "acvpu": ("loinc", "LA9340-6"),
    "temp": 36.8,
}
SICK: Vitals = {**WELL, "rr": 28.0, "spo2": 90.0, "sbp": 88.0, "hr": 132.0}


async def until(holds: Callable[[], object]) -> None:
    """Wait until something holds; a `TimeoutError` where it does not come to."""
    async with asyncio.timeout(UNTIL_S):
        while not holds():  # noqa: ASYNC110 - what is awaited knows of no event
            await asyncio.sleep(LOOK_S)


class Messages:
    """A feed's messages, and the envelopes that [parse] makes of them; minutes are since `START`."""

    def __init__(self) -> None:
        self._parser = Parser(IdentityMap(Pseudonyms(b"k")), RecentMessages())
        self._numbers = count(1)

    def vitals(self, minute: float, values: Vitals, person: str = "1") -> bytes:
        """Render the vital signs of somebody."""
        number, at = next(self._numbers), _instant(minute)
        return render_oru(
            control_id=f"C{number}",
            sent_time=at,
            feed="LAB|MAIN",
            patient=Identifier("MRN", person),
            encounter=f"V{person}",
            location=Location(ward="W1", bed="4"),
            observed_time=at,
            order=f"O{number}",
            results=[Result(code=CODES[name][0], value=value, unit=CODES[name][1]) for name, value in values.items()],
        )

    def admission(self, minute: float, person: str = "1") -> bytes:
        """Render somebody's admission."""
        return render_adt(
            "A01",
            control_id=f"C{next(self._numbers)}",
            sent_time=_instant(minute),
            feed="LAB|MAIN",
            patient=Identifier("MRN", person),
            encounter=f"V{person}",
            event_time=_instant(minute),
            location=Location(ward="W1", bed="4"),
        )

    def envelope(self, minute: float, values: Vitals, person: str = "1", received: Millis | None = None) -> Envelope:
        """Give the vital signs of somebody as they stand on `events.v1`."""
        data = self.vitals(minute, values, person)
        at = _instant(minute) if received is None else received
        parsed, _ = self._parser.step(decode(data, Hl7Settings()), at, "x/0/0")
        assert isinstance(parsed, Envelope)
        return parsed


def _instant(minute: float) -> Millis:
    return START + int(minute * MINUTE)


def items(envelopes: Iterable[Envelope], begin: int = 0) -> list[LogItem]:
    """Give records of a partition of `events.v1`, from an offset on."""
    return [
        LogItem(begin + at, envelope.patient.encode(), encode_envelope(envelope), (), envelope.received_time)
        for at, envelope in enumerate(envelopes)
    ]


def patient_partition(
    redis: RedisSettings,
    now: Callable[[], Millis] = lambda: START,
    number: int = 0,
    versions: Mapping[str, ModelVersion] = MappingProxyType({}),
    **options: Any,
) -> PatientPartition:
    """Make a partition of [patient], as a process that has just begun has it: not open yet."""
    return PatientPartition(
        number,
        RedisPartitionStore(connect(redis), redis.prefix, "patient", number),
        PatientSettings(1, "c", **{"learn": False, **options}),
        versions=versions,
        decisions=Decisions(),
        now=now,
        journal="j",
    )


def of_schema_nine(stored: bytes) -> bytes:
    """Give a stored state as that of another release, which nobody here can read."""
    fields = msgspec.msgpack.decode(stored)
    return msgspec.msgpack.encode([9, *fields[1:]])
