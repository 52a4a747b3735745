"""The FHIR client: one POST a Bundle, and what the server says of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from connectors.http.client import ANSWER_BYTES_MAX, FhirClient, FhirClientError, Posted

BUNDLE = b'{"resourceType":"Bundle","type":"collection"}'
BEARER = "let-me-in"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def server(handler: Handler, **options: object) -> AsyncIterator[FhirClient]:
    """Let `handler` answer POST /fhir over a real socket; gives a client of it."""
    app = web.Application()
    app.router.add_post("/fhir", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    client = FhirClient(f"http://127.0.0.1:{runner.addresses[0][1]}/fhir", **options)
    try:
        yield client
    finally:
        await client.close()
        await runner.cleanup()


@pytest.mark.asyncio
async def test_a_bundle_is_posted_as_it_is():
    """The bytes, FHIR's media type and the token arrive; 2xx means stored."""
    seen = []

    async def handle(request):
        seen.append((await request.read(), request.content_type, request.headers.get("authorization")))
        return web.Response(status=201)

    async with server(handle, token=BEARER) as client:
        assert await client.send(BUNDLE) == Posted(201)
    assert seen == [(BUNDLE, "application/fhir+json", f"Bearer {BEARER}")]


@pytest.mark.asyncio
async def test_one_connection_serves_all():
    """Bundles one after the other share a connection: none is left behind."""
    peers = set()

    async def handle(request):
        peers.add(request.transport.get_extra_info("peername"))
        return web.json_response({"resourceType": "OperationOutcome", "issue": [{"severity": "information"}]})

    async with server(handle) as client:
        answers = [await client.send(BUNDLE) for _ in range(5)]
    assert all(answer.stored for answer in answers)
    assert len(peers) == 1


@pytest.mark.asyncio
async def test_a_refusal_says_where_and_why():
    """An OperationOutcome's errors come with the status; escape sequences in it do not reach a terminal."""
    issue = {"severity": "error", "code": "value", "expression": ["Bundle.entry[1]"], "diagnostics": "\x1b[2Jbad"}

    async def handle(request):
        return web.json_response({"resourceType": "OperationOutcome", "issue": [issue]}, status=422)

    async with server(handle) as client:
        posted = await client.send(BUNDLE)
    assert posted == Posted(422, ("error value: Bundle.entry[1]: ?[2Jbad",))


@pytest.mark.asyncio
async def test_a_partly_stored_bundle_is_not_stored():
    """A batch-response of 200 with an entry refused is no success."""

    async def handle(request):
        entries = [{"response": {"status": "201 Created"}}, {"response": {"status": "422"}}]
        return web.json_response({"resourceType": "Bundle", "type": "batch-response", "entry": entries})

    async with server(handle) as client:
        posted = await client.send(BUNDLE)
    assert not posted.stored
    assert posted.issues == ("entry[1]: 422",)


@pytest.mark.asyncio
async def test_retry_after_is_read():
    """503 with Retry-After tells how long to wait."""

    async def handle(request):
        return web.Response(status=503, headers={"retry-after": "7"})

    async with server(handle) as client:
        assert (await client.send(BUNDLE)).retry_after_s == 7.0


@pytest.mark.asyncio
async def test_a_redirect_is_not_followed():
    """The token and the patients go where they were sent, and nowhere else."""

    async def handle(request):
        return web.Response(status=307, headers={"location": "/elsewhere"})

    async with server(handle, token=BEARER) as client:
        assert (await client.send(BUNDLE)).status == 307


@pytest.mark.asyncio
@pytest.mark.parametrize("body", [b"[" * 100_000, b"\xff", b"", b'{"resourceType":"OperationOutcome","issue":[7]}'])
async def test_any_answer_is_read(body):
    """An answer that is no OperationOutcome leaves the status to speak."""

    async def handle(request):
        return web.Response(status=400, body=body)

    async with server(handle) as client:
        assert await client.send(BUNDLE) == Posted(400)


@pytest.mark.asyncio
async def test_a_huge_answer_is_not_read():
    """Of an answer beyond the limit the status counts."""

    async def handle(request):
        return web.Response(status=200, body=b" " * (ANSWER_BYTES_MAX * 8))

    async with server(handle) as client:
        assert await client.send(BUNDLE) == Posted(200)
        assert await client.send(BUNDLE) == Posted(200)


@pytest.mark.asyncio
async def test_half_an_answer_is_none():
    """A connection that breaks before the answer, and one that nobody takes, raise without the content."""

    async def handle(request):
        request.transport.abort()
        return web.Response()

    async with server(handle) as client:
        with pytest.raises(FhirClientError, match="no answer"):
            await client.send(BUNDLE)
    with pytest.raises(FhirClientError, match="no answer"):
        await client_of_nobody().send(BUNDLE)


@pytest.mark.asyncio
async def test_silence_is_no_answer():
    """A server that never answers is given up on."""
    never = asyncio.Event()

    async def handle(request):
        await never.wait()
        return web.Response()

    async with server(handle, timeout_s=0.5) as client:
        with pytest.raises(FhirClientError, match="ReadTimeout"):
            await client.send(BUNDLE)
        never.set()


def client_of_nobody() -> FhirClient:
    """Port 1 is nobody's on loopback."""
    return FhirClient("http://127.0.0.1:1/fhir")
