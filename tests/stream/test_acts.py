"""What people do on the embedded service, from bytes to bytes: raised over MLLP, answered over HTTP, replayed alike."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from connectors.acts.door import token_hash
from connectors.acts.people import PeopleSettings, Person
from connectors.decoded import Identifier
from connectors.hl7v2.settings import Hl7Settings
from connectors.http.arrivals import hl7_arrivals
from connectors.mllp.client import MllpClient
from connectors.sqlite.journal import SqliteJournal
from events import Acknowledgement, to_iso
from events.control import Feedback, Limit, Review
from stream.logs import set_up_logs
from stream.release import Release
from stream.replay import Replay
from stream.run import RunningService
from stream.service import EmbeddedService
from stream.service_settings import ServiceSettings
from stream.settings import Settings

NURSE, DOCTOR = "n" * 43, "d" * 43
PEOPLE = PeopleSettings(
    actors={
        "ward-a-nurses": Person(
            "nurse", ("acknowledge", "feedback"), wards=("Ward A",), token_sha256=token_hash(NURSE)
        ),
        "doctor-7": Person("doctor", ("limit", "review"), token_sha256=token_hash(DOCTOR)),
    }
)
RELEASE = Release(Settings(), "test", "", False)
WITHIN_S = 60.0


class Site:
    """A running service, what it logs, and the ways to speak to it; its clock stands where a test puts it."""

    def __init__(self, folder: Path, at: int) -> None:
        self.now = at
        self.logged = io.StringIO()
        self.service = EmbeddedService(folder, RELEASE, {})
        self.running = RunningService(
            folder,
            self.service,
            ServiceSettings(mllp_port=0, http_port=0),
            version="test",
            log=set_up_logs("info", self.logged),
            people=PEOPLE,
            now=lambda: self.now,
        )
        self.url = ""
        self.mllp = 0

    async def start(self) -> None:
        """Listen."""
        self.mllp, http = await self.running.start()
        self.url = f"http://127.0.0.1:{http}"

    async def send(self, messages: list[bytes]) -> None:
        """Send over MLLP."""
        client = MllpClient("127.0.0.1", self.mllp, window=1)
        await client.open()
        assert [answer.code async for answer in client.send_all(messages)] == ["AA"] * len(messages)
        await client.close()
        await self.running.engine.idle()

    async def act(self, token: str, **fields: Any) -> tuple[int, dict[str, Any]]:
        """Hand an act in; give status and answer once it is folded."""
        document = {"at": to_iso(self.now), **fields}
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            aiohttp.ClientSession(self.url) as client,
            client.post("/acts", json=document, headers=headers) as response,
        ):
            answer = json.loads(await response.read())
        await self.running.engine.idle()
        return response.status, answer

    async def alerts(self) -> list[dict[str, Any]]:
        """Give every alert event."""
        async with aiohttp.ClientSession(self.url) as client, client.get("/alerts?limit=1000") as response:
            document: dict[str, Any] = json.loads(await response.read())
        return list(document["alerts"])

    def acts_logged(self) -> list[dict[str, Any]]:
        """Give the lines about acts."""
        lines = [json.loads(line) for line in self.logged.getvalue().splitlines()]
        return [line for line in lines if line["event"] == "act"]


Story = Callable[[Site, list[bytes], str], Awaitable[None]]


def run(ward: Any, folder: Path, story: Story) -> None:
    """Have a service hear of a sick patient, and let a story happen on it."""
    ward.admit("1")
    ward.chart("1", 10, ward.SICK)

    async def whole() -> None:
        site = Site(folder, ward.at(11))
        await site.start()
        try:
            async with asyncio.timeout(WITHIN_S):
                await story(site, ward.sent, ward.key("1"))
        finally:
            await site.running.stop()

    asyncio.run(whole())


def replayed(folder: Path, out: Path) -> str:
    """Replay a journal; give the digest."""
    replay = Replay(out, RELEASE, {})
    journal = SqliteJournal(folder, read_only=True)
    replay.log((envelope for _offset, envelope in journal.read()), counts=journal.counts())
    journal.close()
    return replay.finish(0.0).digest


def recorded(folder: Path) -> list[Any]:
    """Give what people did, as the log has it."""
    journal = SqliteJournal(folder, read_only=True)
    events = [event for _offset, envelope in journal.read() for event in envelope.events]
    journal.close()
    return [event for event in events if isinstance(event, Acknowledgement | Feedback | Review | Limit)]


def test_an_alert_is_answered_over_http_and_replays_alike(ward: Any, tmp_path: Path) -> None:
    """An alert raised by HL7 over MLLP is acknowledged by a nurse's act; the log has it with her actor, a replay of the
    journal gives the same digest, and the log line names neither the patient nor the alert.
    """
    folder = tmp_path / "data"

    async def story(site: Site, messages: list[bytes], patient: str) -> None:
        await site.send(messages)
        [raised] = [alert for alert in await site.alerts() if alert["state"] == "raised"]
        assert raised["patient"] == patient
        said = {"kind": "acknowledge", "patient": patient, "alert_id": raised["alert_id"]}
        status, answer = await site.act(NURSE, act_id="a" * 16, **said)
        assert (status, answer["outcome"]) == (202, "accepted")
        newest = (await site.alerts())[-1]
        assert (newest["alert_id"], newest["state"]) == (raised["alert_id"], "acknowledged")
        assert (await site.act(NURSE, act_id="a" * 16, **said))[0] == 200
        assert (await site.alerts())[-1] == newest
        logged = site.acts_logged()
        assert [(line["outcome"], line["actor"], line["kind"]) for line in logged] == [
            ("accepted", "ward-a-nurses", "acknowledge"),
            ("duplicate", "ward-a-nurses", "acknowledge"),
        ]
        assert patient not in site.logged.getvalue()
        assert raised["alert_id"] not in site.logged.getvalue()

    run(ward, folder, story)
    [event] = recorded(folder)
    assert (type(event), event.actor) == (Acknowledgement, "ward-a-nurses")
    service = EmbeddedService(folder, RELEASE, {})
    digest = service.digest()
    service.close()
    assert replayed(folder, tmp_path / "out") == digest


def test_a_dismissal_and_a_limit_are_shown_and_replay_alike(ward: Any, tmp_path: Path) -> None:
    """A nurse's dismissal answers the alert with its code, a doctor's limit stands on the board with whose it is, and a
    replay of the journal gives the same digest.
    """
    folder = tmp_path / "data"

    async def story(site: Site, messages: list[bytes], patient: str) -> None:
        await site.send(messages)
        raised = (await site.alerts())[-1]
        dismissal = {"kind": "dismiss", "alert_id": raised["alert_id"], "reason": "measurement_error"}
        assert (await site.act(NURSE, act_id="a" * 16, patient=patient, **dismissal))[0] == 202
        answered = (await site.alerts())[-1]
        assert (answered["state"], answered["reason"]) == ("acknowledged", "dismissed")
        assert answered["answer_code"] == "measurement_error"
        limit = {
            "kind": "limit", "act_id": "b" * 16, "patient": patient, "limit_id": "l", "limit": "scale_2",
            "reason": "hypercapnic_failure", "expires_at": to_iso(site.now + 3_600_000),
        }  # fmt: skip
        assert (await site.act(DOCTOR, **limit))[0] == 202
        async with aiohttp.ClientSession(site.url) as client, client.get("/patients") as response:
            [row] = json.loads(await response.read())["patients"]
        assert [(one["kind"], one["by"]) for one in row["limits"]] == [("scale_2", "doctor-7")]

    run(ward, folder, story)
    service = EmbeddedService(folder, RELEASE, {})
    digest = service.digest()
    service.close()
    assert replayed(folder, tmp_path / "out") == digest


def test_a_limit_on_what_has_changed_meanwhile_is_refused_and_what_stands_stays(ward: Any, tmp_path: Path) -> None:
    """A limit that was decided before the one which stands under its name is 409 with why, and is no event; the very
    same one tried again is known. What a doctor sets next replaces it.
    """
    folder = tmp_path / "data"

    async def story(site: Site, messages: list[bytes], patient: str) -> None:
        await site.send(messages)
        limit = {
            "kind": "limit", "patient": patient, "limit_id": "l", "limit": "scale_2", "reason": "hypercapnic_failure",
            "expires_at": to_iso(site.now + 3_600_000),
        }  # fmt: skip
        first = {**limit, "act_id": "b" * 16, "at": to_iso(site.now)}
        assert (await site.act(DOCTOR, **first))[0] == 202
        assert (await site.act(DOCTOR, **first))[0] == 200
        stale = {**limit, "act_id": "c" * 16, "limit": "pregnancy", "at": to_iso(site.now - 60_000)}
        status, answer = await site.act(DOCTOR, **stale)
        assert status == 409
        assert "a later decision stands" in answer["issue"][0]["diagnostics"]
        site.now += 60_000
        assert (await site.act(DOCTOR, **{**stale, "act_id": "d" * 16, "at": to_iso(site.now)}))[0] == 202
        async with aiohttp.ClientSession(site.url) as client, client.get("/patients") as response:
            [row] = json.loads(await response.read())["patients"]
        assert [one["kind"] for one in row["limits"]] == ["pregnancy"]

    run(ward, folder, story)
    assert [one.kind for one in recorded(folder)] == ["scale_2", "pregnancy"]


def test_an_ignored_limit_is_counted(ward: Any, tmp_path: Path) -> None:
    """What the door could not know, the fold says: the metric has it by why."""

    async def story(site: Site, messages: list[bytes], patient: str) -> None:
        await site.send(messages)
        gone = {"kind": "withdraw_limit", "patient": patient, "limit_id": "gone", "limit": "scale_2"}
        assert (await site.act(DOCTOR, act_id="b" * 16, **gone))[0] == 202
        async with aiohttp.ClientSession(site.url) as client, client.get("/metrics") as response:
            assert 'wardstream_limits_unheeded_total{fault="unknown_limit"} 1.0' in await response.text()
        [line] = [json.loads(line) for line in site.logged.getvalue().splitlines() if "limit_unheeded" in line]
        assert (line["fault"], line["limit"], line["actor"]) == ("unknown_limit", "scale_2", "doctor-7")
        assert patient not in site.logged.getvalue()

    run(ward, tmp_path / "data", story)


def test_what_is_stored_and_not_folded_is_waited_for(ward: Any, tmp_path: Path) -> None:
    """Before a message is folded the service does not pretend to know where its patient lies; after it, it does."""
    ward.admit("1")

    async def whole() -> None:
        site = Site(tmp_path / "data", ward.at(11))
        stored = hl7_arrivals(ward.sent[0], Hl7Settings(), "http/1")
        assert stored is not None
        site.service.store([msgspec.structs.replace(one, received_time=site.now) for one in stored])
        assert await site.running.serving.caught_up() is False
        await site.start()
        try:
            async with asyncio.timeout(WITHIN_S):
                while not await site.running.serving.caught_up():
                    pass
            assert await site.running.serving.ward_of(ward.key("1")) == "Ward A"
        finally:
            await site.running.stop()

    asyncio.run(whole())


def test_an_act_is_known_after_a_restart(ward: Any, tmp_path: Path) -> None:
    """A service that was stopped and started knows an act that it had: said again, it changes nothing."""
    folder = tmp_path / "data"
    said = {"kind": "acknowledge", "act_id": "a" * 16, "patient": ward.key("1"), "alert_id": "any"}

    async def first(site: Site, messages: list[bytes], _patient: str) -> None:
        await site.send(messages)
        assert (await site.act(NURSE, **said))[0] == 202

    async def again(site: Site, _messages: list[bytes], _patient: str) -> None:
        assert (await site.act(NURSE, **said))[0] == 200

    run(ward, folder, first)
    run(ward, folder, again)
    assert len(recorded(folder)) == 1


@pytest.mark.parametrize(
    ("token", "changed", "status"),
    [
        ("x" * 43, {}, 401),
        (DOCTOR, {}, 403),
        (NURSE, {"patient": "elsewhere"}, 403),
        (NURSE, {"at": "2025-12-31T12:00:00Z"}, 422),
        (NURSE, {"kind": "dismiss"}, 422),
    ],
    ids=["unknown actor", "right", "other ward", "late", "malformed"],
)
def test_what_may_not_be_done_leaves_the_alert_as_it_is(
    ward: Any, tmp_path: Path, token: str, changed: dict[str, str], status: int
) -> None:
    """An act that is refused is no event, ends no alert, and is told; of nobody known nothing is kept."""
    folder = tmp_path / "data"
    ward.admit("2", ward="Ward B")

    async def story(site: Site, messages: list[bytes], patient: str) -> None:
        await site.send(messages)
        alerts = await site.alerts()
        said = {"kind": "acknowledge", "act_id": "a" * 16, "patient": patient, "alert_id": alerts[-1]["alert_id"]}
        said |= changed | ({"patient": ward.key("2")} if "patient" in changed else {})
        assert (await site.act(token, **said))[0] == status
        assert await site.alerts() == alerts
        assert [line["outcome"] for line in site.acts_logged()] == (["refused"] if status != 401 else [])
        assert ('"event":"unknown_token"' in site.logged.getvalue().replace(": ", ":")) is (status == 401)

    run(ward, folder, story)
    assert recorded(folder) == []
    journal = SqliteJournal(folder, read_only=True)
    assert len(list(journal.dead_letters())) == (0 if status == 401 else 1)
    journal.close()


def test_an_act_on_a_retired_key_is_the_survivors(ward: Any, tmp_path: Path) -> None:
    """A limit that comes under the key which a patient had before a merge is entered for whom he is now."""
    folder = tmp_path / "data"
    ward.chart("old", 5, ward.WELL)
    ward.adt("A40", "1", 9, retired=Identifier("MRN", "old"))

    async def story(site: Site, messages: list[bytes], _patient: str) -> None:
        await site.send(messages)
        limit = {
            "kind": "limit", "act_id": "b" * 16, "patient": ward.key("old"), "limit_id": "l", "limit": "scale_2",
            "reason": "hypercapnic_failure", "expires_at": to_iso(site.now + 3_600_000),
        }  # fmt: skip
        assert (await site.act(DOCTOR, **limit))[0] == 202

    run(ward, folder, story)
    journal = SqliteJournal(folder, read_only=True)
    [patient] = [one.patient for _offset, one in journal.read() if one.events and type(one.events[0]) is Limit]
    journal.close()
    assert patient == ward.key("1")
