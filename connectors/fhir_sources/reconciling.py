"""Our subscriptions on one server, looked after: made, renewed, made anew where they fail, removed where unwanted.

Owns the rounds. Must not know what arrives by them, nor what a Subscription says. A server that lost its subscriptions,
or stopped telling in silence, has them again after a round; meanwhile polling goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from urllib.parse import urlencode

import msgspec

from connectors.fhir_sources.client import SourceClient
from connectors.fhir_sources.faults import FhirSourceError
from connectors.fhir_sources.pages import Found
from connectors.fhir_sources.polling import walk
from connectors.fhir_sources.receiving import Receiver
from connectors.fhir_sources.settings import FhirServer
from connectors.fhir_sources.subscribing import Todo, document, judge, read_there, wanted_of
from connectors.fhir_sources.untold import Untold
from events import MILLIS_PER_SECOND, Millis

HEARTBEATS_MISSED = 2


class Round(msgspec.Struct, frozen=True):
    """What one round found and did."""

    active: int
    steps: dict[str, int]
    faults: tuple[str, ...] = ()
    """Why subscriptions were made anew."""


class RoundHearer:
    """Hears what befalls subscriptions; for metrics and the log. It must be quick and never raise."""

    def went_round(self, one: Round) -> None:
        """A round went through."""

    def round_failed(self, fault: FhirSourceError) -> None:
        """A round did not."""

    def silent(self, silent_s: float) -> None:
        """Heartbeats are missing."""

    def missed(self, number: int) -> None:
        """So many resources were found by polling and not told within the grace."""


class Reconciler:
    """Looks after the subscriptions on one server. Made on the event loop; `start`, then `stop`."""

    def __init__(
        self,
        server: FhirServer,
        client: SourceClient,
        receiver: Receiver,
        hearer: RoundHearer,
        *,
        now: Callable[[], Millis],
        untold: Untold,
        is_ours: Callable[[], bool] = lambda: True,
        look_soon: Callable[[], None],
        wanted: asyncio.Event,
    ) -> None:
        """`wanted` has a round begin now; `is_ours` says whether it is ours to look after the subscriptions."""
        self._server = server
        self._chosen = server.subscription
        self._client = client
        self._receiver = receiver
        self._hearer = hearer
        self._now = now
        self._untold = untold
        self._is_ours = is_ours
        self._look_soon = look_soon
        self._wanted = wanted_of(server)
        self._whole_types = frozenset(one.criteria[:-1] for one in self._wanted if one.criteria.endswith("?"))
        self._active_since: Millis | None = None
        """By the server's clock: since when all of ours were active at each look; None where they are not."""
        self._missed = 0
        self._heard_before = 0
        self._heard_elsewhere = 0
        self._anew = False
        self._soon = wanted
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin the rounds."""
        self._task = asyncio.create_task(self._go_round_forever(), name="fhir subscriptions")

    async def stop(self) -> None:
        """End the rounds. The subscriptions stay: a restart finds them, and forgotten ones end by themselves."""
        self._stopping = True
        self._soon.set()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    # -- what polling shows -----------------------------------------------------------------------------------------

    def news(self, one: Found) -> None:
        """Hear of a resource that polling found first: it is to be told, where subscriptions were active by then."""
        since = self._active_since
        if since is not None and one.changed is not None and one.changed > since and one.kind in self._whole_types:
            self._untold.found(one)

    def looked(self, elsewhere: int) -> None:
        """Hear that polling went through; enough that nobody told us in a row, and all subscriptions are made anew.

        `elsewhere` is how many resources were told so far to other processes of ours.
        """
        if elsewhere != self._heard_elsewhere:
            # To which process a delivery goes we cannot choose: what we wait for may have been told to another.
            self._untold.forget()
            self._missed = 0
        missed = self._untold.missed()
        if self._receiver.resources != self._heard_before:
            self._missed = 0
        self._heard_before, self._heard_elsewhere = self._receiver.resources, elsewhere
        self._missed += missed
        if missed:
            self._hearer.missed(missed)
        if self._missed >= self._chosen.missed_max:
            self._missed = 0
            self._anew = True
            self._soon.set()

    # -- rounds -----------------------------------------------------------------------------------------------------

    async def _go_round_forever(self) -> None:
        while not self._stopping:
            self._soon.clear()
            try:
                # Deliveries come to any gateway: a new secret is to be known by those too whose turn it is not.
                self._receiver.renew_secret()
                if self._is_ours():
                    self._hearer.went_round(await self.go_round())
            except FhirSourceError as fault:
                self._active_since = None
                self._hearer.round_failed(fault)
            except Exception as fault:  # noqa: BLE001 - rounds that ended would leave subscriptions to die
                self._hearer.round_failed(FhirSourceError("refused", f"a fault of ours: {type(fault).__name__}"))
            if self._is_ours():
                self.listen()
            wait_s = min(self._chosen.look_s, self._heartbeats_s / 2) if self._heartbeats_s else self._chosen.look_s
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._soon.wait()

    @property
    def _heartbeats_s(self) -> float:
        return self._chosen.heartbeat_s * HEARTBEATS_MISSED if self._chosen.style == "topic" else 0.0

    def listen(self) -> None:
        """Say where heartbeats are missing, and have the server looked at."""
        if self._heartbeats_s and self._receiver.silent_s > self._heartbeats_s:
            self._hearer.silent(self._receiver.silent_s)
            self._look_soon()

    async def go_round(self) -> Round:
        """Look at our subscriptions on the server and do what is needed; raises `FhirSourceError`."""
        found: list[Found] = []
        server_now: Millis | None = None
        async for page, answer in walk(self._client, f"Subscription?{urlencode({'url': self._chosen.endpoint})}"):
            found += [one for one in page.found if one.kind == "Subscription"]
            server_now = server_now or answer.server_time
        now = server_now or self._now()
        there = [one for one in map(read_there, found) if one is not None]
        todo = judge(
            self._wanted,
            there,
            endpoint=self._chosen.endpoint,
            secret=self._receiver.secret,
            lasts_s=self._chosen.lasts_s,
            now=now,
        )
        if self._anew:
            why = "resources were found by polling that it did not tell"
            todo = [msgspec.structs.replace(one, step="remake", why=why) if _stands(one) else one for one in todo]
            self._anew = False
        for one in todo:
            await self._do(one, now)
        stood = bool(todo) and all(_stands(one) for one in todo if one.step != "remove")
        active = sum(one.there is not None and one.there.status == "active" for one in todo if _stands(one))
        if not stood or active < len(self._wanted):
            self._active_since = None
            self._untold.forget()
        elif self._active_since is None:
            self._active_since = now
        faults = tuple(dict.fromkeys(one.why for one in todo if one.why))
        return Round(active, dict(sorted(Counter(one.step for one in todo).items())), faults)

    async def _do(self, one: Todo, now: Millis) -> None:
        ends = now + int(self._chosen.lasts_s * MILLIS_PER_SECOND)
        endpoint, secret = self._chosen.endpoint, self._receiver.secret
        if one.step in {"remove", "remake"} and one.there is not None:
            await self._remove(one.there.id)
        if one.step in {"create", "remake"} and one.wanted is not None:
            await self._client.ask("POST", "Subscription", document(one.wanted, endpoint, secret, ends))
        if one.step == "renew" and one.wanted is not None and one.there is not None:
            body = document(one.wanted, endpoint, secret, ends, status=one.there.status, identity=one.there.id)
            await self._client.ask("PUT", f"Subscription/{one.there.id}", body)

    async def _remove(self, identity: str) -> None:
        try:
            await self._client.ask("DELETE", f"Subscription/{identity}")
        except FhirSourceError as fault:
            if fault.kind != "not_found":
                raise


def _stands(one: Todo) -> bool:
    return one.step in {"keep", "renew"}
