"""The threads in which a stage does its blocking steps.

Owns how many there are, and that a step once begun is waited for to its end. Must not know what a step does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

STEPS_MAX = 8
"""Steps under way at once, one a thread: they wait for the store far more than they compute."""

Answer = TypeVar("Answer")


class Steps:
    """Threads of a stage's own, not the loop's: a step may wait for an answer of the loop's, which needs one of those.

    >>> asyncio.run(Steps("ward").do(lambda: 1 + 1))
    2
    """

    def __init__(self, name: str) -> None:
        self._threads = ThreadPoolExecutor(STEPS_MAX, thread_name_prefix=f"{name}-step")

    async def do(self, step: Callable[[], Answer]) -> Answer:
        """Do a step. Who is cancelled meanwhile goes on waiting until it has ended: no other may begin beside it."""
        begun = asyncio.get_running_loop().run_in_executor(self._threads, step)
        try:
            return await asyncio.shield(begun)
        except asyncio.CancelledError:
            while not begun.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait({begun})
            if not begun.cancelled():
                begun.exception()  # nobody is left to hear of it
            raise

    def close(self) -> None:
        """Begin no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)
