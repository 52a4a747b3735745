"""What a gateway shows of a live service is what the embedded service shows of the same ward."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import structlog

from connectors.kafka.admin import declare
from connectors.kafka.outbox import Outbox
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from connectors.redis.connection import connect
from connectors.redis.layout import PATIENT_STAGE, partition_of
from connectors.redis.partition_store import RedisPartitionStore
from connectors.redis.settings import RedisSettings
from events import Acknowledgement, Envelope, Retirement
from features.store import Entry
from stream.board import LIVE_STATES
from stream.live.board import LiveBoard, StoredRecords
from stream.live.gateway import Gateway
from stream.live_settings import LiveSettings
from stream.partition_fold import PartitionFold
from stream.service_settings import ServiceSettings
from stream.settings import Settings, SiteFile
from stream.view import WardView
from tests.stream.conftest import SICK, WELL, Ward
from tests.stream.live.partitions import SICK as VITALS
from tests.stream.live.partitions import START, Messages
from tests.stream.test_explained_alerts import loud

UNTIL_S = 60


class Shadow:
    """What a live service's workers would have put out of an embedded ward's messages, put there by the test."""

    def __init__(self, kafka: KafkaSettings, redis: RedisSettings, outbox: Outbox) -> None:
        self.kafka, self.redis, self.outbox = kafka, redis, outbox
        client = connect(redis)
        self.stores = [RedisPartitionStore(client, redis.prefix, PATIENT_STAGE, n) for n in range(kafka.partitions)]
        self.epochs = [store.acquire_epoch() for store in self.stores]
        self._given = 0

    async def follow(self, ward: Ward) -> None:
        """Put the ward's states into the store, and its new outputs onto the topics."""
        shelf = ward.service.host.shelf
        for number, (store, epoch) in enumerate(zip(self.stores, self.epochs, strict=True)):
            keys = [key for key in sorted(shelf.keys()) if partition_of(key, len(self.stores)) == number]
            records = {key: shelf.find(key) for key in keys}
            entries = {key: Entry(record.encode()) for key, record in records.items() if record is not None}
            store.commit_entries(epoch, entries, store.watermark() + 1)
        outputs = list(ward.service.outputs.outputs())
        for kind, _, content in outputs[self._given :]:
            await self._put_out(kind, content)
        self._given = len(outputs)

    async def _put_out(self, kind: str, content: bytes) -> None:
        document = json.loads(content)
        if kind == "scores":
            await self.outbox.send([Record("scores.v1", document["patient"].encode(), content)])
        elif kind == "suppressed":
            await self.outbox.send([Record("suppressed.v1", document["patient"].encode(), content)])
        elif kind == "alerts":
            key = document["ward"].encode()
            state = content if document["state"] in LIVE_STATES else None
            await self.outbox.send([Record("alerts.v1", key, content)])
            await self.outbox.send([Record("alerts.state.v1", key + b"|" + document["alert_id"].encode(), state)])


@pytest_asyncio.fixture
async def shadow(kafka: KafkaSettings, redis_settings: RedisSettings) -> AsyncIterator[Shadow]:
    await declare(kafka)
    outbox = Outbox(kafka, client_id="test")
    await outbox.start()
    yield Shadow(kafka, redis_settings, outbox)
    await outbox.stop()


@pytest_asyncio.fixture
async def start(shadow: Shadow) -> AsyncIterator[Callable[..., Any]]:
    """Give a function that starts a gateway in this process."""
    site = SiteFile(
        service=ServiceSettings(mllp_port=0, http_port=0),
        kafka=shadow.kafka,
        redis=shadow.redis,
        live=LiveSettings(canary=False, name="g"),
    )
    async with AsyncExitStack() as stack:

        async def begin() -> tuple[Gateway, aiohttp.ClientSession]:
            gateway = Gateway(site, version="test", log=structlog.get_logger())
            _, port = await gateway.start()
            stack.push_async_callback(gateway.stop)
            session = aiohttp.ClientSession(f"http://127.0.0.1:{port}")
            await stack.enter_async_context(session)
            return gateway, session

        yield begin


async def shown(gateway: Gateway, at: int, like: dict[str, Any]) -> dict[str, Any]:
    """Give the gateway's board as of an instant, once it is as expected or time is up."""
    board: dict[str, Any] = {"patients": None}
    with suppress(TimeoutError):
        async with asyncio.timeout(UNTIL_S):
            while board["patients"] != like["patients"]:  # of one topic more may be heard by then than of another
                board = json.loads(await gateway.reading.board.patients(at, None))
    return board


def populate(ward: Ward) -> None:
    """Let things happen: one is sick and told, one is well, one left, one whose alert was taken back."""
    for mrn in ("sick", "well", "gone", "mistake"):
        ward.admit(mrn)
    ward.chart("sick", 5, SICK)
    ward.chart("well", 6, WELL)
    ward.chart("gone", 7, WELL)
    ward.chart("mistake", 8, SICK)
    ward.adt("A03", "gone", 9)
    ward.chart("mistake", 10, WELL, observed=7, status="C")
    ward.chart("well", 11, WELL)


@pytest.mark.asyncio
@pytest.mark.parametrize("late", [False, True], ids=["heard", "restarted"])
async def test_the_board_is_the_embedded_service_s(late, shadow, start, new_ward) -> None:
    """Patients, scores, ages, alerts and their order are the same, heard as it happens or after a restart."""
    ward = new_ward()
    view = WardView(ward.service)
    gateway = None if late else (await start())[0]
    populate(ward)
    await shadow.follow(ward)
    if gateway is None:
        gateway, _ = await start()
    for minutes in (12, 12 + 13 * 60):  # half a day later every input is stale
        at = ward.at(minutes)
        embedded = json.loads(view.patients(at))
        live = await shown(gateway, at, embedded)
        assert live["patients"] == embedded["patients"]
        assert (live["wards"], live["as_of"]) == (embedded["wards"], embedded["as_of"])
    assert live["patients"][0]["patient"] == ward.key("sick")


@pytest.mark.asyncio
async def test_a_gateway_that_begins_after_an_answer_still_says_why(shadow, start, new_ward, shipped) -> None:
    """Started when the alert's newest event is an answer, the board has the reasons that the ward was told."""
    ward = new_ward(version=loud(shipped), enabled=True)
    ward.admit("1")
    ward.chart("1", 10, WELL)
    ward.chart("1", 30, {**WELL, "hr": 89.0, "rr": 20.0})
    raised, *_ = ward.alerts("1", "model")
    ward.enter(Acknowledgement(ward.at(32), raised["alert_id"], "nurse"), 32, "1")
    await shadow.follow(ward)
    gateway, _ = await start()
    embedded = json.loads(WardView(ward.service).patients(ward.at(33)))
    live = await shown(gateway, ward.at(33), embedded)
    assert live["patients"] == embedded["patients"]
    [row] = live["patients"]
    assert row["alert"]["state"] == "acknowledged"
    assert row["alert"]["explanation"]["reasons"]


@pytest.mark.asyncio
async def test_one_patient_is_the_embedded_service_s(shadow, start, new_ward) -> None:
    """A patient's own document is the same; a key that nobody has is unknown."""
    ward = new_ward()
    view = WardView(ward.service)
    populate(ward)
    await shadow.follow(ward)
    gateway, _ = await start()
    at = ward.at(12)
    await shown(gateway, at, json.loads(view.patients(at)))
    board = gateway.reading.board
    for mrn in ("sick", "well"):
        assert json.loads(await board.patient(ward.key(mrn), at)) == json.loads(view.patient(ward.key(mrn), at))
    assert await board.patient("nobody", at) is None
    assert json.loads(board.open_alerts(at)) == json.loads(view.open_alerts(at))


@pytest.mark.asyncio
async def test_a_patient_whose_score_was_not_heard_is_shown_by_his_state(shadow, start, new_ward) -> None:
    """With the scores gone from the topic, the patient is on the board with NEWS2 as of now, and as sick."""
    ward = new_ward()
    ward.admit("sick")
    ward.chart("sick", 5, SICK)
    shadow._given = len(list(ward.service.outputs.outputs()))
    await shadow.follow(ward)
    gateway, _ = await start()
    [row] = json.loads(await gateway.reading.board.patients(ward.at(6), None))["patients"]
    assert (row["patient"], row["news2"]["total"], row["scored_total"]) == (ward.key("sick"), 12, None)


async def _stream(session: aiohttp.ClientSession, headers: dict[str, str], count: int) -> list[tuple[str, str]]:
    """Give (number, event id) of the alerts that a stream begins with; gaps as ("gap", "")."""
    found: list[tuple[str, str]] = []
    async with asyncio.timeout(UNTIL_S), session.get("/alerts/stream", headers=headers) as response:
        event: dict[str, str] = {}
        async for line in response.content:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                event[name] = value
            elif event:
                if event.get("event") == "gap":
                    found.append(("gap", ""))
                if "id" in event:
                    found.append((event["id"], json.loads(event["data"])["event_id"]))
                if len(found) >= count:
                    return found
                event = {}
    return found


@pytest.mark.asyncio
async def test_a_listener_goes_on_over_a_restart(shadow, start, new_ward) -> None:
    """With the last number of a gateway that is gone, another gives every alert that was missed."""
    ward = new_ward()
    for mrn in ("a", "b", "c"):
        ward.admit(mrn)
    ward.chart("a", 5, SICK)
    await shadow.follow(ward)
    first, session = await start()
    [heard] = await _stream(session, {"Last-Event-ID": "0"}, 1)
    await first.stop()
    ward.chart("b", 6, SICK)
    ward.chart("c", 7, SICK)
    await shadow.follow(ward)
    expected = {alert["event_id"] for alert in ward.alerts()}
    _, session = await start()
    again = await _stream(session, {"Last-Event-ID": heard[0]}, 2)
    missed = expected - {heard[1]}
    while not missed <= {name for _, name in again}:
        again = await _stream(session, {"Last-Event-ID": heard[0]}, len(again) + 1)
    assert "gap" not in {number for number, _ in again}
    [gap, *_] = await _stream(session, {"Last-Event-ID": "1000"}, 2)
    assert gap == ("gap", "")


def test_a_retired_key_is_nobody_on_the_board(redis_settings: RedisSettings) -> None:
    """After a merge his record says where he is known now, and nothing else: he is one row, not two."""
    fold, sick = PartitionFold(0, 1, {}), Messages().envelope(0, VITALS)
    store = RedisPartitionStore(connect(redis_settings), redis_settings.prefix, PATIENT_STAGE, 0)
    board = LiveBoard(StoredRecords(connect(redis_settings), redis_settings.prefix, 1, Settings()))
    shown = []
    retired = Envelope("r", sick.patient, START, START, (Retirement(START, "a" * 32),))
    for number, envelope in enumerate((sick, retired)):
        fold.fold(envelope)
        record = fold.pipeline._shelf.find(sick.patient)
        assert record is not None
        store.commit_entries(store.acquire_epoch(), {sick.patient: Entry(record.encode())}, number)
        board._read_at = float("-inf")
        shown.append(len(json.loads(asyncio.run(board.patients(START, None)))["patients"]))
    assert shown == [1, 0]
