"""A log whose records retention took before anybody folded them: there is nothing to wait for."""

from __future__ import annotations

import time

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from connectors.kafka.admin import open_admin
from connectors.kafka.settings import KafkaSettings
from stream.live import progress
from tests.live.test_consumer import EACH, Running, reading, written
from tests.stream.live.partitions import until

__all__ = ["written"]

STILL_S = 2.0


def at_hand(running: Running, kafka: KafkaSettings) -> bool:
    """Whether every partition is open, and the broker has said where each ends."""
    ends = [one.lag for one in running.app.progress()] if running.app.app.started else []
    return len(running.app._opened) == kafka.partitions and len(ends) == kafka.partitions


@pytest.mark.asyncio
async def test_a_log_that_retention_emptied_starves_no_stage(
    written: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a new store, and all records gone: the stage stands at the log's end, and its process goes on."""
    monkeypatch.setattr(progress, "TAIL_S", 0.3)
    gone = {TopicPartition(f"{written.prefix}events.v1", n): RecordsToDelete(EACH) for n in range(written.partitions)}
    async with open_admin(written, "") as admin:
        await admin.delete_records(gone)
    async with reading(written, 0, still_s_max=STILL_S) as running:
        await until(lambda: at_hand(running, written))
        began = time.monotonic()

        def longer_than_it_may_stand_still() -> bool:
            running.app.watch()
            return time.monotonic() - began > STILL_S + 6

        await until(longer_than_it_may_stand_still)
        assert {one.lag for one in running.app.progress()} == {0}
        assert running.app.dead() == []
