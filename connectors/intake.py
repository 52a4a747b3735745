"""The port between what listens and what stores: messages offered, and what became of each.

Owns the two words of the contract, receipt and refusal to store. Must not know a socket, a database or a decision.
A server decodes, offers, and answers its sender only by the receipts.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from connectors.decoded import Refusal
from connectors.sources.arrival import Arrival

NotStoredReason = Literal["stopping", "disk_full", "overloaded", "failed"]


class Receipt(msgspec.Struct, frozen=True):
    """What became of one message. It is durable by the time anybody holds this: accepted, or kept as a dead letter.

    >>> Receipt("accepted").refusal is None
    True
    """

    outcome: Literal["accepted", "duplicate", "refused"]
    refusal: Refusal | None = None
    """Why it could not be used, where it was refused: for the answer to its sender."""


class NotStoredError(Exception):
    """Nothing of what was offered is stored, through no fault of the sender: he must send it again later."""

    def __init__(self, reason: NotStoredReason) -> None:
        super().__init__(reason)
        self.reason: NotStoredReason = reason


class Intake(Protocol):
    """Takes messages in."""

    async def offer(self, arrivals: Sequence[Arrival]) -> Future[list[Receipt]]:
        """Wait for room, then take the messages; returns at once after that.

        The future gives one receipt an arrival, in order, once all of them are durable (group commit); it raises
        `NotStoredError` where they could not be stored. Messages offered one after the other are stored in that order.
        Raises `NotStoredError` itself where nothing is taken any more. `received_time` of an arrival is left None: the
        service's own clock stamps it.
        """
        ...
