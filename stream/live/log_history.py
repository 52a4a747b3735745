"""What was produced, read back from Kafka for a partition of [parse] whose Redis lost its memory.

Owns the bridge from the stage's thread to the asynchronous reader. Must not know what is looked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import msgspec

from connectors.kafka.headers import header
from connectors.kafka.reading import KafkaRecord, read_topic
from connectors.kafka.settings import KafkaSettings
from events import Millis, decode_envelope, encode_envelope
from events.encoding import UndecodableEnvelopeError
from stream.live.outputs import CARRIED


class LogHistory:
    """See `stream.live.parse_stage.History`. Called in a thread that has no event loop; each call reads anew."""

    def __init__(self, settings: KafkaSettings, password: str) -> None:
        self._settings = settings
        self._password = password

    def identities(self, since: Millis) -> Iterable[bytes]:
        """Give the identity links recorded from `since` on."""
        return self._values("identities.v1", since, lambda record: record.value)

    def envelopes(self, since: Millis) -> Iterable[bytes]:
        """Give the envelopes recorded from `since` on."""
        return self._values("events.v1", since, _placed)

    def _values(self, topic: str, since: Millis, value_of: Callable[[KafkaRecord], bytes | None]) -> list[bytes]:
        async def read() -> list[bytes]:
            start = since or None
            records = read_topic(self._settings, topic, password=self._password, since_time=start)
            values = [value_of(record) async for record in records]
            return [value for value in values if value is not None]

        return asyncio.run(read())


def _placed(record: KafkaRecord) -> bytes | None:
    """Give an envelope; one that was carried over without its position, which is of another installation's topics.

    Taken for one of ours it would stand for whatever message lies at that place here.
    """
    if record.value is None or not header(record.headers, CARRIED):
        return record.value
    try:
        return encode_envelope(msgspec.structs.replace(decode_envelope(record.value), position=""))
    except UndecodableEnvelopeError:
        return None
