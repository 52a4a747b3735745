"""Whether senders could be heard: since when nobody listened, or the disk let nobody in.

Owns when a stretch of the log says nothing of who was silent. Must not know feeds, nor what is made of it. Used on the
commit thread; `missed` from any.
"""

from __future__ import annotations

import sqlite3
from typing import Protocol

from events import Millis

SLOW_S = 10.0
"""A message that waited for the disk so long is stamped by when it was stored: until then its sender was not heard."""


class Log(Protocol):
    """Where the passing of time is entered."""

    def enter_tick(self, at: Millis, *, behind: bool = False) -> bool:
        """Enter a tick; see `stream.service`."""
        ...


class Hearing:
    """Enters a tick that says so, before the first record after a stretch in which senders could not be heard.

    A log that was begun before this process did is such a stretch: nobody listened since.
    """

    def __init__(self, *, resumed: bool) -> None:
        self._deaf = resumed

    def missed(self) -> None:
        """Note that a sender was turned away, or may have been."""
        self._deaf = True

    def took(self, seconds: float) -> None:
        """Note how long a batch waited for the disk."""
        if seconds > SLOW_S:
            self._deaf = True

    def resume(self, log: Log, now: Millis) -> None:
        """Hear again from now on; where the tick cannot be stored, later."""
        if self._deaf:
            try:
                log.enter_tick(now, behind=True)
            except (sqlite3.Error, OSError, RuntimeError):
                return  # What is entered next fails likewise, and says so.
            self._deaf = False
