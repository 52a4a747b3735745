"""The gateway while its broker is away, frozen or slow: no false ACK, bounded memory, and well again by itself.

Each test has a broker of its own, for it is stopped.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from connectors.kafka.admin import declare
from connectors.kafka.settings import KafkaSettings
from tests.live.gateways import HL7, GatewayProcess, chart, is_subsequence, numbers, read, send

RECOVERED_S = 30.0
ANSWERED_S = 30.0
"""What an interface engine waits by default."""
MEMORY_MIB_MAX = 256
"""What a gateway may grow by while senders push against a broker that takes nothing: its bounds are 32 MiB of what
waits, the same in flight within the servers, and what decoding them takes."""


class Site:
    """A gateway and its broker."""

    def __init__(self, broker: Any, kafka: KafkaSettings, gateway: GatewayProcess) -> None:
        self.broker, self.kafka, self.gateway = broker, kafka, gateway

    def resident_mib(self) -> float:
        """Give the gateway's memory."""
        for line in Path(f"/proc/{self.gateway.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        raise AssertionError

    async def ready(self) -> httpx.Response:
        """Ask how it is."""
        return await asyncio.to_thread(self.gateway.get, "/health/ready")

    async def until_ready(self, status: int, within_s: float) -> float:
        """Wait until readiness has a status; give how long it took."""
        began = time.monotonic()
        async with asyncio.timeout(within_s):
            while (await self.ready()).status_code != status:
                await asyncio.to_thread(self.gateway.get, "/health/live")
        return time.monotonic() - began


@pytest_asyncio.fixture
async def site(own_kafka: Callable[..., Any], redis_settings: Any, tmp_path: Path) -> AsyncIterator[Site]:
    broker = own_kafka()
    kafka = broker.settings(prefix="g.", partitions=2)
    await declare(kafka)
    gateway = GatewayProcess(tmp_path / "g", kafka, redis_settings)
    yield Site(broker, kafka, gateway)
    gateway.kill()


@pytest.mark.asyncio
async def test_a_broker_restart_costs_no_message_and_no_order(site) -> None:
    """Killed and started again under load: no AA without a record, senders repeat, order holds, ready within 30 s."""
    acknowledged: list[int] = []
    codes: set[str] = set()
    stop = asyncio.Event()

    async def keep_sending() -> None:
        """Send as an engine does: the next message only after this one's AA; else the same again."""
        at = 0
        while not stop.is_set():
            for answer in await send(site.gateway.mllp, [chart(at)], window=1):
                codes.add(f"{answer.code} {answer.error_code}".strip())
                if answer.code == "AA":
                    acknowledged.append(at)
                    at += 1

    async def until(count: int) -> None:
        async with asyncio.timeout(RECOVERED_S):
            while len(acknowledged) < count:
                await asyncio.to_thread(site.gateway.get, "/health/live")

    sending = asyncio.create_task(keep_sending())
    await until(20)
    await asyncio.to_thread(site.broker.kill)
    await site.until_ready(503, RECOVERED_S)
    before = len(acknowledged)
    await asyncio.to_thread(site.broker.start)
    await until(before + 20)
    recovered_s = await site.until_ready(200, RECOVERED_S)
    stop.set()
    await sending
    assert recovered_s < RECOVERED_S
    assert codes <= {"AA", "AR 207"}
    found = numbers(await read(site.kafka, HL7), "MON|W")
    assert is_subsequence(acknowledged, found)
    # A repeat may follow its first; a later message never lies before an earlier one's first.
    firsts = list(dict.fromkeys(found))
    assert firsts == sorted(firsts)


@pytest.mark.asyncio
async def test_without_a_broker_senders_are_answered_in_time(site) -> None:
    """With the broker frozen, MLLP gets AR 207 and HTTP gets 503 with Retry-After, before an engine gives up."""
    await asyncio.to_thread(site.broker.freeze)
    began = time.monotonic()
    headers = {"Content-Type": "application/fhir+json"}
    body = b'{"resourceType":"Basic","id":"b"}'
    async with httpx.AsyncClient(timeout=ANSWERED_S, trust_env=False) as client:
        posted, [answer] = await asyncio.gather(
            client.post(site.gateway.url + "/fhir", content=body, headers=headers), send(site.gateway.mllp, [chart(1)])
        )
    assert time.monotonic() - began < ANSWERED_S
    assert (answer.code, answer.error_code) == ("AR", "207")
    assert posted.status_code == 503
    assert int(posted.headers["retry-after"]) > 0
    problems = (await site.ready()).json()["problems"]
    assert any("not taken" in problem for problem in problems)
    await asyncio.to_thread(site.broker.thaw)
    await site.until_ready(200, RECOVERED_S)
    async with asyncio.timeout(RECOVERED_S):
        while [one.code for one in await send(site.gateway.mllp, [chart(2)])] != ["AA"]:
            pass


@pytest.mark.asyncio
async def test_memory_is_bounded_while_the_broker_takes_nothing(site) -> None:
    """Sixteen senders push 16 MiB each of long messages against a frozen broker: memory stays within its bounds."""
    padding = b"NTE|1||" + b"x" * 900_000 + b"\r"
    messages = [chart(n) + padding for n in range(18)]
    await asyncio.gather(*(send(site.gateway.mllp, messages[:1]) for _ in range(4)))
    before = site.resident_mib()
    await asyncio.to_thread(site.broker.freeze)
    senders = asyncio.gather(*(send(site.gateway.mllp, messages, window=18) for _ in range(16)))
    most = before
    while not senders.done():
        most = max(most, site.resident_mib())
        await asyncio.to_thread(site.gateway.get, "/health/live")
    assert most - before < MEMORY_MIB_MAX, f"grew by {most - before:.0f} MiB"
    assert {answer.code for answers in await senders for answer in answers} <= {"AR"}
    await asyncio.to_thread(site.broker.thaw)
    async with asyncio.timeout(RECOVERED_S):
        while [one.code for one in await send(site.gateway.mllp, [chart(99)])] != ["AA"]:
            pass
