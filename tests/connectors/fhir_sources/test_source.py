"""Claims about the schedule: when a server is looked at again, and that no fault ends the looking."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from connectors.fhir_sources.faults import FhirSourceError
from connectors.fhir_sources.polling import Look
from connectors.fhir_sources.source import NOT_STORED_S, WAIT_MAX_S, Hearer, PolledSource
from connectors.fhir_sources.turns import Turn
from connectors.intake import NotStoredError
from tests.connectors.fhir_sources.conftest import Asked

pytestmark = pytest.mark.asyncio


class Heard(Hearer):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.words: list[Any] = []

    def looked(self, _look: Look, _seconds: float) -> None:
        """Keep it."""
        self.words.append("looked")

    def failed(self, kind: str, _detail: str, advice: str) -> None:
        """Keep it."""
        self.words.append((kind, bool(advice)))

    def resumed(self) -> None:
        """Keep it."""
        self.words.append("resumed")


class Script:
    """Looks as a test says: each raises, or goes through."""

    def __init__(self, *faults: BaseException | None) -> None:
        self.faults = list(faults)
        self.looked = asyncio.Event()
        self.looks = 0

    async def look(self) -> Look:
        """Look."""
        self.looks += 1
        self.looked.set()
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise fault
        return Look({})


def source(asked: Asked, script: Script, **fields: Any) -> tuple[PolledSource, Heard]:
    """Give a source that looks as it is told."""
    heard = Heard()
    return PolledSource(script, asked.client, heard, poll_s=20.0, **fields), heard  # type: ignore[arg-type] # a script


async def test_faults_wait_longer_and_longer_and_are_told_once(ask: Callable[..., Asked]) -> None:
    """A server that fails is left alone ever longer, up to a bound; the same fault is told once, and its end too."""
    fault = FhirSourceError("forbidden", "403")
    polled, heard = source(ask(), Script(*[fault] * 12))
    waits = [await polled.look() for _ in range(13)]
    assert 15 <= waits[0] <= 20
    assert WAIT_MAX_S * 0.75 <= waits[11] <= WAIT_MAX_S
    assert waits[12] == 20.0
    assert heard.words[:2] == [("forbidden", True), ("forbidden", False)]
    assert heard.words[-2:] == ["resumed", "looked"]


async def test_each_kind_of_fault_has_its_wait(ask: Callable[..., Asked]) -> None:
    """What the server asks for is kept to; what we could not store is tried soon; our own bug ends nothing."""
    throttled = FhirSourceError("throttled", "503", retry_after_s=900.0)
    script = Script(throttled, NotStoredError("disk_full"), OSError(28, "No space left"), ZeroDivisionError("Jane Doe"))
    polled, heard = source(ask(), script)
    waits = [await polled.look() for _ in range(4)]
    assert waits[0] == 900.0
    assert waits[1] == NOT_STORED_S
    assert [kind for kind, _ in heard.words] == ["throttled", "not_stored", "state_folder", "ours"]


async def test_a_wish_has_it_look_at_once(ask: Callable[..., Asked]) -> None:
    """A gap or a missing heartbeat does not wait for the next time; stopped, nothing is asked any more."""
    wanted, script = asyncio.Event(), Script()
    polled, _ = source(ask(), script, wanted=wanted)
    await polled.start()
    await script.looked.wait()
    script.looked.clear()
    wanted.set()
    await script.looked.wait()
    await polled.stop(5)
    looks = script.looks
    wanted.set()
    await asyncio.to_thread(lambda: None)
    assert script.looks == looks


async def test_no_wish_shortens_what_the_server_asked_for(ask: Callable[..., Asked]) -> None:
    """Retry-After is kept to though hooks or missing heartbeats want a look; stopping waits for nothing."""
    wanted, script = asyncio.Event(), Script(FhirSourceError("throttled", "503", retry_after_s=900.0))
    polled, _ = source(ask(), script, wanted=wanted)
    await polled.start()
    await script.looked.wait()
    for _ in range(5):
        wanted.set()
        await asyncio.to_thread(lambda: None)
    assert script.looks == 1
    async with asyncio.timeout(30):  # of 900
        await polled.stop(5)


async def test_it_leaves_the_server_alone_where_it_is_anothers_turn(ask: Callable[..., Asked]) -> None:
    """Not ours: no look; what servers told is reported all the same, so that the other knows."""
    reported: list[int] = []

    class Turns:
        mine = False

        async def take(self, heard: int) -> Turn:
            reported.append(heard)
            return Turn(self.mine, 10)

        async def give_back(self) -> None:
            reported.append(-1)

    turns, script, elsewhere = Turns(), Script(), list[int]()
    told = iter((3, 5, 5))
    polled, _ = source(ask(), script, turns=turns, heard=lambda: next(told), after=elsewhere.append)
    assert await polled.look() == 20.0
    assert script.looks == 0
    turns.mine = True
    await polled.look()
    assert (script.looks, reported, elsewhere) == (1, [3, 2], [5])
