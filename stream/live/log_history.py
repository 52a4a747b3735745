"""What was produced, read back from Kafka for a partition of [parse] whose Redis lost its memory.

Owns the bridge from the stage's thread to the asynchronous reader. Must not know what is looked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from connectors.kafka.reading import read_topic
from connectors.kafka.settings import KafkaSettings
from events import Millis


class LogHistory:
    """See `stream.live.parse_stage.History`. Called in a thread that has no event loop; each call reads anew."""

    def __init__(self, settings: KafkaSettings, password: str) -> None:
        self._settings = settings
        self._password = password

    def identities(self, since: Millis) -> Iterable[bytes]:
        """Give the identity links recorded from `since` on."""
        return self._values("identities.v1", since)

    def envelopes(self, since: Millis) -> Iterable[bytes]:
        """Give the envelopes recorded from `since` on."""
        return self._values("events.v1", since)

    def _values(self, topic: str, since: Millis) -> list[bytes]:
        async def read() -> list[bytes]:
            start = since or None
            records = read_topic(self._settings, topic, password=self._password, since_time=start)
            return [record.value async for record in records if record.value is not None]

        return asyncio.run(read())
