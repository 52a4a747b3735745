"""What a server tells us of itself: resources and notifications are taken in, and what they lack is fetched.

Owns the receiving of one server's hooks. Must not know HTTP. Nothing is answered as taken before it is durable; told
nineteen times, it counts once.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from urllib.parse import urlencode

from connectors.fhir.notification import Notification, read_notification
from connectors.fhir_sources.client import SourceClient
from connectors.fhir_sources.faults import FhirSourceError
from connectors.fhir_sources.numbers import GAP_EVENTS_MAX, EventNumbers, Gap
from connectors.fhir_sources.pages import STATUS_TYPES, Found, read_page, read_resource
from connectors.fhir_sources.smart import read_secret
from connectors.fhir_sources.taking import Taker
from connectors.fhir_sources.untold import Untold

SECRET_CHARS_MIN = 32
READ_AT_ONCE_MAX = 4


class HookHearer:
    """Hears what befalls a server's hooks; for metrics and the log. It must be quick and never raise."""

    def notified(self, kind: str) -> None:
        """A delivery: `resource`, `empty`, or a notification's type."""

    def gap(self, events: int, filled: int) -> None:
        """Events were missing; so many resources were got by asking for them, and the rest is polled for."""

    def ailing(self, why: str) -> None:
        """The server says, or its silence does, that a subscription does not work."""


class Receiver:
    """Receives the hooks of one server. Made and used on the event loop; `stop` at the end."""

    def __init__(
        self,
        secret_file: Path,
        client: SourceClient,
        taker: Taker,
        hearer: HookHearer,
        *,
        untold: Untold,
        look_soon: Callable[[], None],
        reconcile_soon: Callable[[], None],
        elapsed_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises `FhirSourceError` where there is no secret of some length in the file."""
        self._secret_file = secret_file
        self.secret = read_hook_secret(secret_file)
        self._former = ""
        self._client = client
        self._taker = taker
        self._hearer = hearer
        self._untold = untold
        self._look_soon = look_soon
        self._reconcile_soon = reconcile_soon
        self._elapsed_s = elapsed_s
        self._numbers: dict[str, EventNumbers] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.heard_s = elapsed_s()
        """When we last heard anything, on `elapsed_s`."""
        self.resources = 0
        """Resources that came by themselves."""

    def renew_secret(self) -> None:
        """Read the secret's file again; the one before is still known, for the server has to learn the new one."""
        found = read_hook_secret(self._secret_file)
        if found != self.secret:
            self.secret, self._former = found, self.secret

    def knows(self, given: str) -> bool:
        """Say whether a bearer token is the secret that this server was given."""
        known = [one for one in (self.secret, self._former) if one]
        return any(hmac.compare_digest(given.encode("utf-8", "surrogateescape"), one.encode()) for one in known)

    @property
    def silent_s(self) -> float:
        """How long nothing was heard."""
        return self._elapsed_s() - self.heard_s

    async def receive(self, body: bytes) -> bool:
        """Take what was delivered: one resource, a Bundle, a notification, or nothing at all ("something changed").

        Returns when it is durable, and says whether it was a Bundle. Raises `NotStoredError`, or `FhirSourceError`
        where a resource that is only named could not be read: either way the server is to send it again.
        """
        self.heard_s = self._elapsed_s()
        if not body.strip():
            self._hearer.notified("empty")
            self._look_soon()
            return False
        one = read_resource(body)
        bundle = one.kind == "Bundle"
        notification = read_notification(body)
        if notification is not None:
            self._hearer.notified(notification.type)
            await self._notified(notification, body)
            return bundle
        self._hearer.notified("resource")
        await self._take(_resources(body) if bundle else [one])
        return bundle

    async def _notified(self, notification: Notification, body: bytes) -> None:
        if notification.status in {"error", "off"}:
            self._hearer.ailing(f"the server says that the subscription's status is {notification.status}")
            self._reconcile_soon()
        await self._take(await self._whole(_resources(body), notification))
        self._count(notification)

    async def _whole(self, listed: Sequence[Found], notification: Notification | None) -> list[Found]:
        """Give the resources that stand beside a notification's status, and those that it only names."""
        found = [one for one in listed if one.kind not in STATUS_TYPES]
        if notification is not None:
            carried = {f"{one.kind}/{one.id}" for one in found}
            named = dict.fromkeys(event.focus for event in notification.events if event.focus)
            found += await self._read([name for name in named if "/".join(name.split("/")[-2:]) not in carried])
        return found

    async def _read(self, names: Sequence[str]) -> list[Found]:
        """Read resources that are only named; one that is gone by now, or another server's, is left out."""
        turns = asyncio.Semaphore(READ_AT_ONCE_MAX)

        async def read(name: str) -> Found | None:
            async with turns:
                try:
                    return read_resource((await self._client.get(name)).body)
                except FhirSourceError as fault:
                    if fault.kind in {"not_found", "foreign_link"}:
                        return None
                    raise

        return [one for one in await asyncio.gather(*(read(name) for name in names)) if one is not None]

    async def _take(self, found: Sequence[Found]) -> None:
        if found:
            await self._taker.take(found, "hook")
            self._untold.told(found)
            self.resources += len(found)

    def _count(self, notification: Notification) -> None:
        numbers = self._numbers.setdefault(notification.subscription, EventNumbers())
        if notification.type in {"handshake", "heartbeat", "query-status"} and numbers.begin_anew(
            notification.events_since_start
        ):
            self._look_soon()
        heard = [event.number for event in notification.events if event.number is not None]
        gap = numbers.hear(heard, notification.events_since_start)
        if gap is not None:
            self._begin(self._catch_up(notification.subscription, gap))

    def _begin(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _catch_up(self, subscription: str, gap: Gap) -> None:
        """Ask for the events that are missing (`$events`); the server is polled at once in any case."""
        self._look_soon()
        filled = 0
        name = "/".join(subscription.split("/")[-2:])
        if gap.last - gap.first < GAP_EVENTS_MAX and name.startswith("Subscription/"):
            query = urlencode({"eventsSinceNumber": gap.first, "eventsUntilNumber": gap.last})
            try:
                body = (await self._client.get(f"{name}/$events?{query}")).body
                found = await self._whole(read_page(body).found, read_notification(body))
                await self._take(found)
                filled = len(found)
            except Exception as fault:  # noqa: BLE001 - it is polled for as well; a task must not end untold
                self._hearer.ailing(f"a gap could not be asked for ({type(fault).__name__}): it is polled for")
        self._hearer.gap(gap.events, filled)

    async def stop(self) -> None:
        """Fetch nothing more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _resources(body: bytes) -> list[Found]:
    """Give what a delivered Bundle holds; one that cannot be read is given whole: sent again it would be no better."""
    try:
        return list(read_page(body).found)
    except FhirSourceError:
        return [Found("", "", "", None, body)]


def read_hook_secret(path: Path) -> str:
    """Read the secret that a server shows us; raises `FhirSourceError` where it is none, or could be guessed."""
    secret = read_secret(path, "subscription.secret_file")
    if len(secret) < SECRET_CHARS_MIN or not (secret.isascii() and secret.isprintable()) or " " in secret:
        text = f"subscription.secret_file: expected {SECRET_CHARS_MIN} characters of ASCII or more, without a space"
        raise FhirSourceError("no_token", text)
    return secret
