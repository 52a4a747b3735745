"""The number of the newest alert event, and those who wait for the next one.

Owns the waking. Must not know how alerts are numbered or kept: both hosts say so. Used on the event loop's thread.
"""

from __future__ import annotations

import asyncio


class NewestAlert:
    """Wakes whoever waits, as soon as there is a newer one.

    >>> newest = NewestAlert(3)
    >>> newest.announce(2)
    >>> newest.number
    3
    """

    def __init__(self, number: int = 0) -> None:
        self.number = number
        self._said = asyncio.Event()

    def announce(self, number: int) -> None:
        """Say that there is an alert event of this number."""
        self.number = max(self.number, number)
        said, self._said = self._said, asyncio.Event()
        said.set()

    async def wait(self, after: int, timeout_s: float) -> bool:
        """Wait for one above a number; False where none came in time."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.number <= after:
                    await self._said.wait()
        except TimeoutError:
            return False
        return True
