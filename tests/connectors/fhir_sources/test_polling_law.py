"""A law of polling: whatever is written when, and whatever breaks in between, the newest of each is taken in."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.fhir_sources.faults import FhirSourceError
from connectors.fhir_sources.pages import read_instant, write_instant
from connectors.intake import NotStoredError
from tests.connectors.fhir_sources.conftest import Asked, FakeFhir

OVERLAP_S = 60
IDS = tuple("abcd")

written = st.lists(st.tuples(st.sampled_from(IDS), st.sampled_from((0, 1, 30, OVERLAP_S - 1))), max_size=2)
"""Of an id, stamped so many seconds before it can be seen."""
events = st.sampled_from(
    [
        ("look", 0),
        ("look", 0),
        ("answer_breaks", 0),
        ("answer_breaks", 1),
        ("disk_full", 0),
        ("restart", 0),
        ("back", 2),
    ]
)
rounds = st.tuples(st.sampled_from((0, 1, 20, 600)), written, events)
Round = tuple[int, list[tuple[str, int]], tuple[str, int]]


async def _play(rounds: list[Round], folder: Path) -> None:
    fake = FakeFhir()
    async with TestServer(fake.app) as server:
        fake.base = str(server.make_url("/fhir"))
        asked = Asked(fake, folder, page_size=2, overlap_s=float(OVERLAP_S))
        for pause_s, writes, (event, number) in rounds:
            fake.now += pause_s * 1_000
            for name, late_s in writes:
                _write(fake, name, late_s)
            if event == "restart":
                asked.begin()
            elif event == "back":
                fake.now -= number * 1_000
            elif event == "answer_breaks":
                fake.answers = [fake.served] * number + [web.Response(status=403)]
                with pytest.raises(FhirSourceError):
                    await _all(asked)
                fake.answers.clear()
            elif event == "disk_full":
                asked.intake.fails_late = "disk_full"
                await _some(asked)
                asked.intake.fails_late = None
            else:
                await asked.poller.look()
        await asked.poller.look()
        newest = {}
        for name in asked.ids:
            kind_id, _, version = name.rpartition("/")
            newest[kind_id] = int(version)
        assert newest == {name: int(one["meta"]["versionId"]) for name, one in fake.stored.items()}
        await asyncio.gather(*(client.close() for client in asked.clients))


def _write(fake: FakeFhir, name: str, late_s: int) -> None:
    """Write a version, stamped before it can be seen, though never before the version it replaces."""
    before = fake.stored.get(f"Observation/{name}")
    own = 0 if before is None else read_instant(before["meta"]["lastUpdated"]) or 0
    version = fake.vital(name, value=60 + len(fake.requests) % 100)
    version["meta"]["lastUpdated"] = write_instant(max(own + 1, fake.now - late_s * 1_000))


async def _some(asked: Asked) -> None:
    """Look while nothing can be stored: where there was something, that is told."""
    try:
        await asked.poller.look()
    except NotStoredError:
        return


async def _all(asked: Asked) -> None:
    """Look until the broken answer comes: a look may need fewer than were asked for."""
    for _ in range(10):
        await asked.poller.look()


@settings(max_examples=15)
@given(st.lists(rounds, min_size=3, max_size=8))
def test_the_newest_of_each_is_taken_in(rounds: list[Round]) -> None:
    """Writes that show late within the overlap, answers that break, a full disk, our restarts, a clock that slips."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_play(rounds, Path(folder)))
