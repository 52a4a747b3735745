"""A day of history for each patient of `live.py`, written straight into Redis: states, views, identity links.

Owns how it is made: a few dozen patients live through a day in the real fold, from ORU^R01 bytes on, and their records
stand under every patient's key. Must not know a worker. A record holds no patient's key until an alert was raised, and
then the fold names it anew with each score; the view has one, which is put in its place.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
from core import Core
from live_traffic import AUTHORITY, FEEDS, Traffic

from connectors.decoded import Decoded
from connectors.hl7v2.codec import decode
from connectors.kafka.partitioning import partition_for
from connectors.redis.connection import connect
from connectors.redis.identity_store import IdentityRecord, RedisIdentityStore
from connectors.redis.layout import write_layout
from connectors.redis.partition_store import RedisPartitionStore
from connectors.redis.settings import RedisSettings
from events import MILLIS_PER_HOUR, MILLIS_PER_MINUTE, CodeVersion, Configuration, Envelope, Promotion
from features.catalogue import default_catalogue
from features.store import BEFORE_FIRST, Entry, MemoryStateStore
from stream.control import Control
from stream.identity import Pseudonyms
from stream.live.shelf import LiveShelf
from stream.pipeline import Pipeline
from stream.settings import Settings, configuration_hash, configuration_text
from stream.versions import choose_version, load_versions

DAY_MS = 24 * MILLIS_PER_HOUR
MINUTE_TEMPLATES = 16
"""Patients charted once a minute that are lived through; the others are told apart by their ward: one a feed."""
COMMIT_MAX = 1_000


class DayCore(Core):
    """The core with the live host's shelf, so that what it stores is what a worker stores."""

    def __init__(self) -> None:
        super().__init__()
        versions, _wrong = load_versions()
        now, settings = int(time.time() * 1_000), Settings()
        self.live = LiveShelf(MemoryStateStore(), default_catalogue(), lambda: now)
        self.pipeline = Pipeline(self.live, Control(versions))
        for event in (
            CodeVersion(0, "benchmark"),
            Configuration(0, configuration_hash(settings), configuration_text(settings)),
            Promotion(0, choose_version("", versions), enabled=True),
        ):
            self.pipeline.step(Envelope("control", "", 0, 0, (event,)))


def lived_days(traffic: Traffic, ends: int, every_ms: int, count: int) -> list[tuple[str, Entry]]:
    """Live through the day before `ends` (ms) with the first `count` patients; give each one's key and entry."""
    core = DayCore()
    found: list[tuple[str, Entry]] = []
    for patient in range(count):
        number = traffic.number_of(patient)
        batch = []
        for step, at in enumerate(range(ends - DAY_MS + every_ms, ends + 1, every_ms)):
            written = datetime.fromtimestamp(at // 1_000, UTC).strftime("%Y%m%d%H%M%S+0000").encode()
            # A whole number of rounds on: the same patient, other values.
            batch.append(traffic.message(number + step * traffic.patients, written, well=True))
        core.handle(batch)
        ((key, entry),) = core.live.take_entries().items()
        assert entry is not None
        found.append((key, entry))
    return found


def patient_keys(traffic: Traffic, pseudonyms: Pseudonyms) -> list[str]:
    """Give every patient's key by his number."""
    decoded = decode(traffic.message(0, b"20260105080000+0000"), Settings().hl7)
    assert isinstance(decoded, Decoded), "the traffic is ours"
    (name,) = decoded.subject
    assert name.authority == AUTHORITY
    return [pseudonyms.of("patient", name.authority, f"P{number:06d}") for number in range(traffic.patients)]


def preload(traffic: Traffic, redis: RedisSettings, pseudonyms: Pseudonyms, minute_share: float) -> dict[str, float]:
    """Write every patient's day and identity link; give how much that is."""
    began = time.perf_counter()
    ends = int(time.time()) // 60 * MILLIS_PER_MINUTE - MILLIS_PER_MINUTE
    keys = patient_keys(traffic, pseudonyms)
    hourly = lived_days(traffic, ends, MILLIS_PER_HOUR, FEEDS)
    by_minute = lived_days(traffic, ends, MILLIS_PER_MINUTE, MINUTE_TEMPLATES) if minute_share else []
    minutes = {number for number in range(traffic.patients) if number * 61 % 1_000 < minute_share * 1_000}
    parts: list[dict[str, Entry]] = [{} for _ in range(traffic.partitions)]
    size = 0
    for number, key in enumerate(keys):
        name, entry = by_minute[number % len(by_minute)] if number in minutes else hourly[number % FEEDS]
        view = entry.view.replace(name.encode(), key.encode())
        parts[partition_for(key.encode(), traffic.partitions)][key] = entry._replace(view=view)
        size += len(entry.state)
    with connect(redis) as client:
        write_layout(client, redis.prefix, traffic.partitions)
        for number, entries in enumerate(parts):
            store = RedisPartitionStore(client, redis.prefix, "patient", number)
            epoch = store.acquire_epoch()
            every = list(entries.items())
            for start in range(0, len(every), COMMIT_MAX):
                store.commit_entries(epoch, dict(every[start : start + COMMIT_MAX]), BEFORE_FIRST)
        RedisIdentityStore(client, redis.prefix).rebuild(_links(keys, ends))
    return {
        "patients": traffic.patients,
        "charted_by_the_minute": len(minutes),
        "stored_mb": size / 1e6,
        "stored_hourly_bytes": len(hourly[0][1].state),
        "stored_minute_bytes": len(by_minute[0][1].state) if by_minute else 0,
        "seconds": time.perf_counter() - began,
    }


def _links(keys: list[str], used: int) -> Iterator[bytes]:
    for number, key in enumerate(keys):
        yield msgspec.json.encode(IdentityRecord(AUTHORITY, f"P{number:06d}", key, "", used, 1))
