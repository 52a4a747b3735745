"""Claims about packed answers: unpacked within bounds, and whole or not at all."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable

import pytest
from aiohttp import web

from connectors.fhir_sources.faults import FhirSourceError
from tests.connectors.fhir_sources.conftest import Asked, FakeFhir

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize(("packed", "times", "kind"), [("gzip", 1, "too_large"), ("gzip, gzip", 2, "broken_off")])
async def test_what_unpacks_without_end_is_not_unpacked(
    fake: FakeFhir, ask: Callable[..., Asked], packed: str, times: int, kind: str
) -> None:
    """A hundred megabytes packed into some hundred KB, or packed twice into a few hundred bytes: a bound holds."""
    body = b" " * 100_000_000
    for _ in range(times):
        body = gzip.compress(body)

    async def bomb(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, headers={"Content-Encoding": packed})

    fake.extra["GET", "fhir/Observation"] = bomb
    asked = ask()
    asked.begin(answer_bytes_max=1_000_000)
    tracemalloc.start()
    with pytest.raises(FhirSourceError) as raised:
        await asked.client.get("Observation")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert raised.value.kind == kind
    assert peak < 20_000_000


async def test_a_packed_answer_is_read(fake: FakeFhir, ask: Callable[..., Asked]) -> None:
    """A page that is packed comes whole; one whose end is missing does not count as read."""
    body = gzip.compress(b'{"resourceType":"Bundle"}' + b" " * 1_000_000)
    bodies = [body, body[:-4]]

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=bodies.pop(0) if bodies else b"", headers={"Content-Encoding": "gzip"})

    fake.extra["GET", "fhir/Observation"] = answer
    asked = ask()
    assert len((await asked.client.get("Observation")).body) == 1_000_025
    assert (await asked.client.get("Observation")).body == b"", "the second, without its end, was asked for again"
