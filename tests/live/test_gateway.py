"""The gateway on a real broker and Redis: what it acknowledges is on the ingest topics, in each sender's order."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from connectors.kafka.admin import declare
from connectors.kafka.headers import header
from connectors.kafka.settings import KafkaSettings
from connectors.redis.settings import RedisSettings
from stream.live.intake import RECORD_VALUE_BYTES_MAX
from tests.live.gateways import HL7, LETTERS, GatewayProcess, chart, is_subsequence, numbers, read, send

SENDERS = ("MON|A", "MON|B", "MON|C", "MON|D")


@pytest_asyncio.fixture
async def declared(kafka: KafkaSettings) -> KafkaSettings:
    await declare(kafka)
    return kafka


@pytest.fixture
def running(tmp_path: Path, declared: KafkaSettings, redis_settings: RedisSettings) -> Iterator[GatewayProcess]:
    """Give a gateway that listens."""
    gateway = GatewayProcess(tmp_path / "g", declared, redis_settings)
    yield gateway
    gateway.kill()


@pytest_asyncio.fixture
async def http(running: GatewayProcess) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(running.url) as session:
        yield session


@pytest.mark.asyncio
async def test_what_is_acknowledged_is_on_the_topic_in_order(declared, running) -> None:
    """Four senders pipeline 200 messages each: all are AA, and lie in each sender's order, stamped in rising time."""
    sent = await asyncio.gather(*(send(running.mllp, [chart(n, feed=feed) for n in range(200)]) for feed in SENDERS))
    assert all(answer.code == "AA" for answers in sent for answer in answers)
    records = await read(declared, HL7)
    for feed in SENDERS:
        assert numbers(records, feed) == list(range(200))
        stamps = [int(header(one.headers, "ws_received")) for one in records if one.key == feed.encode()]
        assert stamps == sorted(stamps)


@pytest.mark.asyncio
async def test_a_refused_message_is_answered_truthfully_and_kept(declared, running) -> None:
    """A message without a patient is AE and lies among the letters with its bytes, and on no ingest topic."""
    bad = chart(1).replace(b"42^^^MRN", b"")
    [answer] = await send(running.mllp, [bad])
    assert answer.code == "AE"
    [letter] = [json.loads(record.value or b"") for record in await read(declared, LETTERS)]
    assert base64.b64decode(letter["data_base64"]).startswith(b"MSH|")
    assert letter["reason"]
    assert await read(declared, HL7) == []


@pytest.mark.asyncio
async def test_messages_past_the_size_limit_are_refused(declared, running, http) -> None:
    """An HL7 message past its limit is refused and kept; a FHIR body past a record's size is 413 and stored nowhere."""
    long = chart(1).replace(b"|72|", b"|" + b"7" * (1024 * 1024) + b"|")
    [answer] = await send(running.mllp, [long])
    assert answer.code in {"AE", "AR"}
    body = b'{"resourceType":"Basic","id":"%b"}' % (b"x" * RECORD_VALUE_BYTES_MAX)
    async with http.post("/fhir", data=body, headers={"Content-Type": "application/fhir+json"}) as response:
        assert response.status == 413
    [letter] = [json.loads(record.value or b"") for record in await read(declared, LETTERS)]
    assert letter["reason"] == "oversized"
    assert await read(declared, HL7) == await read(declared, "fhir.ingest.v1") == []


@pytest.mark.asyncio
async def test_a_bundle_is_taken_whole(declared, running, http) -> None:
    """A posted Bundle of several resources is answered as stored, and is one record, byte for byte."""
    body = b'{"resourceType":"Bundle","type":"collection","entry":[%b]}' % b",".join(
        b'{"resource":{"resourceType":"Basic","id":"b%d"}}' % n for n in range(1_200)
    )
    async with http.post("/fhir", data=body, headers={"Content-Type": "application/fhir+json"}) as response:
        assert response.status == 200
        assert "1200 resources stored" in await response.text()
    assert [record.value for record in await read(declared, "fhir.ingest.v1")] == [body]


@pytest.mark.asyncio
@pytest.mark.parametrize("after", [40, 150])
async def test_nothing_acknowledged_is_lost_by_a_kill(after, tmp_path, declared, redis_settings, running) -> None:
    """Killed (-9) under load, then another gateway: every AA is on the topic, in its sender's order."""
    acknowledged: dict[str, list[int]] = {feed: [] for feed in SENDERS}
    enough = asyncio.Event()

    async def keep_sending(feed: str) -> None:
        at = 0
        while True:
            answers = await send(running.mllp, [chart(n, feed=feed) for n in range(at, at + 10)], window=4)
            acknowledged[feed] += [at + n for n, answer in enumerate(answers) if answer.code == "AA"]
            if len(answers) < 10:
                return
            at += 10
            if len(acknowledged[feed]) >= after:
                enough.set()

    tasks = [asyncio.create_task(keep_sending(feed)) for feed in SENDERS]
    async with asyncio.timeout(60):
        await enough.wait()
    running.kill()
    await asyncio.gather(*tasks)
    with ThreadPoolExecutor(1) as pool:
        loop = asyncio.get_running_loop()
        second = await loop.run_in_executor(pool, lambda: GatewayProcess(tmp_path / "h", declared, redis_settings))
    try:
        for feed in SENDERS:
            [answer] = await send(second.mllp, [chart(10_000, feed=feed)])
            assert answer.code == "AA"
            acknowledged[feed].append(10_000)
    finally:
        second.kill()
    records = await read(declared, HL7)
    for feed in SENDERS:
        assert len(acknowledged[feed]) > 1
        assert is_subsequence(acknowledged[feed], numbers(records, feed))


@pytest.mark.asyncio
async def test_a_stop_in_order_answers_what_was_read(declared, running) -> None:
    """SIGTERM under load: exit code 0, and every AA is on the topic."""
    sending = asyncio.create_task(send(running.mllp, [chart(n) for n in range(5_000)], window=16))
    async with asyncio.timeout(60):
        while not await read(declared, HL7):
            pass
    code = await asyncio.to_thread(running.stop)
    answers = await sending
    assert code == 0
    stored = set(numbers(await read(declared, HL7), "MON|W"))
    assert {n for n, answer in enumerate(answers) if answer.code == "AA"} <= stored


@pytest.mark.asyncio
async def test_health_feeds_and_an_empty_board_can_be_read(running) -> None:
    """A gateway without any worker is live and ready, shows nobody, and knows its feeds."""
    [answer] = await send(running.mllp, [chart(1)])
    assert answer.code == "AA"
    paths = ("/health/live", "/health/ready", "/patients", "/alerts", "/alerts/open", "/feeds", "/metrics")
    answers = {path: await asyncio.to_thread(running.get, path) for path in paths}
    assert {path: one.status_code for path, one in answers.items()} == dict.fromkeys(paths, 200)
    assert answers["/patients"].json()["patients"] == []
    assert answers["/feeds"].json()["feeds"][0]["feed"] == "MON|W"
    assert 'wardstream_messages_total{format="hl7v2",outcome="accepted"} 1.0' in answers["/metrics"].text


@pytest.mark.asyncio
async def test_no_identifier_is_logged(declared, running) -> None:
    """Neither logs nor metrics hold an identifier or a name of what was sent, refused or not."""
    await send(running.mllp, [chart(1, mrn="ZZYXQ4711"), chart(2, mrn="ZZYXQ4711").replace(b"MRN^MR", b"^^^^")])
    metrics = (await asyncio.to_thread(running.get, "/metrics")).text
    assert "ZZYXQ4711" not in metrics
    assert "ZZYXQ4711" not in running.errors.read_text()
