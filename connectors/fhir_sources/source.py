"""One FHIR server as a source: looked at as often as is said, at once where something is missing, until it is stopped.

Owns the schedule and what is told. Must not know pages, nor how anything is stored.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable

from connectors.fhir_sources.client import SourceClient
from connectors.fhir_sources.faults import FhirSourceError
from connectors.fhir_sources.polling import Look, Poller
from connectors.fhir_sources.turns import Alone, Turns
from connectors.intake import NotStoredError

WAIT_MAX_S = 300.0
"""A server that fails is asked at least so often: who mends it need not tell us."""
NOT_STORED_S = 5.0
"""After we could not store: how long until the next look."""


class Hearer:
    """Hears what befalls a source; for metrics and the log. It must be quick and never raise."""

    def looked(self, look: Look, seconds: float) -> None:
        """A look went through."""

    def not_ours(self) -> None:
        """Another process looks at the server."""

    def failed(self, kind: str, detail: str, advice: str) -> None:
        """A look did not. The words name nobody."""

    def resumed(self) -> None:
        """The first look that went through after one that did not."""


class PolledSource:
    """Looks at one server again and again. Made on the event loop; `start`, then `stop`."""

    def __init__(
        self,
        poller: Poller,
        client: SourceClient,
        hearer: Hearer,
        *,
        poll_s: float,
        wanted: asyncio.Event | None = None,
        turns: Turns | None = None,
        heard: Callable[[], int] = lambda: 0,
        after: Callable[[int], None] = lambda _heard: None,
        elapsed_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`wanted` has the server looked at now. `turns` says whether it is ours to ask. `heard` counts what the server
        told us of itself; `after` hears, once a look went through, how much other processes say that it told them.
        """
        self._poller = poller
        self._client = client
        self._hearer = hearer
        self._turns = turns or Alone()
        self._heard = heard
        self._heard_before = 0
        self.ours = True
        """Whether it is ours to ask this server."""
        self._after = after
        self._poll_s = poll_s
        self._elapsed_s = elapsed_s
        self._stopping = asyncio.Event()
        self._wanted = wanted or asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failures = 0
        self._dice = random.Random()  # noqa: S311 - it only spreads looks
        self._fault = ""

    async def start(self) -> None:
        """Begin to look, where it is ours to."""
        self.ours = (await self._turns.take(0)).mine
        self._task = asyncio.create_task(self._look_forever(), name="fhir source")

    async def stop(self, grace_s: float) -> None:
        """Look no more; a look under way may end within the grace."""
        self._stopping.set()
        self._wanted.set()
        if self._task is not None:
            _, late = await asyncio.wait((self._task,), timeout=grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._turns.give_back()
        await self._client.close()

    async def _look_forever(self) -> None:
        while not self._stopping.is_set():
            self._wanted.clear()
            wait_s = await self.look()
            if not self._stopping.is_set():
                # After a fault no wish shortens the wait: the server may have asked for it (Retry-After).
                awaited = self._stopping if self._failures else self._wanted
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await awaited.wait()

    async def look(self) -> float:
        """Look once; give how long until the next time."""
        heard = self._heard()
        turn = await self._turns.take(heard - self._heard_before)
        self._heard_before = heard
        self.ours = turn.mine
        if not turn.mine:
            self._hearer.not_ours()
            return self._poll_s
        began = self._elapsed_s()
        try:
            look = await self._poller.look()
        except NotStoredError as error:
            self._fail("not_stored", error.reason, "what was not stored is read again: see why nothing is taken in")
            return NOT_STORED_S
        except FhirSourceError as fault:
            self._fail(fault.kind, str(fault), fault.advice)
            return max(self._backed_off(), min(fault.retry_after_s or 0.0, WAIT_MAX_S * 12))
        except OSError as error:
            self._fail("state_folder", error.strerror or type(error).__name__, "make it writable by the service's user")
            return self._backed_off()
        except Exception as error:  # noqa: BLE001 - a source that ended would be silent for good
            self._fail("ours", type(error).__name__, "a fault of ours: report it; the server is looked at again")
            return self._backed_off()
        if self._failures:
            self._hearer.resumed()
        self._failures, self._fault = 0, ""
        self._hearer.looked(look, self._elapsed_s() - began)
        self._after(turn.heard - heard)
        return self._poll_s

    def _fail(self, kind: str, detail: str, advice: str) -> None:
        self._failures += 1
        self._hearer.failed(kind, detail, advice if detail != self._fault else "")
        self._fault = detail

    def _backed_off(self) -> float:
        longest = max(self._poll_s, WAIT_MAX_S)
        wait_s: float = min(longest, self._poll_s * 2.0 ** min(self._failures - 1, 10))
        return wait_s * self._dice.uniform(0.75, 1.0)
