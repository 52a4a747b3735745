"""Decisions that a transaction wrote: what it leaves behind in the log is nothing that could be heard."""

from __future__ import annotations

import asyncio
import time

import pytest

from connectors.kafka.admin import declare
from connectors.kafka.outbox import Outbox
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import CONTROL
from connectors.redis.settings import RedisSettings
from events import KillSwitch
from stream.decisions import Decision, encode_decision
from stream.live import progress
from stream.live.worker import Secrets, Worker
from stream.live_settings import LiveSettings
from stream.settings import SiteFile
from tests.stream.live.partitions import UNTIL_S, until
from tests.stream.live.test_stage_app import Heard

STILL_S = 3.0


@pytest.mark.asyncio
async def test_decisions_written_by_a_transaction_end_no_worker(
    kafka: KafkaSettings, redis_settings: RedisSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mark after the newest decision is no decision: nobody waits for it, and no worker is called dead."""
    monkeypatch.setattr(progress, "TAIL_S", 0.2)
    await declare(kafka)
    site = SiteFile(kafka=kafka, redis=redis_settings, live=LiveSettings(name="w", progress_s_max=STILL_S))
    worker = Worker(site, ("ward",), Secrets(), code_version="c", observer=Heard())
    outbox = Outbox(kafka, client_id="test", transactional_id=f"{kafka.prefix}decides")
    await outbox.start()
    try:
        await worker.decisions.start()
        worker._ends.start()
        engaged = Decision(KillSwitch(0, engaged=True), "role:x")
        await outbox.transaction([Record(CONTROL, b"killswitch", encode_decision(engaged))])
        place = (kafka.prefix + CONTROL, 0)
        await until(lambda: worker.decisions.decisions.kill_switch and worker._ends.of(*place) == 2)

        async with asyncio.timeout(UNTIL_S):
            while not worker._heard._empty:
                worker.watch()
                await worker.look_at_decisions()
        began = time.monotonic()

        def longer_than_nothing_may_be_heard() -> bool:
            worker.watch()
            return time.monotonic() - began > STILL_S + 1

        await until(longer_than_nothing_may_be_heard)
        assert worker.dead() == []
    finally:
        await worker._ends.stop()
        await worker.decisions.stop()
        await outbox.stop()
