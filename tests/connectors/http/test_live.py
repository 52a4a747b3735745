"""Claims about the live alerts: nothing missing, nothing twice, nothing that grows."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest

from connectors.http.ports import NumberedAlert
from events import to_iso

NOW = 1_770_000_000_000


def alert(number: int, size: int = 10) -> NumberedAlert:
    return NumberedAlert(number, b'{"seq":%d,"x":"%b"}' % (number, b"x" * size), "raised")


async def events(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, str]]:
    """Give the events of a stream, as a browser would."""
    event: dict[str, str] = {}
    async for line in response.content:
        text = line.decode().rstrip("\n")
        if text:
            name, _, value = text.partition(": ")
            event[name] = value
        elif event:
            yield event
            event = {}


async def numbers(response: aiohttp.ClientResponse, last: int) -> list[int]:
    """Give the numbers of the alerts that come, up to `last`."""
    found: list[int] = []
    async for event in events(response):
        if "id" in event:
            found.append(int(event["id"]))
            if found[-1] == last:
                return found
    pytest.fail(f"the stream ended before {last}")


@pytest.mark.asyncio
async def test_an_event_has_number_state_and_document(serve, reading) -> None:
    """A stream begins with its retry time and a heartbeat, and gives an alert by number, state and JSON."""
    site = await serve()
    async with site.client.get("/alerts/stream") as response:
        assert response.content_type == "text/event-stream"
        coming = events(response)
        assert (await anext(coming))["retry"] == "3000"
        beat = await anext(coming)
        assert beat["event"] == "heartbeat"
        assert beat["data"] == f'{{"newest":0,"clock":"{to_iso(NOW)}"}}'
        await reading.idle.wait()
        await reading.say(NumberedAlert(3, b'{"seq":1}', "escalated"))
        assert await anext(coming) == {"id": "3", "event": "escalated", "data": '{"seq":1}'}


@pytest.mark.asyncio
@pytest.mark.parametrize("how", ["header", "query"])
async def test_a_stream_resumes_without_gaps_or_repeats(serve, reading, how: str) -> None:
    """A client that comes again after any alert, with new ones coming all the time, has each alert once, in order."""
    site = await serve()
    stored = list(range(1, 700, 2))  # with gaps, as a store gives them
    await reading.say(*(alert(number) for number in stored[:300]))
    had: list[int] = []
    for visit in range(1, 6):
        last = had[-1] if had else 0
        headers = {"Last-Event-ID": str(last)} if how == "header" else {}
        query = {"after": str(last)} if how == "query" else {}
        async with site.client.get("/alerts/stream", headers=headers, params=query) as response:
            await reading.say(*(alert(number) for number in stored[290 + 10 * visit : 300 + 10 * visit]))
            had += await numbers(response, stored[70 * visit - 1])  # it leaves in the middle of a page
    assert had == stored


@pytest.mark.asyncio
async def test_without_a_number_a_stream_begins_with_the_newest(serve, reading) -> None:
    """A client that names no number gets what comes from now on; the last number that the header names wins."""
    site = await serve()
    await reading.say(*(alert(number) for number in range(1, 6)))
    async with site.client.get("/alerts/stream") as response:
        await reading.idle.wait()
        await reading.say(alert(6))
        assert await numbers(response, 6) == [6]
    async with site.client.get("/alerts/stream?after=0", headers={"Last-Event-ID": "4"}) as response:
        assert await numbers(response, 6) == [5, 6]


@pytest.mark.asyncio
async def test_a_number_of_the_future_does_not_wait_for_ever(serve, reading) -> None:
    """After a restore a client may name a number that is not reached: it gets what is new all the same."""
    site = await serve()
    await reading.say(alert(1))
    async with site.client.get("/alerts/stream?after=1000") as response:
        await reading.idle.wait()
        await reading.say(alert(2))
        assert await numbers(response, 2) == [2]


@pytest.mark.asyncio
async def test_silence_is_broken_by_heartbeats(serve, reading) -> None:
    """A stream without alerts is not silent: heartbeats name the newest number and carry no id."""
    site = await serve(heartbeat_s=0.01)
    await reading.say(alert(7))
    async with site.client.get("/alerts/stream") as response:
        beats = [event async for event, _ in _first(events(response), 5)]
    assert [beat.get("event") for beat in beats[1:]] == ["heartbeat"] * 4
    assert all('"newest":7' in beat["data"] and "id" not in beat for beat in beats[1:])


async def _first(source: AsyncIterator[dict[str, str]], count: int) -> AsyncIterator[tuple[dict[str, str], int]]:
    for number in range(count):
        yield await anext(source), number


@pytest.mark.asyncio
async def test_a_client_that_does_not_read_holds_a_few_pages_at_the_most(serve, reading) -> None:
    """While a client reads nothing, no more than a few pages of 20,000 waiting alerts are read for it; in the end it
    is closed, and a good client has had all of them meanwhile.
    """
    await reading.say(*(alert(number, size=2_000) for number in range(1, 20_001)))
    site = await serve(stream_write_timeout_s=1.0)
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(slow, ("127.0.0.1", site.port))
    await loop.sock_sendall(slow, b"GET /alerts/stream?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await site.until(lambda: any(one["event"] == "stream_too_slow" for one in site.told))
    assert reading.pages <= 5, "200 pages wait; a page is 200 KB"
    await site.until(lambda: site.server.figures.streams == 0)
    async with site.client.get("/alerts/stream?after=19000") as response:
        assert await numbers(response, 20_000) == list(range(19_001, 20_001))
    slow.close()


@pytest.mark.asyncio
async def test_streams_are_bounded_and_leave_their_place(serve, reading) -> None:
    """One stream more than may be is told to come again; when a client goes, its place is free at once."""
    site = await serve(streams_max=2)
    first = await site.client.get("/alerts/stream")
    second = await site.client.get("/alerts/stream")
    async with site.client.get("/alerts/stream") as refused:
        assert (refused.status, "Retry-After" in refused.headers) == (503, True)
    first.close()
    await site.until(lambda: site.server.figures.streams == 1)
    async with site.client.get("/alerts/stream") as third:
        assert third.status == 200
    second.close()


@pytest.mark.asyncio
async def test_a_stop_ends_streams_cleanly(serve, reading) -> None:
    """On a stop a stream ends with a last event and as a whole answer, at once."""
    site = await serve()
    response = await site.client.get("/alerts/stream")
    await reading.idle.wait()
    await site.server.stop(30)
    found = [event async for event in events(response)]
    assert found[-1]["event"] == "end"
    assert response.content.at_eof()
    assert not any(one["event"] == "stopped_with_requests" for one in site.told)


@pytest.mark.asyncio
async def test_a_gap_is_told_before_what_is_left(serve, reading) -> None:
    """A listener from before what is kept is told so, by an event without a number; one from within is not."""
    site = await serve()
    reading.oldest = 5
    await reading.say(alert(6), alert(7))
    for named, expected in (("2", ["heartbeat", "gap", "raised"]), ("6", ["heartbeat", "raised"])):
        async with site.client.get("/alerts/stream", headers={"Last-Event-ID": named}) as response:
            coming = events(response)
            await anext(coming)  # how long to wait before coming again
            assert [(await anext(coming))["event"] for _ in expected] == expected
