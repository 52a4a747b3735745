"""Boards that ask without a pause keep nothing back, and share what is made for them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from alerts.contract import AlertEvent
from stream.effects import Effect
from stream.engine import Engine
from stream.feeds import Feeds
from stream.logs import set_up_logs
from stream.metrics import Metrics
from stream.run import RunningService
from stream.service import EmbeddedService
from stream.service_settings import ServiceSettings

BOARDS = 6
HANGS_S = 60
"""A wait that only a hang outlasts."""


class Asked:
    """An engine of which somebody always asks: no question is answered before the next one waits."""

    def __init__(self, ward: Any, minute: float) -> None:
        self.ward = ward
        self.minute = minute
        self.done = threading.Event()
        self.engine = Engine(ward.service, lambda: ward.at(self.minute), Metrics(Feeds(), "test"))
        self.said: asyncio.Queue[str] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        ward.service.listen = self._hear

    def _hear(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if type(effect) is AlertEvent:
                self._loop.call_soon_threadsafe(self.said.put_nowait, effect.state)

    def _look(self, _service: EmbeddedService) -> None:
        while not self.engine._questions and not self.done.wait(0.001):
            pass

    async def board(self) -> None:
        """Ask until it is done."""
        while not self.done.is_set():
            await self.engine.ask(self._look)


def among_boards(ward: Any, minute: float, story: Callable[[Asked], Awaitable[None]]) -> None:
    """Run a story while boards ask, from before the engine starts."""

    async def whole() -> None:
        asked = Asked(ward, minute)
        boards = [asyncio.create_task(asked.board()) for _ in range(BOARDS)]
        while len(asked.engine._questions) < BOARDS:
            await asyncio.to_thread(lambda: None)
        asked.engine.start()
        try:
            async with asyncio.timeout(HANGS_S):
                await story(asked)
        finally:
            asked.done.set()
            await asyncio.gather(*boards)
            await asked.engine.stop()

    asyncio.run(whole())


def test_questions_do_not_keep_the_fold_back(ward: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """While boards ask again and again, what is stored is folded and its alert is said."""
    monkeypatch.setattr(ward.service, "accept", ward.service.store)
    ward.admit("1")
    ward.chart("1", 10, ward.SICK)
    assert ward.service.lag() > 0

    async def story(asked: Asked) -> None:
        assert await asked.said.get() == "raised"

    among_boards(ward, 10, story)


def test_questions_do_not_keep_time_back(ward: Any) -> None:
    """While boards ask again and again in a silence, an alert that nobody answers escalates."""
    ward.admit("1")
    ward.chart("1", 10, ward.SICK)

    async def story(asked: Asked) -> None:
        assert await asked.said.get() == "escalated"

    among_boards(ward, 10 + 61, story)


def test_two_who_ask_at_once_share_one_list(ward: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two requests for the patients before the first is answered have one list made, and both get it."""
    folder = ward.service.journal.path.parent

    async def story() -> None:
        running = RunningService(
            folder,
            ward.service,
            ServiceSettings(mllp_port=0, http_port=0),
            version="test",
            log=set_up_logs("error", (tmp_path / "log").open("w")),
        )
        made: list[bytes] = []
        make = running.view.patients

        def count(*which: Any) -> bytes:
            made.append(make(*which))
            return made[-1]

        monkeypatch.setattr(running.view, "patients", count)
        running.engine.start()
        answers = await asyncio.gather(running.serving.patients(None), running.serving.patients(None))
        await running.stop()
        assert answers == made * 2

    asyncio.run(story())
