"""What the log has of the delivery gates: where they stood, and what was told before one moves.

Owns that reading. Must not know what a gate is for.
"""

from __future__ import annotations

from alerts.gate import GateChange, read_changes
from connectors.kafka.headers import header
from connectors.kafka.reading import log_range, read_topic
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import ALERTS, GATES

LOOK_BACK_RECORDS = 64
"""First look at so many offsets before the end: a transaction's own marks take some of them."""


async def read_gates(settings: KafkaSettings, password: str) -> dict[int, list[GateChange]]:
    """Give the recorded changes by partition of `candidates.v1`."""
    return read_changes([record.value async for record in read_topic(settings, GATES, password=password)])


async def newest_told(settings: KafkaSettings, password: str, partition: int) -> int:
    """Give the offset of the newest candidate of a partition that `alerts.v1` has; -1 where it has none."""
    begin, end = (await log_range(settings, ALERTS, password=password))[partition]
    look_back = LOOK_BACK_RECORDS
    while begin < end:
        since = max(end - look_back, begin)
        found = -1
        async for record in read_topic(
            settings, ALERTS, password=password, partitions=(partition,), since={partition: since}
        ):
            found = max(found, int(header(record.headers, "ce_candidateoffset") or -1))
        if found >= 0 or since == begin:
            return found
        look_back *= 8
    return -1
