"""Room: how many messages and bytes may be held at once, and the waiting for it.

Owns the two counts and the queue of those who wait. Must not know what is held.
"""

from __future__ import annotations

import asyncio
from collections import deque


class Room:
    """Room for `messages_max` and `bytes_max`, given out in the order it is asked for.

    What is larger than the whole room is let in when nothing else is there: it must get through too, alone.

    >>> room = Room(2, 100)
    >>> room.take_now(1, 60), room.take_now(1, 60)
    (True, False)
    >>> room.give(1, 60)
    >>> room.take_now(1, 1_000), room.bytes_held
    (True, 1000)
    """

    def __init__(self, messages_max: int, bytes_max: int) -> None:
        self._messages_max = messages_max
        self._bytes_max = bytes_max
        self._messages_held = 0
        self.bytes_held = 0
        self._waiting: deque[tuple[int, int, asyncio.Future[None]]] = deque()

    def _fits(self, messages: int, size: int) -> bool:
        within = self._messages_held + messages <= self._messages_max and self.bytes_held + size <= self._bytes_max
        return within or not (self._messages_held or self.bytes_held)

    def take_now(self, messages: int, size: int) -> bool:
        """Take room if there is some and nobody waits for it."""
        if self._waiting or not self._fits(messages, size):
            return False
        self._messages_held += messages
        self.bytes_held += size
        return True

    async def take(self, messages: int, size: int) -> None:
        """Wait for room and take it."""
        if self.take_now(messages, size):
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((messages, size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give(messages, size)
            else:
                self._let_in()
            raise

    def give(self, messages: int, size: int) -> None:
        """Give room back, and let in those who now fit."""
        self._messages_held -= messages
        self.bytes_held -= size
        assert self._messages_held >= 0, "more was given back than taken"
        assert self.bytes_held >= 0, "more was given back than taken"
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting:
            messages, size, turn = self._waiting[0]
            if not turn.done():
                if not self._fits(messages, size):
                    return
                self._messages_held += messages
                self.bytes_held += size
                turn.set_result(None)
            self._waiting.popleft()
