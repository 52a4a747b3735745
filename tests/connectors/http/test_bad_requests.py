"""Claims about requests that cannot be served: each is answered with an OperationOutcome, and costs little."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fhir.resources.R4B.operationoutcome import OperationOutcome

from connectors.fhir.settings import FhirSettings
from connectors.hl7v2.settings import Hl7Settings
from connectors.http.limits import HttpLimits
from connectors.http.ports import Reading
from connectors.http.server import HttpServer
from connectors.intake import Intake

FHIR = {"Content-Type": "application/fhir+json"}
BASIC = b'{"resourceType":"Basic"}'
TOKEN = "secret"  # noqa: S105 - of a server that lives for one test
STOPPED_WITHIN_S = 30.0
Request = Callable[..., bytes]


def parsed(answer: bytes) -> tuple[int, dict[str, str], OperationOutcome]:
    """Read one raw answer: status, headers, and the outcome that it must hold."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    return int(lines[0].split()[1]), headers, OperationOutcome.model_validate_json(body)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("method", "path", "headers", "data", "status"),
    [
        ("GET", "/nowhere", {}, None, 404),
        ("GET", "/patients/nobody", {}, None, 404),
        ("GET", f"/patients/{'x' * 4000}", {}, None, 404),
        ("POST", "/fhir/Nonsense", FHIR, BASIC, 404),
        ("GET", "/fhir", {}, None, 405),
        ("DELETE", "/patients", {}, None, 405),
        ("POST", "/alerts/stream", {}, b"", 405),
        ("POST", "/fhir", {"Content-Type": "text/html"}, BASIC, 415),
        ("POST", "/fhir", {"Content-Type": "application/fhir+xml"}, b"<Basic/>", 415),
        ("POST", "/fhir", {"Content-Type": "application/fhir+json; charset=utf-16"}, BASIC, 415),
        ("POST", "/fhir", {**FHIR, "Content-Encoding": "br"}, BASIC, 415),
        ("POST", "/fhir", {**FHIR, "Content-Encoding": "gzip"}, BASIC, 400),
        ("POST", "/fhir", {**FHIR, "Content-Encoding": "gzip"}, gzip.compress(BASIC, mtime=0)[:-9], 400),
        ("POST", "/fhir", {**FHIR, "Content-Encoding": "gzip"}, gzip.compress(BASIC, mtime=0) * 2, 400),
        ("POST", "/hl7", FHIR, BASIC, 415),
        ("POST", "/fhir", {**FHIR, "Origin": "http://elsewhere.example"}, BASIC, 403),
        ("POST", "/hl7", {"Content-Type": "text/plain", "Origin": "null"}, b"MSH|", 403),
        ("GET", "/alerts?after=-1", {}, None, 400),
        ("GET", "/alerts?after=1e3", {}, None, 400),
        ("GET", "/alerts?after=99999999999999999999", {}, None, 400),
        ("GET", "/alerts?limit=0", {}, None, 400),
        ("GET", "/alerts?limit=1001", {}, None, 400),
        ("GET", "/alerts/stream?after=x", {}, None, 400),
        ("GET", f"/patients?ward={'w' * 200}", {}, None, 400),
    ],
)
async def test_each_fault_has_its_status(
    serve, intake, method: str, path: str, headers: dict[str, str], data: Any, status: int
) -> None:
    """Each fault of a request has its status and an OperationOutcome, and reaches no intake."""
    site = await serve()
    async with site.client.request(method, path, data=data, headers=headers) as response:
        body = await response.read()
    assert response.status == status
    assert response.content_type == "application/fhir+json"
    assert OperationOutcome.model_validate_json(body).issue[0].severity == "error"
    assert intake.arrivals == []
    if status == 405:
        assert "OPTIONS" in response.headers["Allow"]


@pytest.mark.asyncio
async def test_a_missing_content_type_is_415(serve) -> None:
    """A body that does not say what it is is not guessed at."""
    site = await serve()
    answer = await site.raw(b"POST /fhir HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}")
    assert parsed(answer)[0] == 415


@pytest.mark.asyncio
async def test_a_length_that_is_too_large_is_refused_unread(serve) -> None:
    """A body whose length is announced as too large is refused before any of it is sent."""
    site = await serve(body_bytes_max=1000)
    head = (
        b"POST /fhir HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/fhir+json\r\nContent-Length: 1001\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(head)
    assert b" 413 " in await reader.readline()
    writer.close()
    assert site.server.figures.bodies_bytes == 0


@pytest.mark.asyncio
async def test_an_endless_chunked_body_is_cut_off(serve) -> None:
    """A body without a length is refused when it passes the limit, while its sender still sends."""
    site = await serve(body_bytes_max=100_000)
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(
        b"POST /fhir HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/fhir+json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    for _ in range(11):
        writer.write(b"2710\r\n" + b" " * 10_000 + b"\r\n")
    assert b" 413 " in await reader.readline()
    writer.close()
    assert site.server.figures.bodies_bytes == 0


@pytest.mark.asyncio
async def test_a_zip_bomb_is_refused_at_the_limit(serve) -> None:
    """A small body that unpacks to 200 MiB is refused when it passes the limit; its room is given back."""
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(200)), packer.flush()])
    assert len(bomb) < 250_000
    site = await serve(body_bytes_max=2_000_000)
    async with site.client.post("/fhir", data=bomb, headers={**FHIR, "Content-Encoding": "gzip"}) as response:
        assert response.status == 413
    assert site.server.figures.bodies_bytes == 0


@pytest.mark.asyncio
async def test_all_bodies_together_have_a_bound(serve) -> None:
    """While one sender's half-sent body fills the room, another is told to come again, and then is served."""
    site = await serve(bodies_bytes_max=1_000, body_bytes_max=1_000)
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    head = b"POST /fhir HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/fhir+json\r\nContent-Length: 999\r\n"
    writer.write(head + b"Expect: 100-continue\r\n\r\n")
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"{" + b" " * 990)
    await site.until(lambda: site.server.figures.bodies_bytes >= 991)
    async with site.client.post("/fhir", data=BASIC, headers=FHIR) as response:
        assert (response.status, "Retry-After" in response.headers) == (503, True)
    writer.close()
    await site.until(lambda: not site.server.figures.bodies_bytes)
    async with site.client.post("/fhir", data=BASIC, headers=FHIR) as response:
        assert response.status == 200


@pytest.mark.asyncio
async def test_a_body_that_trickles_is_timed_out(serve) -> None:
    """A body that is not there in time is answered 408, and the connection ends."""
    site = await serve(read_timeout_s=0.05)
    head = (
        b"POST /fhir HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/fhir+json\r\nContent-Length: 100\r\n\r\n{"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(head)
    assert b" 408 " in await reader.readline()
    rest = await reader.readuntil(b"\r\n\r\n")
    assert b"connection: close" in rest.lower()
    writer.close()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"\x0bMSH|^~\\&|LAB|MAIN|||20260101||ADT^A01|1|P|2.5\rPID|1||42^^^HOSP||DOE^JANE\r\x1c\r", 400),
        (b"GET / HTTP/1.1\r\nbad header line\r\n\r\n", 400),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nX-Long: " + b"a" * 20_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(500)) + b"\r\n", 400),
        (b"POST /fhir HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ],
)
async def test_what_is_no_http_is_answered_and_not_logged(serve, data: bytes, status: int) -> None:
    """Bytes that are no HTTP get an OperationOutcome, the connection ends, and nothing of them is reported."""
    site = await serve()
    code, _, _ = parsed(await site.raw(data))  # it reads to the end: the server has closed
    assert code == status
    assert [one["event"] for one in site.told] == ["unreadable"]
    assert "DOE" not in str(site.told)


@pytest.mark.asyncio
async def test_broken_chunks_are_answered(serve, intake) -> None:
    """A body whose chunks are broken is answered 400 and never taken as if it were whole."""
    site = await serve()
    head = b"POST /fhir HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/fhir+json\r\n"
    head += b"Transfer-Encoding: chunked\r\n\r\n"
    answer = await site.raw(head + b"ZZ\r\n")
    assert parsed(answer)[0] == 400
    assert intake.arrivals == []


@pytest.mark.asyncio
async def test_a_sender_that_breaks_off_leaves_nothing(serve, intake) -> None:
    """A body that breaks off is not taken for a whole one, and its room is given back."""
    site = await serve()
    head = (
        b"POST /fhir HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/fhir+json\r\nContent-Length: 100\r\n\r\n"
    )
    await site.raw(head + BASIC, end=True)
    await site.until(lambda: site.server.figures.connections == 1 and not site.server.figures.bodies_bytes)
    assert intake.arrivals == []


@pytest.mark.asyncio
@pytest.mark.parametrize("given", [None, "", "Bearer", "Bearer wrong", "Basic secret", "Bearer secretsecret", "sécret"])
@pytest.mark.parametrize(("method", "path"), [("GET", "/patients"), ("POST", "/fhir"), ("GET", "/nowhere")])
async def test_without_the_token_nothing_is_told(serve, intake, given: str | None, method: str, path: str) -> None:
    """With a token set, a request without it or with another is 401, whatever it asks for."""
    site = await serve(token=TOKEN)
    headers = {**FHIR, **({} if given is None else {"Authorization": given})}
    async with site.client.request(method, path, data=BASIC if method == "POST" else None, headers=headers) as response:
        assert response.status == 401
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
        assert OperationOutcome.model_validate_json(await response.read()).issue[0].code == "login"
    assert intake.arrivals == []
    assert "secret" not in str(site.told)


@pytest.mark.asyncio
async def test_with_the_token_all_is_served(serve) -> None:
    """With the token everything is served; health and the page, which has no data, are without it."""
    site = await serve(token=TOKEN)
    headers = {**FHIR, "Authorization": "bearer secret"}
    async with site.client.post("/fhir", data=BASIC, headers=headers) as response:
        assert response.status == 200
    for path in ("/health/live", "/health/ready", "/"):
        async with site.client.get(path) as response:
            assert response.status == 200


@pytest.mark.asyncio
async def test_head_and_options_are_answered(serve) -> None:
    """HEAD gives the headers of GET and no body, also of the stream; OPTIONS names the methods."""
    site = await serve()
    for path in ("/patients", "/", "/metrics", "/alerts/stream"):
        async with site.client.head(path) as response:
            assert (response.status, await response.read()) == (200, b"")
    async with site.client.options("/fhir") as response:
        assert (response.status, response.headers["Allow"]) == (204, "OPTIONS, POST")


@pytest.mark.asyncio
async def test_no_answer_names_what_was_sent(serve) -> None:
    """A refusal quotes nothing of the body, of the path or of a header."""
    site = await serve()
    person = "JANE-DOE-42"
    async with site.client.post(f"/fhir/{person}", data=BASIC, headers={**FHIR, "X-Patient": person}) as response:
        told = await response.text()
    observation = {"resourceType": "Observation", "id": person, "status": person}
    async with site.client.post("/fhir", data=json.dumps(observation), headers=FHIR) as response:
        told += await response.text()
    assert person not in told + str(site.told)


def get(host: str, *more: str) -> bytes:
    """Write a request for the patients as a browser does, under a name."""
    return "\r\n".join(["GET /patients HTTP/1.1", f"Host: {host}", "Connection: close", *more, "", ""]).encode()


def post(host: str, *more: str) -> bytes:
    """Write a request that has something to store, under a name."""
    head = ["POST /fhir HTTP/1.1", f"Host: {host}", "Content-Type: application/fhir+json", "Connection: close", *more]
    return "\r\n".join([*head, f"Content-Length: {len(BASIC)}", "", ""]).encode() + BASIC


@asynccontextmanager
async def served_under_any_name(intake: Intake, reading: Reading) -> AsyncIterator[int]:
    """Serve whatever Host a request names, as behind a proxy; give the port."""
    settings = (Hl7Settings(), FhirSettings())
    server = HttpServer(
        intake, reading, *settings, HttpLimits(), token=None, report=lambda *_, **__: None, any_host=True
    )
    yield await server.start("127.0.0.1", 0)
    await server.stop(0.1)


@pytest.mark.asyncio
@pytest.mark.parametrize("request_", [get, post])
@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "10.0.0.1", ""]
)
async def test_a_foreign_name_is_not_served(serve, intake, host: str, request_: Request) -> None:
    """On loopback without a token, a page whose own name leads to us (DNS rebinding) reads and stores nothing."""
    site = await serve()
    status, _, told = parsed(await site.raw(request_(host, f"Origin: http://{host}", "Sec-Fetch-Site: same-origin")))
    assert (status, told.issue[0].severity) == (403, "error")
    assert intake.arrivals == []


@pytest.mark.asyncio
@pytest.mark.parametrize("request_", [get, post])
@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.0.0.1:8080", "[::1]", "[::1]:8080"])
async def test_the_machines_own_names_are_served(serve, host: str, request_: Request) -> None:
    """On loopback without a token, requests under the machine's own names are served, from its own pages too."""
    site = await serve()
    for more in ([], [f"Origin: http://{host}"]):
        assert (await site.raw(request_(host, *more))).startswith(b"HTTP/1.1 200 ")


@pytest.mark.asyncio
@pytest.mark.parametrize("request_", [get, post])
async def test_any_name_is_served_to_who_has_the_token(serve, request_: Request) -> None:
    """With a token, whoever has it is served under any name."""
    site = await serve(token=TOKEN)
    answer = await site.raw(request_("ward.example", f"Authorization: Bearer {TOKEN}"))
    assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.asyncio
@pytest.mark.parametrize("request_", [get, post])
async def test_any_name_is_served_where_it_is_said(intake, reading, request_: Request) -> None:
    """Where the operator says that something in front of us asks who is there, any name is served."""
    async with served_under_any_name(intake, reading) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request_("ward.example"))
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        writer.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("origin", ["http://[x", "http://[::1", "[", "://", "\xff"])
async def test_an_origin_that_is_none_is_403(serve, intake, origin: str) -> None:
    """An Origin that cannot be read is another site's: 403, and no fault of ours."""
    site = await serve()
    status, _, _ = parsed(await site.raw(post("localhost", f"Origin: {origin}")))
    assert (status, site.told, intake.arrivals) == (403, [], [])


@pytest.mark.asyncio
async def test_a_port_in_use_is_an_oserror_and_stop_is_harmless(serve, intake, reading) -> None:
    """A server that finds its port in use raises OSError, and can be stopped as if it had never been started."""
    site = await serve()
    server = HttpServer(
        intake, reading, Hl7Settings(), FhirSettings(), HttpLimits(), token=None, report=lambda *_, **__: None
    )
    with pytest.raises(OSError, match=str(site.port)):
        await server.start("127.0.0.1", site.port)
    await server.stop(0.1)
    async with site.client.get("/health/live") as response:
        assert response.status == 200


@pytest.mark.asyncio
async def test_a_client_that_leaves_is_no_incident(serve, intake) -> None:
    """A client that leaves in the middle of its body is no fault of ours: no incident is told, and nothing stored."""
    site = await serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(post("localhost", "Expect: 100-continue")[:-1])
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    await site.until(lambda: site.server.figures.bodies_bytes > 0)
    writer.transport.abort()
    await site.until(lambda: site.server.figures.connections == 1 and not site.server.figures.bodies_bytes)
    await site.server.stop(STOPPED_WITHIN_S)
    assert site.told == []
    assert intake.arrivals == []
