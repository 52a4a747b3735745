"""Claims about connections: their number is bounded, idle ones keep nobody out, and a stop ends them."""

from __future__ import annotations

import asyncio
import re
import resource
import socket
from collections.abc import Iterator

import pytest

from connectors.http import connection

FHIR = {"Content-Type": "application/fhir+json"}
BASIC = b'{"resourceType":"Basic"}'


async def can_connect(port: int) -> bool:
    try:
        _reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@pytest.fixture
def many_files() -> Iterator[None]:
    """Let this process have as many files open as it may: it has both ends of each connection."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8_192)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.asyncio
async def test_two_thousand_idle_connections_keep_nobody_out(many_files, serve) -> None:
    """With 2,000 connections that send nothing, or half a request, no more than the limit are held, and a good
    client is served.
    """
    site = await serve(connections_max=200)
    opened = []
    for number in range(2_000):
        _reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        opened.append(writer)
        if number % 2:
            writer.write(b"POST /fhir HTTP/1.1\r\nHost: localhost\r\nContent-")
        assert site.server.figures.connections <= 201
    async with site.client.post("/fhir", data=BASIC, headers=FHIR) as response:
        assert response.status == 200
    assert site.server.figures.connections <= 200
    assert sum(one["event"] == "connection_evicted" for one in site.told) >= 1_800
    for writer in opened:
        writer.close()


@pytest.mark.asyncio
async def test_a_request_under_way_makes_room_for_nobody(serve, intake) -> None:
    """A connection whose request waits for its receipt is not closed for a new one."""
    site = await serve(connections_max=2)
    intake.held = asyncio.Event()
    posting = asyncio.create_task(site.client.post("/fhir", data=BASIC, headers=FHIR))
    await intake.offered.wait()
    for _ in range(5):
        assert b" 200 " in await site.raw(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    intake.held.set()
    async with await posting as response:
        assert response.status == 200


@pytest.mark.asyncio
async def test_an_idle_connection_is_closed_in_time(serve) -> None:
    """A connection that has sent half a head is closed after the idle time-out."""
    site = await serve(idle_timeout_s=0.05)
    assert await site.raw(b"GET / HTTP/1.1\r\nHos") == b""


@pytest.mark.asyncio
async def test_requests_on_one_connection_are_answered_in_order(serve) -> None:
    """Requests that are sent without waiting are answered one after the other."""
    site = await serve()
    answer = await site.raw(
        b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n" * 40 + b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )
    statuses = re.findall(rb"HTTP/1\.1 (\d+) ", answer)
    assert statuses == [b"200"] * 40 + [b"404"]


@pytest.mark.asyncio
async def test_a_stop_answers_what_is_under_way(serve, intake) -> None:
    """A stop waits for the receipts of what was sent, and the answer says that the connection ends."""
    site = await serve()
    intake.held = asyncio.Event()
    posting = asyncio.create_task(site.client.post("/fhir", data=BASIC, headers=FHIR))
    await intake.offered.wait()
    stopping = asyncio.create_task(site.server.stop(30))
    while await can_connect(site.port):
        pass
    assert not posting.done()
    intake.held.set()
    async with await posting as response:
        assert (response.status, response.headers["Connection"]) == (200, "close")
    await stopping
    assert site.server.figures.connections == 0


@pytest.mark.asyncio
async def test_a_stop_does_not_wait_for_ever(serve, intake) -> None:
    """A stop ends after its grace, though a receipt never comes, and says so."""
    site = await serve()
    intake.held = asyncio.Event()
    posting = asyncio.create_task(site.client.post("/fhir", data=BASIC, headers=FHIR))
    await intake.offered.wait()
    await site.server.stop(0.05)
    assert {"event": "stopped_with_requests", "requests": 1} in site.told
    with pytest.raises(Exception, match=r"."):
        await posting


@pytest.mark.asyncio
async def test_a_port_in_use_is_an_error(serve) -> None:
    """A port that is taken is an OSError at the start, the operator's to mend."""
    site = await serve()
    with pytest.raises(OSError, match="address already in use"):
        await serve(port=site.port)


@pytest.mark.asyncio
async def test_an_answer_that_is_not_taken_is_let_go(serve, reading, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that asks for much and reads nothing is closed in time, and its answer leaves our memory."""
    monkeypatch.setattr(connection, "WRITE_TIMEOUT_S", 0.2)
    reading.documents["patients"]["patients"] = [{"patient": "x" * 1_000_000}] * 20
    site = await serve()
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(slow, ("127.0.0.1", site.port))
    await loop.sock_sendall(slow, b"GET /patients HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await site.until(lambda: site.server.figures.connections == 1 and bool(site.told))
    assert site.told == [{"event": "answer_not_taken"}]
    slow.close()
