"""Claims about asking a FHIR server: what is tried again and when, what is not, and what a fault never says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from aiohttp import web

from connectors.fhir_sources.client import ATTEMPTS_MAX, SourceClient, same_server
from connectors.fhir_sources.faults import ADVICE, AGAIN, FhirSourceError
from connectors.fhir_sources.settings import FhirServer
from tests.connectors.fhir_sources.conftest import Asked, FakeFhir

Outcome = Callable[..., web.Response]


@pytest.mark.asyncio
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_what_passes_is_asked_again(
    fake: FakeFhir, ask: Callable[..., Asked], outcome: Outcome, status: int
) -> None:
    """A server that is busy or down for a moment is asked again, ever later, and the look goes on."""
    asked = ask()
    fake.answers = [outcome(status, "transient"), outcome(status, "transient")]
    await asked.client.get("Observation")
    assert len(asked.slept) == 2
    assert 0 < asked.slept[0] < asked.slept[1] * 2


@pytest.mark.asyncio
async def test_retry_after_is_kept_to(fake: FakeFhir, ask: Callable[..., Asked], outcome: Outcome) -> None:
    """What the server asks for is waited, in seconds or as a date; more than half a minute ends the look instead."""
    asked = ask()
    fake.answers = [outcome(429, "throttled", Retry_After="7"), outcome(503, "throttled", Retry_After="11")]
    await asked.client.get("Observation")
    assert asked.slept == [7.0, 11.0]
    fake.answers = [outcome(503, "throttled", Retry_After="600")]
    with pytest.raises(FhirSourceError) as raised:
        await asked.client.get("Observation")
    assert (raised.value.kind, raised.value.retry_after_s) == ("throttled", 600.0)
    assert len(asked.slept) == 2


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "refused"), (403, "forbidden"), (404, "not_found"), (410, "not_found"), (413, "too_large")],
)
async def test_what_does_not_pass_is_asked_once(
    fake: FakeFhir, ask: Callable[..., Asked], outcome: Outcome, status: int, kind: str
) -> None:
    """A refusal stays one. Its fault has the issue's code, and of the server's words and the address nothing."""
    asked = ask()
    fake.answers = [outcome(status, "not-supported")]
    with pytest.raises(FhirSourceError) as raised:
        await asked.client.get("Observation?patient=p")
    assert (raised.value.kind, asked.slept) == (kind, [])
    assert str(raised.value) == f"{kind}: {status} not-supported"


@pytest.mark.asyncio
async def test_a_server_that_is_not_there_is_given_up_for_this_look(fake: FakeFhir, ask: Callable[..., Asked]) -> None:
    """Refused connections are tried a few times."""
    asked = ask()
    client = SourceClient(FhirServer("http://127.0.0.1:1/fhir"), sleep=asked._sleep)
    with pytest.raises(FhirSourceError) as raised:
        await client.get("Patient/secret")
    await client.close()
    assert (raised.value.kind, len(asked.slept)) == ("unreachable", ATTEMPTS_MAX - 1)
    assert "secret" not in str(raised.value)


@pytest.mark.asyncio
@pytest.mark.parametrize("url", ["http://[bad", "Observation/\x01", "Observation/" + "x" * 70_000])
async def test_what_is_no_address_is_told_as_a_foreign_one(ask: Callable[..., Asked], url: str) -> None:
    """A link or a reference that no library takes is a fault of the answer, not one of ours."""
    with pytest.raises(FhirSourceError, match="foreign_link"):
        await ask().client.get(url)


@pytest.mark.asyncio
async def test_a_redirect_is_no_answer(fake: FakeFhir, ask: Callable[..., Asked]) -> None:
    """Nobody is led to another address, with or without a token."""
    asked = ask()
    fake.answers = [web.Response(status=302, headers={"Location": "http://evil.example/"})]
    with pytest.raises(FhirSourceError, match="302"):
        await asked.client.get("Observation")


@pytest.mark.asyncio
async def test_an_answer_that_breaks_off_is_asked_for_again(fake: FakeFhir, ask: Callable[..., Asked]) -> None:
    """A connection that ends within a body gives no half page."""
    asked = ask()
    fake.vital("o")

    async def broken(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"resourceType":"Bundle"')
        assert request.transport is not None
        request.transport.close()
        return response

    fake.answers = [broken]
    answer = await asked.client.get("Observation")
    assert b'"Observation"' in answer.body
    assert len(asked.slept) == 1


@pytest.mark.asyncio
async def test_an_answer_that_drips_is_given_up(fake: FakeFhir, ask: Callable[..., Asked]) -> None:
    """A byte now and then, each within the time-out, and no end: the request fails, and the look goes on."""
    fake.extra["GET", "fhir/Observation"] = fake.drip
    asked = ask(timeout_s=0.2)
    async with asyncio.timeout(8):
        with pytest.raises(FhirSourceError, match="timeout"):
            await asked.client.get("Observation")


@pytest.mark.asyncio
async def test_what_is_no_fhir_is_told(fake: FakeFhir, ask: Callable[..., Asked]) -> None:
    """A login page, or another resource than a Bundle, ends the look."""
    asked = ask()
    await asked.poller.look()
    for body in (
        b"<html>",
        b'{"resourceType":"Patient","id":"secret"}',
        b'{"resourceType":"Bundle","entry":7}',
        b"\xff",
    ):
        fake.answers = [web.Response(body=body)]
        with pytest.raises(FhirSourceError) as raised:
            await asked.poller.look()
        assert raised.value.kind == "not_fhir"
        assert "secret" not in str(raised.value)


def test_every_kind_of_fault_has_its_advice() -> None:
    """Each is a sentence to act on, and those that pass are among them."""
    assert set(ADVICE) >= AGAIN
    assert all(len(text) > 20 for text in ADVICE.values())


@pytest.mark.parametrize(
    "url",
    [
        "https://user@ehr.example/fhir/Patient",
        "https://ehr.example:8443/fhir/Patient",
        "//evil.example/fhir/Patient",
        "https://ehr.example/fhir/%2e%2e/../x",
        "https://ehr.example/FHIR/Patient",
        "ftp://ehr.example/fhir/Patient",
        "https://[::1/fhir",
    ],
)
def test_what_is_not_of_the_server_is_known_by_its_address(url: str) -> None:
    """Another user, port, scheme, path or host is another server's."""
    assert not same_server("https://ehr.example/fhir", url)
