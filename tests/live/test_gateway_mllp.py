"""The gateway's MLLP ports on a real broker: TLS and its canary, routes by port, batches; what [parse] makes of it."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from threading import Event

import pytest
import pytest_asyncio
import structlog

from connectors.decoded import Decoded
from connectors.kafka.admin import declare
from connectors.kafka.headers import header
from connectors.kafka.reading import tail_topic
from connectors.kafka.settings import KafkaSettings
from connectors.local.certificates import Authority
from connectors.local.ports import free_ports
from connectors.mllp.client import MllpClient, control_id_of
from connectors.mllp.settings import MllpSettings
from connectors.redis.settings import RedisSettings
from events import decode_envelope
from stream.live.canary import FEED
from stream.live.gateway import Gateway
from stream.live.parsing import read_item
from stream.live.stage import LogItem
from stream.live_settings import LiveSettings
from stream.service_settings import ServiceSettings
from stream.settings import SiteFile, parse_site
from tests.live.gateways import HL7, GatewayProcess, chart, configure, numbers, read, send
from tests.stream.test_control_ids import numbered
from tests.stream.test_run_batch import batch
from tests.stream.test_run_mllp import local

WITHIN_S = 60
LOOK_S = 0.02
MESSAGES = 3_000


@pytest_asyncio.fixture
async def declared(kafka: KafkaSettings) -> AsyncIterator[KafkaSettings]:
    """Give a broker with our topics."""
    await declare(kafka)
    yield kafka


@pytest.mark.asyncio
async def test_a_gateway_over_mutual_tls(
    declared: KafkaSettings, redis_settings: RedisSettings, tmp_path: Path
) -> None:
    """A sender with a certificate is AA and his message is on the topic; one without gets nothing through."""
    authority = Authority(tmp_path / "authority")
    server, engine = authority.issue("server"), authority.issue("engine")
    secured = {
        "tls_certificate": server.cert_file,
        "tls_key": server.key_file,
        "tls_client_ca": authority.ca_file,
    }
    text = "\n[mllp]\n" + "\n".join(f"{key} = {json.dumps(str(path))}" for key, path in secured.items()) + "\n"
    gateway = GatewayProcess(tmp_path / "g", declared, redis_settings, people=text)
    try:
        tls = ssl.create_default_context(cafile=str(authority.ca_file))
        tls.load_cert_chain(engine.cert_file, engine.key_file)
        client = MllpClient("127.0.0.1", gateway.mllp, window=8, tls=tls)
        await client.open()
        answers = [answer.code async for answer in client.send_all(chart(number) for number in range(20))]
        await client.close()
        assert answers == ["AA"] * 20
        bare = MllpClient("127.0.0.1", gateway.mllp, tls=ssl.create_default_context(cafile=str(authority.ca_file)))
        with pytest.raises(Exception, match="connection"):
            await _open_and_send(bare, chart(99))
        await bare.close()
        assert numbers(await read(declared, HL7), "MON|W") == list(range(20))
    finally:
        gateway.kill()


@pytest.mark.asyncio
async def test_a_route_by_port_is_known_from_the_log(
    declared: KafkaSettings, redis_settings: RedisSettings, tmp_path: Path
) -> None:
    """A record says which port its message came to where a route goes by it, and [parse] reads it by that route."""
    [port] = free_ports(1)
    text = f'\n[[hl7.routes]]\nname = "monitors"\nport = {port}\nzone = "Asia/Tokyo"\n'
    gateway = GatewayProcess(tmp_path / "g", declared, redis_settings, people=text)
    try:
        for to, number in ((port, 1), (gateway.mllp, 2)):
            assert [one.code for one in await send(to, [local(number, "12")])] == ["AA"]
        records = await read(declared, HL7)
        assert [header(one.headers, "ce_mllpport") for one in records] == [str(port), ""]
        settings = parse_site(gateway.config.read_text()).settings
        found = [
            read_item(
                HL7, one.partition, LogItem(one.offset, one.key, one.value, one.headers, one.record_time), settings
            )
            for one in records
        ]
        first, second = (one.messages[0].decoded for one in found)
        assert isinstance(first, Decoded)
        assert isinstance(second, Decoded)
        assert first.event_time is not None
        assert second.event_time == first.event_time + 9 * 3_600_000
    finally:
        gateway.kill()


@pytest.mark.asyncio
async def test_nothing_of_a_file_is_lost_by_a_kill(
    declared: KafkaSettings, redis_settings: RedisSettings, tmp_path: Path
) -> None:
    """A gateway killed within a file of its watched folder, and started again, has all of it on the topic in order; two
    that watch one folder do not take the file both.
    """
    inbox = tmp_path / "in"
    inbox.mkdir()
    text = f"\n[batch]\nfolder = {json.dumps(str(inbox))}\nlook_s = 0.05\nsettle_s = 0.1\n"
    (tmp_path / "day.hl7").write_bytes(batch(MESSAGES))
    async with aclosing(tail_topic(declared, HL7)) as coming:
        first = asyncio.ensure_future(anext(coming))
        gateway = await asyncio.to_thread(GatewayProcess, tmp_path / "g", declared, redis_settings, people=text)
        (tmp_path / "day.hl7").rename(inbox / "day.hl7")
        async with asyncio.timeout(WITHIN_S):
            await first
        gateway.kill()  # at the first record, not after a whole reading: by then it could have all of them
    found = numbers(await read(declared, HL7), "MON|W")
    assert len(found) < MESSAGES, "the file was too short to be killed within"
    pair = [GatewayProcess(tmp_path / name, declared, redis_settings, people=text) for name in ("h", "i")]
    try:
        while not (inbox / "done" / "day.hl7").exists():
            assert all(one.process.poll() is None for one in pair)
            await asyncio.to_thread(Event().wait, LOOK_S)
        found = numbers(await read(declared, HL7), "MON|W")
        assert set(found) == set(range(MESSAGES))
        assert found[-MESSAGES:] == list(range(MESSAGES)), "the second time it was taken whole, by one of the two"
        assert [one.name for one in (inbox / "done").iterdir() if not one.name.startswith(".")].count("day.hl7") == 1
    finally:
        for one in pair:
            one.kill()


@pytest.mark.asyncio
async def test_repeats_and_reused_ids_over_a_kill(
    declared: KafkaSettings, redis_settings: RedisSettings, tmp_path: Path
) -> None:
    """After kill -9 of the gateway a repeat is AA and changes nothing, and the same control id with other content is a
    new message: [parse] has each content once.
    """
    first = GatewayProcess(tmp_path / "g", declared, redis_settings)
    told = [numbered("1"), numbered("2", minute=1)]
    assert [one.code for one in await send(first.mllp, told)] == ["AA", "AA"]
    first.kill()
    second = GatewayProcess(tmp_path / "g", declared, redis_settings)
    again = [told[0], numbered("1", value=140), told[0], numbered("1", value=141)]
    assert [one.code for one in await send(second.mllp, again)] == ["AA"] * 4
    [feed] = second.get("/feeds").json()["feeds"]
    assert feed["numbering"]["reused"] == 3
    second.kill()
    with worker(tmp_path / "w", declared, redis_settings) as process:
        while len(found := await _envelopes(declared)) < 4:
            assert process.poll() is None
        assert Counter(found) == {"1": 3, "2": 1}


async def _envelopes(kafka: KafkaSettings) -> list[str]:
    return [
        envelope.message_id
        for record in await read(kafka, "events.v1")
        if (envelope := decode_envelope(record.value or b"")).patient
    ]


@contextmanager
def worker(folder: Path, kafka: KafkaSettings, redis: RedisSettings) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker of [parse]."""
    config = configure(folder, kafka, redis)
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "stream.cli", "worker", "--stages", "parse", "--config", str(config)], stderr=log
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def _open_and_send(client: MllpClient, message: bytes) -> None:
    await client.open()
    await client.send(message)


@pytest.mark.asyncio
async def test_the_canary_needs_no_certificate(
    declared: KafkaSettings, redis_settings: RedisSettings, tmp_path: Path
) -> None:
    """Where the port asks senders for a certificate, the gateway's own canary still flies: his messages are taken."""
    authority = Authority(tmp_path / "authority")
    server = authority.issue("server")
    site = SiteFile(
        service=ServiceSettings(mllp_port=0, http_port=0),
        kafka=declared,
        redis=redis_settings,
        live=LiveSettings(name="g"),
        mllp=MllpSettings(str(server.cert_file), str(server.key_file), str(authority.ca_file)),
    )
    gateway = Gateway(site, version="test", log=structlog.get_logger(), canary_interval_s=0.2)
    await gateway.start()
    try:
        async with asyncio.timeout(WITHIN_S):
            while not (found := [one for one in await read(declared, HL7) if one.key == FEED.encode()]):
                pass
        assert control_id_of(found[0].value or b"").startswith(b"canary-")
    finally:
        await gateway.stop()
