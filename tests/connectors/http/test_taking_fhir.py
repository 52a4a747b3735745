"""Claims about taking FHIR in: what is stored, and what is answered."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest
from fhir.resources.R4B.operationoutcome import OperationOutcome

from connectors.decoded import MESSAGE_BYTES_MAX, Decoded, Refusal
from connectors.http.limits import ENTRIES_MAX, OFFERED_AT_ONCE_MAX

FHIR = {"Content-Type": "application/fhir+json"}


def observation(number: int, **changed: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": f"o{number}",
        "status": "final",
        "subject": {"reference": "Patient/p1"},
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "effectiveDateTime": "2026-01-01T10:00:00Z",
        "issued": "2026-01-01T10:05:00Z",
        "valueQuantity": {"value": 70 + number, "system": "http://unitsofmeasure.org", "code": "/min"},
        **changed,
    }


def bundle(*resources: dict[str, Any], kind: str = "batch") -> bytes:
    return json.dumps(
        {"resourceType": "Bundle", "type": kind, "entry": [{"resource": one} for one in resources]}
    ).encode()


async def told(response: Any) -> OperationOutcome:
    assert response.content_type == "application/fhir+json"
    return OperationOutcome.model_validate_json(await response.read())


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/fhir"), ("POST", "/fhir/Observation"), ("PUT", "/fhir/Observation/o1")]
)
@pytest.mark.parametrize("media", ["application/fhir+json", "application/json; charset=utf-8"])
async def test_a_resource_is_taken_by_each_way(serve, intake, method: str, path: str, media: str) -> None:
    """A resource is taken by POST and by PUT, as a subscription delivers it, and 200 says that one is stored."""
    site = await serve()
    headers = {"Content-Type": media}
    async with site.client.request(method, path, data=json.dumps(observation(1)), headers=headers) as response:
        [issue] = (await told(response)).issue
        assert (response.status, issue.severity, issue.details.text) == (200, "information", "1 resource stored")
    [arrival] = intake.arrivals
    assert (arrival.format, arrival.position, arrival.received_time) == ("fhir", "http/1#1", None)
    assert arrival.decoded.message_id == "Observation/o1"


@pytest.mark.asyncio
async def test_observations_of_one_moment_are_one_arrival(serve, intake) -> None:
    """A Bundle's observations of one moment are offered as one, and counted as many; again they are known already."""
    site = await serve()
    body = bundle(observation(1), observation(2), observation(3))
    for text in ("3 resources stored", "3 resources stored, 3 of them known already"):
        async with site.client.post("/fhir", data=body, headers=FHIR) as response:
            assert (response.status, (await told(response)).issue[0].details.text) == (200, text)
    assert [arrival.decoded.parts for arrival in intake.arrivals] == [3, 3]
    assert intake.arrivals[0].data.count(b'"resourceType"') == 3


@pytest.mark.asyncio
async def test_a_part_that_is_refused_is_named(serve, intake) -> None:
    """Of a Bundle in which one entry cannot be used, 200 tells what is stored, and an error where the other is."""
    site = await serve()
    body = bundle(observation(1), observation(2, status="fnial"))
    async with site.client.post("/fhir", data=body, headers=FHIR) as response:
        stored, refused = (await told(response)).issue
    assert response.status == 200
    assert (stored.severity, stored.details.text) == ("information", "1 resource stored")
    assert (refused.severity, refused.code) == ("error", "value")
    assert refused.expression == ["Bundle.entry[1].resource.status"]
    assert refused.details.text == "invalid value; kept as a dead letter"
    assert json.loads(intake.arrivals[1].data)["id"] == "o2", "a dead letter has the bytes of its own entry"


@pytest.mark.asyncio
async def test_nothing_that_can_be_used_is_422(serve, intake) -> None:
    """Where no entry can be used the answer is 422 with an issue for each, and all are kept."""
    site = await serve()
    body = bundle(observation(1, subject=None), observation(2, status="fnial"))
    async with site.client.post("/fhir", data=body, headers=FHIR) as response:
        issues = (await told(response)).issue
    assert (response.status, [issue.severity for issue in issues]) == (422, ["error", "error"])
    assert len(intake.arrivals) == 2


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["batch", "message", "subscription-notification"])
async def test_r5_is_answered_alike(serve, intake, kind: str) -> None:
    """What is wrong in R5 is named by its own path, in whatever Bundle; its bytes are kept, the rest is stored."""
    site = await serve()
    stay = {
        "resourceType": "Encounter",
        "id": "e1",
        "status": "discharged",
        "class": [{"coding": [{"code": "IMP"}]}],
        "subject": {"reference": "Patient/p1"},
        "actualPeriod": {"start": "2026-01-01T00:00:00Z", "end": "later"},
    }
    r5 = {"Content-Type": "application/fhir+json; fhirVersion=5.0"}
    async with site.client.post("/fhir", data=bundle(stay, observation(1), kind=kind), headers=r5) as response:
        issues = (await told(response)).issue
    assert response.status == 200
    [bad] = [issue for issue in issues if issue.severity == "error"]
    assert bad.expression == ["Bundle.entry[0].resource.actualPeriod.end"]
    kept = [json.loads(one.data) for one in intake.arrivals if isinstance(one.decoded, Refusal)]
    assert kept == [stay]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "body",
    [b"hello", b'{"resourceType":"Observation"', b"[1,2]", b"\x00\x01\xff", '{"resourceType":"é'.encode("utf-16")],
)
async def test_what_is_no_fhir_is_400_and_kept(serve, intake, body: bytes) -> None:
    """A body that is no JSON, is cut off or is in another encoding is answered 400, and kept as a dead letter."""
    site = await serve()
    async with site.client.post("/fhir", data=body, headers=FHIR) as response:
        [issue] = (await told(response)).issue
    assert (response.status, issue.severity, issue.code) == (400, "error", "structure")
    assert [arrival.data for arrival in intake.arrivals] == [body]


@pytest.mark.asyncio
async def test_an_empty_body_is_400(serve, intake) -> None:
    """An empty body is the sender's fault, says what is missing, and leaves nothing to keep."""
    site = await serve()
    async with site.client.post("/fhir", data=b" ", headers=FHIR) as response:
        assert (response.status, (await told(response)).issue[0].code) == (400, "required")
    assert intake.arrivals == []


@pytest.mark.asyncio
async def test_a_type_other_than_the_urls_is_refused(serve, intake) -> None:
    """A resource under another type's URL is refused with its place, and kept."""
    site = await serve()
    async with site.client.put("/fhir/Patient/o1", data=json.dumps(observation(1)), headers=FHIR) as response:
        [issue] = (await told(response)).issue
    assert (response.status, issue.expression) == (422, ["Patient.resourceType"])
    assert not isinstance(intake.arrivals[0].decoded, Decoded)


@pytest.mark.asyncio
async def test_the_answer_waits_for_the_receipts(serve, intake) -> None:
    """Nothing is answered before the intake says that all is durable."""
    site = await serve()
    intake.held = asyncio.Event()
    posting = asyncio.create_task(site.client.post("/fhir", data=json.dumps(observation(1)), headers=FHIR))
    await intake.offered.wait()
    async with site.client.get("/health/live") as alive:
        assert alive.status == 200
    assert not posting.done()
    intake.held.set()
    async with await posting as response:
        assert response.status == 200


@pytest.mark.asyncio
async def test_a_large_bundle_is_offered_in_portions(serve, intake) -> None:
    """A Bundle of many patients is offered in order, in portions, so that others get in between."""
    site = await serve()
    count = 2 * OFFERED_AT_ONCE_MAX + 1
    body = bundle(*(observation(n, subject={"reference": f"Patient/p{n}"}) for n in range(count)))
    async with site.client.post("/fhir", data=body, headers=FHIR) as response:
        assert (await told(response)).issue[0].details.text == f"{count} resources stored"
    assert intake.portions == [OFFERED_AT_ONCE_MAX, OFFERED_AT_ONCE_MAX, 1]
    assert [arrival.decoded.message_id for arrival in intake.arrivals] == [f"Observation/o{n}" for n in range(count)]


@pytest.mark.asyncio
async def test_a_history_keeps_each_entrys_bytes(serve, intake) -> None:
    """A history is handed on oldest first, and each dead letter still has its own entry's bytes."""
    site = await serve()
    body = bundle(observation(2, status="fnial"), observation(1), kind="history")
    async with site.client.post("/fhir", data=body, headers=FHIR) as response:
        assert response.status == 200
    assert [json.loads(arrival.data)["id"] for arrival in intake.arrivals] == ["o1", "o2"]


@pytest.mark.asyncio
async def test_nested_bundles_do_not_multiply_their_bytes(serve, intake) -> None:
    """Each refused entry of a Bundle within a Bundle is kept with its own bytes: together no more than the body."""
    site = await serve()
    inner = json.loads(bundle(*(observation(n, status="fnial") for n in range(50))))
    body = bundle(inner)
    async with site.client.post("/fhir", data=body, headers=FHIR) as response:
        assert response.status == 422
    assert len(intake.arrivals) == 50
    kept = [arrival.data for arrival in intake.arrivals]
    assert all(json.loads(data)["status"] == "fnial" for data in kept)
    assert sum(map(len, kept)) <= len(body)


def broken(number: int) -> dict[str, Any]:
    return observation(number, status="fnial")


STATUS = {"resourceType": "Parameters", "id": 7}
"""Not to be read as a notification's status: its id is no text."""
REFUSED: dict[str, tuple[bytes, list[dict[str, Any]]]] = {
    "flat": (bundle(broken(1), observation(2), broken(3)), [broken(1), broken(3)]),
    "history": (bundle(broken(3), observation(2), broken(1), kind="history"), [broken(1), broken(3)]),
    "malformed status": (bundle(STATUS, observation(2), broken(1), kind="history"), [broken(1), STATUS]),
    "nested": (bundle(observation(2), json.loads(bundle(observation(3), broken(1)))), [broken(1)]),
    "nested and large": (
        bundle(json.loads(bundle(broken(1), observation(2), broken(3)))) + b" " * MESSAGE_BYTES_MAX,
        [broken(1), broken(3)],
    ),
}
"""Bundles by what they are, each with those of its resources that cannot be used, in the order they are told."""


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", REFUSED)
async def test_each_refused_entry_is_kept_with_its_own_bytes(serve, intake, kind: str) -> None:
    """Whatever the Bundle, each dead letter has the bytes of its own resource."""
    site = await serve()
    body, expected = REFUSED[kind]
    async with site.client.post("/fhir", data=body, headers=FHIR) as response:
        assert response.status == 200
    kept = [arrival.data for arrival in intake.arrivals if isinstance(arrival.decoded, Refusal)]
    assert [json.loads(data or b"null") for data in kept] == expected


@pytest.mark.asyncio
async def test_inner_bundles_do_not_multiply_what_is_kept(serve, intake) -> None:
    """The Bundles within a posted Bundle may together hold what one may: no body is a dead letter a few bytes."""
    site = await serve()
    inner = json.loads(bundle())
    inner["entry"] = [{}] * (ENTRIES_MAX // 2)
    async with site.client.post("/fhir", data=bundle(*[inner] * 6), headers=FHIR) as response:
        assert response.status == 200
    assert len(intake.arrivals) == ENTRIES_MAX + 4


@pytest.mark.asyncio
async def test_gzip_is_unpacked(serve, intake) -> None:
    """A gzip body is taken as what it unpacks to."""
    site = await serve()
    body = gzip.compress(json.dumps(observation(1)).encode())
    async with site.client.post("/fhir", data=body, headers={**FHIR, "Content-Encoding": "gzip"}) as response:
        assert response.status == 200
    assert intake.arrivals[0].decoded.message_id == "Observation/o1"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("reason", "status", "code"),
    [
        ("overloaded", 503, "throttled"),
        ("stopping", 503, "transient"),
        ("failed", 503, "transient"),
        ("disk_full", 507, "no-store"),
    ],
)
@pytest.mark.parametrize("late", [False, True])
async def test_what_is_not_stored_is_to_be_sent_again(
    serve, intake, reason: Any, status: int, code: str, *, late: bool
) -> None:
    """Where nothing is stored, at once or in the end, the sender is told when to try again."""
    site = await serve()
    if late:
        intake.fails_late = reason
    else:
        intake.refuses_with = reason
    async with site.client.post("/fhir", data=json.dumps(observation(1)), headers=FHIR) as response:
        [issue] = (await told(response)).issue
    assert (response.status, issue.code) == (status, code)
    assert int(response.headers["Retry-After"]) > 0


@pytest.mark.asyncio
async def test_our_own_bug_is_an_incident_without_its_words(serve, intake) -> None:
    """An error of ours is 500 with a number that the report has too; its words, which may name a patient, stay out."""
    site = await serve()
    intake.breaks = True
    async with site.client.post("/fhir", data=json.dumps(observation(1)), headers=FHIR) as response:
        body = await response.text()
    [told_of] = [one for one in site.told if one["event"] == "failed"]
    assert response.status == 500
    assert told_of["incident"] in body
    assert told_of["error"] == "RuntimeError"
    assert "Doe" not in body + str(site.told)
