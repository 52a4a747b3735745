"""Claims about POST /acts: who is let in, what is answered, what is kept, and what is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from alerts.limits import LIMITS_MAX, PatientLimits
from connectors.acts.audit import ActNote
from connectors.acts.codec import ACT_BYTES_MAX
from connectors.acts.door import Door, Who, token_hash
from connectors.acts.people import PeopleSettings, Person
from connectors.decoded import Decoded, Refusal
from connectors.http.acting import Entrance
from events import Acknowledgement, Limit, to_iso
from tests.connectors.http.conftest import NOW, MemoryIntake, MemoryReading, Serve, Site

NURSE, DOCTOR, SITE = "n" * 43, "d" * 43, "s" * 43
PEOPLE = PeopleSettings(
    actors={
        "cedar-nurses": Person("nurse", ("acknowledge",), wards=("Cedar",), token_sha256=token_hash(NURSE)),
        "doctor-7": Person("doctor", ("acknowledge", "feedback", "limit"), token_sha256=token_hash(DOCTOR)),
    }
)
HERE, THERE = "c" * 32, "0a" * 16
HERE_AND_THERE = [{"patient": HERE, "ward": "Cedar"}, {"patient": THERE, "ward": "Oak"}]
SAID = {"kind": "acknowledge", "act_id": "a" * 16, "patient": HERE, "alert_id": "a-1", "at": to_iso(NOW - 5_000)}


@pytest.fixture
def told() -> list[ActNote]:
    return []


@pytest_asyncio.fixture
async def site(serve: Serve, reading: MemoryReading, told: list[ActNote]) -> AsyncIterator[Site]:
    """Give a server with a token for the site, on which two may act."""
    reading.documents["patients"]["patients"] = HERE_AND_THERE
    yield await serve(token=SITE, entrance=Entrance(Door(PEOPLE), told.append))


async def post(site: Site, body: Any, token: str | None = NURSE, kind: str = "application/json") -> tuple[int, Any]:
    """Hand an act in; give status and document."""
    headers = {"Content-Type": kind} | ({} if token is None else {"Authorization": f"Bearer {token}"})
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with site.client.post("/acts", data=data, headers=headers) as response:
        return response.status, json.loads(await response.read())


@pytest.mark.asyncio
async def test_an_act_enters_under_whoever_authenticated(site, intake: MemoryIntake, told) -> None:
    """A nurse's act is answered 202 and offered as her event, of the patient it names; the line about it names neither
    the patient nor the alert.
    """
    status, answer = await post(site, SAID)
    assert (status, answer["outcome"], answer["actor"]) == (202, "accepted", "cedar-nurses")
    [arrival] = intake.arrivals
    assert isinstance(arrival.decoded, Decoded)
    assert arrival.decoded.events == (Acknowledgement(NOW - 5_000, "a-1", "cedar-nurses"),)
    assert arrival.decoded.patient == HERE
    assert told == [ActNote("accepted", "", "acknowledge", "cedar-nurses", "nurse", answer["record"])]


@pytest.mark.asyncio
async def test_the_actor_is_not_whom_a_document_claims(site, intake) -> None:
    """A plain acknowledgement that names another actor is its sender's own."""
    status, answer = await post(site, {"patient": HERE, "alert_id": "a-1", "at": SAID["at"], "actor": "doctor-7"})
    assert (status, answer["actor"]) == (202, "cedar-nurses")
    assert intake.arrivals[0].decoded.events[0].actor == "cedar-nurses"


@pytest.mark.asyncio
async def test_the_same_act_again_changes_nothing(site) -> None:
    """Said twice it is 200, a duplicate; also where another has captured it and hands it in as his own."""
    assert (await post(site, SAID))[0] == 202
    assert [(await post(site, SAID, token))[0] for token in (NURSE, DOCTOR)] == [200, 200]


@pytest.mark.asyncio
@pytest.mark.parametrize("token", [None, SITE, "x" * 43, ""], ids=["none", "the site's", "nobody's", "empty"])
async def test_nobody_we_know_is_not_let_in(site, intake, told, token) -> None:
    """Without the token of somebody who may act it is 401: nothing is kept of it, and it is told."""
    status, _answer = await post(site, SAID, token)
    assert (status, intake.arrivals) == (401, [])
    assert [(one.outcome, one.reason, one.actor) for one in told] == [("refused", "unauthorised", "")]


@pytest.mark.asyncio
async def test_who_is_taken_off_the_list_while_his_act_comes_is_not_let_in(serve: Serve, reading, intake, told) -> None:
    """What counts is who may act when the act is there, however long ago its first byte came."""
    reading.documents["patients"]["patients"] = HERE_AND_THERE
    looked = asyncio.Event()

    class Watched(Door):
        """Says when it was asked."""

        def by_token(self, token: str) -> Who | None:
            looked.set()
            return super().by_token(token)

    door = Watched(PEOPLE)
    site = await serve(token=SITE, entrance=Entrance(door, told.append))

    async def slowly() -> AsyncIterator[bytes]:
        data = json.dumps(SAID).encode()
        yield data[:10]
        await looked.wait()
        door.use(PeopleSettings(actors={"doctor-7": PEOPLE.actors["doctor-7"]}))
        yield data[10:]

    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {NURSE}"}
    async with site.client.post("/acts", data=slowly(), headers=headers) as response:
        assert response.status == 401
    assert intake.arrivals == []
    assert [(one.outcome, one.reason, one.actor) for one in told] == [("refused", "unauthorised", "")]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("body", "status", "reason", "place"),
    [
        ({**SAID, "kind": "agree"}, 403, "not_entitled", "$.kind"),
        ({**SAID, "patient": THERE}, 403, "not_entitled", "$.patient"),
        ({**SAID, "patient": "f" * 32}, 403, "not_entitled", "$.patient"),
        ({**SAID, "at": to_iso(NOW - 3_700_000)}, 422, "late", "$.at"),
        ({**SAID, "at": to_iso(NOW + 400_000)}, 422, "future_time", "$.at"),
        ({**SAID, "alert_id": 7}, 422, "invalid_value", "$.alert_id"),
        ({**SAID, "kind": "dismiss"}, 422, "invalid_value", "$"),
        (b"{", 400, "garbage", "$"),
    ],
    ids=["right", "other ward", "unknown patient", "late", "ahead", "misfit", "no reason", "no JSON"],
)
async def test_what_may_not_enter_is_answered_with_its_place_and_kept(
    site, intake, told, body, status, reason, place
) -> None:
    """What somebody we know hands in and is refused is a dead letter with reason and place, answered and told."""
    given, answer = await post(site, body)
    assert given == status
    assert answer["issue"][0]["details"]["text"].startswith(reason.replace("_", " "))
    [arrival] = intake.arrivals
    assert isinstance(arrival.decoded, Refusal)
    assert (arrival.decoded.reason, arrival.decoded.position) == (reason, place)
    assert [(one.outcome, one.reason, one.actor) for one in told] == [("refused", reason, "cedar-nurses")]


@pytest.mark.asyncio
async def test_an_answer_names_the_path_of_a_misfit(site) -> None:
    """The path within the act stands in the answer, and nothing that was sent."""
    _status, answer = await post(site, {**SAID, "patient": "Doe, John"})
    assert answer["issue"][0]["expression"] == ["Resource.patient"]
    assert "Doe" not in json.dumps(answer)


@pytest.mark.asyncio
async def test_a_large_body_is_refused_before_it_is_read(site, intake, told) -> None:
    """Past the size of an act it is 413; nothing is kept, and it is told."""
    status, _answer = await post(site, b" " * (ACT_BYTES_MAX + 1))
    assert (status, intake.arrivals) == (413, [])
    assert [(one.outcome, one.reason, one.actor) for one in told] == [("refused", "too-long", "cedar-nurses")]


@pytest.mark.asyncio
async def test_another_format_is_refused(site, intake) -> None:
    """An act is JSON and says so."""
    status, _answer = await post(site, SAID, kind="text/plain")
    assert (status, intake.arrivals) == (415, [])


@pytest.mark.asyncio
async def test_what_is_not_stored_is_told_to_be_said_again(site, intake, told) -> None:
    """Where nothing can be stored the answer is 503, and the line says so: nobody believes an alert answered."""
    intake.refuses_with = "overloaded"
    status, _answer = await post(site, SAID)
    assert (status, [(one.outcome, one.reason) for one in told]) == (503, [("not_stored", "overloaded")])


LIMIT = {
    "kind": "limit", "act_id": "b" * 16, "patient": HERE, "limit_id": "l", "limit": "scale_2", "at": SAID["at"],
    "reason": "hypercapnic_failure", "expires_at": to_iso(NOW + 3_600_000),
}  # fmt: skip


def standing(*, at: int, actor: str = "registrar", name: str = "l") -> Limit:
    return Limit(at, name, "scale_2", NOW + 3_600_000, actor, "hypercapnic_failure")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("kept", "changed", "place", "detail"),
    [
        ([standing(at=NOW - 4_000)], {}, "$.limit_id", "a later decision stands"),
        ([standing(at=NOW - 5_000)], {}, "$.limit_id", "a later decision stands"),
        ([standing(at=NOW - 9_000, name=f"n{n}") for n in range(LIMITS_MAX)], {}, "$.limit_id", "has 64 limits"),
        ([], {"at": to_iso(NOW - 600_000), "expires_at": to_iso(NOW)}, "$.expires_at", "over already"),
    ],
    ids=["a later one stands", "another of the same moment stands", "too many", "over"],
)
async def test_a_limit_that_would_change_nothing_is_refused(
    site, intake, reading, told, kept: list[Limit], changed: dict[str, str], place: str, detail: str
) -> None:
    """Where it is known that a limit would be ignored, whoever sets it is told so, with the place and why: 409."""
    reading.limits[HERE] = limits = PatientLimits()
    for one in kept:
        limits.take(one, NOW)
    status, answer = await post(site, LIMIT | changed, DOCTOR)
    assert status == 409
    assert answer["issue"][0]["expression"] == ["limit" + place[1:]]
    assert detail in answer["issue"][0]["diagnostics"]
    [arrival] = intake.arrivals
    assert (arrival.decoded.reason, arrival.decoded.position) == ("outdated", place)
    assert [(one.outcome, one.reason, one.actor) for one in told] == [("refused", "outdated", "doctor-7")]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "kept",
    [
        standing(at=NOW - 6_000),
        standing(at=NOW - 5_000, actor="doctor-7"),
        standing(at=NOW - 1_000, name="other"),
    ],
    ids=["it replaces", "it is the same again", "another's"],
)
async def test_a_limit_that_changes_something_or_is_the_same_again_is_taken(site, reading, kept: Limit) -> None:
    """A later decision, one of another name, and the very same one tried again after no answer came are let in."""
    reading.limits[HERE] = limits = PatientLimits()
    limits.take(kept, NOW)
    assert (await post(site, LIMIT, DOCTOR))[0] == 202


@pytest.mark.asyncio
@pytest.mark.parametrize("patient", [THERE, "f" * 32], ids=["elsewhere", "unknown"])
async def test_while_records_are_not_folded_nobody_is_told_that_he_may_not(
    site, intake, reading, told, patient
) -> None:
    """Where a patient's admission may not be folded yet it is 503, try again, wherever he lies as far as is known; one
    who is known to lie on the actor's ward is acted for at once.
    """
    reading.folded = False
    status, answer = await post(site, {**SAID, "patient": patient})
    assert (status, intake.arrivals) == (503, [])
    assert "try again" in answer["issue"][0]["details"]["text"]
    assert [(one.outcome, one.actor) for one in told] == [("not_stored", "cedar-nurses")]
    reading.waited = 0
    assert (await post(site, SAID))[0] == 202
    assert reading.waited == 0


@pytest.mark.asyncio
async def test_whoever_may_act_may_look(site) -> None:
    """An actor's token opens what is read, so that one token does for the board, and nothing that feeds write."""
    async with site.client.get("/patients", headers={"Authorization": f"Bearer {NURSE}"}) as response:
        assert response.status == 200
    headers = {"Authorization": f"Bearer {NURSE}", "Content-Type": "application/hl7-v2"}
    async with site.client.post("/hl7", data=b"MSH|", headers=headers) as response:
        assert response.status == 401


@pytest.mark.asyncio
async def test_where_nobody_may_act_nothing_is_taken(serve: Serve, intake) -> None:
    """Without people, on this machine and without any token too, an act is 403."""
    site = await serve()
    status, answer = await post(site, SAID, None)
    assert (status, intake.arrivals) == (403, [])
    assert "[people]" in json.dumps(answer)


@pytest.mark.asyncio
async def test_another_sites_page_cannot_act(site, intake) -> None:
    """What a browser sends on behalf of another site is refused, whatever token it has."""
    headers = {"Authorization": f"Bearer {NURSE}", "Origin": "http://evil.example", "Content-Type": "application/json"}
    async with aiohttp.ClientSession(site.url) as client, client.post("/acts", json=SAID, headers=headers) as response:
        assert (response.status, intake.arrivals) == (403, [])
