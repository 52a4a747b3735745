"""An ingest topic as a SOURCE of messages: what the gateways took, in the order in which they took it.

Owns the reading of `kafka:hl7v2.ingest.v1` and `kafka:fhir.ingest.v1` for replays. Must not know what becomes of a
message. The codecs are those of the live service; received times are the gateways' stamps.
"""

from __future__ import annotations

from collections.abc import Iterator

from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import EVENTS, TOPICS
from connectors.sources import Arrival, SourceError
from connectors.sources.arrival import BYTES_IN_MEMORY, RECORDS_IN_MEMORY, Format
from connectors.sources.sorting import sort_arrivals
from stream.kafka_log import KafkaLog
from stream.live.parsing import FHIR, HL7, read_item
from stream.live.stage import LogItem
from stream.settings import Settings

SCHEME = "kafka:"
MESSAGES: dict[str, Format] = {HL7: "hl7v2", FHIR: "fhir"}
REPLAYED = (EVENTS, *MESSAGES)
"""The topics that a replay reads: the log itself, and the messages before it."""


def topic_of(spec: str, settings: KafkaSettings) -> str:
    """Give the topic that a SOURCE names, without the installation's prefix; raises `SourceError`.

    >>> topic_of("kafka:events.v1", KafkaSettings()), topic_of("kafka:st.events.v1", KafkaSettings(prefix="st."))
    ('events.v1', 'events.v1')
    """
    name = spec.removeprefix(SCHEME)
    if settings.prefix and name not in TOPICS:
        name = name.removeprefix(settings.prefix)
    if name not in REPLAYED:
        raise SourceError(f"{spec}: a replay reads {', '.join(SCHEME + topic for topic in REPLAYED)}")
    return name


class KafkaSource:
    """The messages of one ingest topic, up to where it ended when this was made; in order of received time.

    Raises a `BrokerError` where the topic cannot be read, now or while it is.
    """

    def __init__(self, topic: str, kafka: KafkaSettings, settings: Settings, password: str = "") -> None:
        self.name = SCHEME + topic
        self.skipped: tuple[str, ...] = ()
        self.bytes_read = 0
        self._topic, self._kafka, self._settings, self._password = topic, kafka, settings, password
        with KafkaLog(kafka, password) as log:
            self._extents = log.extents(topic)
        self.bytes_total = sum(extent.records for extent in self._extents.values())
        """Records, in truth: what a bar of progress is drawn by."""

    def __iter__(self) -> Iterator[Arrival]:
        """Read and sort: partitions know nothing of one another's times."""
        return sort_arrivals(self._read(), RECORDS_IN_MEMORY, BYTES_IN_MEMORY)

    def _read(self) -> Iterator[Arrival]:
        topic, kind = self._topic, MESSAGES[self._topic]
        with KafkaLog(self._kafka, self._password) as log:
            for partition, extent in self._extents.items():
                for record in log.read(topic, partition, extent):
                    self.bytes_read += 1
                    item = LogItem(record.offset, record.key, record.value, record.headers, record.record_time)
                    ingest = read_item(topic, partition, item, self._settings)
                    for taken in ingest.messages:
                        yield Arrival(taken.position, ingest.received_time, taken.data, kind, taken.decoded)
