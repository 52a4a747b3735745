"""The decisions of the live service, kept up with `control.v1`.

Owns the tail of that topic. Must not know what a decision is, nor what it comes to (stream/decisions.py).
"""

from __future__ import annotations

import structlog

from connectors.kafka.reading import KafkaRecord
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import CONTROL
from stream.decisions import Decisions
from stream.live.tails import Tail


class DecisionTail:
    """The decisions, kept up with `control.v1`."""

    def __init__(self, settings: KafkaSettings, password: str) -> None:
        """Begin with none; `start` reads the topic."""
        self.decisions = Decisions()
        self._tail = Tail(settings, password, CONTROL, self._take_record)

    async def start(self) -> None:
        """Read what is decided by now, and go on. Raises `BrokerError`."""
        await self._tail.start()
        self.decisions.caught_up = True

    async def stop(self) -> None:
        """Read no more."""
        await self._tail.stop()

    @property
    def reached(self) -> int:
        """The offset of the next decision to hear of."""
        return self._tail.reached

    def problems(self, applied_sequence: int = 0) -> tuple[str, ...]:
        """Say what an operator should know of: see `Decisions.problems`."""
        return (*self.decisions.problems(applied_sequence), *self._tail.problems())

    def _take_record(self, record: KafkaRecord) -> None:
        decided = self.decisions.take(record.offset, record.value, record.record_time)
        refused = self.decisions.book.refused
        if decided is None and refused and refused[-1].decided.sequence == record.offset + 1:
            kind, who = type(refused[-1].decided.decision.event).__name__, refused[-1].decided.decision.who
            structlog.get_logger().error(
                "decision_refused", sequence=record.offset + 1, kind=kind, who=who, reason=refused[-1].fault
            )
        elif decided is None:
            structlog.get_logger().error("decision_unreadable", sequence=record.offset + 1)
        else:
            kind = type(decided.decision.event).__name__
            structlog.get_logger().info("decision", sequence=decided.sequence, kind=kind)
