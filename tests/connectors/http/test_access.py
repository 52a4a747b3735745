"""Claims about who may read what: an actor of some wards reads these, and learns of nobody elsewhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Collection
from typing import Any

import pytest
import pytest_asyncio

from alerts.monitoring.signal import SignalKind, make_signal
from connectors.acts.door import Door, token_hash
from connectors.acts.people import PeopleSettings, Person
from connectors.http.access import Scoped
from connectors.http.acting import Entrance
from connectors.http.ports import NumberedAlert
from stream.standing import SHOWN_MAX, StandingSignals
from tests.connectors.http.conftest import UNTIL_S, MemoryReading, Serve, Site

PAGER, OUTREACH, SITE = "p" * 43, "o" * 43, "s" * 43
PEOPLE = PeopleSettings(
    actors={
        "pager": Person("ward_system", ("acknowledge",), wards=("Cedar", "Elm"), token_sha256=token_hash(PAGER)),
        "outreach": Person("outreach", ("acknowledge",), token_sha256=token_hash(OUTREACH)),
    }
)
CEDAR, OAK = {"patient": "c" * 32, "ward": "Cedar"}, {"patient": "0a" * 16, "ward": "Oak"}
NOBODY = "f" * 32
OF_ALL = {"ward": "", "patient": "", "kind": "feed_silent"}


@pytest.fixture
def door() -> Door:
    return Door(PEOPLE)


@pytest_asyncio.fixture
async def site(serve: Serve, reading: MemoryReading, door: Door) -> AsyncIterator[Site]:
    """Give a server with a patient, a review, a signal and an open alert on each of two wards."""
    reading.documents["patients"] |= {
        "patients": [CEDAR, OAK],
        "reviews": [OAK, CEDAR],
        "signals": [CEDAR, OAK, {**OF_ALL, "patient": NOBODY}, OF_ALL],
        "wards": ["Cedar", "Oak"],
        "withheld": {"below_threshold": 3},
    }
    reading.documents["open"] = {"as_of": "", "alerts": [OAK, CEDAR]}
    yield await serve(token=SITE, entrance=Entrance(door), heartbeat_s=0.2)


def headers(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def read(site: Site, path: str, token: str = PAGER) -> tuple[int, Any]:
    async with site.client.get(path, headers=headers(token)) as response:
        return response.status, json.loads(await response.read())


@pytest.mark.asyncio
async def test_the_board_has_what_is_of_his_wards(site) -> None:
    """Patients, reviews, signals, wards and open alerts are those of his wards; what names no ward is everybody's."""
    status, board = await read(site, "/patients")
    assert (status, board["patients"], board["reviews"]) == (200, [CEDAR], [CEDAR])
    assert (board["signals"], board["wards"], board["withheld"]) == ([CEDAR, OF_ALL], ["Cedar"], {"below_threshold": 3})
    assert await read(site, "/patients?ward=Elm") == (200, board | {"patients": []})
    assert (await read(site, "/alerts/open"))[1]["alerts"] == [CEDAR]


class Monitored(MemoryReading):
    """A hospital whose monitoring says much."""

    def __init__(self) -> None:
        super().__init__()
        self.standing = StandingSignals()

    async def patients(self, ward: str | None) -> bytes:
        """Give a board with the newest signals."""
        of_one = () if ward is None else (ward,)
        return json.dumps(json.loads(await super().patients(ward)) | {"signals": self.standing.shown(*of_one)}).encode()

    def signals(self, wards: Collection[str]) -> bytes:
        """Give the newest signals of some wards."""
        return json.dumps(self.standing.shown(*wards)).encode()


@pytest.mark.asyncio
@pytest.mark.parametrize("wards", [{"Cedar"}, {"Cedar", "Elm"}], ids=["one ward", "two wards"])
async def test_what_is_lost_on_his_ward_is_said_however_much_is_lost_elsewhere(wards: set[str]) -> None:
    """In an outage the newest signals are of other wards: that his own is not heard is on his board all the same."""
    reading = Monitored()

    def silent(kind: SignalKind, name: str, ward: str) -> None:
        named = {"patient": name} if kind == "patient_silent" else {}
        signal = make_signal(kind, f"{kind}|{name}", "raised", 1, 60_000, 0, 0, ward=ward, wards=(ward,), **named)
        reading.standing.take(signal)

    silent("ward_silent", "Cedar", "Cedar")
    for number in range(SHOWN_MAX):
        silent("patient_silent", f"{number:032x}", "Oak")
    board = json.loads(await Scoped(reading, frozenset(wards)).patients(None))
    assert [(one["kind"], one["ward"]) for one in board["signals"]] == [("ward_silent", "Cedar")]


@pytest.mark.asyncio
async def test_another_ward_is_refused(site) -> None:
    """A ward that is none of his is 403, and it is said why."""
    status, answer = await read(site, "/patients?ward=Oak")
    assert (status, answer["issue"][0]["details"]["text"]) == (403, "this ward is none of this actor's")


@pytest.mark.asyncio
@pytest.mark.parametrize("folded", [True, False])
async def test_nobody_learns_whether_a_patient_lies_elsewhere(site, reading, folded: bool) -> None:  # noqa: FBT001
    """A patient of another ward and a key that nobody has are answered with the same bytes, folded or not yet."""
    reading.folded = folded
    assert await read(site, f"/patients/{CEDAR['patient']}") == (200, CEDAR)
    elsewhere, nobody = [await read(site, f"/patients/{key}") for key in (OAK["patient"], NOBODY)]
    assert elsewhere == nobody
    assert elsewhere[0] == (403 if folded else 503)


@pytest.mark.asyncio
async def test_pages_of_alerts_have_his_and_go_on_past_the_others(site, reading) -> None:
    """Of each page only his wards' events are given, and `next` goes on past those that are not."""
    await reading.say(
        *(
            NumberedAlert(at, json.dumps(one | {"seq": at}).encode(), "raised")
            for at, one in enumerate((CEDAR, OAK, OAK), 1)
        )
    )
    _status, page = await read(site, "/alerts?after=0&limit=2")
    assert ([one["seq"] for one in page["alerts"]], page["next"]) == ([1], 2)
    _status, page = await read(site, "/alerts?after=2&limit=2")
    assert (page["alerts"], page["next"]) == ([], 3)


@pytest.mark.asyncio
async def test_his_stream_has_his_alerts_and_never_falls_silent(site, reading) -> None:
    """An event of another ward is a sign of life without a word of it; the next of his own is told."""
    async with site.client.get("/alerts/stream", headers=headers(PAGER)) as response, asyncio.timeout(UNTIL_S):
        await reading.idle.wait()
        await reading.say(NumberedAlert(1, json.dumps(OAK).encode(), "raised"))
        await reading.say(NumberedAlert(2, json.dumps(CEDAR).encode(), "escalated"))
        told = b""
        while b"escalated" not in told:
            told += await response.content.readany()
    assert b"Oak" not in told
    assert b"event: raised" not in told
    assert b"event: heartbeat" in told


@pytest.mark.asyncio
@pytest.mark.parametrize("token", [OUTREACH, SITE], ids=["an actor of all wards", "the site's"])
async def test_others_read_everything(site, token: str) -> None:
    """Who is bound to no ward reads all of them, and a key that nobody has is 404."""
    assert (await read(site, "/patients", token))[1]["patients"] == [CEDAR, OAK]
    assert (await read(site, "/patients?ward=Oak", token))[1]["patients"] == [OAK]
    assert (await read(site, "/alerts/open", token))[1]["alerts"] == [OAK, CEDAR]
    assert [(await read(site, f"/patients/{key}", token))[0] for key in (OAK["patient"], NOBODY)] == [200, 404]


@pytest.mark.asyncio
async def test_who_is_taken_off_the_list_reads_no_more(site, door: Door) -> None:
    """His next request is 401, and the stream that he has open ends with its next sign of life."""
    async with site.client.get("/alerts/stream", headers=headers(PAGER)) as response, asyncio.timeout(UNTIL_S):
        assert response.status == 200
        door.use(PeopleSettings(actors={"outreach": PEOPLE.actors["outreach"]}))
        told = await response.read()
    assert told.endswith(b"event: end\ndata: {}\n\n")
    assert (await read(site, "/patients"))[0] == 401
    assert (await read(site, "/patients", OUTREACH))[0] == 200
