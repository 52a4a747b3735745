"""Where a process that nobody watches enters decisions: with the chain's links, signed where it has a key, each once.

Owns the order: read what is decided, decide from that, write, and read one's own record before the next. Must not know
what is decided, nor why. Two who decide in one process (monitors, change control) share one desk, and never interleave.

Kafka has no write that fails where another came first. So what is decided here rests on what was read some milliseconds
before; a decision of somebody else that lies between is seen next, and one that is signed and was overtaken does not
count (stream/decisions.py): it is made anew from what stands then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec
import structlog

from connectors.kafka.faults import NotSentError
from connectors.kafka.reading import log_range
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import CONTROL
from stream.decisions import Decided, Decision, Decisions, decision_key, encode_decision
from stream.live.decisions import DecisionTail
from stream.live.writing import Writing, read_back
from stream.trust import WORDS

READ_WITHIN_S = 15.0
"""Until the tail has come to the topic's end, or to our own record."""
LOOK_S = 0.01
ATTEMPTS_MAX = 5
"""Times that one set of decisions is made, where each was overtaken or not known to stand."""
PROBLEMS_MAX = 10

Make = Callable[[Decisions], Sequence[Decision]]
"""Gives what is to be decided, in order, from what stands; nothing for what stands already."""


class ChangeDesk:
    """The decisions, kept up with `control.v1`, and the one place of a process that adds to them."""

    def __init__(
        self,
        kafka: KafkaSettings,
        password: str,
        *,
        client_id: str = "wardstream.learner",
        sign: Callable[[Decision], Decision] | None = None,
    ) -> None:
        """`sign` is what `stream.decisions.signer` gives."""
        self._kafka, self._password = kafka, password
        self._sign = sign or (lambda decision: decision)
        self._tail = DecisionTail(kafka, password)
        self._writing = Writing(kafka, password, client_id=client_id)
        self._lock = asyncio.Lock()
        self._refused: dict[str, str] = {}
        self._log = structlog.get_logger()

    async def start(self) -> None:
        """Read what is decided by now, and go on. Raises `BrokerError`."""
        await self._tail.start()

    async def stop(self) -> None:
        """Read and write no more."""
        await self._tail.stop()
        await self._writing.stop()

    @property
    def decisions(self) -> Decisions:
        """What is decided, as far as it was read."""
        return self._tail.decisions

    def problems(self) -> tuple[str, ...]:
        """Say what keeps it from reading on, and what it would have decided that would not have counted."""
        return (*self._tail.problems(), *self._refused.values())

    async def enter(self, make: Make) -> list[Decided]:
        """Enter what `make` gives of the decisions up to the topic's end; give what this wrote and what stands of it.

        What would not count (unsigned where keys are declared) is not written, and told in health. Raises
        `BrokerError` where it is not known how things stand: `make` is asked anew the next time.
        """
        stood: list[Decided] = []
        async with self._lock:
            for _ in range(ATTEMPTS_MAX):
                await self._catch_up()
                for decision in make(self.decisions):
                    entered = await self._write(decision)
                    if entered is None:
                        break
                    stood += entered
                else:
                    return stood
        raise NotSentError("refused", f"{CONTROL}: overtaken {ATTEMPTS_MAX} times in a row")

    async def _write(self, decision: Decision) -> list[Decided] | None:
        """Write one; give it as it stands, nothing where it may not be written, None where all is to be made anew."""
        kind = type(decision.event).__name__
        linked = self._sign(msgspec.structs.replace(decision, previous=self.decisions.chain.tips))
        fault = self.decisions.fault_of(linked)
        if fault is not None:
            self._refuse(kind, WORDS[fault])
            return []
        self._refused.pop(kind, None)
        value = encode_decision(linked)
        try:
            place = await self._send(Record(CONTROL, decision_key(linked), value))
        except NotSentError:
            await self._writing.stop()  # It may stand all the same: what is read next tells.
            await self._catch_up()
            return None
        await self._reach(place + 1)
        stands = next((one for one in reversed(self.decisions.kept()) if one.sequence == place + 1), None)
        if stands is not None:
            self._log.info("decided", sequence=stands.sequence, kind=kind, who=decision.who, reason=decision.reason)
        return None if stands is None else [stands]

    def _refuse(self, kind: str, why: str) -> None:
        words = f"{CONTROL}: a {kind} of this process would not count, for {why}: see docs/change-control.md"
        if self._refused.get(kind) != words and len(self._refused) < PROBLEMS_MAX:
            self._refused[kind] = words
            self._log.error("decision_not_entered", kind=kind, why=why)

    async def _send(self, record: Record) -> int:
        [place] = await self._writing.send([record])
        if place < 0:
            raise NotSentError("unreachable", f"{CONTROL}: stored, and the broker does not say where")
        return place

    async def _catch_up(self) -> None:
        _, end = (await log_range(self._kafka, CONTROL, password=self._password))[0]
        await self._reach(end)

    async def _reach(self, end: int) -> None:
        words = f"{CONTROL} was not read to record {end} in {READ_WITHIN_S:g} s"
        await read_back(lambda: self._tail.reached >= end, READ_WITHIN_S, LOOK_S, words)
