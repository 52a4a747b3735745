"""What works beside the learner's folds in its process: with topics and a clock, on the event loop.

Owns what a companion is asked for and what it is given. Must not know what any of them does. A companion makes a fold
(stream/live/beside.py) and knows what is so outside; what its fold is to know of that it has written down (`tell`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol, TypeVar

import structlog
from prometheus_client import Metric

from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from models.version import ModelVersion
from stream.decisions import Decision
from stream.live.beside import Beside, MakeBeside
from stream.live.change_desk import ChangeDesk
from stream.live.example_fold import ExampleFold
from stream.live.versions import VersionTail
from stream.logs import describe

AGAIN_S = 5.0
"""Before a companion that failed is begun again."""
Done = TypeVar("Done")
Answer = Callable[[], Awaitable[object]]
"""Gives what is answered, to be written as JSON."""


class Learning(Protocol):
    """The process, as a companion sees it."""

    @property
    def fold(self) -> ExampleFold:
        """The fold: to be looked at in its own thread."""
        ...

    @property
    def is_current(self) -> bool:
        """Whether what the fold knows is of now: the topic is caught up with, and next to nothing waits."""
        ...

    async def in_thread(self, work: Callable[[], Done]) -> Done:
        """Do something in the fold's thread."""
        ...

    async def tell(self, name: str, content: bytes) -> None:
        """Write a word to a fold down on `examples.v1`, and wait until it has heard it. Raises `BrokerError`."""
        ...

    async def send(self, records: Sequence[Record]) -> list[int]:
        """Write records and give where each lies. Raises `BrokerError`."""
        ...


class Following:
    """What all companions of a process follow: the versions at hand, and what is decided."""

    def __init__(
        self,
        kafka: KafkaSettings,
        password: str,
        version_keys: Iterable[str],
        *,
        sign: Callable[[Decision], Decision] | None = None,
    ) -> None:
        """`version_keys` are trusted to sign versions; `sign` is what `stream.decisions.signer` gives."""
        self.kafka, self.password = kafka, password
        self.versions = VersionTail(kafka, password, version_keys)
        self.desk = ChangeDesk(kafka, password, sign=sign)

    async def start(self) -> None:
        """Read what both topics have now, and go on. Raises `BrokerError`."""
        await self.versions.start()
        await self.desk.start()

    async def stop(self) -> None:
        """Read and write no more."""
        await self.versions.stop()
        await self.desk.stop()

    def problems(self) -> tuple[str, ...]:
        """Say what keeps them from it."""
        return (*self.versions.problems(), *self.desk.problems())


class Companion:
    """Does nothing of what is asked for, unless a subclass says otherwise."""

    name = "companion"

    def make(self) -> Beside:
        """Make the fold; asked again for each snapshot that is tried."""
        return Beside()

    async def start(self) -> None:
        """Get ready, before anything is folded. Raises `BrokerError`."""

    async def run(self, learning: Learning) -> None:
        """Work for as long as the process lives; what it raises ends the process."""

    async def made(self, version: ModelVersion) -> None:
        """Hear that a candidate was signed and published. Raises `BrokerError`."""

    async def stop(self) -> None:
        """End what `start` began."""

    def problems(self) -> tuple[str, ...]:
        """Say what keeps it from its work."""
        return ()

    def notes(self) -> tuple[str, ...]:
        """Say what an operator should know of, though the process is well."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Give its figures for Prometheus."""
        return ()

    @property
    def answers(self) -> dict[str, Answer]:
        """Give what it answers over HTTP, as JSON: each by its path."""
        return {}


class Company:
    """All companions of one process, in the order in which their folds hear; `following` is what they share."""

    def __init__(self, following: Following | None = None, companions: Sequence[Companion] = ()) -> None:
        """Nothing is begun yet."""
        self._following, self.companions = following, tuple(companions)
        self._faults: dict[str, str] = {}

    @property
    def makers(self) -> dict[str, MakeBeside]:
        """Give what makes the folds, by name."""
        return {one.name: one.make for one in self.companions}

    async def start(self) -> None:
        """Get ready, before anything is folded. Raises `BrokerError`."""
        if self._following is not None:
            await self._following.start()
        for one in self.companions:
            await one.start()

    async def stop(self) -> None:
        """End what `start` began."""
        for one in self.companions:
            await one.stop()
        if self._following is not None:
            await self._following.stop()

    async def run(self, one: Companion, learning: Learning) -> None:
        """Let one work for ever. A fault of ours in it is told, and it begins again: learning goes on."""
        while True:
            try:
                await one.run(learning)
            except Exception as fault:  # noqa: BLE001 - our own bug, beside what must go on
                self._faults[one.name] = f"{one.name} failed and was begun again: {type(fault).__name__}, see the log"
                structlog.get_logger().error("companion_failed", companion=one.name, **describe(fault))
            await asyncio.sleep(AGAIN_S)

    async def made(self, version: ModelVersion) -> None:
        """Tell all of a candidate. Raises `BrokerError`."""
        for one in self.companions:
            await one.made(version)

    def problems(self) -> tuple[str, ...]:
        """Say what keeps any from its work."""
        shared = self._following.problems() if self._following is not None else ()
        own = (words for one in self.companions for words in one.problems())
        return (*shared, *own, *self._faults.values())

    def notes(self) -> tuple[str, ...]:
        """Say what an operator should know of."""
        return tuple(words for one in self.companions for words in one.notes())

    @property
    def answers(self) -> dict[str, Answer]:
        """Give what is answered over HTTP, by path."""
        return {path: answer for one in self.companions for path, answer in one.answers.items()}
