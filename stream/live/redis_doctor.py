"""What is wrong with a live installation's Redis, and what to do.

Owns the checks of the server that keeps the states: reached, durable, never evicting, its clock, its layout, and
whether the log reaches back before everybody who is still here. Must not know how anything is mended. It only reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

from redis.exceptions import NoPermissionError, RedisError

from connectors.kafka.settings import KafkaSettings
from connectors.redis.connection import RedisConnectionError, connect
from connectors.redis.layout import PATIENT_STAGE, Client, LayoutError, PartitionKeys, layout_key, read_layout
from connectors.redis.settings import RedisSettings
from events import MILLIS_PER_DAY, Millis
from features.catalogue import Catalogue
from stream.live.doctor import Finding
from stream.records import PatientRecord, UnreadableRecordError

SKEW_MS_MAX = 2_000
"""Epochs and expiries are in Redis's time, deadlines in ours; what is due is due to the minute."""
FULL_SHARE = 0.9
"""Of the memory that it may use; past it commits are refused, and nothing is scored."""
STATES_READ_MAX = 5_000
"""Patients looked at for the longest stay: about a second."""


class RedisDoctor:
    """Looks at one installation's Redis."""

    def __init__(
        self, redis: RedisSettings, kafka: KafkaSettings, password: str, catalogue: Catalogue, now: Callable[[], Millis]
    ) -> None:
        self._redis = redis
        self._kafka = kafka
        self._password = password
        self._catalogue = catalogue
        self._now = now

    def examine(self) -> list[Finding]:
        """Look at everything; where Redis cannot be reached nothing else can be looked at. Blocks."""
        subject = f"Redis at {self._redis.host}:{self._redis.port}{' (TLS)' if self._redis.tls else ''}"
        try:
            client = connect(self._redis, self._password)
        except RedisConnectionError as fault:
            return [Finding(False, subject, str(fault))]
        try:
            return [
                Finding(True, subject),
                *self._server(client),
                self._clock(client),
                self._layout(client),
                self._stays(client),
            ]
        except RedisError as fault:
            return [Finding(False, subject, f"it stopped answering ({type(fault).__name__}): look at its log")]
        finally:
            client.close()

    def _server(self, client: Client) -> Iterator[Finding]:
        """Look at how it keeps what it has."""
        memory, persistence = _info(client, "memory"), _info(client, "persistence")
        if memory is None or persistence is None:
            yield Finding(True, "Redis's memory and persistence: not looked at, our user may not ask (INFO)")
            return
        policy = memory.get("maxmemory_policy", "")
        yield Finding(
            policy == "noeviction",
            f"Redis throws nothing out (maxmemory-policy {policy})",
            "set maxmemory-policy noeviction: a state that is thrown out is a patient forgotten",
        )
        limit, used = int(memory.get("maxmemory", 0)), int(memory.get("used_memory", 0))
        yield Finding(
            not limit or used < FULL_SHARE * limit,
            f"Redis's memory: {used // 2**20} MiB used" + (f" of {limit // 2**20}" if limit else ""),
            "give it more memory (maxmemory): where it is full, nothing is scored",
        )
        kept = str(persistence.get("aof_enabled", "0")) == "1"
        yield Finding(
            kept,
            f"Redis's states outlast its restart (appendonly {'yes' if kept else 'no'})",
            "set appendonly yes and appendfsync everysec: without, each restart folds the whole log anew",
        )

    def _clock(self, client: Client) -> Finding:
        before = self._now()
        seconds, micros = client.time()
        there, here = seconds * 1_000 + micros // 1_000, (before + self._now()) // 2
        skew = there - here
        return Finding(
            abs(skew) <= SKEW_MS_MAX,
            f"clocks of this machine and Redis: {abs(skew) / 1000:.1f} s apart",
            "set both by one NTP source: epochs and expiries are in Redis's time, deadlines in ours",
        )

    def _layout(self, client: Client) -> Finding:
        subject = f"Redis's states are of {self._kafka.partitions} partitions"
        if client.get(layout_key(self._redis.prefix)) is None:
            return Finding(True, f"Redis holds nothing yet under prefix {self._redis.prefix!r}")
        try:
            found = read_layout(client, self._redis.prefix)
        except LayoutError as fault:
            return Finding(False, subject, str(fault))
        return Finding(
            found.partitions == self._kafka.partitions,
            subject,
            f"they are of {found.partitions}: set kafka.partitions to that, or follow the procedure for another number",
        )

    def _stays(self, client: Client) -> Finding:
        """Find the longest stay of those who are here: the log must reach back further."""
        now, longest = self._now(), 0
        for record in islice(self._records(client), STATES_READ_MAX):
            stay = record.state.stay
            if record.state.admitted and stay.admitted_time is not None:
                longest = max(longest, now - stay.admitted_time)
        days = longest / MILLIS_PER_DAY
        return Finding(
            days < self._kafka.events_days,
            f"the longest stay is {days:.1f} days, events.v1 is to be kept for {self._kafka.events_days:g}",
            "set kafka.events_days above it and `wardstream topics declare --alter`: a state that is lost could not be "
            "folded anew from its beginning",
        )

    def _records(self, client: Client) -> Iterator[PatientRecord]:
        for number in range(self._kafka.partitions):
            prefix = PartitionKeys(self._redis.prefix, PATIENT_STAGE, number).state_prefix
            for key in client.scan_iter(match=_literal(prefix) + b"*", count=1_000):
                name = key[len(prefix) :]
                data = client.get(key) if name and not name.startswith(b"~") else None
                if isinstance(data, bytes):
                    try:
                        yield PatientRecord.decode(data, self._catalogue)
                    except UnreadableRecordError:
                        continue


def _literal(prefix: bytes) -> bytes:
    """Take the meaning of a pattern from its signs."""
    return b"".join(b"\\" + bytes([sign]) if sign in b"*?[]\\" else bytes([sign]) for sign in prefix)


def _info(client: Client, section: str) -> Mapping[str, Any] | None:
    try:
        found = client.info(section)
    except NoPermissionError:
        return None
    # A cluster answers by node: one is as the others.
    first = next(iter(found.values()), None)
    return first if isinstance(first, dict) else found
