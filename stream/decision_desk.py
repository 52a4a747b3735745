"""Decisions that reach a service while it runs: entered by the thread that stores, answered once they are folded.

Owns that order, and what is answered where it fails. Must not know a socket, nor what a decision comes to.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable

import msgspec
from structlog.typing import FilteringBoundLogger

from connectors.intake import NotStoredError
from events import Millis
from stream.deciding import Answer, NotTrustedError, in_force
from stream.decisions import Decision, UnreadableDecisionError, decode_decision
from stream.engine import Engine
from stream.receipts import storage_fault
from stream.service import EmbeddedService
from stream.settings import ConfigurationError
from stream.versions import NoSuchVersionError

FOLDED_WITHIN_S = 8.0
"""How long a command is kept waiting for the fold. What is entered is in the log, however long that takes."""
LOOK_S = 0.02
QUESTION = b"null"
"""Asks what is in force, and decides nothing."""


class DecisionDesk:
    """Takes decisions for one service, on the event loop."""

    def __init__(self, engine: Engine, now: Callable[[], Millis], log: FilteringBoundLogger) -> None:
        self._engine = engine
        self._now = now
        self._log = log

    async def answer(self, line: bytes) -> bytes:
        """Answer a decision, or the question for what is in force; see `stream.deciding.Answer`."""
        try:
            answer = await self._answer(line)
        except (UnreadableDecisionError, ConfigurationError, NoSuchVersionError) as fault:
            answer = Answer(problem=str(fault))
        except (NotStoredError, sqlite3.Error, OSError) as fault:
            reason = fault.reason if isinstance(fault, NotStoredError) else storage_fault(fault)
            answer = Answer(problem=f"it could not be stored ({reason}): nothing is changed; decide it again")
        return msgspec.json.encode(answer)

    async def _answer(self, line: bytes) -> Answer:
        sequence = offset = 0
        if line != QUESTION:
            decision = decode_decision(line)
            kind = type(decision.event).__name__
            try:
                sequence, offset = await self._engine.enter(lambda service: self._enter(service, decision))
            except NotTrustedError as refusal:
                self._log.warning("decision_refused", kind=kind, who=decision.who, reason=refusal.fault)
                raise
            self._log.info("decision", sequence=sequence, kind=kind, who=decision.who)
        try:
            async with asyncio.timeout(FOLDED_WITHIN_S):
                while await self._engine.ask(_folded) < offset:  # noqa: ASYNC110 - another thread folds
                    await asyncio.sleep(LOOK_S)
                return Answer(sequence, await self._engine.ask(lambda one: in_force(one.host.pipeline.control)))
        except (TimeoutError, NotStoredError):
            return Answer(sequence)

    def _enter(self, service: EmbeddedService, decision: Decision) -> tuple[int, int]:
        return service.decide(decision, self._now()), service.host.end


def _folded(service: EmbeddedService) -> int:
    return service.folded()
